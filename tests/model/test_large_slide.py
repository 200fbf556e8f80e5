"""Memory does not grow with the slide: 20,000 x 20,000 px, most of it glass, as `benchmarks/slides.py` makes it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "slides.py"
MAX_GIB = 1.5  # the slide itself has 1.1 GiB of pixels, and its tissue 60 MB


@pytest.mark.slow
@pytest.mark.thorough
def test_a_large_slide_needs_little_memory(tmp_path: Path) -> None:
    if not BENCHMARK.is_file():
        pytest.skip("no benchmarks beside this installation")
    command = [sys.executable, str(BENCHMARK), "--folder", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert answer.returncode == 0, answer.stderr
    size, tissue = re.findall(r"(\d+ x \d+) px, ([\d.]+) mm2 of it tissue", answer.stdout)[0]
    found, peak = re.findall(r"([\d.]+) mm2 of tissue found, peak memory ([\d.]+) GiB", answer.stdout)[0]
    assert size == "20000 x 20000"
    assert float(found) == pytest.approx(float(tissue), rel=0.05)
    assert float(peak) < MAX_GIB

"""Altered files of every kind give a MitobenchError, or exactly the numbers in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import fuzz
from kinds import KINDS

pytestmark = pytest.mark.slow

INPUTS = 12  # of each kind; benchmarks/fuzz.py tries thousands


@pytest.mark.parametrize("name", KINDS)
def test_altered_files_give_a_clear_error_or_their_exact_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MITOBENCH_PACKAGES", raising=False)
    counts = fuzz(name, KINDS[name], range(INPUTS), tmp_path)
    assert counts.faults == []
    assert counts.refused > 0, "inputs that are never refused are not changed enough"

"""The command of the README with our own plugins, with few training steps: checks that it runs, not its scores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from preloaded import Preloaded

from mitobench.datasets import synthetic
from mitobench.results import record

pytestmark = pytest.mark.slow

FEW_STEPS = ["estimator.iterations=[2,2,2]", "detector.iterations=3", "detector.warmup=0", "verifier.iterations=3"]
LINE = ["--estimator", "fcn", "--detector", "frcnn", "--verifier", "resnet50"]

Run = Callable[..., list[record.Record]]


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    synthetic.write(tmp_path / "data", seed=1, frames=1, size=128)
    sets = [word for text in FEW_STEPS for word in ("--set", text)]
    places = ["--data", str(tmp_path / "data"), "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    return ["run", *LINE, *sets, *places, "--profile", "smoke"]


@pytest.fixture
def run(preloaded: Preloaded, arguments: list[str], tmp_path: Path) -> Run:
    """Runs the command on small frames; returns the records."""

    def run(*more: str) -> list[record.Record]:
        return records_of(preloaded.run([*arguments, *more], os.environ), tmp_path)

    return run


def records_of(done: subprocess.CompletedProcess[str], folder: Path) -> list[record.Record]:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Leaderboard" in done.stdout
    return [found for _, found in record.read_all(folder / "out" / "records")]


@pytest.mark.thorough
def test_the_command_with_masks_and_with_centroids_only(run: Run) -> None:
    records = {found.combination["dataset"]: found for found in run("--device", "cpu")}
    assert set(records) == {"synthetic", "synthetic-centroids"}
    for found in records.values():
        assert found.status == "ok", found.reason
        assert found.boxes is not None
        assert found.boxes.mean_iou is not None
        assert "trained from scratch" in found.notes
        assert any("no tissue" in note for note in found.notes)
    assert set(records["synthetic-centroids"].data) == {"synthetic", "synthetic-centroids"}, "fcn learned on the masks"


@pytest.mark.thorough
def test_every_fit_over_two_processes(run: Run) -> None:
    (found,) = run("--device", "cpu", "--gpus", "2", "--dataset", "synthetic")
    assert found.status == "ok", found.reason
    assert found.pipeline["processes"] == 2


@pytest.mark.cuda
@pytest.mark.skipif(not has_cuda(), reason="no CUDA device")
def test_the_command_on_a_gpu(arguments: list[str], tmp_path: Path) -> None:
    program = [sys.executable, "-W", "ignore", "-c", "from mitobench.cli import main; main()"]
    line = [*program, *arguments, "--device", "cuda"]
    for found in records_of(subprocess.run(line, capture_output=True, text=True, timeout=600), tmp_path):
        assert found.status == "ok", found.reason
        assert found.device == "cuda"

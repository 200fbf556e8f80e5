"""Fixtures of the detectors' tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet_scene import make_sample

from mitobench import cli
from mitobench.api import Context, Sample


@dataclass(frozen=True)
class Answer:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def mitobench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs `mitobench ARGUMENTS` in this process, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "250")

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr("sys.argv", ["mitobench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return Answer(int(end.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    return [
        make_sample([(int(x), int(y)) for x, y in rng.integers(20, 140, (2, 2))], masks=True, name=f"f{i}")
        for i in range(4)
    ]


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    def make(folder: str = "work", **changes: Any) -> Context:
        return Context(seed=0, device="cpu", work=tmp_path / folder, **changes)

    return make


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)

"""The progress of a run: what ended, in lines that are not wrapped."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitobench.cli import progress
from mitobench.cli.terminal import Console
from mitobench.pipeline.executors import StageResult
from mitobench.pipeline.stages.stage import Stage


def test_the_path_of_a_log_is_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(progress, "console", Console(width=40))
    log = tmp_path / "a folder with a long name" / "failure.txt"
    display = progress.Display([])
    display.finished(
        StageResult(Stage("fusion", None, {}, {}, {}, {}), reason="a reason " * 10 + "that ends", trace=log)
    )
    assert f"       log: {log}\n" in capsys.readouterr().out

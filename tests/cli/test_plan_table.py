"""What a plan says of the time that it will take."""

from __future__ import annotations

import pytest

from mitobench.cli import plan_table
from mitobench.pipeline.estimate import StageTime

KNOWN = StageTime("fit-detector", "frcnn", 6, 0, 7200.0, 3600.0, 9000.0, 3, "training steps")


def never_run(kind: str, plugin: str, n_stages: int) -> StageTime:
    return StageTime(kind, plugin, n_stages, n_stages, 0.0, 0.0, 0.0, 0, "")


def test_the_time_of_a_plan_says_what_it_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    plan_table._show_times([KNOWN], every=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "Time of one stage after another: about 2.0 h, from 60 min to 2.5 h" in shown
    assert "fit-detector frcnn: 6 to run, 2.0 h, from 3 earlier of this plugin, scaled by training steps" in shown
    assert "unknown" not in shown


def test_the_time_of_a_plan_is_unknown_if_a_stage_has_never_run(capsys: pytest.CaptureFixture[str]) -> None:
    plan_table._show_times([KNOWN, never_run("fusion", "linear", 3), never_run("fit-verifier", "r", 1)], every=False)
    shown = capsys.readouterr().out
    assert shown.startswith(
        "Time: unknown; 4 of 10 stages have never run here (fit-verifier r, fusion linear); "
        "the others one after another: about 2.0 h, from 60 min to 2.5 h"
    ), "trainings, which take longest, are named first"
    assert "fusion linear: 3 to run, time unknown: has never run here" in shown
    plan_table._show_times([never_run("fusion", "linear", 1)], every=False)
    assert capsys.readouterr().out == "Time: unknown; 1 of 1 stage has never run here (fusion linear).\n"

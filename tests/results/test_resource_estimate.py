"""What reproducing a record uses is limited, shown, and confirmed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import DETECTIONS, ok

from mitobench import reproduce
from mitobench.errors import RecordError
from mitobench.results import record
from mitobench.results.record import Record
from mitobench.results.resource_estimate import excessive, resource_lines, threads


def asking(processes: object = 1, threads: str = "1", **options: Any) -> Record:
    made = ok()
    plugin = made.plugins["verifier"]
    return made.model_copy(
        update={
            "pipeline": {**made.pipeline, "processes": processes},
            "run": made.run.model_copy(update={"host": {"threads": threads}}),
            "plugins": {**made.plugins, "verifier": plugin.model_copy(update={"options": options})},
        }
    )


def test_what_will_be_used_is_listed() -> None:
    shown = "\n".join(resource_lines(asking(2, "1", members=3, iterations=10, mpp=0.25)))
    assert "2 processes, 1 threads." in shown
    assert "verifier resnet50: ensemble_size 3, iterations 10." in shown


def test_threads_are_those_of_the_request_and_in_earlier_records_those_of_the_host() -> None:
    earlier = asking(threads="4")
    assert threads(earlier) == 4
    assert threads(earlier.model_copy(update={"pipeline": {**earlier.pipeline, "threads": 2}})) == 2
    assert threads(asking(threads="many")) is None


def test_little_is_not_too_much() -> None:
    assert list(excessive(asking(1, "1", members=10, iterations=12_000, batch_size=64, patch=96))) == []


@pytest.mark.parametrize("processes", [0, -1, 65, 10**9, 1.5, "2", True, None, [1]])
def test_an_impossible_number_of_processes_is_refused(processes: object) -> None:
    with pytest.raises(RecordError, match=r"pipeline\.processes"):
        list(resource_lines(asking(processes)))


TOO_MUCH = {
    "processes": asking(max(64, (os.cpu_count() or 1) + 1) if (os.cpu_count() or 1) < 64 else 64),
    "threads": asking(1, "999"),
    "steps": asking(1, "1", iterations=10_000_000),
    "members": asking(1, "1", iterations=100_000, members=10**9),
    "ensemble size": asking(1, "1", iterations=100_000, ensemble_size=10**9),
    "memory": asking(1, "1", batch_size=10**6, patch=4096),
}


@pytest.mark.parametrize("asked", TOO_MUCH.values(), ids=TOO_MUCH)
def test_more_than_this_machine_has_is_confirmed_first(
    asked: Record, tmp_path: Path, mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Path] = []
    monkeypatch.setattr(reproduce, "reproduce", lambda path, **options: done.append(path))
    path = record.write(tmp_path, asked, DETECTIONS)
    answer = mitobench("reproduce", path)
    assert answer.code == 2
    assert "Give --yes" in answer.err
    assert done == []

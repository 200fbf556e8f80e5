"""Running a record again gives an equal record, one within seed noise, or a different one, and lists what changed."""

from __future__ import annotations

from typing import Any

import pytest
from records import failed, metrics, ok

from mitobench.evaluate import FrameEntry, total
from mitobench.evaluate.case_counts import case_counts
from mitobench.results.reproducibility import reproducibility
from mitobench.results.schema import DetectionsEntry, Record
from results.test_compare import counts

GOOD, BAD = [(3, 0)] * 8, [(1, 3)] * 8
SLIGHTLY, OTHERWISE = [(3, 0), (1, 1), (2, 0), (2, 2)], [(2, 0), (2, 1), (2, 1), (2, 2)]
OTHER = {"versions": {"python": "3.11.0", "torch": "2.9.0"}}


def scored(tp_fp: list[tuple[int, int]], seed: int = 0, **changes: Any) -> Record:
    frames = counts(*tp_fp)
    test = metrics(total(frames).ratio("f1"), frames=frames)
    return ok(seed=seed).model_copy(update={"test": test, **changes})


def test_equal_results_are_equal_although_versions_changed() -> None:
    found = reproducibility(scored(GOOD), scored(GOOD, **OTHER))
    assert found.verdict == "equal"
    assert found.changed == ["version of torch: 2.6.0 then, 2.9.0 now"]


def test_scores_that_only_the_newer_record_has_are_no_difference() -> None:
    recorded = scored(GOOD)
    assert recorded.test is not None
    entries = [FrameEntry(frame=c.frame, group=c.group, mitoses=3, area_mm2=0.5) for c in recorded.test.frames]
    cases = case_counts(entries, recorded.test.frames, {})
    assert cases is not None
    added = {"cases": cases, "area_mm2": 4.0, "fp_per_mm2": 0.0}
    newer = recorded.model_copy(update={"test": recorded.test.model_copy(update=added)})
    assert reproducibility(recorded, newer).verdict == "equal"
    forged = added | {"cases": cases.model_copy(update={"bias": 9.0})}
    other = recorded.model_copy(update={"test": recorded.test.model_copy(update=forged)})
    assert reproducibility(newer, other).differing == ["test"]
    fewer = recorded.model_copy(update={"test": recorded.test.model_copy(update={**added, "tp": 2})})
    assert reproducibility(recorded, fewer).differing == ["test"]


def test_a_difference_whose_paired_interval_holds_zero_is_noise() -> None:
    found = reproducibility(scored(SLIGHTLY), scored(OTHERWISE, **OTHER))
    assert found.verdict == "within seed noise"
    assert found.differing == ["test"]
    assert found.difference is not None
    assert found.difference.low <= 0 <= found.difference.high


def test_a_difference_no_greater_than_between_seeds_is_noise() -> None:
    again = scored(BAD, **OTHER)
    assert reproducibility(scored(GOOD), again).verdict == "different"
    found = reproducibility(scored(GOOD), again, [scored(GOOD, seed=2), scored([(0, 9)] * 8, seed=1)])
    assert found.spread == pytest.approx(1.0)
    assert found.verdict == "within seed noise"
    narrow = [scored([(3, 1)] * 8, seed=1), scored([(3, 2)] * 8, seed=2)]
    assert reproducibility(scored(GOOD), again, narrow).verdict == "different"


def test_a_record_makes_no_noise_of_its_own() -> None:
    forged, again, honest = scored(GOOD), scored(BAD, **OTHER), scored(BAD, seed=1)
    found = reproducibility(forged, again, [forged, honest])
    assert (found.verdict, found.spread) == ("different", None)
    found = reproducibility(forged, again, [forged, honest, scored(BAD, seed=2)])
    assert (found.verdict, found.spread) == ("different", 0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_a_cpu_with_nothing_changed_there_is_no_noise(device: str) -> None:
    wide = [scored(GOOD, seed=1, device=device), scored([(0, 9)] * 8, seed=2, device=device)]
    found = reproducibility(scored(SLIGHTLY, device=device), scored(OTHERWISE, device=device), wide)
    assert found.changed == []
    assert found.verdict == {"cpu": "different", "cuda": "within seed noise"}[device]


def test_a_note_does_not_excuse_a_difference() -> None:
    found = reproducibility(scored(SLIGHTLY, notes=["invented"]), scored(OTHERWISE))
    assert found.verdict == "different"
    assert found.changed == ["note: only then: 'invented'"]


@pytest.mark.parametrize("name", ["detections", "validation_detections"])
def test_other_detections_are_not_equal(name: str) -> None:
    a, b = (DetectionsEntry(file="F", rows=1, sha256=sha256, packed="") for sha256 in "ab")
    found = reproducibility(scored(GOOD, **{name: a}), scored(GOOD, **{name: b}, **OTHER))
    assert found.verdict == "within seed noise"
    assert found.differing == [name]


@pytest.mark.parametrize("again", [failed(), scored([(3, 0)] * 7)], ids=["failed", "other frames"])
def test_what_cannot_be_compared_is_different(again: Record) -> None:
    assert reproducibility(scored(GOOD), again).verdict == "different"


def test_the_same_failure_again_is_equal() -> None:
    assert reproducibility(failed(reason="no"), failed(reason="no")).verdict == "equal"
    assert reproducibility(failed(reason="no"), failed(reason="yes")).verdict == "different"


def test_everything_that_changed_is_reported() -> None:
    then = scored(GOOD, device="cuda", notes=["trained from scratch", "schedules shortened to 0.1 of the profile's"])
    plugin = then.plugins["detector"].model_copy(update={"source": "t" * 64, "options": {"lr": 0.1}})
    data = then.data["mitos2012"].model_copy(update={"digest": {"train": "9" * 64, "val": "b" * 64, "test": "d" * 64}})
    now = scored(
        GOOD,
        plugins={**then.plugins, "detector": plugin},
        data={"mitos2012": data},
        run=then.run.model_copy(update={"host": {"system": "Linux", "threads": "2"}}),
    )
    assert reproducibility(then, now).changed == [
        "device: cuda then, cpu now",
        "threads: None then, 2 now",
        "data of mitos2012, train: aaaaaaaaaaaa then, 999999999999 now",
        "detector lr: 1e-05 then, 0.1 now",
        "detector source: ssssssssssss then, tttttttttttt now",
        "note: only then: 'trained from scratch'",
    ]

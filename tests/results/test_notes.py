"""Notes that follow from a record."""

from __future__ import annotations

from typing import Any

import pytest
from records import metrics, ok

from mitobench.evaluate import FrameEntry
from mitobench.results import notes
from mitobench.results.schema import Frames, Record
from mitobench.weights_search import WHOLE


def changed(**changes: Any) -> Record:
    return ok().model_copy(update=changes)


def frames(test: list[FrameEntry], val: list[FrameEntry]) -> Frames:
    return Frames(test=test, val=val)


LABELLED, UNLABELLED = (FrameEntry(frame=f"F{n}", group="7", mitoses=n) for n in (1, None))
OTHER, SAME = (FrameEntry(frame="mitos2012/V", group=group, mitoses=1) for group in ("mitos2012/8", "mitos2012/7"))
COVERED = {"mitos2012": ok().data["mitos2012"].model_copy(update={"coverage": "3 of 9 A frames"})}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ok(), []),
        (ok(dataset="synthetic", train_on=["synthetic"]), ["synthetic: made by a program, no tissue"]),
        (changed(data=COVERED), ["mitos2012: 3 of 9 A frames"]),
        (changed(data=ok().data | {"other": ok().data["mitos2012"]}), ["estimator learned from the masks of other"]),
        (changed(scale=0.25), ["schedules shortened to 0.25 of the profile's"]),
        (
            changed(frames=frames([LABELLED, UNLABELLED], [OTHER])),
            ["mitos2012: 1 of 2 test frames are unlabelled, not scored"],
        ),
        (changed(frames=frames([LABELLED], [SAME])), ["mitos2012: slides are shared between training and test"]),
        (
            changed(test=metrics(n_detections=0)),
            ["no candidate passed the threshold 0.1 on the test frames"],
        ),
    ],
)
def test_what_follows_from_a_record_is_required(record: Record, expected: list[str]) -> None:
    assert list(notes.required(record)) == expected


def test_weights_are_named_once_any_fit_started_from_some() -> None:
    assert notes.starts([]) == []
    assert notes.starts([("frcnn", None), ("resnet18", None)]) == ["trained from scratch"]
    assert notes.starts([("frcnn", "coco.pth"), ("resnet18", None)]) == [
        "frcnn started from coco.pth",
        "resnet18 from scratch",
    ]


def test_weights_among_the_options_of_a_fit_are_required() -> None:
    options = {"pretrained": f"coco.pth, sha256 {'0' * 64}"}
    spec = {"kind": "fit-detector", "plugin": {"name": "frcnn", "options": options}, "upstream": {}}
    made = changed(stages={"detector": "a"}, specs={"a": spec})
    assert list(notes.required(made)) == ["frcnn started from coco.pth"]
    spec["plugin"] = {"name": "frcnn", "options": {"pretrained": "none"}}
    assert list(notes.required(made)) == ["trained from scratch"]
    noted = made.model_copy(update={"notes": ["frcnn started from weights that no option names"]})
    assert list(notes.required(noted)) == []


def test_weights_of_an_earlier_fit_say_what_it_had_learned_from() -> None:
    detector = ok().plugins["detector"]
    before = f"{detector.name}: its weights had been trained before, on"
    known = detector.model_copy(update={"learned_from": ["mitos2012 (official)", "mitos2014 (by-slide)"]})
    made = changed(plugins={**ok().plugins, "detector": known}, training_info={"detector": {WHOLE: True}})
    assert list(notes.required(made)) == [f"{before} mitos2012 (official), mitos2014 (by-slide)"]
    unknown = [f"{before} frames that are not known here"]
    assert (
        list(notes.required(changed(training_info={"detector": {WHOLE: True}, "verifier": {"patches": 3}}))) == unknown
    )
    copied = detector.model_copy(update={"options": {**detector.options, "iterations": 0}})
    assert list(notes.required(changed(plugins={**ok().plugins, "detector": copied}))) == unknown, "whatever it reports"
    assert list(notes.required(changed(training_info={"detector": {WHOLE: "b, c"}}))) == [], "not what a fit reports"

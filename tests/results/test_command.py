"""The command of a record follows from the record; the folder of the data sets is DATA."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from records import ok

from mitobench.results.command import command_of
from mitobench.results.schema import Record

PLAIN = (
    "mitobench run --data DATA --dataset mitos2012 --protocol official --estimator fixed --detector frcnn "
    "--verifier resnet50 --fuser linear --profile cpu --device cpu"
)


def changed(**changes: Any) -> Record:
    return ok().model_copy(update=changes)


def test_the_defaults_are_left_out() -> None:
    assert command_of(ok()) == PLAIN


def test_generated_frames_need_no_data() -> None:
    assert "DATA" not in command_of(ok(dataset="synthetic", train_on=["synthetic"]))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (ok(seed=3), "--first-seed 3"),
        (ok(matcher="midog"), "--matcher midog"),
        (changed(scale=0.25), "--scale 0.25"),
        (changed(only_scanners=["A", "H"]), "--scanner A,H"),
        (changed(overrides=["detector.lr=1", "verifier.name=a b"]), "--set detector.lr=1 --set 'verifier.name=a b'"),
        (changed(device="cuda"), "--device cuda"),
        (changed(pipeline=ok().pipeline | {"processes": 4}), "--gpus 4"),
        (changed(pipeline=ok().pipeline | {"threads": 3}), "--threads 3"),
    ],
)
def test_other_values_are_in_the_command(record: Record, words: str) -> None:
    assert f" {words}" in command_of(record)


def test_an_estimator_that_is_not_used_is_not_named() -> None:
    assert "--estimator" not in command_of(ok(estimator="-"))


def test_other_training_sets_are_named() -> None:
    made = ok()
    both = made.model_copy(update={"combination": made.combination | {"train_on": ["mitos2012", "mitos2014"]}})
    assert "--train-on mitos2012,mitos2014 " in command_of(both)


def test_names_cannot_break_out_of_the_command() -> None:
    words = shlex.split(command_of(ok(detector="x; rm -rf ~")))
    assert words[words.index("--detector") + 1] == "x; rm -rf ~"

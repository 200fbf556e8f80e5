"""`mitobench pack`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model.toy_models import PackedRun, blobs_model, only_toys, run_and_pack

from mitobench import datasets
from mitobench.datasets import synthetic
from mitobench.model import card as cards

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]


@pytest.fixture(scope="module")
def packed_run(
    small_data: Path, toy_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> PackedRun:
    """A record of toy plugins with its store."""
    with only_toys(toy_environment):
        return run_and_pack(tmp_path_factory.mktemp("packed_run"), small_data)


def test_it_prints_the_models_size_and_path(
    mitobench: Callable[..., Any], packed_run: PackedRun, tmp_path: Path
) -> None:
    answer = mitobench("pack", packed_run.record, "--store", packed_run.store, "--out", tmp_path / "model")
    assert answer.code == 0, answer.err
    assert "toy-dark + toy-mean + toy-sum, trained on synthetic: 0.0 MB in 3 files." in answer.out
    assert str(tmp_path / "model") in answer.out
    assert (tmp_path / "model" / "model.json").is_file()


def test_half_says_that_f1_was_measured_before(
    mitobench: Callable[..., Any], packed_run: PackedRun, tmp_path: Path
) -> None:
    answer = mitobench("pack", packed_run.record, "--store", packed_run.store, "--out", tmp_path / "model", "--half")
    assert answer.code == 0, answer.err
    assert "was measured before" in answer.out


def test_another_store_is_an_error_without_a_traceback(
    mitobench: Callable[..., Any], packed_run: PackedRun, tmp_path: Path
) -> None:
    answer = mitobench("pack", packed_run.record, "--store", tmp_path / "empty", "--out", tmp_path / "model")
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert "does not have stage fit-detector" in answer.err
    assert "mitobench reproduce" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_help_shows_an_example(mitobench: Callable[..., Any]) -> None:
    assert "mitobench pack leaderboard/records/" in mitobench("pack", "--help").out


def test_with_data_the_card_has_the_ranges_of_the_training_frames(
    mitobench: Callable[..., Any], packed_run: PackedRun, small_data: Path, tmp_path: Path
) -> None:
    arguments = ("pack", packed_run.record, "--store", packed_run.store, "--out")
    answer = mitobench(*arguments, tmp_path / "with", "--data", small_data)
    assert answer.code == 0, answer.err
    assert "cannot warn" not in answer.out
    ranges = cards.read(tmp_path / "with").ranges
    assert ranges is not None
    assert ranges.frames == 12
    assert "no --data was given" in mitobench(*arguments, tmp_path / "without").out
    assert cards.read(tmp_path / "without").ranges is None


def test_other_training_frames_are_an_error(
    mitobench: Callable[..., Any], packed_run: PackedRun, tmp_path: Path
) -> None:
    synthetic.write(tmp_path / "other", seed=2, frames=2, size=128)
    arguments = ("--store", packed_run.store, "--out", tmp_path / "model", "--data", tmp_path / "other")
    answer = mitobench("pack", packed_run.record, *arguments)
    assert answer.code == 2
    assert "the train frames of synthetic are not those that the record was made with" in answer.err
    assert not (tmp_path / "model").exists()


def test_ranges_are_added_to_a_packed_model_without_its_store(
    mitobench: Callable[..., Any], packed_run: PackedRun, small_data: Path, tmp_path: Path
) -> None:
    arguments = ("pack", packed_run.record, "--model", packed_run.model, "--data", small_data, "--out")
    answer = mitobench(*arguments, tmp_path / "with")
    assert answer.code == 0, answer.err
    assert "Measured 12 of its 12 training frames, in " in answer.out
    before, after = cards.read(packed_run.model), cards.read(tmp_path / "with")
    assert before.ranges is None
    assert after.ranges is not None
    assert after.files == before.files
    assert after.model_copy(update={"ranges": None, "digest": before.digest}) == before
    assert mitobench(*arguments, tmp_path / "with").code == 2, "a folder that exists is not overwritten"


def test_ranges_need_the_training_frames_and_the_models_record(
    mitobench: Callable[..., Any], packed_run: PackedRun, small_data: Path, tmp_path: Path
) -> None:
    synthetic.write(tmp_path / "other", seed=2, frames=2, size=128)
    model = blobs_model(tmp_path / "blobs")
    for arguments, message in (
        (["--model", packed_run.model, "--data", tmp_path / "other"], "the train frames of synthetic are not those"),
        (["--model", model, "--data", small_data], "was packed from dots.json, not from"),
        (["--model", packed_run.model], "--model needs --data"),
        (["--model", packed_run.model, "--data", small_data, "--half"], "--half, --onnx and --set are for packing"),
        (["--model", packed_run.model, "--data", small_data, "--slides", "03"], "--slides 03: write DATASET:SLIDE"),
        (
            ["--model", packed_run.model, "--data", small_data, "--slides", "synthetic:xy"],
            "no labelled frame of slide xy",
        ),
        (["--model", packed_run.model, "--data", small_data, "--slides", "mitos:03"], "was not trained on mitos"),
        (["--slides", "synthetic:03"], "--slides is for --model"),
    ):
        answer = mitobench("pack", packed_run.record, "--out", tmp_path / "model", *arguments)
        assert answer.code == 2
        assert message in " ".join(answer.err.replace("│", " ").split())
        assert not (tmp_path / "model").exists()


@pytest.mark.thorough
def test_of_a_data_set_that_has_changed_slides_are_named(
    mitobench: Callable[..., Any], packed_run: PackedRun, tmp_path: Path
) -> None:
    synthetic.write(tmp_path / "other", seed=2, frames=1, size=256)
    slide = next(iter(datasets.load("synthetic", tmp_path / "other").items.values())).frame.group
    arguments = ("--model", packed_run.model, "--data", tmp_path / "other", "--slides", f"synthetic:{slide}")
    answer = mitobench("pack", packed_run.record, "--out", tmp_path / "with", *arguments)
    assert answer.code == 0, answer.err
    ranges = cards.read(tmp_path / "with").ranges
    assert ranges is None or ranges.frames <= 2
    assert "of its 12 training frames" in answer.out or "too little tissue" in answer.out

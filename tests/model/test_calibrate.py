"""The threshold is chosen on the user's images by the rule of the benchmark, and the new model says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mitobench.datasets import load
from mitobench.evaluate import FramePrediction, choose_threshold
from mitobench.model import Model
from mitobench.model import card as cards
from mitobench.model.calibrate import calibrate

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]
MPP = 0.25


@pytest.fixture
def data(small_data: Path, tmp_path: Path) -> Path:
    """Frames of a synthetic data set as a folder with annotation, three to a slide."""
    folder, rows = tmp_path / "fields", ["image,x,y,class"]
    items = list(load("synthetic", small_data).items.values())[:9]
    for number, item in enumerate(items):
        name = f"s{number // 3}/{number}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(item.frame.read()).save(folder / name)
        rows += [f"{name},,,"] + [f"{name},{x:g},{y:g},mitosis" for x, y in item.mitoses.xy.tolist()]
    (folder / "annotations.csv").write_text("\n".join(rows) + "\n")
    (folder / "dataset.toml").write_text(f"mpp = {MPP}\n")
    return folder


def test_the_new_model_has_the_threshold_with_the_best_f1(
    mitobench: Callable[..., Any], folder: Path, data: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    answer = mitobench("calibrate", folder, "--data", data, "--out", tmp_path / "new", "--device", "cpu")
    assert answer.code == 0, answer.err
    old, new = Model.load(folder), Model.load(tmp_path / "new")
    frames = []
    for item in load("folder", data).items.values():
        found = old.predict(item.frame)
        bare = FramePrediction.of(item.frame, item.mitoses, found.detections)
        frames.append(bare.keep(np.ones(len(found), dtype=bool), found.score))
    point = choose_threshold(frames, "mitos", 7.5)
    assert new.card.threshold == point.threshold
    chosen = new.card.calibration
    assert chosen is not None
    assert (chosen.threshold_before, chosen.f1, chosen.images, chosen.slides) == (old.card.threshold, point.f1, 9, 3)
    assert chosen.f1_interval is not None
    assert chosen.f1_before is not None
    assert chosen.f1 is not None
    assert chosen.f1 >= chosen.f1_before
    assert f"Threshold {point.threshold:.4g}: F1" in answer.out
    assert "9 images of 3 slides" in answer.out
    assert "too few" in answer.out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert old.card.calibration is None
    assert {**new.card.files} == {**old.card.files}


def test_an_existing_folder_is_not_overwritten(
    mitobench: Callable[..., Any], folder: Path, data: Path, tmp_path: Path
) -> None:
    answer = mitobench("calibrate", folder, "--data", data, "--out", folder, "--device", "cpu")
    assert answer.code == 2
    assert "is not overwritten" in answer.err
    assert cards.read(folder).calibration is None


def test_a_folder_within_that_of_the_model_is_refused(
    mitobench: Callable[..., Any], folder: Path, data: Path, tmp_path: Path
) -> None:
    answer = mitobench("calibrate", folder, "--data", data, "--out", folder / "new", "--device", "cpu")
    assert answer.code == 2
    assert answer.err.strip().endswith("lies in the folder of the model. Give another folder with --out.")


def test_of_a_model_that_was_calibrated_before_the_threshold_before_is_that_of_its_record(
    folder: Path, data: Path, tmp_path: Path
) -> None:
    packed = cards.read(folder)
    (folder / cards.CARD).unlink()
    strict = cards.write(folder, packed.model_copy(update={"threshold": 0.999}))
    once = calibrate(folder, Model.load(folder), data, tmp_path / "once").calibration
    twice = calibrate(tmp_path / "once", Model.load(tmp_path / "once"), data, tmp_path / "twice").calibration
    assert once is not None
    assert once.f1 != once.f1_before
    assert once.threshold_before == strict.threshold
    assert twice == once


def test_images_without_mitoses_give_no_threshold(
    mitobench: Callable[..., Any], folder: Path, data: Path, tmp_path: Path
) -> None:
    names = [line for line in (data / "annotations.csv").read_text().splitlines() if line.endswith(",,,")]
    (data / "annotations.csv").write_text("\n".join(["image,x,y,class", *names]) + "\n")
    answer = mitobench("calibrate", folder, "--data", data, "--out", tmp_path / "new", "--device", "cpu")
    assert answer.code == 2
    assert "no threshold can be chosen: the frames hold no annotated mitosis" in answer.err
    assert not (tmp_path / "new").exists()


def test_one_image_is_called_one_image(mitobench: Callable[..., Any], folder: Path, data: Path, tmp_path: Path) -> None:
    lines = (data / "annotations.csv").read_text().splitlines()
    first = next(line for line in lines if line.endswith(",mitosis")).split(",")[0]
    (data / "annotations.csv").write_text(
        "\n".join(line for line in lines if line.startswith(("image,", first))) + "\n"
    )
    for path in data.rglob("*.png"):
        if path != data / first:
            path.unlink()
    answer = mitobench("calibrate", folder, "--data", data, "--out", tmp_path / "new", "--device", "cpu")
    assert "1 image of 1 slide with " in answer.out, answer.err
    assert "1 slide is too few" in answer.out

"""One image, from Python and by `mitobench predict`: the same numbers, notes and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mitobench.api import Detections, Detector, Frame
from mitobench.errors import MitobenchError
from mitobench.interface import LoadedModel
from mitobench.model import Model, grid
from model.test_bad_input import as_z_stack, damage, places, pyramid, run
from model.test_independence import MPP, field
from model.toy_models import blobs_model, dots, stained


@pytest.fixture(autouse=True)
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "CORE_UM", 100.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model.load(blobs_model(tmp_path_factory.mktemp("models") / "blobs", 0.3))


def detecting(predict: Callable[[Frame], object]) -> Model:
    """A model whose detector calls a function and finds nothing."""

    class Calls(Detector):
        name, version = "calls", "1"

        def predict(self, frame: Frame) -> Detections:
            predict(frame)
            return Detections.none()

    model = dots()
    return Model(model.card, Calls(), None, model.fuser)


def damaged(path: Path) -> None:
    damage(pyramid(path, np.tile(field(0, 150), (2, 2, 1))), 5 * 7 + 5)


def grey() -> NDArray[np.uint8]:
    return np.repeat(field(0, 150)[..., :1], 3, axis=2)


def as_grey(path: Path) -> None:
    Image.fromarray(grey()).save(path)


@pytest.mark.parametrize("write", [damaged, as_grey, as_z_stack])
def test_the_numbers_and_the_notes_are_the_same(model: Model, tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "a.tif"
    write(path)
    page = 2 if write == as_z_stack else None
    row = run(model, path, mpp=MPP, page=page)
    found = LoadedModel(model).predict(path, MPP, page=page)
    assert found.judgement.judged == row.done == (write != as_grey)
    assert found.count == row.mitoses
    assert found.per_mm2 == row.mitoses_per_mm2
    assert len(found.rows()) == (row.candidates or 0)
    assert len(found.findings.failed) == row.unread_parts
    assert bool(row.unread_parts) == (write == damaged)
    notes = [note.removeprefix("not judged: ") for note in row.notes if "hot spot" not in note]
    assert list(found.notes) == notes
    if row.done:
        np.testing.assert_allclose(found.xy, places(tmp_path / "out", "a"), atol=0.01)


def test_an_image_that_is_not_judged_is_not_searched(tmp_path: Path) -> None:
    as_grey(tmp_path / "grey.png")
    model = detecting(lambda frame: pytest.fail("was searched"))
    for image in (grey(), tmp_path / "grey.png"):
        found = LoadedModel(model).predict(image, MPP)
        assert found.count is None
        assert found.rows() == []
        assert "no colour" in found.notes[0]


def test_a_file_that_changes_while_it_is_searched_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def changing(frame: Frame) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    Image.fromarray(stained(60, 40)).save(path)
    message = r"a\.png: changed while it was read"
    assert message.replace("\\", "") in run(detecting(changing), path, mpp=0.5).note
    with pytest.raises(MitobenchError, match=message):
        LoadedModel(detecting(changing)).predict(path, 0.5)


def test_an_image_that_is_too_small_for_a_network_is_refused_by_name(tmp_path: Path) -> None:
    def fails(frame: Frame) -> None:
        raise RuntimeError("Calculated padded input size per channel: (1 x 1)")

    pixels = stained(20, 20)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for image, name in ((pixels, "array"), (tmp_path / "a.png", r"a\.png")):
        with pytest.raises(
            MitobenchError, match=rf"{name}: has 20 x 20 px, which is too small for the model \(Runtime"
        ):
            LoadedModel(detecting(fails)).predict(image, 0.5)


def test_a_page_that_is_not_there_is_refused(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    as_z_stack(path)
    for image, page, message in (
        (path, None, "stack"),
        (path, 4, "no page 4"),
        (path, 0, "page=0: must be a whole number from 1 on"),
        (path, 1.5, r"page=1\.5: must be a whole number"),
        (stained(60, 40), 1, "page=1: an array has no pages"),
    ):
        with pytest.raises(MitobenchError, match=message):
            LoadedModel(model).predict(image, MPP, page=page)  # type: ignore[arg-type]

"""The mitoses found do not depend on tiling, on the image's size, or on what lies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from mitobench.api import Detections, Detector, Field, Frame, Options
from mitobench.model import Model, grid
from mitobench.model.batch import predict_files
from mitobench.model.card import find
from mitobench.model.outputs import ImageSummary
from model.toy_models import blobs_model, dots

MPP = 0.5
SIDE = 400  # px of the field: 200 um, more than the small cores below
MARGIN_UM = 40.0  # at the border of the field, a detector sees what lies beside it
STROMA, NUCLEUS = (228, 168, 205), (70, 30, 110)


@pytest.fixture(autouse=True)
def small_cells(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores of 110 um, so that seams cross the field; real frames keep theirs."""
    if "real_data" not in request.fixturenames:
        monkeypatch.setattr(grid, "CORE_UM", 110.0)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model.load(blobs_model(tmp_path_factory.mktemp("models") / "blobs", 0.3, max_candidates=20))


def field(seed: int, count: int, side: int = SIDE) -> NDArray[np.uint8]:
    """Stroma with dark round nuclei of 5 um radius, and paler ones, which are not mitoses."""
    rng = np.random.default_rng(seed)
    density = np.zeros((side, side))
    y, x = np.mgrid[:24, :24]
    places = rng.permutation((side // 28) ** 2)[:count]  # apart, as two nuclei that touch may be found as one
    corners = np.stack(np.divmod(places, side // 28), axis=1) * 28 + rng.integers(0, 5, (len(places), 2))
    for number, (left, top) in enumerate(corners.tolist()):
        nucleus = (1.0 if number % 2 else 0.2) * (np.hypot(x - 11.5, y - 11.5) < 5.0 / MPP)
        there = density[top : top + 24, left : left + 24]
        np.maximum(there, nucleus, out=there)
    pixels = np.array(STROMA) + density[..., None] * (np.array(NUCLEUS) - STROMA)
    return (pixels + rng.normal(0, 1, pixels.shape)).clip(0, 255).astype(np.uint8)


def placed(piece: NDArray[np.uint8], offset: tuple[int, int], beside: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A field in a larger image."""
    whole, (x, y) = beside.copy(), offset
    whole[y : y + piece.shape[0], x : x + piece.shape[1]] = piece
    return whole


def mitoses(model: Model, pixels: NDArray[np.uint8], mpp: float = MPP) -> NDArray[np.float64]:
    """Centres of the mitoses that are found on an image file, [N, 2] px."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        Image.fromarray(pixels).save(path, compress_level=1)
        (row,) = predict_files(model, [path], Path(folder) / "out", mpp)
        assert isinstance(row, ImageSummary)
        assert row.done, row.note
        table = np.genfromtxt(Path(folder) / "out" / "image.csv", delimiter=",", names=True, dtype=None, encoding=None)
    table = np.atleast_1d(table)
    return np.stack([table["x"], table["y"]], axis=1)[table["mitosis"] == 1].astype(float).reshape(-1, 2)


def inner(xy: NDArray[np.float64], side: int, mpp: float = MPP) -> NDArray[np.float64]:
    margin = MARGIN_UM / mpp
    return xy[((xy >= margin) & (xy < side - margin)).all(axis=1)]


def assert_same(one: NDArray[np.float64], other: NDArray[np.float64], mpp: float = MPP) -> None:
    """Each mitosis of one image is one of the other, within 1 um."""
    assert len(one) == len(other)
    if len(one):
        distance, partner = cKDTree(one * mpp).query(other * mpp)
        assert distance.max() < 1.0
        assert len(set(partner.tolist())) == len(one)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(0, 60),
    offset=st.tuples(st.integers(0, 200), st.integers(0, 200)),
    crowd=st.sampled_from([None, 0, 200]),
)
def test_blobs_finds_the_same_mitoses_alone_on_glass_and_in_a_crowd(
    blobs: Model, seed: int, count: int, offset: tuple[int, int], crowd: int | None
) -> None:
    """A crowd has far more nuclei than the 20 that the detector keeps in a frame by default."""
    piece = field(seed, count)
    side = SIDE + 200
    beside = np.full((side, side, 3), 255, np.uint8) if crowd is None else field(seed + 1, crowd, side)
    alone = inner(mitoses(blobs, piece), SIDE)
    there = inner(mitoses(blobs, placed(piece, offset, beside)) - offset, SIDE)
    assert_same(alone, there)


def test_there_is_something_to_find(blobs: Model) -> None:
    assert len(inner(mitoses(blobs, field(1, 60)), SIDE)) >= 10


@settings(max_examples=12, deadline=None)
@given(
    cells=st.lists(st.tuples(st.integers(4, 39), st.integers(4, 39)), max_size=30, unique=True),
    offset=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    shift=st.sampled_from([0.0, 0.9]),
)
def test_a_toy_finds_the_same_dots_wherever_they_lie(
    cells: list[tuple[int, int]], offset: tuple[int, int], shift: float
) -> None:
    white = np.array(cells, dtype=int).reshape(-1, 2) * 10
    piece = np.full((SIDE, SIDE, 3), STROMA, np.uint8)
    piece[:2] = (200, 120, 190)  # an image of one colour is not judged
    piece[white[:, 1], white[:, 0]] = 255
    beside = np.full((SIDE + 300, SIDE + 300, 3), STROMA, np.uint8)
    model = dots(shift)
    alone = inner(mitoses(model, piece), SIDE)
    there = inner(mitoses(model, placed(piece, offset, beside)) - offset, SIDE)
    assert len(alone) == len(inner(white.astype(float), SIDE))
    assert_same(alone, there) if not shift else None
    assert len(alone) == len(there)


class CappedOptions(Options):
    """Options of `Capped`."""

    most: int = Field(5, ge=1, le=1000, description="Greatest number of dots in a frame.")


class Capped(Detector):
    """Finds the first `most` white pixels of a frame."""

    name, version, Options = "capped", "1", CappedOptions
    limits: ClassVar[Mapping[str, float]] = {"most": 100}

    def predict(self, frame: Frame) -> Detections:
        y, x = np.nonzero(frame.read()[..., 0] == 255)
        most = self.options.most
        return Detections.from_points(np.stack([x, y], axis=1)[:most], np.full(len(x[:most]), 0.75), 8)


def test_limits_are_raised_up_to_the_options_own_limit_and_only_in_models() -> None:
    detector = Capped()
    assert detector.options.most == 5
    detector.raise_limits()
    assert detector.options.most == 500
    detector.raise_limits()
    assert detector.options.most == 1000


def test_without_raised_limits_mitoses_beside_a_crowd_are_lost(blobs: Model) -> None:
    """So that the tests above can fail."""
    from mitobench.methods.blobs import Blobs, BlobsOptions

    limited = Model(blobs.card, Blobs(BlobsOptions(max_candidates=20)), None, blobs.fuser)
    piece, beside = field(5, 60), field(6, 300, SIDE + 200)
    alone = inner(mitoses(blobs, piece), SIDE)
    there = inner(mitoses(limited, placed(piece, (100, 100), beside)) - (100, 100), SIDE)
    assert len(there) < len(alone)


@pytest.mark.thorough
@pytest.mark.real
def test_the_bundled_model_finds_the_same_mitoses_on_a_real_frame_wherever_it_lies(real_data: Path) -> None:
    """A part of a frame alone, on glass, and where it was in its frame.

    The detector resamples an image from its upper left corner on, so scores differ by up to .1 (docs/predict.md): what
    is called with that much more than the threshold is called everywhere.
    """
    model = Model.load(find(None))
    path = next(path for path in sorted(real_data.rglob("A03_0?.jpg")) if "evaluation" in str(path))
    pixels = np.array(Image.open(path).convert("RGB"))
    mpp, side, (x, y) = 0.2456, 1200, (612, 404)
    piece = pixels[y : y + side, x : x + side]
    glass = placed(piece, (333, 250), np.full((1800, 1800, 3), 255, np.uint8))
    places = ((piece, (0, 0)), (glass, (333, 250)), (pixels, (x, y)))
    sure, all_called = (
        [inner(mitoses(from_score(model, score), image, mpp) - corner, side, mpp) for image, corner in places]
        for score in (model.card.threshold + 0.1, model.card.threshold - 0.1)
    )
    assert all(len(found) for found in sure)
    for one, other in permutations(range(len(places)), 2):
        distance, partner = cKDTree(all_called[other] * mpp).query(sure[one] * mpp)
        assert distance.max() < 1.0  # um
        assert len(set(partner.tolist())) == len(partner)


def from_score(model: Model, threshold: float) -> Model:
    """The model, calling mitoses from another score on."""
    return replace(model, card=model.card.model_copy(update={"threshold": threshold}))

"""Frames of any size: with cells, no mitosis is lost or counted twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mitobench.model import grid
from mitobench.model.model import Model
from mitobench.pipeline.rounding import significant
from model.toy_models import Green, black, dots, frame

WIDTH, HEIGHT = 900, 500
APART = 10  # minimum distance of two cells, px and um


@pytest.fixture(autouse=True, scope="module")
def small_cells() -> object:
    """Cores of 172 um, which with their borders are 300 um, instead of 512."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "CORE_UM", 172.0)
        yield


def places(max_cells: int) -> st.SearchStrategy[NDArray[np.int64]]:
    """Cells that are not too close to each other, most of them near seams, which are at multiples of 172."""
    x = st.one_of(
        st.integers(0, WIDTH - 1), st.builds(lambda seam, off: seam * 172 + off, st.integers(1, 4), st.integers(-6, 6))
    )
    return st.lists(st.tuples(x, st.integers(0, HEIGHT - 1)), max_size=max_cells).map(_apart)


def _apart(drawn: list[tuple[int, int]]) -> NDArray[np.int64]:
    kept: list[tuple[int, int]] = []
    for x, y in drawn:
        if all(np.hypot(x - a, y - b) >= APART for a, b in kept):
            kept.append((x, y))
    return np.array(kept, dtype=np.int64).reshape(-1, 2)


def found(model: Model, white: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where the model finds the white pixels, sorted."""
    xy = model.predict(frame(black(WIDTH, HEIGHT, white))).detections.xy
    return xy[np.lexsort(xy.T)]


def truth(white: NDArray[np.int64]) -> NDArray[np.float64]:
    return white[np.lexsort(white.T)].astype(np.float64)


@settings(max_examples=40, deadline=None)
@given(white=places(max_cells=30))
def test_every_dot_is_found_once_at_its_position(white: NDArray[np.int64]) -> None:
    np.testing.assert_allclose(found(dots(), white), truth(white))


@settings(max_examples=40, deadline=None)
@given(white=places(max_cells=30))
def test_a_dot_with_different_positions_in_two_cells_is_found_once(white: NDArray[np.int64]) -> None:
    xy = found(dots(shift=0.9), white)
    assert len(xy) == len(white)
    if len(white):
        distance = np.hypot(*(xy[:, None] - white).transpose(2, 0, 1)).min(axis=1)
        assert distance.max() < 2


def test_without_cores_that_extend_over_seams_dots_are_lost_or_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "SEAM_UM", 0.0)
    columns = (np.array([[x, y] for y in range(5, HEIGHT, 12)]) for x in range(170, 174))
    assert any(len(found(dots(shift=0.9), white)) != len(white) for white in columns)


def test_the_verifier_gets_candidates_in_px_of_the_cell() -> None:
    white = np.array([[x, y] for x in range(4, WIDTH, 31) for y in range(4, HEIGHT, 31)])
    pixels = black(WIDTH, HEIGHT, white)
    pixels[white[:, 1], white[:, 0], 1] = np.arange(len(white)) % 256
    predicted = dots(verifier=Green()).predict(frame(pixels))
    x, y = np.rint(predicted.detections.xy).astype(int).T
    assert predicted.verifier is not None
    np.testing.assert_array_equal(predicted.verifier, significant(pixels[y, x, 1] / 255))
    np.testing.assert_array_equal(predicted.score, significant((0.75 + predicted.verifier) / 2))


@pytest.mark.parametrize(
    ("size", "mpp", "number"), [((172, 172), 1.0, 1), ((236, 10), 1.0, 1), ((237, 236), 1.0, 2), ((472, 472), 0.5, 1)]
)
def test_a_core_is_fixed_in_um_and_the_last_takes_in_a_remainder(
    size: tuple[int, int], mpp: float, number: int
) -> None:
    assert len(list(grid.cells(size, (mpp, mpp)))) == number


@pytest.mark.parametrize("size", [(301, 40), (40, 1000), (2000, 1300)])
def test_cells_cover_the_image_and_overlap(size: tuple[int, int]) -> None:
    covered = np.zeros(size[::-1], dtype=int)
    for cell in grid.cells(size, (1.0, 1.0)):
        x1, y1, x2, y2 = cell.box
        assert max(cell.size) <= 172 + 3 * 64
        covered[y1:y2, x1:x2] += 1
        y, x = np.mgrid[y1:y2, x1:x2]
        held = cell.holds(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(y.shape)
        left, top, right, bottom = cell.context
        held[top : len(held) - bottom, left : held.shape[1] - right] = False
        assert not held.any()  # detections in the context are dropped
        assert max(cell.context) < grid.HALO_UM
        for axis in (0, 1):
            low, high = cell.core[axis], cell.core[axis + 2]
            assert low == -np.inf or low + 0.5 >= cell.box[axis] + grid.HALO_UM - grid.SEAM_UM
            assert high == np.inf or high + 0.5 <= cell.box[axis + 2] - grid.HALO_UM + grid.SEAM_UM
    assert covered.min() >= 1


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([0.2456, 0.25, 0.499, 1.0]))
def test_the_grid_does_not_depend_on_the_size(width: int, longer: int, mpp: float) -> None:
    """All cells but the last two are the same on a larger image."""
    one, other = (list(grid.cells((size, 1), (mpp, mpp))) for size in (width, width + longer))
    inner = max(0, len(one) - 2)
    assert [(cell.box, cell.core) for cell in one[:inner]] == [(cell.box, cell.core) for cell in other[:inner]]


def test_detections_of_one_cell_are_never_merged() -> None:
    white = np.array([[20, 20], [21, 20]])
    assert len(found(dots(), white)) == 2

"""The hot spot is where brute force finds it, and every unusual slide has one or a reason."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from mitobench.errors import MitobenchError
from mitobench.model.search_area import within
from mitobench.slides.areas import MAX_AREA_MM2, SHAPES, Area, Circle, area_of, count_cells, count_points
from mitobench.slides.hotspot import MIN_TISSUE_SHARE, HotSpots, find_hot_spots, poisson_interval
from mitobench.slides.tissue import Tissue

pytestmark = pytest.mark.slow

STEP = 8.0
Place = tuple[int, int]


def lies_in(shape: str, mm2: float, dx: float, dy: float) -> bool:
    """Whether an offset from the centre is in the area: written once more, for single numbers."""
    if shape == "square":
        return max(abs(dx), abs(dy)) <= (mm2 * 1e6) ** 0.5 / 2
    return dx * dx + dy * dy <= ((mm2 * 1e6 / np.pi) ** 0.5) ** 2


def brute_force(points: NDArray[np.float64], mask: NDArray[np.bool_], shape: str, mm2: float) -> Place:
    """Row and column of the best place, by looking at every point and cell from every place."""
    rows, columns = mask.shape
    reach = int((mm2 * 1e6) ** 0.5 / STEP) + 2
    span = range(-reach, reach + 1)
    total = sum(lies_in(shape, mm2, STEP * x, STEP * y) for x in span for y in span)
    found = []
    for row in range(rows):
        for column in range(columns):
            x, y = (column + 0.5) * STEP, (row + 0.5) * STEP
            count = sum(lies_in(shape, mm2, x - px, y - py) for px, py in points.tolist())
            tissue = sum(
                bool(mask[i, j]) and lies_in(shape, mm2, STEP * (j - column), STEP * (i - row))
                for i in range(rows)
                for j in range(columns)
            )
            found.append((count, tissue, -row, -column))
    enough = [place for place in found if place[1] >= MIN_TISSUE_SHARE * total]
    best = max(enough or found)
    return -best[2], -best[3]


masks = arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.booleans(), fill=st.just(True))
# Whole numbers and quarters lie on the borders of cells and of squares, where a comparison may be wrong.
coordinates = st.one_of(st.integers(-8, 80).map(float), st.integers(-32, 320).map(lambda n: n / 4), st.floats(0, 72))
points = st.lists(st.tuples(coordinates, coordinates), max_size=12)
sizes = st.sampled_from([64e-6, 256e-6, 300e-6, 576e-6, 1e-3, 2.5e-3, 0.02, np.pi * 400e-6])


@given(points, masks, st.sampled_from(sorted(SHAPES)), sizes)
def test_the_hot_spot_is_where_brute_force_finds_it(
    points: list[tuple[float, float]], mask: NDArray[np.bool_], shape: str, mm2: float
) -> None:
    xy = np.array(points, dtype=float).reshape(-1, 2)
    found = find_hot_spots(xy, Tissue(mask, STEP), SHAPES[shape](mm2))
    if not mask.any():
        assert found.spots == ()
        return
    row, column = brute_force(xy, mask, shape, mm2)
    assert found.spots[0].centre_um == ((column + 0.5) * STEP, (row + 0.5) * STEP)
    x, y = found.spots[0].centre_um
    assert found.spots[0].count == sum(lies_in(shape, mm2, x - px, y - py) for px, py in points)


@given(points, masks, st.sampled_from(sorted(SHAPES)), sizes)
def test_every_place_has_the_count_of_brute_force(
    points: list[tuple[float, float]], mask: NDArray[np.bool_], shape: str, mm2: float
) -> None:
    xy, area = np.array(points, dtype=float).reshape(-1, 2), SHAPES[shape](mm2)
    counts, (cells, _) = count_points(xy, mask.shape, STEP, area), count_cells(mask, STEP, area)
    y, x = np.indices(mask.shape)
    for i, j in np.ndindex(mask.shape):
        centre = ((j + 0.5) * STEP, (i + 0.5) * STEP)
        assert counts[i, j] == sum(lies_in(shape, mm2, centre[0] - px, centre[1] - py) for px, py in points)
        assert cells[i, j] == np.sum(mask & area.holds((x - j) * STEP, (y - i) * STEP))


@given(points, masks, st.sampled_from(sorted(SHAPES)), sizes)
def test_hot_spots_do_not_overlap_and_come_in_order(
    points: list[tuple[float, float]], mask: NDArray[np.bool_], shape: str, mm2: float
) -> None:
    area = SHAPES[shape](mm2)
    spots = find_hot_spots(np.array(points, dtype=float).reshape(-1, 2), Tissue(mask, STEP), area).spots
    assert [spot.count for spot in spots] == sorted((spot.count for spot in spots), reverse=True)
    assert all(spot.count for spot in spots[1:])
    for n, one in enumerate(spots):
        for other in spots[:n]:
            assert not area.overlaps(*(np.array([a - b]) for a, b in zip(one.centre_um, other.centre_um, strict=True)))


def slide(points: NDArray[np.float64] | None = None, tissue_mm: float = 4.0, **changes: Area) -> HotSpots:
    """The hot spots of a slide of 5 x 5 mm, with a square of tissue in its middle."""
    mask = np.zeros((625, 625), dtype=bool)
    half = round(tissue_mm * 1000 / STEP / 2)
    mask[312 - half : 312 + half, 312 - half : 312 + half] = True
    return find_hot_spots(np.zeros((0, 2)) if points is None else points, Tissue(mask, STEP), **changes)


def test_a_cluster_is_found_with_its_count_interval_and_tissue() -> None:
    cluster = np.array([2500.0, 2500.0]) + np.random.default_rng(0).uniform(-300, 300, (17, 2))
    (spot, *rest), notes = (found := slide(np.vstack([cluster, [[700.0, 700.0]]]))).spots, found.notes
    assert spot.count == 17
    assert spot.per_mm2 == 8.5
    assert spot.interval == pytest.approx((9.903, 27.219), abs=1e-3)  # tables of the exact interval
    assert spot.tissue_share == 1
    assert spot.tissue_mm2 == pytest.approx(2)
    assert not notes
    assert [one.count for one in rest] == [1]
    assert spot.outline_um().mean(axis=0) == pytest.approx(spot.centre_um)


@pytest.mark.parametrize("mm2", [0.001, 2.0, 500.0])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_outline_holds_what_is_counted_and_nothing_else(shape: str, mm2: float) -> None:
    """QuPath counts what lies in the polygon: it would miss mitoses between the circle and a polygon within it."""
    area = SHAPES[shape](mm2)
    outline = area.outline_um()
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    assert mm2 < (x * next_y - next_x * y).sum() / 2 / 1e6 < mm2 + 2e-7 * area.reach_um
    towards = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    distance = np.hypot(*towards.T) if shape == "circle" else np.abs(towards).max(axis=1)
    border = towards / distance[:, None] * area.reach_um
    assert area.holds(*(border * (1 - 1e-9)).T).all()
    assert within((outline.round(2),), border).all()
    assert not within((outline,), border * (1 + 0.03 / area.reach_um)).any()


def test_mitoses_off_the_tissue_do_not_pull_the_hot_spot_off_it() -> None:
    (spot, *_) = slide(np.full((9, 2), 100.0)).spots
    assert spot.count == 0
    assert spot.tissue_share >= MIN_TISSUE_SHARE


def test_without_mitoses_the_place_with_the_most_tissue_has_a_count_of_0() -> None:
    found = slide()
    assert [spot.count for spot in found.spots] == [0]
    assert found.spots[0].interval == (0, pytest.approx(3.689, abs=1e-3))
    assert found.spots[0].tissue_share == 1
    assert "no mitoses" in found.notes[0]


def test_without_tissue_there_is_no_hot_spot() -> None:
    found = slide(np.full((3, 2), 2500.0), tissue_mm=0)
    assert found.spots == ()
    assert found.notes == ("no tissue was found, so that there is no hot spot",)


def test_a_hot_spot_larger_than_the_tissue_is_reported_with_what_there_is() -> None:
    found = slide(np.full((3, 2), 2500.0), tissue_mm=0.8)
    assert found.notes[0].startswith("the slide has 0.64 mm2 of tissue, less than 75% of the hot spot's 2 mm2")
    assert found.spots[0].count == 3
    assert found.spots[0].tissue_mm2 == pytest.approx(0.64, rel=1e-3)


def test_a_hot_spot_has_at_most_the_tissue_of_the_slide() -> None:
    """The cells at the right and lower edge of a small field are cut, which those of the area are not."""
    mask = np.ones((64, 64), dtype=bool)
    field = Tissue(mask, STEP, (63.2 * STEP, 63.1 * STEP))
    (spot,) = find_hot_spots(np.array([[100.0, 100.0]]), field, area_of("circle", 2.0)).spots
    assert spot.tissue_mm2 == field.area_mm2


def test_an_image_smaller_than_the_area_is_the_hot_spot_even_where_the_area_would_not_hold_it() -> None:
    strip = Tissue(np.ones((1000, 25), dtype=bool), STEP, (200.0, 8000.0))  # 1.6 mm2, far longer than the circle
    found = find_hot_spots(np.array([[100.0, 100.0], [100.0, 7900.0]]), strip)
    (spot,) = found.spots
    assert found.whole_image
    assert (spot.count, spot.centre_um) == (2, (100.0, 4000.0))
    assert spot.tissue_mm2 == pytest.approx(1.6)
    assert spot.per_mm2 == pytest.approx(2 / 1.6)
    assert found.notes == ("the image is smaller than the 2 mm2 of a hot spot: the count is that of the whole image",)


def test_a_slide_larger_than_the_area_with_little_tissue_has_a_hot_spot() -> None:
    mask = np.zeros((250, 250), dtype=bool)
    mask[100:150, 100:150] = True
    found = find_hot_spots(np.array([[1000.0, 1000.0]]), Tissue(mask, STEP, (2000.0, 2000.0)))
    assert not found.whole_image
    assert found.notes[0].startswith("the slide has 0.16 mm2 of tissue, less than 75% of the hot spot's 2 mm2")


def test_tissue_too_thin_for_a_hot_spot_is_reported() -> None:
    mask = np.zeros((2000, 300), dtype=bool)
    mask[:, 150:190] = True  # a core of .3 mm x 16 mm
    found = find_hot_spots(np.array([[1350.0, 8000.0]]), Tissue(mask, STEP))
    assert found.notes[0].startswith("no place of 2 mm2 lies on tissue to 75%")
    assert found.spots[0].count == 1


def test_of_equal_places_the_one_with_most_tissue_then_the_upper_left_is_taken() -> None:
    mask = np.ones((20, 20), dtype=bool)
    (spot, *_) = find_hot_spots(np.array([[80.0, 80.0]]), Tissue(mask, STEP), Circle(np.pi * 400e-6)).spots
    assert spot.centre_um == (68.0, 68.0)
    mask[:, :8] = False  # now places further to the right have more tissue
    (spot, *_) = find_hot_spots(np.array([[80.0, 80.0]]), Tissue(mask, STEP), Circle(np.pi * 400e-6)).spots
    assert spot.centre_um == (84.0, 68.0)


@pytest.mark.parametrize(
    ("shape", "mm2"), [("star", 2), ("circle", 0), ("circle", 1e-6), ("circle", float("nan")), ("square", 1e9)]
)
def test_a_wrong_shape_or_size_is_an_error(shape: str, mm2: float) -> None:
    with pytest.raises(MitobenchError):
        area_of(shape, mm2)


def test_the_largest_area_is_searched_for_too() -> None:
    assert slide(np.full((3, 2), 2500.0), area=Circle(MAX_AREA_MM2)).spots[0].count == 3


def test_the_interval_holds_the_expected_value_in_at_least_95_percent_of_counts() -> None:
    drawn = np.random.default_rng(0).poisson(6.5, 4000).tolist()
    held = [low <= 6.5 <= high for low, high in map(poisson_interval, drawn)]
    assert np.mean(held) >= 0.95


@pytest.mark.slow
def test_the_largest_slides_take_seconds() -> None:
    mask = np.zeros((2500, 3125), dtype=bool)  # 100,000 x 80,000 px at .25 um/px
    mask[300:2200, 300:2900] = True
    points = np.random.default_rng(0).uniform((2400, 2400), (23000, 17000), (100_000, 2))
    started = time.process_time()
    assert len(find_hot_spots(points, Tissue(mask, STEP)).spots) == 4
    assert time.process_time() - started < 10  # about 4 s; other processes on the machine slow it down

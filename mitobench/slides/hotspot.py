"""Finds the hot spot of a slide: the place of an area, of 2 mm2 unless another is asked for, with the most mitoses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from mitobench.slides.areas import Area, Circle, Counts, count_cells, count_points
from mitobench.slides.tissue import Tissue

Floats = NDArray[np.float64]

AREA_MM2 = 2.0
MIN_TISSUE_SHARE = 0.75
NUMBER = 4  # the hot spot, and the next three
CONFIDENCE = 0.95


@dataclass(frozen=True)
class HotSpot:
    """A place with many mitoses.

    Attributes:
        centre_um: x, y of its centre from the slide's upper left corner; the centre of a cell of the tissue mask.
        area: its shape and size.
        count: number of mitoses in it or on its outline.
        interval: exact 95 % Poisson interval of the count. It describes the chance in counting at this place, not that
            this place was chosen as the one with the most.
        tissue_mm2: tissue in it.
        whole_image: whether the image is smaller than the area. Then it is the image: `count` is that of all of it,
            and `centre_um` its middle.
    """

    centre_um: tuple[float, float]
    area: Area
    count: int
    interval: tuple[float, float]
    tissue_mm2: float
    whole_image: bool = False

    @property
    def tissue_share(self) -> float:
        """Share of it that is tissue, 0 to 1."""
        return min(1.0, self.tissue_mm2 / self.area.mm2)

    @property
    def per_mm2(self) -> float:
        """Mitoses per mm2 of it; of the tissue if it is the whole image."""
        return self.count / (self.tissue_mm2 if self.whole_image else self.area.mm2)

    def outline_um(self) -> Floats:
        """As `Area.outline_um`, from the slide's upper left corner."""
        outline: Floats = self.area.outline_um() + np.asarray(self.centre_um)
        return outline


@dataclass(frozen=True)
class HotSpots:
    """The hot spots of a slide.

    Attributes:
        spots: the hot spot, and the next ones that do not overlap with it and with each other. Empty without tissue.
        counts: mitoses in the area around the centre of every cell of the tissue mask, int32 [rows, columns].
        notes: what a reader must know about them.
    """

    spots: tuple[HotSpot, ...]
    counts: Counts
    notes: tuple[str, ...] = ()

    @property
    def whole_image(self) -> bool:
        """Whether the image is smaller than a hot spot, so that the only one is the image."""
        return any(spot.whole_image for spot in self.spots)


def find_hot_spots(
    points_um: Floats,
    tissue: Tissue,
    area: Area = Circle(AREA_MM2),  # noqa: B008 (it cannot be changed)
    number: int = NUMBER,
) -> HotSpots:
    """Finds the places of an area with the most mitoses.

    Its centre is moved over the centres of all cells of the tissue mask. At least 75 % of it must be tissue. Of places
    with as many mitoses, the one with the most tissue is taken; of these, the uppermost, then the leftmost. If no place
    has enough tissue, all places count, and a note says so. An image smaller than the area, such as a high-power field,
    is its own and only hot spot.

    Args:
        points_um: mitoses, [N, 2] x, y from the slide's upper left corner.
        tissue: where tissue is.
        area: the shape and size of the hot spot.
        number: how many to find. Those after the first have at least one mitosis.
    """
    counts = count_points(points_um, tissue.mask.shape, tissue.step_um, area)
    if not tissue.mask.any():
        return HotSpots((), counts, ("no tissue was found, so that there is no hot spot",))
    width, height = tissue.extent_um
    if width * height / 1e6 < area.mm2:
        return HotSpots((_whole_image(len(points_um), tissue, area),), counts, (_smaller_image(area),))
    cells, total = count_cells(tissue.mask, tissue.step_um, area)
    eligible = cells >= MIN_TISSUE_SHARE * max(total, 1)
    notes = []
    if not eligible.any():
        eligible = np.ones_like(eligible)
        notes.append(_too_little_tissue(tissue, area))
    spots: list[HotSpot] = []
    while len(spots) < number and (place := _best(counts, cells, eligible)) is not None:
        spot = _spot(place, counts, cells, total, tissue, area)
        if spots and not spot.count:
            break
        spots.append(spot)
        eligible &= ~_overlapping(spot, tissue)
    if not spots[0].count and not notes:
        notes.append("no mitoses were found, so that the hot spot is the place with the most tissue")
    return HotSpots(tuple(spots), counts, tuple(notes))


def poisson_interval(count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Returns the exact (Garwood) confidence interval of the expected value of a count."""
    tail = (1 - confidence) / 2
    low = chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return float(low), float(chi2.isf(tail, 2 * (count + 1)) / 2)


def _whole_image(count: int, tissue: Tissue, area: Area) -> HotSpot:
    width, height = tissue.extent_um
    return HotSpot((width / 2, height / 2), area, count, poisson_interval(count), tissue.area_mm2, whole_image=True)


def _smaller_image(area: Area) -> str:
    return f"the image is smaller than the {area.mm2:g} mm2 of a hot spot: the count is that of the whole image"


def _too_little_tissue(tissue: Tissue, area: Area) -> str:
    share = f"{MIN_TISSUE_SHARE:.0%}"
    if tissue.area_mm2 < MIN_TISSUE_SHARE * area.mm2:
        why = f"the slide has {tissue.area_mm2:.3g} mm2 of tissue, less than {share} of the hot spot's {area.mm2:g} mm2"
    else:
        why = f"no place of {area.mm2:g} mm2 lies on tissue to {share}"
    return f"{why}; the hot spot is the place with the most mitoses, whatever its tissue"


def _best(counts: Counts, cells: Counts, eligible: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Row and column of the eligible place with the most mitoses, then the most tissue, then the first."""
    if not eligible.any():
        return None
    best = eligible & (counts == counts[eligible].max())
    best &= cells == cells[best].max()
    row, column = np.unravel_index(int(np.argmax(best)), best.shape)
    return int(row), int(column)


def _spot(place: tuple[int, int], counts: Counts, cells: Counts, total: int, tissue: Tissue, area: Area) -> HotSpot:
    row, column = place
    centre = ((column + 0.5) * tissue.step_um, (row + 0.5) * tissue.step_um)
    count = int(counts[place])
    tissue_mm2 = int(cells[place]) / max(total, 1) * area.mm2  # of the area, so that complete tissue is all of it
    tissue_mm2 = min(tissue_mm2, tissue.area_mm2)  # whose cells at the slide's edge are cut
    return HotSpot(centre, area, count, poisson_interval(count), tissue_mm2)


def _overlapping(spot: HotSpot, tissue: Tissue) -> NDArray[np.bool_]:
    """The places where the area would overlap with a hot spot, bool [rows, columns]."""
    rows, columns = tissue.mask.shape
    dx = (np.arange(columns, dtype=np.float64) + 0.5)[None] * tissue.step_um - spot.centre_um[0]
    dy = (np.arange(rows, dtype=np.float64) + 0.5)[:, None] * tissue.step_um - spot.centre_um[1]
    return spot.area.overlaps(dx, dy)

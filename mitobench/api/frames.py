"""A frame and its annotation, as plugins get them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mitobench.api.coordinates import Floats
from mitobench.errors import DataError, nearest

# The names of a frame's domains.
DOMAINS = ("scanner", "tumour", "lab", "species", "region")


class Domains(Mapping[str, str]):
    """The domains of a frame: a read-only mapping from some of the names in `DOMAINS` to texts.

    Args:
        values: texts by name. Empty texts are left out.

    Raises:
        DataError: if a name is not in `DOMAINS`.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = {name: str(value) for name, value in sorted((values or {}).items()) if value}
        for name in self._values:
            if name not in DOMAINS:
                raise DataError(f"Unknown domain {name!r}. {nearest(name, DOMAINS)}")

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass(frozen=True)
class Frame:
    """One image of a data set: one field of view of the microscope (a high-power field).

    Attributes:
        id: unique within its data set, for example `A00_01` (MITOS 2012) or `H03_00Aa` (MITOS 2014).
        dataset: name of the data set.
        group: slide or case, without the letter of the scanner: `03` for both `A03` and `H03`.
        scanner: `A` (Aperio) or `H` (Hamamatsu); another letter or word for other data.
        mpp: resolution along x and y, um/px.
        size: width and height, px.
        reader: returns the pixels. Must be picklable, because frames are sent to worker processes.
        domains: scanner, tumour type, laboratory, species and kind of region, as far as they are known, by the names in
            `DOMAINS`. Read-only. `scanner` here is the full name of the scanner, for people.
        context: width of the strips at the left, top, right and bottom, px, that only show what lies around. Detections
            in them are dropped, so a detector need not search them.

    Raises:
        DataError: if the resolution is outside 0.1-1.0 um/px, or a domain is unknown.
    """

    id: str
    dataset: str
    group: str
    scanner: str
    mpp: tuple[float, float]
    size: tuple[int, int]
    reader: Callable[[], NDArray[np.uint8]] = field(repr=False, compare=False)
    domains: Mapping[str, str] = field(default_factory=Domains, repr=False, compare=False, kw_only=True)
    context: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", Domains(self.domains))
        for axis, mpp in zip("xy", self.mpp, strict=True):
            if not 0.1 <= mpp <= 1.0:
                raise DataError(
                    f"{self.dataset}/{self.id}: {mpp:g} um/px along {axis} is outside 0.1-1.0. "
                    "Correct `mpp` on the data set's card."
                )

    @property
    def key(self) -> str:
        """`dataset/id`, which is unique across all data sets."""
        return f"{self.dataset}/{self.id}"

    def read(self) -> NDArray[np.uint8]:
        """Reads the pixels: uint8 RGB, [height, width, 3].

        Raises:
            DataError: if they have another type, shape or size.
        """
        pixels = self.reader()
        self._check(pixels, self.size)
        return pixels

    def region(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Reads a rectangle of the frame: uint8 RGB, [height, width, 3]. White outside the frame.

        Readers with a method `region` read no more than they must; of others, the whole frame is read.

        Args:
            x: the leftmost pixel; it may be outside the frame.
            y: the uppermost pixel; it may be outside the frame.
            width: width of the rectangle, px.
            height: height of the rectangle, px.

        Raises:
            DataError: if the reader returns pixels of another type, shape or size.
        """
        region = getattr(self.reader, "region", None)
        if region is not None:
            pixels: NDArray[np.uint8] = region(x, y, width, height)
            self._check(pixels, (width, height))
            return pixels
        whole, cut = self.read(), np.full((height, width, 3), 255, dtype=np.uint8)
        inside = whole[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        cut[max(-y, 0) :][: len(inside), max(-x, 0) :][:, : inside.shape[1]] = inside
        return cut

    def _check(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> None:
        if pixels.dtype != np.uint8 or pixels.shape != (size[1], size[0], 3):
            raise DataError(
                f"{self.key}: its pixels are {pixels.dtype} {list(pixels.shape)}, not uint8 {[size[1], size[0], 3]} "
                "(height, width, RGB). The file has changed, or its reader gives another size than its pixels have."
            )


@dataclass(frozen=True)
class Mitoses:
    """The annotation of one frame.

    Imposters are hard negatives: figures that look like mitoses and that the annotators marked as non-mitotic.

    Attributes:
        xy: centroids of the mitoses, [N, 2] px. The centroid of a mask is the mean of its pixels.
        masks: the pixels (x, y) of each mitosis, int [P, 2]; None if the data set has centroids only.
        imposters: centres of the imposters, [M, 2] px; empty if the data set does not annotate them.
        labelled: False if the labels are withheld (a contest's test set), in which case the arrays are empty.
        confidence: how sure the annotators are that each mitosis is one, [N], 0-1: a confidence that the data set
            gives, or the share of the votes for a mitosis. None if the data set has neither.
        imposter_confidence: the same of each imposter, [M]: the share that took it for a mitosis.

    Raises:
        DataError: if a confidence does not have one value for each point.
    """

    xy: Floats
    masks: tuple[NDArray[np.int64], ...] | None = None
    imposters: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    labelled: bool = True
    confidence: Floats | None = field(default=None, kw_only=True)
    imposter_confidence: Floats | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for values, points, what in (
            (self.confidence, self.xy, "mitoses"),
            (self.imposter_confidence, self.imposters, "imposters"),
        ):
            if values is not None and len(values) != len(points):
                raise DataError(f"{len(values)} confidences for {len(points)} {what}. Give one for each.")

    def __len__(self) -> int:
        return len(self.xy)

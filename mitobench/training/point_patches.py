"""Draws training patches with the points of their mitoses; needs no boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Floats, PluginError, Sample
from mitobench.training.augment import dihedral, dihedral_points, hed_jitter, recompressed, stain_jitter
from mitobench.training.patches import FrameCache, crop, scaled


class PointPatchOptions(Protocol):
    """The options that a `PointPatchStream` reads; a detector's own `Options` have them."""

    @property
    def patch(self) -> int:
        """Side of a patch, px at `mpp`."""

    @property
    def mpp(self) -> float | None:
        """Resolution of the patches, um/px; None: each frame keeps its own."""

    @property
    def positive_share(self) -> float:
        """Share of patches that are drawn to hold a mitosis."""

    @property
    def hard_share(self) -> float:
        """Share of patches drawn around hard negatives, once there are any."""

    @property
    def hed_jitter(self) -> float:
        """Strength of the function of the same name."""

    @property
    def stain_jitter(self) -> float:
        """Strength of the function of the same name."""

    @property
    def jpeg(self) -> tuple[int, int] | None:
        """Lowest and highest JPEG quality at which patches are compressed again; None: not at all."""


@dataclass
class PointPatchStream:
    """Draws patches that hold a mitosis, patches around hard negatives, and patches from anywhere.

    Attributes:
        samples: training frames with their mitoses.
        options: of the patches.
        hard: hard negatives of each frame, [N, 2] frame px, and how much each looks like a mitosis, [N].

    Raises:
        PluginError: if no frame holds a mitosis.
    """

    samples: Sequence[Sample]
    options: PointPatchOptions
    hard: Sequence[tuple[Floats, Floats]] = ()
    _cache: FrameCache = field(init=False)

    def __post_init__(self) -> None:
        self._cache = FrameCache(self.options.mpp)
        datasets = np.array([sample.frame.dataset for sample in self.samples])
        self._frames = [np.flatnonzero(datasets == name) for name in np.unique(datasets)]
        self._positive = [points for frames in self._frames if (points := self._mitoses(frames))]
        if not self._positive:
            names = ", ".join(sorted(set(datasets.tolist()))) or "no data set"
            raise PluginError(
                f"None of the {len(self.samples)} training frames of {names} has an annotated mitosis. Train on others "
                "(--train-on)."
            )
        self._negative = [hard for frames in self._frames if (hard := self._hard_of(frames))]

    def _mitoses(self, frames: NDArray[np.int64]) -> list[tuple[int, Floats]]:
        return [(int(index), xy) for index in frames for xy in self.samples[index].mitoses.xy]

    def _hard_of(self, frames: NDArray[np.int64]) -> list[tuple[int, Floats, float]]:
        if not self.hard:
            return []
        return [(int(i), xy, float(s)) for i in frames for xy, s in zip(*self.hard[i], strict=True)]

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draws an item: `inputs`, uint8 [side, side, 3], and `points`, [N, 2] px of the patch.

        Items have different numbers of points, so `train` needs a `collate` that keeps them in lists.
        """
        image, points = self.patch(rng)
        return {"inputs": image, "points": points}

    def patch(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats]:
        """Draws a patch, uint8 [side, side, 3], and all points of its frame, [N, 2] px of the patch; some lie outside.

        Every data set is drawn equally often, however many frames it has.
        """
        side, kind = self.options.patch, rng.random()
        if kind < self.options.positive_share:
            pool = self._positive[rng.integers(len(self._positive))]
            index, xy = pool[rng.integers(len(pool))]
            corner = self._around(index, xy, rng)
        elif self._negative and kind < self.options.positive_share + self.options.hard_share:
            hard = self._negative[rng.integers(len(self._negative))]
            weights = np.array([score for _, _, score in hard])
            index, xy, _ = hard[rng.choice(len(hard), p=weights / weights.sum())]
            corner = self._around(index, xy, rng)
        else:
            frames = self._frames[rng.integers(len(self._frames))]
            index = int(frames[rng.integers(len(frames))])
            image, _ = self._cache.get(self.samples[index].frame)
            corner = rng.uniform(0, 1, 2) * np.maximum(0, np.array(image.shape[1::-1]) - side)
        return self._item(index, np.rint(corner).astype(int), rng)

    def _around(self, index: int, xy: Floats, rng: np.random.Generator) -> Floats:
        """A corner for which the point lies anywhere in the patch but at its very edge, px at `mpp`."""
        _, factors = self._cache.get(self.samples[index].frame)
        side = self.options.patch
        corner: Floats = scaled(xy, factors) - rng.uniform(0.1 * side, 0.9 * side, 2)
        return corner

    def _item(
        self, index: int, corner: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], Floats]:
        options, sample = self.options, self.samples[index]
        image, factors = self._cache.get(sample.frame)
        side, k = options.patch, int(rng.integers(8))
        patch = dihedral(crop(image, int(corner[0]), int(corner[1]), side, side), k)
        points = dihedral_points(scaled(sample.mitoses.xy, factors) - corner, k, (side, side))
        patch = stain_jitter(hed_jitter(patch, rng, options.hed_jitter), rng, options.stain_jitter)
        if options.jpeg is not None:
            patch = recompressed(patch, int(rng.integers(*options.jpeg, endpoint=True)))
        return np.ascontiguousarray(patch), points


def target_map(points: Floats, side: int, stride: int, sigma: float) -> NDArray[np.float32]:
    """The map [side, side] of points [N, 2] px of the patch: 1 at the pixel of each, a Gaussian around it.

    Args:
        points: may lie outside the patch; those are felt as far as their Gaussian reaches.
        side: of the map, px of the map.
        stride: px of the patch per px of the map.
        sigma: standard deviation of the Gaussian, px of the map.
    """
    target = np.zeros((side, side))
    grid = np.arange(side)
    for x, y in np.rint((points + 0.5) / stride - 0.5):
        bump = (
            np.exp(-((grid - x) ** 2) / (2 * sigma**2))[None, :] * np.exp(-((grid - y) ** 2) / (2 * sigma**2))[:, None]
        )
        target = np.maximum(target, bump)
    return target.astype(np.float32)

"""Training patches of `fcn`: patches of frames, with the pixels of mitoses as labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import PluginError, Sample
from mitobench.training import FrameCache, crop, dihedral, resample, scaled, stain_jitter

SYMMETRIES = 8  # rotations and mirrors of a square


class MaskPatches:
    """Cuts patches and their labels from frames with masks.

    Args:
        samples: frames with masks.
        side: side of a patch, px at `mpp`.
        mpp: resolution of the patches, um/px; None keeps that of each frame.
        jitter: strength of the stain jitter, as in `mitobench.training.stain_jitter`.

    Raises:
        PluginError: a frame has no masks, or none has a mitosis.
    """

    def __init__(self, samples: Sequence[Sample], side: int, mpp: float | None, jitter: float) -> None:
        self.samples, self.side, self.jitter = samples, side, jitter
        self.cache = FrameCache(mpp)
        self.labels = [_labels(sample, mpp) for sample in samples]
        if not any(labels.any() for labels in self.labels):
            raise PluginError(
                "fcn learns from masks of mitoses, but no training frame has a mitosis. Train it on other frames."
            )

    def label(self, index: int, left: int, top: int) -> NDArray[np.uint8]:
        """Returns the labels of the patch of a frame at (left, top), [side, side]: above 0 at pixels of mitoses."""
        return crop(self.labels[index], left, top, self.side, self.side)

    def item(self, index: int, left: int, top: int, k: int, rng: np.random.Generator) -> dict[str, Any]:
        """Returns the patch of a frame at (left, top), in the k-th of its eight symmetries, as a training item.

        `inputs`: uint8 [side, side, 3]; `targets`: 1 at pixels of mitoses, otherwise 0, [side, side].
        """
        image, _ = self.cache.get(self.samples[index].frame)
        patch = dihedral(crop(image, left, top, self.side, self.side), k)
        label = dihedral(self.label(index, left, top), k)
        return {"inputs": stain_jitter(patch, rng, self.jitter).copy(), "targets": label.astype(np.int64)}


class TileStream:
    """Draws patches as in the paper: the tiles of every frame; those with a mitosis in all rotations and mirrors.

    Args:
        patches: of the training frames.
        tiles: a frame is divided into tiles x tiles; a patch begins at the upper left corner of each.
        positive_share: probability of a tile with a mitosis; None: its share, with each such tile counted eight times.
    """

    def __init__(self, patches: MaskPatches, tiles: int, positive_share: float | None) -> None:
        self.patches = patches
        self.positive: list[tuple[int, int, int]] = []
        self.negative: list[tuple[int, int, int]] = []
        for index, labels in enumerate(patches.labels):
            tops, lefts = (tile_edges(length, tiles)[:-1].tolist() for length in labels.shape)
            for top, left in product(tops, lefts):
                has_mitosis = patches.label(index, left, top).any()
                (self.positive if has_mitosis else self.negative).append((index, left, top))
        if not self.positive:
            raise PluginError("No tile of a training frame contains a mitosis. Enlarge patch, or set patches=anywhere.")
        weight = SYMMETRIES * len(self.positive)
        as_they_come = weight / (weight + len(self.negative))
        self.share = as_they_come if positive_share is None or not self.negative else positive_share

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draws a tile; one with a mitosis is rotated and mirrored at random."""
        has_mitosis = rng.random() < self.share
        tiles = self.positive if has_mitosis else self.negative
        return self.patches.item(
            *tiles[rng.integers(len(tiles))], int(rng.integers(SYMMETRIES)) if has_mitosis else 0, rng
        )


class AnywhereStream:
    """Draws patches from any position, rotated and mirrored at random.

    Args:
        patches: of the training frames.
        positive_share: probability that a patch is drawn around a mitosis; None: 0.
    """

    def __init__(self, patches: MaskPatches, positive_share: float | None) -> None:
        self.patches, self.positive_share = patches, positive_share or 0.0
        self.mitoses = [(i, xy) for i, sample in enumerate(patches.samples) for xy in sample.mitoses.xy]

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draws a patch."""
        side = self.patches.side
        if rng.random() < self.positive_share:
            index, xy = self.mitoses[rng.integers(len(self.mitoses))]
            _, factors = self.patches.cache.get(self.patches.samples[index].frame)
            corner = np.floor(scaled(xy, factors) + 0.5 - rng.uniform(0, side, 2))
        else:
            index = int(rng.integers(len(self.patches.samples)))
            corner = rng.uniform(0, 1, 2) * (np.array(self.patches.labels[index].shape[::-1]) - side)
        height, width = self.patches.labels[index].shape
        left, top = (int(np.clip(c, 0, max(0, n - side))) for c, n in zip(corner, (width, height), strict=True))
        return self.patches.item(index, left, top, int(rng.integers(SYMMETRIES)), rng)


def tile_edges(length: int, tiles: int) -> NDArray[np.int64]:
    """Returns the edges of the tiles along a side of `length` px, evenly spaced and rounded to pixels: [tiles + 1]."""
    edges: NDArray[np.int64] = np.rint(np.linspace(0, length, tiles + 1)).astype(np.int64)
    return edges


def _labels(sample: Sample, mpp: float | None) -> NDArray[np.uint8]:
    """Returns 1 at the pixels of mitoses, otherwise 0: [H, W] at `mpp` um/px."""
    if sample.mitoses.masks is None:
        raise PluginError(f"fcn learns from masks, but {sample.frame.key} has none. Fit it on a data set with masks.")
    width, height = sample.frame.size
    labels = np.zeros((height, width), np.uint8)
    for x, y in (pixels.T for pixels in sample.mitoses.masks):
        labels[y, x] = 255
    return (resample(labels, sample.frame.mpp, mpp)[0] > 127).astype(np.uint8)

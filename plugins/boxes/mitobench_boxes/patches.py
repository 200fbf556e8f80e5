"""What the FCN learns from: patches of frames, with the mitoses' pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import PluginError, Sample
from mitobench.training import FrameCache, crop, dihedral, resample, stain_jitter


class PatchStream:
    """Training items: `inputs`, a uint8 patch [side, side, 3], and `targets`, 1 at pixels of mitoses [side, side].

    Args:
        samples: frames with masks.
        side: of a patch, px at `mpp`.
        mpp: um/px of the patches; None keeps each frame's own.
        positive_share: probability that a patch is drawn so that it holds a mitosis.
        jitter: strength of the stain jitter.

    Raises:
        PluginError: a frame has no masks, or no frame has a mitosis.
    """

    def __init__(
        self, samples: Sequence[Sample], side: int, mpp: float | None, positive_share: float, jitter: float
    ) -> None:
        self.samples, self.side, self.positive_share, self.jitter = samples, side, positive_share, jitter
        self.cache = FrameCache(mpp)
        self.labels = [_labels(sample, mpp) for sample in samples]
        self.mitoses = [(i, xy) for i, sample in enumerate(samples) for xy in sample.mitoses.xy]
        if not self.mitoses:
            raise PluginError("fcn learns from masks of mitoses, and no training frame has a mitosis.")

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """A patch at random, turned and mirrored at random."""
        if rng.random() < self.positive_share:
            index, xy = self.mitoses[rng.integers(len(self.mitoses))]
            image, factors = self.cache.get(self.samples[index].frame)
            corner = np.floor(xy * factors - rng.uniform(0, self.side, 2))
        else:
            index = int(rng.integers(len(self.samples)))
            image, _ = self.cache.get(self.samples[index].frame)
            corner = rng.uniform(0, 1, 2) * (np.array(image.shape[1::-1]) - self.side)
        height, width = image.shape[:2]
        left, top = (int(np.clip(c, 0, max(0, n - self.side))) for c, n in zip(corner, (width, height), strict=True))
        k = int(rng.integers(8))
        patch, label = (
            dihedral(crop(pixels, left, top, self.side, self.side), k) for pixels in (image, self.labels[index])
        )
        return {"inputs": stain_jitter(patch, rng, self.jitter).copy(), "targets": label.astype(np.int64)}


def _labels(sample: Sample, mpp: float | None) -> NDArray[np.uint8]:
    """1 at the pixels of mitoses and 0 elsewhere, [H, W] at `mpp` um/px."""
    if sample.mitoses.masks is None:
        raise PluginError(f"fcn learns from masks, and {sample.frame.key} has none. Fit it on a data set with masks.")
    width, height = sample.frame.size
    labels = np.zeros((height, width), np.uint8)
    for x, y in (pixels.T for pixels in sample.mitoses.masks):
        labels[y, x] = 255
    return (resample(labels, sample.frame.mpp, mpp)[0] > 127).astype(np.uint8)

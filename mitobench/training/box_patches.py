"""Draws training patches with the boxes of their mitoses: rotated, mirrored and enlarged.

A patch is one affine map of the frame, the same for pixels and annotation. If a box is that of its mask, the box of the
rotated mask is taken; any other box moves to its rotated centre and keeps its size (section DeepDet of Li et al. 2018).

Boxes of patches are measured in px from the upper left corner of the first pixel, as in MMDetection and torchvision;
mitobench measures from its centre. The annotation is moved by EDGE here; a detector moves its detections back.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Floats, PluginError, Sample, mask_box
from mitobench.training.augment import hed_jitter, recompressed, stain_jitter
from mitobench.training.patches import FrameCache
from mitobench.training.view import EDGE, View, turning

TRIES = 200

Target = tuple[int, Floats | None]  # number of a frame, and the point that a patch must contain; None: any patch


class BoxPatchOptions(Protocol):
    """The options that a `BoxPatchStream` reads; a detector's own `Options` have them."""

    @property
    def patch(self) -> int:
        """Side of a patch, px before `scale`; a smaller frame is used whole."""

    @property
    def patch_stride(self) -> int | None:
        """Distance between patches in the rotated frame, px before `scale`; None: any position."""

    @property
    def area_threshold(self) -> float:
        """A patch is dropped if less than this remains of a mitosis that crosses its border, px^2."""

    @property
    def positive_share(self) -> float:
        """Share of patches drawn around a mitosis; the others are drawn anywhere."""

    @property
    def rotation(self) -> int:
        """Degrees between the angles by which a frame is rotated: 45, 90, or 0 for no rotation."""

    @property
    def mirror(self) -> bool:
        """Whether half of the patches are mirrored."""

    @property
    def stain_jitter(self) -> float:
        """Strength of the function of the same name."""

    @property
    def hed_jitter(self) -> float:
        """Strength of the function of the same name."""


class BoxPatchStream:
    """Draws training patches of labelled frames, with boxes.

    Args:
        samples: frames with mitoses and boxes.
        options: `patch`, `patch_stride`, `area_threshold`, `positive_share` and augmentation.
        mpp: um/px to which frames are resampled; None: each keeps its own.
        scale: factor by which the resampled frames are enlarged.
        jpeg: lowest and highest JPEG quality at which patches are compressed again; None: not at all.
        even_datasets: draw all data sets equally often, whatever their number of frames and mitoses.

    Raises:
        PluginError: `positive_share` is above 0, but no frame has a mitosis.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        options: BoxPatchOptions,
        mpp: float | None = None,
        scale: float = 1.0,
        jpeg: tuple[int, int] | None = None,
        even_datasets: bool = False,
    ) -> None:
        self.options, self.scale, self.jpeg, self.even_datasets = options, scale, jpeg, even_datasets
        self.samples = samples
        self.cache = FrameCache(mpp)
        self._frames = self._grouped([(i, None) for i in range(len(samples))])
        self._mitoses = self._marks([sample.mitoses.xy for sample in samples])
        self._false_positives: list[list[Target]] = []
        if not samples or (options.positive_share > 0 and not self._mitoses):
            raise PluginError(
                "A detector learns from annotated mitoses, but the training frames have none. Train it on others."
            )

    def read_frames(self) -> None:
        """Reads all frames now, so that processes forked from this one share their pixels."""
        self.cache.limit = sys.maxsize
        for sample in self.samples:
            self.cache.get(sample.frame)

    def set_false_positives(self, found: Sequence[Floats]) -> None:
        """Sets the false positives of each frame, [N, 2] px: half of the patches without a mitosis then contain one."""
        self._false_positives = self._marks(found)

    def _marks(self, points: Sequence[Floats]) -> list[list[Target]]:
        """Groups the points of all frames, [N, 2] px each."""
        return self._grouped([(i, xy + EDGE) for i, of_frame in enumerate(points) for xy in of_frame])

    def _grouped(self, targets: list[Target]) -> list[list[Target]]:
        """Returns groups that are drawn equally often: one, or one a data set if `even_datasets`; none is empty."""
        groups: dict[str, list[Target]] = {}
        for target in targets:
            dataset = self.samples[target[0]].frame.dataset if self.even_datasets else ""
            groups.setdefault(dataset, []).append(target)
        return list(groups.values())

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draws an item: `inputs`, uint8 [side, side, 3], and `boxes`, [N, 4] px of the patch; both after `scale`.

        Items have different numbers of boxes, so `train` needs a `collate` that keeps them in lists.
        """
        image, boxes = self.patch(rng)
        return {"inputs": np.ascontiguousarray(image), "boxes": boxes}

    def patch(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats]:
        """Draws a patch, uint8 [side, side, 3], and its boxes, [N, 4]; both in px after `scale`.

        Raises:
            PluginError: if no patch keeps enough of the mitoses at its border.
        """
        positive = rng.random() < self.options.positive_share
        for _ in range(TRIES):
            place = self._place(rng, positive)
            if place is None:
                continue
            sample, view = place
            boxes = self._boxes(sample, view)
            if boxes is not None:
                return self._stained(view.pixels(self.cache.get(sample.frame)[0]), rng), boxes
        raise PluginError(
            f"No valid training patch of {self.options.patch} px was found in {TRIES} tries. Lower area_threshold or "
            "patch_stride, or enlarge patch."
        )

    def _stained(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        image = hed_jitter(stain_jitter(image, rng, self.options.stain_jitter), rng, self.options.hed_jitter)
        return image if self.jpeg is None else recompressed(image, int(rng.integers(*self.jpeg, endpoint=True)))

    def _target(self, rng: np.random.Generator, positive: bool) -> Target:
        """Draws a frame and the point that a patch must contain, px from the frame's corner; None for any patch."""
        if positive:
            return _one_of(self._mitoses, rng)
        if self._false_positives and rng.integers(2):
            return _one_of(self._false_positives, rng)
        return _one_of(self._frames, rng)

    def _place(self, rng: np.random.Generator, positive: bool) -> tuple[Sample, View] | None:
        """Draws a frame and a view of it, with a mitosis if `positive`; None if the view needs padding."""
        o = self.options
        index, held = self._target(rng, positive)
        sample = self.samples[index]
        image, factors = self.cache.get(sample.frame)
        size = np.array([image.shape[1], image.shape[0]])
        angle = o.rotation * int(rng.integers(360 // o.rotation)) if o.rotation else 0
        turn = turning(angle, mirrored=bool(o.mirror and rng.integers(2)))
        target = None if held is None else turn @ (held * factors - size / 2)
        side = min(o.patch, *size.tolist())
        extent = np.abs(turn) @ size
        corner = [
            _position(rng, extent[axis], side, o.patch_stride or 1, None if target is None else target[axis])
            for axis in range(2)
        ]
        if None in corner:
            return None
        view = View(turn, size / 2, np.array(corner), side, round(side * self.scale))
        return (sample, view) if view.inside(size) else None

    def _boxes(self, sample: Sample, view: View) -> Floats | None:
        """Returns the boxes in a view, clipped; None if too little remains of a mitosis that crosses its border."""
        factors = self.cache.get(sample.frame)[1]
        kept = []
        for j, box in enumerate(np.zeros((0, 4)) if sample.boxes is None else sample.boxes):
            mask = sample.mitoses.masks[j] if sample.mitoses.masks is not None else None
            whole, part, area = (
                view.of_mask(mask, factors)
                if mask is not None and _is_box_of(box, mask)
                else view.of_box(box + EDGE, factors)
            )
            if area == 0:
                continue
            if area < self.options.area_threshold and not np.allclose(whole, part):
                return None
            kept.append(part)
        return np.array(kept).reshape(-1, 4)


def _one_of(groups: list[list[Target]], rng: np.random.Generator) -> Target:
    """Draws a group, and one target of it."""
    group = groups[rng.integers(len(groups))] if len(groups) > 1 else groups[0]
    return group[rng.integers(len(group))]


def _position(rng: np.random.Generator, extent: float, side: int, step: int, target: float | None) -> float | None:
    """Draws the start of a patch along one axis of a rotated frame of `extent` px around 0; it contains `target`.

    Returns None if no position on the grid of `step` px does.
    """
    start = -extent / 2
    first, last = start, start + extent - side
    if target is not None:
        first, last = max(first, target - side), min(last, target)
    low, high = math.ceil((first - start - 1e-6) / step), math.floor((last - start + 1e-6) / step)
    return start + step * int(rng.integers(low, high + 1)) if low <= high else None


def _is_box_of(box: Floats, mask: NDArray[np.int64]) -> bool:
    """Returns whether a box is that of the mask, to the pixel; box estimators may return others."""
    return bool(np.abs(box - mask_box(mask)).max() <= 1)

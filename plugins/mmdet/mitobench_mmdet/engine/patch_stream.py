"""Draws training patches: rotated, mirrored and enlarged, with the boxes of their mitoses.

A patch is one affine map of the frame, the same for pixels and annotation. If a box is that of its mask, the box of the
rotated mask is taken; any other box moves to its rotated centre and keeps its size (section DeepDet of the paper).

MMDetection measures from the upper left corner of the first pixel, mitobench from its centre. The annotation is moved
by EDGE here; `search` moves detections back.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from mitobench.api import PluginError, Sample, mask_box
from mitobench.training import FrameCache, hed_jitter, stain_jitter
from mitobench_mmdet.engine.options import PatchTraining
from mitobench_mmdet.engine.view import EDGE, View, turning

Floats = NDArray[np.float64]
TRIES = 200


class PatchStream:
    """Draws training patches of labelled frames, as items of MMDetection.

    Args:
        samples: frames with mitoses and boxes.
        options: `patch`, `patch_stride`, `area_threshold`, `positive_share`, augmentation, `mpp` and `scale`.

    Raises:
        PluginError: `positive_share` is above 0, but no frame has a mitosis.
    """

    def __init__(self, samples: Sequence[Sample], options: PatchTraining) -> None:
        self.options = options
        self.samples = samples
        self.cache = FrameCache(options.mpp)
        self.mitoses = [(i, xy + EDGE) for i, sample in enumerate(samples) for xy in sample.mitoses.xy]
        self.false_positives: list[tuple[int, Floats]] = []
        if not samples or (options.positive_share > 0 and not self.mitoses):
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
        self.false_positives = [(i, xy + EDGE) for i, of_frame in enumerate(found) for xy in of_frame]

    def draw(self, rng: np.random.Generator) -> dict[str, object]:
        """Draws an item: `inputs`, uint8 [3, side, side], and `data_samples` with the boxes, px of the patch."""
        image, boxes = self.patch(rng)
        instances = InstanceData(
            bboxes=torch.as_tensor(boxes, dtype=torch.float32), labels=torch.zeros(len(boxes), dtype=torch.long)
        )
        return {
            "inputs": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "data_samples": DetDataSample(metainfo={"img_shape": image.shape[:2]}, gt_instances=instances),
        }

    def patch(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats]:
        """Draws a patch, uint8 [side, side, 3], and its boxes, [N, 4]; both in px after `scale`.

        Raises PluginError if no patch keeps enough of the mitoses at its border.
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
        return hed_jitter(stain_jitter(image, rng, self.options.stain_jitter), rng, self.options.hed_jitter)

    def _target(self, rng: np.random.Generator, positive: bool) -> tuple[int, Floats | None]:
        """Draws a frame and the point that a patch must contain, px from the frame's corner; None for any patch."""
        if positive:
            return self.mitoses[rng.integers(len(self.mitoses))]
        if self.false_positives and rng.integers(2):
            return self.false_positives[rng.integers(len(self.false_positives))]
        return int(rng.integers(len(self.samples))), None

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
        view = View(turn, size / 2, np.array(corner), side, round(side * o.scale))
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

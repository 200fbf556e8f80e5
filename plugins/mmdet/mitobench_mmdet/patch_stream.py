"""Training patches, drawn on the fly: turned, mirrored, enlarged, with the boxes of the mitoses in them.

A patch is one affine map of the frame, the same for its pixels and its annotation. A box that is its mask's box is
taken anew from the turned mask; any other box turns about its centre and keeps its size (section DeepDet).

MMDetection counts from the upper left corner of the first pixel, where mitobench counts from its centre: what comes
from the annotation is moved by EDGE here, and what the network finds is moved back in `search`.
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
from mitobench_mmdet.options import FasterRCNNOptions, RPNOptions
from mitobench_mmdet.view import EDGE, View, turning

Floats = NDArray[np.float64]
TRIES = 200


class PatchStream:
    """Endless training patches of labelled frames, as items of MMDetection.

    Args:
        samples: frames with mitoses and boxes.
        options: `patch`, `patch_stride`, `area_threshold`, `positive_share`, augmentation, `mpp` and `scale`.

    Raises:
        PluginError: mitoses are asked for and no frame has any.
    """

    def __init__(self, samples: Sequence[Sample], options: FasterRCNNOptions | RPNOptions) -> None:
        self.options = options
        self.samples = samples
        self.cache = FrameCache(options.mpp)
        self.mitoses = [(i, xy + EDGE) for i, sample in enumerate(samples) for xy in sample.mitoses.xy]
        self.mistaken: list[tuple[int, Floats]] = []
        if not samples or (options.positive_share > 0 and not self.mitoses):
            raise PluginError("A detector learns from annotated mitoses, but the training frames hold none.")

    def hold(self) -> None:
        """Read every frame now, so that processes forked from this one share the pixels and read none."""
        self.cache.limit = sys.maxsize
        for sample in self.samples:
            self.cache.get(sample.frame)

    def mistake(self, found: Sequence[Floats]) -> None:
        """Take the false positives of each frame, [N, 2] px, for what patches without a mitosis shall hold."""
        self.mistaken = [(i, xy + EDGE) for i, of_frame in enumerate(found) for xy in of_frame]

    def draw(self, rng: np.random.Generator) -> dict[str, object]:
        """`inputs`, uint8 [3, side, side], and `data_samples` with the boxes, px of the patch."""
        image, boxes = self.patch(rng)
        instances = InstanceData(
            bboxes=torch.as_tensor(boxes, dtype=torch.float32), labels=torch.zeros(len(boxes), dtype=torch.long)
        )
        return {
            "inputs": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "data_samples": DetDataSample(metainfo={"img_shape": image.shape[:2]}, gt_instances=instances),
        }

    def patch(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Floats]:
        """One patch, uint8 [side, side, 3], and its boxes [N, 4]; both in px after `scale`.

        Raises PluginError where no patch passes the purge.
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
            f"No training patch of {self.options.patch} px was found in {TRIES} tries; lower area_threshold or "
            "patch_stride, or enlarge patch."
        )

    def _stained(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        return hed_jitter(stain_jitter(image, rng, self.options.stain_jitter), rng, self.options.hed_jitter)

    def _held(self, rng: np.random.Generator, positive: bool) -> tuple[int, Floats | None]:
        """A frame, and the point in it, px from its corner, that a patch shall hold; none: it may lie anywhere."""
        if positive:
            return self.mitoses[rng.integers(len(self.mitoses))]
        if self.mistaken and rng.integers(2):
            return self.mistaken[rng.integers(len(self.mistaken))]
        return int(rng.integers(len(self.samples))), None

    def _place(self, rng: np.random.Generator, positive: bool) -> tuple[Sample, View] | None:
        """A frame and a view of it that holds a mitosis' centre if `positive`; None where it needs padding."""
        o = self.options
        index, held = self._held(rng, positive)
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
        """The boxes in a view, clipped to it; None if a mitosis crosses its border with less than `area_threshold`."""
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
    """Where a patch begins along one axis of a turned frame of `extent` px about 0, so that it holds `target`.

    None where no position on the grid of `step` px does.
    """
    start = -extent / 2
    first, last = start, start + extent - side
    if target is not None:
        first, last = max(first, target - side), min(last, target)
    low, high = math.ceil((first - start - 1e-6) / step), math.floor((last - start + 1e-6) / step)
    return start + step * int(rng.integers(low, high + 1)) if low <= high else None


def _is_box_of(box: Floats, mask: NDArray[np.int64]) -> bool:
    """Whether a box is that of a mask, to the pixel; an estimator may have given another."""
    return bool(np.abs(box - mask_box(mask)).max() <= 1)

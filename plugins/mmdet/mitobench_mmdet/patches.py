"""Training patches, drawn on the fly: turned, mirrored, enlarged, with the boxes of the mitoses in them.

A patch is one affine map of the frame, the same for its pixels and its annotation. A box that is its mask's box is
taken anew from the turned mask; any other box turns about its centre and keeps its size (section DeepDet).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from PIL import Image

from mitobench.api import PluginError, Sample
from mitobench.training import FrameCache, crop, stain_jitter
from mitobench_mmdet.options import FasterRCNNOptions, RPNOptions

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
        self.mitoses = [(i, j) for i, sample in enumerate(samples) for j in range(len(sample.mitoses))]
        if not samples or (options.positive_share > 0 and not self.mitoses):
            raise PluginError("A detector learns from annotated mitoses, but the training frames hold none.")

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
                return stain_jitter(view.pixels(self.cache.get(sample.frame)[0]), rng, self.options.stain_jitter), boxes
        raise PluginError(
            f"No training patch of {self.options.patch} px was found in {TRIES} tries; lower area_threshold or "
            "patch_stride, or enlarge patch."
        )

    def _place(self, rng: np.random.Generator, positive: bool) -> tuple[Sample, _View] | None:
        """A frame and a view of it that holds a mitosis' centre if `positive`; None where it needs padding."""
        o = self.options
        index, mitosis = (
            self.mitoses[rng.integers(len(self.mitoses))] if positive else (int(rng.integers(len(self.samples))), None)
        )
        sample = self.samples[index]
        image, factors = self.cache.get(sample.frame)
        size = np.array([image.shape[1], image.shape[0]])
        angle = int(rng.integers(360 // o.rotation)) * o.rotation if o.rotation else 0
        turn = _turn(angle, bool(o.mirror and rng.integers(2)))
        side = min(o.patch, *size)
        target = None if mitosis is None else turn @ (sample.mitoses.xy[mitosis] * factors - size / 2)
        extent = np.abs(turn) @ size
        corner = np.empty(2)
        for axis in range(2):
            low, high = -extent[axis] / 2, extent[axis] / 2 - side
            first, last = (low, high) if target is None else (max(low, target[axis] - side), min(high, target[axis]))
            step = o.patch_stride or 1
            first, last = int(np.ceil((first - low - 1e-6) / step)), int(np.floor((last - low + 1e-6) / step))
            if first > last:
                return None
            corner[axis] = low + step * rng.integers(first, last + 1)
        view = _View(turn, size / 2, corner, side, round(side * o.scale))
        return (sample, view) if view.inside(size) else None

    def _boxes(self, sample: Sample, view: _View) -> Floats | None:
        """The boxes in a view, clipped to it; None if a mitosis crosses its border with less than `area_threshold`."""
        factors = self.cache.get(sample.frame)[1]
        kept = []
        for j, box in enumerate(np.zeros((0, 4)) if sample.boxes is None else sample.boxes):
            mask = sample.mitoses.masks[j] if sample.mitoses.masks is not None else None
            whole, part, area = (
                view.of_mask(mask, factors) if mask is not None and _is_box_of(box, mask) else view.of_box(box, factors)
            )
            if area == 0:
                continue
            if area < self.options.area_threshold and not np.allclose(whole, part):
                return None
            kept.append(part)
        return np.array(kept).reshape(-1, 4)


@dataclass(frozen=True)
class _View:
    """A square patch of a frame: p -> (turn @ (p - centre) - corner) * scale.

    Attributes:
        turn: orthogonal, [2, 2]: rotation and mirroring about `centre`.
        centre: of the frame, px.
        corner: upper left corner of the patch in the turned frame, px from the centre.
        side: of the patch, px of the frame.
        pixels_side: of the patch, px of the enlarged image.
    """

    turn: Floats
    centre: Floats
    corner: Floats
    side: int
    pixels_side: int

    @property
    def scale(self) -> float:
        return self.pixels_side / self.side

    def points(self, xy: Floats) -> Floats:
        """Points [N, 2] of the frame in the enlarged patch."""
        return ((xy - self.centre) @ self.turn.T - self.corner) * self.scale

    def back(self, xy: Floats) -> Floats:
        """Points [N, 2] of the enlarged patch in the frame."""
        return (xy / self.scale + self.corner) @ self.turn + self.centre

    def inside(self, size: NDArray[np.int64]) -> bool:
        """Whether all of the patch lies on the frame, so that none of it is padding."""
        corners = self.back(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * float(self.pixels_side))
        return bool((corners > -1e-6).all() and (corners < size + 1e-6).all())

    def pixels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The enlarged patch, by bilinear interpolation."""
        corners = self.back(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * float(self.pixels_side))
        left, top = np.floor(corners.min(axis=0)).astype(int) - 1
        right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
        around = Image.fromarray(crop(image, left, top, right - left, bottom - top))
        inverse = self.turn.T / self.scale
        offset = self.back(np.zeros(2)) - [left, top]
        coefficients = (*inverse[0], offset[0], *inverse[1], offset[1])
        side = (self.pixels_side, self.pixels_side)
        return np.asarray(around.transform(side, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))

    def of_mask(self, mask: NDArray[np.int64], factors: Floats) -> tuple[Floats, Floats, float]:
        """The box of a mask [P, 2], its part in the patch, and the area of the mask in the patch, px^2."""
        pixel = self.scale * factors
        xy = self.points((mask + 0.5) * factors)
        within = xy[((xy > 0) & (xy < self.pixels_side)).all(axis=1)]
        if not len(within):
            return np.zeros(4), np.zeros(4), 0.0
        whole, part = (np.concatenate([p.min(axis=0) - pixel / 2, p.max(axis=0) + pixel / 2]) for p in (xy, within))
        return whole, part.clip(0, self.pixels_side), len(within) * float(pixel.prod())

    def of_box(self, box: Floats, factors: Floats) -> tuple[Floats, Floats, float]:
        """A box about its turned centre, its part in the patch, and the area of that part, px^2."""
        centre = self.points((box[:2] + box[2:]) / 2 * factors)
        half = (box[2:] - box[:2]) / 2 * factors * self.scale
        if abs(self.turn[0, 0]) < 0.5:  # a quarter turn exchanges width and height
            half = half[::-1]
        whole = np.concatenate([centre - half, centre + half])
        part = whole.clip(0, self.pixels_side)
        return whole, part, float(np.prod((part[2:] - part[:2]).clip(min=0)))


def _turn(angle: int, mirrored: bool) -> Floats:
    """Rotation by `angle` degrees after mirroring left to right if `mirrored`."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    if angle % 90 == 0:
        cosine, sine = np.rint(cosine), np.rint(sine)
    return np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])


def _is_box_of(box: Floats, mask: NDArray[np.int64]) -> bool:
    """Whether a box is that of a mask, to the pixel; an estimator may have given another."""
    return bool(np.abs(box - [*mask.min(axis=0), *(mask.max(axis=0) + 1)]).max() <= 1)

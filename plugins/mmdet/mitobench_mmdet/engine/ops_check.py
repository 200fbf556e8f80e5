"""Plain-torch references of the operators, slow and short, and their comparison with the installed operators."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def nms_reference(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Applies greedy non-maximum suppression to boxes, [N, 4], one pair at a time."""
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(_iou(boxes[i], boxes[j], offset) <= iou_threshold for j in kept):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long)


def _iou(a: Tensor, b: Tensor, offset: int) -> float:
    width, height = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2]) + offset).clamp(min=0).tolist()
    area_a, area_b = (float((box[2:] - box[:2] + offset).prod()) for box in (a, b))
    return float(width * height / (area_a + area_b - width * height))


def roi_pool_reference(features: Tensor, rois: Tensor, size: int, scale: float) -> Tensor:
    """Max-pools `features`, [N, C, H, W], in `rois`, [K, 5] px, as Fast R-CNN does: [K, C, size, size]."""
    pooled = features.new_zeros(len(rois), features.shape[1], size, size)
    for k, roi in enumerate(rois):
        left, top, right, bottom = (math.floor(float(v) * scale + 0.5) for v in roi[1:])
        for row in range(size):
            for column in range(size):
                rows = _bin(row, top, bottom, size, features.shape[2])
                columns = _bin(column, left, right, size, features.shape[3])
                cells = features[int(roi[0]), :, rows, columns]
                if cells.numel():
                    pooled[k, :, row, column] = cells.amax(dim=(1, 2))
    return pooled


def _bin(index: int, first: int, last: int, size: int, limit: int) -> slice:
    step = max(last - first + 1, 1) / size
    low, high = math.floor(index * step) + first, math.ceil((index + 1) * step) + first
    return slice(min(max(low, 0), limit), min(max(high, 0), limit))


def roi_align_reference(features: Tensor, rois: Tensor, size: int, scale: float, samples: int) -> Tensor:
    """RoIAlign (half-pixel corrected) of regions inside the image: means of `samples` x `samples` samples per bin."""
    height, width = features.shape[2:]
    pooled = []
    for roi in rois:
        left, top, right, bottom = (float(v) * scale - 0.5 for v in roi[1:])
        steps = (torch.arange(size * samples, dtype=features.dtype) + 0.5) / (size * samples)
        y, x = torch.meshgrid(top + steps * (bottom - top), left + steps * (right - left), indexing="ij")
        grid = torch.stack([x / (width - 1), y / (height - 1)], dim=-1) * 2 - 1
        sampled = torch.nn.functional.grid_sample(
            features[int(roi[0])][None], grid[None], padding_mode="border", align_corners=True
        )
        pooled.append(torch.nn.functional.avg_pool2d(sampled, samples)[0])
    return torch.stack(pooled)


def features_and_rois(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Returns features, [2, 3, 12, 14], of stride 8 and six regions on them, [6, 5] px."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 3, 12, 14, generator=generator)
    images = torch.randint(0, 2, (6, 1), generator=generator)
    corners = 50 * torch.rand(6, 2, generator=generator)
    return features, torch.cat([images, corners, corners + 2 + 40 * torch.rand(6, 2, generator=generator)], dim=1)


def boxes_and_scores(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Returns sixty boxes that overlap, [60, 4], and their scores, [60]."""
    generator = torch.Generator().manual_seed(seed)
    corners = 40 * torch.rand(60, 2, generator=generator)
    boxes = torch.cat([corners, corners + 5 + 20 * torch.rand(60, 2, generator=generator)], dim=1)
    return boxes, torch.rand(60, generator=generator)


def with_gradient(op: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """Returns the operator's output and the gradient of its squared sum, concatenated."""
    leaf = features.clone().requires_grad_()
    output = op(leaf)
    output.square().sum().backward()
    assert leaf.grad is not None
    return torch.cat([output.detach().flatten(), leaf.grad.flatten()])


def _largest(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max()) if a.shape == b.shape else math.inf


def check_nms(offset: int = 0, seed: int = 0) -> float:
    """Returns the largest difference of the kept indices from those of the reference."""
    from mmcv.ops import nms

    boxes, scores = boxes_and_scores(seed)
    _, kept = nms(boxes, scores, 0.4, offset=offset)
    return _largest(kept, nms_reference(boxes, scores, 0.4, offset))


def check_roi_pool(seed: int = 0) -> float:
    """Returns the largest difference from the reference, forward and backward."""
    from torchvision.ops import RoIPool

    features, rois = features_and_rois(seed)
    layer = RoIPool((6, 6), 1 / 8)
    return _largest(
        with_gradient(lambda x: layer(x, rois), features),
        with_gradient(lambda x: roi_pool_reference(x, rois, 6, 1 / 8), features),
    )


def check_roi_align(seed: int = 0) -> float:
    """Returns the largest difference from the reference, forward and backward."""
    from mmcv.ops import RoIAlign

    features, rois = features_and_rois(seed)
    layer = RoIAlign((6, 6), 1 / 8, sampling_ratio=2, use_torchvision=True)
    return _largest(
        with_gradient(lambda x: layer(x, rois), features),
        with_gradient(lambda x: roi_align_reference(x, rois, 6, 1 / 8, 2), features),
    )


CHECKS: dict[str, Callable[[], float]] = {
    "nms": check_nms,
    "roi_pool": check_roi_pool,
    "roi_align": check_roi_align,
}

"""Plain-torch references of the operators, slow and short, and their comparison with the installed operators."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence

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


def bilinear(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Interpolates an image, [C, H, W], at one place (x, y), both scalars; 0 outside."""
    height, width = image.shape[1:]
    left, top = int(torch.floor(x.detach())), int(torch.floor(y.detach()))
    value = image.new_zeros(image.shape[0])
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < height and 0 <= column < width:
                value = value + image[:, row, column] * (1 - (x - column).abs()) * (1 - (y - row).abs())
    return value


def deform_conv_reference(
    image: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int, groups: int
) -> Tensor:
    """Convolves `image`, [N, C, H, W], sample by sample; `groups` of channels have offsets and masks of their own."""
    number, channels = image.shape[:2]
    size = weight.shape[-1]
    rows, columns = offset.shape[2:]
    part = channels // groups
    outputs = []
    for n, row, column in itertools.product(range(number), range(rows), range(columns)):
        total = bias
        for group, i, j in itertools.product(range(groups), range(size), range(size)):
            k = (group * size + i) * size + j
            y = row * stride - padding + i + offset[n, 2 * k, row, column]
            x = column * stride - padding + j + offset[n, 2 * k + 1, row, column]
            sample = bilinear(image[n, group * part : (group + 1) * part], x, y) * mask[n, k, row, column]
            total = total + weight[:, group * part : (group + 1) * part, i, j] @ sample
        outputs.append(total)
    return torch.stack(outputs).view(number, rows, columns, len(weight)).permute(0, 3, 1, 2)


def ms_deform_attn_reference(value: Tensor, shapes: list[tuple[int, int]], places: Tensor, weights: Tensor) -> Tensor:
    """Attends to points of several levels, one sample at a time; arguments as `ms_deform_attn_forward`'s."""
    number, queries, heads, levels, points, _ = places.shape
    starts = [0, *itertools.accumulate(height * width for height, width in shapes)]
    outputs = []
    for n, query, head in itertools.product(range(number), range(queries), range(heads)):
        total = value.new_zeros(value.shape[-1])
        for level, point in itertools.product(range(levels), range(points)):
            height, width = shapes[level]
            cells = value[n, starts[level] : starts[level + 1], head].T.reshape(-1, height, width)
            x, y = places[n, query, head, level, point]
            sample = bilinear(cells, x * width - 0.5, y * height - 0.5)
            total = total + weights[n, query, head, level, point] * sample
        outputs.append(total)
    return torch.stack(outputs).view(number, queries, -1)


def carafe_reference(features: Tensor, masks: Tensor, size: int, groups: int, scale: int) -> Tensor:
    """Enlarges features cell by cell; arguments as `carafe_forward`'s."""
    number, channels = features.shape[:2]
    padded = torch.nn.functional.pad(features, [size // 2] * 4)
    rows, columns = masks.shape[2:]
    part = channels // groups
    output = []
    for n, channel, row, column in itertools.product(range(number), range(channels), range(rows), range(columns)):
        top, left, group = row // scale, column // scale, channel // part
        around = padded[n, channel, top : top + size, left : left + size].flatten()
        output.append((around * masks[n, group * size**2 : (group + 1) * size**2, row, column]).sum())
    return torch.stack(output).view(number, channels, rows, columns)


def focal_loss_reference(logits: Tensor, classes: Tensor, gamma: float, alpha: float) -> Tensor:
    """Computes the focal loss of logits, [N, C], one at a time."""
    losses = []
    for n, c in itertools.product(range(logits.shape[0]), range(logits.shape[1])):
        p = 1 / (1 + torch.exp(-logits[n, c]))
        hit = int(classes[n]) == c
        losses.append(-alpha * (1 - p) ** gamma * p.log() if hit else -(1 - alpha) * p**gamma * (1 - p).log())
    return torch.stack(losses).view(logits.shape)


def softnms_reference(boxes: Tensor, scores: Tensor, sigma: float, min_score: float) -> tuple[list[int], list[float]]:
    """Applies soft suppression with a Gaussian. Returns the boxes kept, best first, and their scores."""
    left = {i: float(score) for i, score in enumerate(scores)}
    kept, values = [], []
    while left:
        best = max(left, key=left.__getitem__)
        kept.append(best)
        values.append(left.pop(best))
        left = {i: s * math.exp(-(_iou(boxes[best], boxes[i], 0) ** 2) / sigma) for i, s in left.items()}
        left = {i: s for i, s in left.items() if s >= min_score}
    return kept, values


def nms_match_reference(boxes: Tensor, scores: Tensor, threshold: float) -> list[list[int]]:
    """Returns the boxes kept, best first, each with those that it suppresses."""
    left = sorted(range(len(boxes)), key=lambda i: -float(scores[i]))
    groups = []
    while left:
        group = [i for i in left if i == left[0] or _iou(boxes[left[0]], boxes[i], 0) >= threshold]
        groups.append(group)
        left = [i for i in left if i not in group]
    return groups


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


def check_mmcvs_roi_align(seed: int = 0) -> float:
    """Returns the largest difference of mmcv's own RoIAlign, which calls the adapter, from the reference."""
    from mmcv.ops import RoIAlign

    features, rois = features_and_rois(seed)
    layer = RoIAlign((6, 6), 1 / 8, sampling_ratio=2)
    return _largest(
        with_gradient(lambda x: layer(x, rois), features),
        with_gradient(lambda x: roi_align_reference(x, rois, 6, 1 / 8, 2), features),
    )


def gradients(output: Tensor, leaves: Sequence[Tensor]) -> Tensor:
    """Returns an output and the gradients of its squared sum by each leaf, concatenated."""
    found = torch.autograd.grad(output.square().sum(), leaves)
    return torch.cat([output.detach().flatten(), *(gradient.flatten() for gradient in found)])


def _leaves(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def check_deform_conv(seed: int = 0) -> float:
    """Returns the largest difference from the reference, forward and backward, of the version without masks."""
    from mmcv.ops import deform_conv2d

    leaves = image, offset, weight = _leaves(seed, (2, 4, 6, 7), (2, 36, 3, 4), (3, 4, 3, 3))
    found = deform_conv2d(image, offset, weight, 2, 1, 1, 1, 2)
    ones, zero = torch.ones(2, 18, 3, 4, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    wanted = deform_conv_reference(image, offset, ones, weight, zero, stride=2, padding=1, groups=2)
    return _largest(gradients(found, leaves), gradients(wanted, leaves))


def check_modulated_deform_conv(seed: int = 0) -> float:
    """Returns the largest difference from the reference, forward and backward."""
    from mmcv.ops import modulated_deform_conv2d

    leaves = _leaves(seed, (2, 4, 6, 7), (2, 36, 3, 4), (2, 18, 3, 4), (3, 4, 3, 3), (3,))
    image, offset, mask, weight, bias = leaves
    found = modulated_deform_conv2d(image, offset, mask, weight, bias, 2, 1, 1, 1, 2)
    wanted = deform_conv_reference(image, offset, mask, weight, bias, stride=2, padding=1, groups=2)
    return _largest(gradients(found, leaves), gradients(wanted, leaves))


def check_ms_deform_attn(seed: int = 0) -> float:
    """Returns the largest difference from the reference, forward and backward; places outside the maps included."""
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    shapes = [(4, 5), (2, 3)]
    value, places, weights = _leaves(seed, (2, 26, 2, 3), (2, 4, 2, 2, 3, 2), (2, 4, 2, 2, 3))
    places = (places.detach() * 0.5 + 0.5).requires_grad_()
    starts = torch.tensor([0, 20])
    found = MultiScaleDeformableAttnFunction.apply(value, torch.tensor(shapes), starts, places, weights, 64)
    wanted = ms_deform_attn_reference(value, shapes, places, weights)
    return _largest(gradients(found, [value, places, weights]), gradients(wanted, [value, places, weights]))


def check_carafe(seed: int = 0) -> float:
    """Returns the largest difference from the reference, forward and backward."""
    from mmcv.ops import carafe

    leaves = features, masks = _leaves(seed, (2, 4, 3, 4), (2, 18, 6, 8))
    found = carafe(features, masks, 3, 2, 2)
    return _largest(gradients(found, leaves), gradients(carafe_reference(features, masks, 3, 2, 2), leaves))


def check_sigmoid_focal_loss(seed: int = 0) -> float:
    """Returns the largest difference from the reference, forward and backward, background included."""
    from mmcv.ops import sigmoid_focal_loss

    leaves = (logits,) = _leaves(seed, (6, 2))
    classes = torch.tensor([0, 1, 2, 2, 1, 0])
    found = sigmoid_focal_loss(logits, classes, 2.0, 0.25, None, "none")
    # the operator's backward is that of the sum, so the sum is compared
    return _largest(
        torch.cat([found.detach().flatten(), torch.autograd.grad(found.sum(), leaves)[0].flatten()]),
        _with_sum(focal_loss_reference(logits, classes, 2.0, 0.25), logits),
    )


def _with_sum(output: Tensor, leaf: Tensor) -> Tensor:
    return torch.cat([output.detach().flatten(), torch.autograd.grad(output.sum(), leaf)[0].flatten()])


def check_softnms(seed: int = 0) -> float:
    """Returns the largest difference of the kept scores from the reference; infinite if other boxes are kept."""
    from mmcv.ops import soft_nms

    boxes, scores = boxes_and_scores(seed)
    dets, kept = soft_nms(boxes, scores, sigma=0.5, min_score=0.05, method="gaussian")
    wanted, values = softnms_reference(boxes, scores, 0.5, 0.05)
    return _largest(dets[:, 4], torch.tensor(values)) if kept.tolist() == wanted else math.inf


def check_nms_match(seed: int = 0) -> float:
    """Returns 0 if boxes are grouped as by the reference; infinity otherwise."""
    from mmcv.ops import nms_match

    boxes, scores = boxes_and_scores(seed)
    groups = nms_match(torch.cat([boxes, scores[:, None]], dim=1), 0.3)
    same = [group.tolist() for group in groups] == nms_match_reference(boxes, scores, 0.3)
    return 0.0 if same else math.inf


def check_masked_conv(seed: int = 0) -> float:
    """Returns the largest difference from a whole convolution whose output is masked."""
    from mmcv.ops import masked_conv2d

    image, weight, bias = (leaf.detach() for leaf in _leaves(seed, (1, 3, 6, 7), (2, 3, 3, 3), (2,)))
    mask = (image[:, 0] > 0).double()
    wanted = torch.nn.functional.conv2d(image, weight, bias, padding=1) * mask
    with warnings.catch_warnings():  # mmcv calls addmm in an old way, which torch warns of
        warnings.filterwarnings("ignore", "This overload of addmm is deprecated", UserWarning)
        found = masked_conv2d(image, mask, weight, bias, 1)
    return _largest(found, wanted)


CHECKS: dict[str, Callable[[], float]] = {
    "nms": check_nms,
    "nms_match": check_nms_match,
    "softnms": check_softnms,
    "roi_pool": check_roi_pool,
    "roi_align": check_roi_align,
    "mmcv.roi_align": check_mmcvs_roi_align,
    "deform_conv": check_deform_conv,
    "modulated_deform_conv": check_modulated_deform_conv,
    "ms_deform_attn": check_ms_deform_attn,
    "carafe": check_carafe,
    "masked_conv": check_masked_conv,
    "sigmoid_focal_loss": check_sigmoid_focal_loss,
}

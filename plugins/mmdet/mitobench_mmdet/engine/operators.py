"""The operators of mmcv's compiled module, by torchvision and plain torch; each is called as `mmcv/ops/*.py` calls it.

`input`, `output`, `grad_input` and the like are mmcv's names: many are passed by keyword. Output tensors are allocated
by the caller and filled here; those of gradients are zero, and the gradient is added.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torchvision
from torch import Tensor
from torch.nn import functional

__all__ = [
    "carafe_backward",
    "carafe_forward",
    "deform_conv_backward_input",
    "deform_conv_backward_parameters",
    "deform_conv_forward",
    "masked_col2im_forward",
    "masked_im2col_forward",
    "modulated_deform_conv_backward",
    "modulated_deform_conv_forward",
    "ms_deform_attn_backward",
    "ms_deform_attn_forward",
    "nms",
    "nms_match",
    "roi_align_backward",
    "roi_align_forward",
    "roi_pool_backward",
    "roi_pool_forward",
    "sigmoid_focal_loss_backward",
    "sigmoid_focal_loss_forward",
    "softnms",
]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Returns the indices of the boxes, [N, 4], that greedy non-maximum suppression keeps, by descending score.

    Args:
        boxes: (x1, y1, x2, y2), px.
        scores: [N].
        iou_threshold: a box is dropped if its IoU with a better one is higher.
        offset: the width of a box is x2 - x1 + offset; 1 if x2 is the last pixel inside.
    """
    kept: Tensor = torchvision.ops.nms(boxes + boxes.new_tensor([0, 0, offset, offset]), scores, iou_threshold)
    return kept


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups boxes with those that non-maximum suppression drops because of them.

    Args:
        dets: (x1, y1, x2, y2) px and scores, [N, 5].
        iou_threshold: a box is dropped if its IoU with a better one is at least this.

    Returns a list of indices for each box kept, best first: its own, and those of the boxes that it suppressed.
    """
    order = dets[:, 4].argsort(descending=True, stable=True)
    overlaps = torchvision.ops.box_iou(dets[order, :4], dets[order, :4]) >= iou_threshold
    overlaps.fill_diagonal_(True)  # of a box without area, too
    left = torch.ones(len(dets), dtype=torch.bool, device=dets.device)
    groups = []
    for best in range(len(dets)):
        if left[best]:
            group = left & overlaps[best]
            groups.append(order[group].tolist())
            left &= ~group
    return groups


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Applies soft non-maximum suppression (Bodla et al. 2017): a box lowers the scores of those that overlap it.

    Args:
        boxes: (x1, y1, x2, y2) px, [N, 4].
        scores: [N].
        dets: gets the boxes kept and their scores, [N, 5]; only the first rows are filled.
        iou_threshold: overlap from which `naive` and `linear` lower a score.
        sigma: width of the `gaussian`.
        min_score: boxes whose score falls below are dropped.
        method: 0 `naive`, 1 `linear`, 2 `gaussian`.
        offset: the width of a box is x2 - x1 + offset.

    Returns the indices of the boxes kept, best first.
    """
    wide = boxes + boxes.new_tensor([0, 0, offset, offset])
    left = scores.clone()
    kept: list[int] = []
    alive = torch.ones(len(boxes), dtype=torch.bool)
    while bool(alive.any()):
        best = int(torch.where(alive, left, -torch.inf).argmax())
        dets[len(kept)] = torch.cat([boxes[best], left[best][None]])
        kept.append(best)
        alive[best] = False
        iou = torchvision.ops.box_iou(wide[best][None], wide)[0]
        left = torch.where(alive, left * _kept_share(iou, iou_threshold, sigma, method), left)
        alive &= left >= min_score
    return torch.tensor(kept, dtype=torch.long)


def _kept_share(iou: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    """Returns the factor on the score of a box that overlaps a better one by `iou`, [N]."""
    if method == 2:
        return torch.exp(-(iou**2) / sigma)
    overlaps = iou >= iou_threshold
    return torch.where(overlaps, 1 - iou if method == 1 else torch.zeros_like(iou), torch.ones_like(iou))


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Max-pools RoIs, [K, 5], of `input`, [N, C, H, W], into `output`, [K, C, pooled_height, pooled_width].

    RoIs are rounded to cells as in Fast R-CNN. `argmax` gets, for each output, the cell that it came from.
    """
    pooled, where = torch.ops.torchvision.roi_pool(input, rois, spatial_scale, pooled_height, pooled_width)
    output.copy_(pooled)
    argmax.copy_(where)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Adds the gradient of `roi_pool_forward` to `grad_input`, [N, C, H, W]."""
    grad_input += torch.ops.torchvision._roi_pool_backward(
        grad_output.contiguous(), rois, argmax, spatial_scale, pooled_height, pooled_width, *grad_input.shape
    )


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Averages samples of `input`, [N, C, H, W], in each cell of RoIs, [K, 5], into `output` [K, C, height, width].

    Raises NotImplementedError for `pool_mode` 0, the maximum of the samples, which torchvision does not have.
    """
    if pool_mode != 1:
        raise NotImplementedError("The operator 'roi_align_forward' with pool_mode='max' is not in torchvision.")
    size = (aligned_height, aligned_width)
    output.copy_(torchvision.ops.roi_align(input, rois, size, spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Adds the gradient of `roi_align_forward` to `grad_input`, [N, C, H, W]."""
    grad_input += torch.ops.torchvision._roi_align_backward(
        grad_output.contiguous(),
        rois,
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Convolves `input`, [N, C, H, W], at places moved by `offset`, [N, 2 * deformable_group * kH * kW, H', W']."""
    shape = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    mask = input.new_zeros(len(input), 1)
    bias = input.new_zeros(len(weight))
    output.copy_(torch.ops.torchvision.deform_conv2d(input, weight, offset, mask, bias, *shape, False))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Adds the gradients of `deform_conv_forward` to `grad_input` and `grad_offset`."""
    shape = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    of_input, _, of_offset, _, _ = _deform_gradients(grad_output, input, weight, offset, None, shape)
    grad_input += of_input
    grad_offset += of_offset


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Adds the gradient of `deform_conv_forward`, times `scale`, to `grad_weight`."""
    shape = (dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    _, of_weight, _, _, _ = _deform_gradients(grad_output, input, grad_weight, offset, None, shape)
    grad_weight += scale * of_weight


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Convolves as `deform_conv_forward`; samples are multiplied by `mask`, [N, deformable_group * kernel, H', W'].

    Offsets and masks may be larger than the output, as in DyHead; mmcv then reads the first values of each image.
    """
    shape = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    added = bias if with_bias else input.new_zeros(len(weight))
    offset, mask = (_first_values(tensor, output) for tensor in (offset, mask))
    output.copy_(torch.ops.torchvision.deform_conv2d(input, weight, offset, mask, added, *shape, True))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Adds the gradients of `modulated_deform_conv_forward` to those five tensors that begin with `grad_`."""
    shape = (stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    offset, mask = (_first_values(tensor, grad_output) for tensor in (offset, mask))
    gradients = _deform_gradients(grad_output, input, weight, offset, mask, shape)
    grad_input += gradients[0]
    grad_weight += gradients[1]
    for into, gradient in ((grad_offset, gradients[2]), (grad_mask, gradients[3])):
        into.view(len(into), -1)[:, : gradient[0].numel()] += gradient.flatten(1)
    if with_bias:
        grad_bias += gradients[4]


def _first_values(tensor: Tensor, output: Tensor) -> Tensor:
    """Returns the first values of each image of `tensor`, [N, C, ...], in the height and width of `output`."""
    shape = (*tensor.shape[:2], *output.shape[2:])
    if tensor.shape == shape:
        return tensor
    return tensor.flatten(1)[:, : shape[1] * shape[2] * shape[3]].reshape(shape)


def _deform_gradients(
    grad_output: Tensor, input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, shape: tuple[int, ...]
) -> Sequence[Tensor]:
    """Returns the gradients of a deformable convolution: of input, weight, offset, mask and bias."""
    modulated = mask is not None
    mask = input.new_zeros(len(input), 1) if mask is None else mask
    bias = input.new_zeros(len(weight))
    gradients: Sequence[Tensor] = torch.ops.torchvision._deform_conv2d_backward(
        grad_output.contiguous(), input, weight, offset, mask, bias, *shape, modulated
    )
    return gradients


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Attends to a few points of every level of a feature pyramid (Zhu et al.: Deformable DETR, 2021).

    Args:
        value: features of all levels one after another, [N, sum of H * W, heads, C].
        value_spatial_shapes: (H, W) of each level, [levels, 2].
        value_level_start_index: first cell of each level, [levels]; follows from the shapes, and is not read.
        sampling_locations: (x, y) from 0 to 1, [N, queries, heads, levels, points, 2].
        attention_weights: [N, queries, heads, levels, points].
        im2col_step: how many images mmcv's own kernel takes at once; not read.

    Returns [N, queries, heads * C].
    """
    number, _, heads, channels = value.shape
    _, queries, _, levels, points, _ = sampling_locations.shape
    sizes = value_spatial_shapes.tolist()
    sampled = []
    for level, cells in enumerate(value.split([height * width for height, width in sizes], dim=1)):
        maps = cells.permute(0, 2, 3, 1).reshape(number * heads, channels, *sizes[level])
        grid = 2 * sampling_locations[:, :, :, level].transpose(1, 2).reshape(number * heads, queries, points, 2) - 1
        sampled.append(functional.grid_sample(maps, grid, padding_mode="zeros", align_corners=False))
    weights = attention_weights.transpose(1, 2).reshape(number * heads, 1, queries, levels * points)
    attended = (torch.stack(sampled, dim=-2).flatten(-2) * weights).sum(-1)
    return attended.view(number, heads * channels, queries).transpose(1, 2).contiguous()


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Adds the gradients of `ms_deform_attn_forward` to the three tensors that begin with `grad_`."""
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in (value, sampling_locations, attention_weights)]
        output = ms_deform_attn_forward(
            leaves[0], value_spatial_shapes, value_level_start_index, leaves[1], leaves[2], im2col_step
        )
        gradients = torch.autograd.grad(output, leaves, grad_output)
    for into, gradient in zip((grad_value, grad_sampling_loc, grad_attn_weight), gradients, strict=True):
        into += gradient


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Enlarges `features`, [N, C, H, W], with a kernel of its own for every output cell (Wang et al.: CARAFE, 2019).

    Args:
        features: [N, C, H, W].
        masks: the kernels, [N, group_size * kernel_size^2, H', W'].
        rfeatures: gets the features, for `carafe_backward`.
        routput: not used.
        rmasks: not used.
        output: [N, C, H', W'], H' = H * scale_factor.
        kernel_size: cells of the input along each side of a kernel.
        group_size: number of groups of channels; each has kernels of its own.
        scale_factor: factor by which features are enlarged.
    """
    rfeatures.copy_(features)
    output.copy_(_carafe(features, masks, kernel_size, group_size, scale_factor))


def carafe_backward(
    grad_output: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rgrad_output: Tensor,
    rgrad_input_hs: Tensor,
    rgrad_input: Tensor,
    rgrad_masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Adds the gradients of `carafe_forward` to `grad_input` and `grad_masks`."""
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in (rfeatures, masks)]
        output = _carafe(leaves[0], leaves[1], kernel_size, group_size, scale_factor)
        of_features, of_masks = torch.autograd.grad(output, leaves, grad_output)
    grad_input += of_features
    grad_masks += of_masks


def _carafe(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    number, channels, height, width = features.shape
    around = functional.unfold(features, kernel_size, padding=kernel_size // 2)
    around = around.view(number, channels * kernel_size**2, height, width)
    around = functional.interpolate(around, scale_factor=scale_factor, mode="nearest")
    grouped = around.view(number, group_size, channels // group_size, kernel_size**2, *around.shape[2:])
    kernels = masks.view(number, group_size, 1, kernel_size**2, *masks.shape[2:])
    return (grouped * kernels).sum(dim=3).flatten(1, 2)


def masked_im2col_forward(
    features: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    data_col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Copies the surroundings of some cells of `features`, [1, C, H, W], to `data_col`, [C * kernel, cells]."""
    columns = functional.unfold(features, (kernel_h, kernel_w), padding=(pad_h, pad_w))[0]
    width = features.shape[3] + 2 * pad_w - kernel_w + 1
    data_col.copy_(columns[:, mask_h_idx * width + mask_w_idx])


def masked_col2im_forward(
    masked_output: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    output: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Copies `masked_output`, [channels, cells], to these cells of `output`, [1, channels, height, width]."""
    output[0, :, mask_h_idx, mask_w_idx] = masked_output


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Computes the focal loss (Lin et al. 2017) of logits, [N, C], and classes, [N], into `output`, [N, C].

    `weight` holds a factor for each class, [C], or nothing. A target of C is background.
    """
    output.copy_(_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Adds the gradient of the sum of `sigmoid_focal_loss_forward` to `grad_input`, [N, C]."""
    with torch.enable_grad():
        leaf = input.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_focal_loss(leaf, target, weight, gamma, alpha).sum(), leaf)
    grad_input += gradient


def _focal_loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    is_class = target[:, None] == torch.arange(input.shape[1], device=input.device)
    probability = input.sigmoid()
    positive = -alpha * (1 - probability) ** gamma * functional.logsigmoid(input)
    negative = -(1 - alpha) * probability**gamma * functional.logsigmoid(-input)
    loss = torch.where(is_class, positive, negative)
    if weight.numel():
        factor = torch.cat([weight, weight.new_ones(1)])[target.clamp(max=len(weight))]
        loss = loss * factor[:, None]
    return loss

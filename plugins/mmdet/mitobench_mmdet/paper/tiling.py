"""Computes the features of an image tile by tile, to save memory. They equal those of one pass."""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn


def in_tiles(network: nn.Sequential, image: Tensor, tile: int) -> Tensor:
    """Returns `network(image)`, computed tile by tile.

    Each tile is cut with a margin of the receptive field, at a multiple of the stride, so that every cell that is kept
    depends on the same pixels, and the same border of the image, as in one pass.

    Args:
        network: convolutions and poolings in sequence; the layers between them must treat all positions alike.
        image: [N, C, H, W].
        tile: side of a tile without its margin, px; rounded up to a multiple of the stride.

    Returns:
        [N, C', H', W'].
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
    spans = [_spans(layers, length, tile) for length in image.shape[2:]]
    features: Tensor | None = None
    for (rows, input_rows, kept_rows), (columns, input_columns, kept_columns) in itertools.product(*spans):
        part = network(image[:, :, input_rows, input_columns])[:, :, kept_rows, kept_columns]
        if features is None:
            features = part.new_empty(*part.shape[:2], *(span[-1][0].stop for span in spans))
        features[:, :, rows, columns] = part
    assert features is not None
    return features


def receptive_field(layers: list[nn.Conv2d | nn.MaxPool2d]) -> tuple[int, int, int]:
    """Returns (stride, before, after): cell i depends on the px i * stride - before ... i * stride + after."""
    stride, before, after = 1, 0, 0
    for layer in layers:
        kernel, step, padding = _shape(layer)
        before += padding * stride
        after += (kernel - 1 - padding) * stride
        stride *= step
    return stride, before, after


def _spans(layers: list[nn.Conv2d | nn.MaxPool2d], length: int, tile: int) -> list[tuple[slice, slice, slice]]:
    """Returns, for each tile along an axis of `length` px: its cells, its input px, its cells within its output."""
    stride, before, after = receptive_field(layers)
    total, step = _cells(layers, length), math.ceil(tile / stride)
    spans = []
    for first in range(0, total, step):
        end = min(first + step, total)
        origin = max(first - math.ceil(before / stride), 0)
        shown = slice(origin * stride, min((end - 1) * stride + after + 1, length))
        spans.append((slice(first, end), shown, slice(first - origin, end - origin)))
    return spans


def _cells(layers: list[nn.Conv2d | nn.MaxPool2d], length: int) -> int:
    for layer in layers:
        kernel, step, padding = _shape(layer)
        steps = (length + 2 * padding - kernel) / step
        length = 1 + (math.ceil(steps) if getattr(layer, "ceil_mode", False) else math.floor(steps))
    return length


def _shape(layer: nn.Conv2d | nn.MaxPool2d) -> tuple[int, int, int]:
    """Returns kernel, stride and padding, which are the same for both axes."""
    kernel, step, padding = (
        value[0] if isinstance(value, tuple) else int(value)
        for value in (layer.kernel_size, layer.stride, layer.padding)
    )
    return int(kernel), int(step), int(padding)

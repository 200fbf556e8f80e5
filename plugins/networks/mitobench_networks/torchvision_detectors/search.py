"""Searches a whole image with a box detector, tile by tile."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms

from mitobench.api import Floats
from mitobench.training import crop
from mitobench_networks.tiles import batches, tiles_at_once
from mitobench_networks.torchvision_detectors.networks import SIZE_DIVISOR, BoxNetwork

HALO = 64  # px around a tile that the network sees, but whose detections are those of the next tile
HALO_OF_FIXED = 48  # likewise, where the network sees only its fixed side

Span = tuple[int, int]
Tile = tuple[Span, Span, int, int | None]  # rows, columns, halo, side of what the network sees if that is fixed


@torch.inference_mode()
def search(
    network: BoxNetwork,
    image: NDArray[np.uint8],
    tile: int,
    max_iou: float,
    device: str,
    at_once: int | None = None,
) -> tuple[Floats, Floats]:
    """Returns boxes, [N, 4] px from the upper left corner of the image, and scores, [N], best first.

    Args:
        network: in evaluation mode on `device`.
        image: uint8 [H, W, 3].
        tile: side of a tile, px; ignored where the network has a fixed side.
        max_iou: a detection that overlaps a better one by more is dropped.
        device: `cpu` or `cuda`.
        at_once: tiles that the network sees at once; None: as many as suit the device.
    """
    tiles = list(_tiles(image.shape[:2], tile, network.side))
    sizes = [_seen(one) for one in tiles]
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for numbers in batches(sizes, at_once or tiles_at_once(device)):
        crops = [_pixels(image, tiles[number], sizes[number]).to(device) for number in numbers]
        found.update(zip(numbers, network.several(crops), strict=True))
    boxes, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
    for number, ((top, bottom), (left, right), halo, _) in enumerate(tiles):
        own_boxes = found[number][0].float().cpu() + torch.tensor([left - halo, top - halo] * 2)
        centre = (own_boxes[:, :2] + own_boxes[:, 2:]) / 2
        own = ((centre >= torch.tensor([left, top])) & (centre < torch.tensor([right, bottom]))).all(dim=1)
        boxes.append(own_boxes[own])
        scores.append(found[number][1].float().cpu()[own])
    every, score = torch.cat(boxes), torch.cat(scores)
    best = nms(every, score, max_iou)
    return every[best].double().numpy(), score[best].double().numpy()


def _seen(tile: Tile) -> tuple[int, int]:
    """Height and width of what the network sees of a tile, px."""
    rows, columns, halo, side = tile
    height, width = (side or _padded(end - start + 2 * halo) for start, end in (rows, columns))
    return height, width


def _pixels(image: NDArray[np.uint8], tile: Tile, size: tuple[int, int]) -> Tensor:
    (top, _), (left, _), halo, _ = tile
    return torch.from_numpy(np.ascontiguousarray(crop(image, left - halo, top - halo, size[1], size[0])))


def _tiles(shape: tuple[int, ...], tile: int, fixed: int | None) -> Iterator[Tile]:
    """Yields rows and columns of each tile, the halo around it, and the side of what the network sees, if fixed."""
    halo = HALO_OF_FIXED if fixed else HALO
    step = fixed - 2 * halo if fixed else tile
    rows, columns = ([(start, min(start + step, length)) for start in range(0, length, step)] for length in shape[:2])
    for row, column in itertools.product(rows, columns):
        yield row, column, halo, fixed


def _padded(length: int) -> int:
    return -(-length // SIZE_DIVISOR) * SIZE_DIVISOR

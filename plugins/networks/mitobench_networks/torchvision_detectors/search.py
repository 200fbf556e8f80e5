"""Searches a whole image with a box detector, tile by tile."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms

from mitobench.api import Floats
from mitobench.training import crop
from mitobench.training.tiles import Core, batches, grid, seen, tiles_at_once
from mitobench_networks.torchvision_detectors.networks import SIZE_DIVISOR, BoxNetwork

HALO = 64  # px around a tile that the network sees, but whose detections are those of the next tile
HALO_OF_FIXED = 48  # likewise, where the network sees only its fixed side


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
    side = network.side
    halo = HALO_OF_FIXED if side else HALO
    tiles = grid((0, 0, *image.shape[1::-1]), side - 2 * halo if side else tile)
    sizes = [(side, side) if side else seen(one, halo, SIZE_DIVISOR) for one in tiles]
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for numbers in batches(sizes, at_once or tiles_at_once(device)):
        crops = [_pixels(image, tiles[number], halo, sizes[number]).to(device) for number in numbers]
        found.update(zip(numbers, network.several(crops), strict=True))
    boxes, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
    for number, (left, top, right, bottom) in enumerate(tiles):
        own_boxes = found[number][0].float().cpu() + torch.tensor([left - halo, top - halo] * 2)
        centre = (own_boxes[:, :2] + own_boxes[:, 2:]) / 2
        own = ((centre >= torch.tensor([left, top])) & (centre < torch.tensor([right, bottom]))).all(dim=1)
        boxes.append(own_boxes[own])
        scores.append(found[number][1].float().cpu()[own])
    every, score = torch.cat(boxes), torch.cat(scores)
    best = nms(every, score, max_iou)
    return every[best].double().numpy(), score[best].double().numpy()


def _pixels(image: NDArray[np.uint8], tile: Core, halo: int, size: tuple[int, int]) -> Tensor:
    """Returns what the network sees of a tile, uint8 [H, W, 3]; `size` is its height and width, px."""
    return torch.from_numpy(np.ascontiguousarray(crop(image, tile[0] - halo, tile[1] - halo, size[1], size[0])))

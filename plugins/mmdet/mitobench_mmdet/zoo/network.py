"""Builds the network of a settled model, fitted to the size of its input, and searches a frame with it in tiles."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mitobench.api import Detections, Floats, Frame, PluginError
from mitobench.training import crop
from mitobench.training.tiles import Tile, overlapping_tiles
from mitobench_mmdet.engine.build import SSDHead, build
from mitobench_mmdet.engine.search import search
from mitobench_mmdet.zoo import backbone  # noqa: F401 - registers the backbones of timm
from mitobench_mmdet.zoo.options import MMDetOptions

TUPLES = ("act_cfg", "basesize_ratio_range", "neg_iou_thr", "order", "pos_shape", "pretrain_img_size")
MIN_KEPT = 20  # candidates kept in a frame too small for `max_per_mm2` to mean anything
REPEATED = 4  # times as many boxes are looked at, as several may lie on one cell


def built(model: dict[str, Any], o: MMDetOptions) -> BaseModel:
    """Builds the network of a settled model, untrained, with the search options of `o`.

    Raises PluginError, with the reason of MMDetection, if it cannot be built.
    """
    _check_size(model, o)
    try:
        network = build(_with_tuples(_with_search(_with_queries(copy.deepcopy(model), o), o)))
    except Exception as reason:  # MMDetection's constructors raise any kind
        raise PluginError(f"MMDetection cannot build this model: {type(reason).__name__}: {reason}") from reason
    if any(hasattr(module, "initial_epoch") for module in network.modules()):
        network.register_forward_pre_hook(_begin_epoch)
    for head in network.modules():
        if isinstance(head, SSDHead):
            head.loss_cls = None  # which the search that it inherits asks for
    return network


def _check_size(model: dict[str, Any], o: MMDetOptions) -> None:
    """Raises PluginError if the network, SSD, takes only images that are larger than a patch."""
    head = model.get("bbox_head")
    generator = head.get("anchor_generator") if isinstance(head, dict) else None
    least = generator.get("input_size") if isinstance(generator, dict) else None
    if isinstance(least, int) and o.patch * o.scale < least:
        raise PluginError(f"This model takes images of at least {least} px, but patch={o.patch}. Set patch={least}.")


def _begin_epoch(*_: Any) -> None:
    """Sets the epoch, which TOOD compares with `initial_epoch`: none here, so that its own loss is used at once."""
    MessageHub.get_current_instance().update_info("epoch", 0)


def _with_tuples(value: Any) -> Any:
    """Returns a model with tuples where MMDetection requires them; data has lists only."""
    if isinstance(value, list):
        return [_with_tuples(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _with_tuples(inner) for key, inner in value.items()}
    return {key: tuple(v) if key in TUPLES and isinstance(v, list) else v for key, v in inner.items()}


def _with_queries(model: dict[str, Any], o: MMDetOptions) -> dict[str, Any]:
    """Limits the queries of a two-stage transformer to the places that a small patch offers them."""
    places = sum(max(1, int(o.patch * o.scale) // stride) ** 2 for stride in (8, 16, 32, 64))
    queries = model.get("num_queries")
    if isinstance(queries, int) and queries > places:
        model["num_queries"] = queries = places
    test = model.get("test_cfg")
    if isinstance(queries, int) and isinstance(test, dict) and isinstance(test.get("max_per_img"), int):
        test["max_per_img"] = min(test["max_per_img"], queries)
    return model


def _with_search(model: dict[str, Any], o: MMDetOptions) -> dict[str, Any]:
    """Sets the lowest score and the suppression; those of proposals stay as they are."""
    test = model.get("test_cfg")
    for part in (test, test.get("rcnn")) if isinstance(test, dict) else ():
        if isinstance(part, dict):
            if "score_thr" in part:
                part["score_thr"] = o.score_floor
            if isinstance(part.get("nms"), dict) and part["nms"].get("type") == "nms":
                part["nms"]["iou_threshold"] = o.test_nms
    return model


def find_in(network: BaseModel, frame: Frame, o: MMDetOptions, device: str) -> Detections:
    """Returns the candidates in a frame, searched tile by tile."""

    def find(pixels: NDArray[np.uint8]) -> tuple[Tensor, Tensor, Floats]:
        size, side = (pixels.shape[1], pixels.shape[0]), o.tile or o.patch
        found = [
            _in_tile(network, pixels, tile, side, o.scale, device) for tile in overlapping_tiles(size, side, o.overlap)
        ]
        boxes, scores = (torch.cat(of_all) for of_all in zip(*found, strict=True))
        return boxes, scores, np.full(2, round(side * o.scale) / side)

    area = float(np.prod(np.array(frame.size) * frame.mpp)) / 1e6
    most = max(MIN_KEPT, round(o.max_per_mm2 * area))
    return search(find, frame, o.mpp, o, REPEATED * most).apart(frame.mpp, o.distance_um)[:most]


def _in_tile(
    network: BaseModel, pixels: NDArray[np.uint8], tile: Tile, side: int, scale: float, device: str
) -> tuple[Tensor, Tensor]:
    """Returns the boxes, [N, 4] px of the enlarged image, whose centres the tile answers for, and their scores, [N]."""
    part = np.ascontiguousarray(crop(pixels, tile.left, tile.top, side, side))
    boxes, scores = forward(network, _enlarged(part, scale, device))
    factor = round(side * scale) / side
    boxes = boxes + boxes.new_tensor([tile.left, tile.top] * 2) * factor
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2 / factor).T
    left, top, right, bottom = tile.core
    kept = (x >= left) & (x < right) & (y >= top) & (y < bottom) & scores.isfinite()
    return boxes[kept], scores[kept]


def _enlarged(pixels: NDArray[np.uint8], scale: float, device: str) -> Tensor:
    tensor = torch.from_numpy(pixels).to(device).permute(2, 0, 1)
    size = tuple(round(length * scale) for length in pixels.shape[:2])
    return tensor if size == pixels.shape[:2] else interpolate(tensor[None], size, mode="bilinear")[0]


def forward(network: BaseModel, image: Tensor) -> tuple[Tensor, Tensor]:
    """Returns boxes, [N, 4] px of `image`, uint8 [3, H, W], and scores, [N]."""
    shape = tuple(image.shape[1:])
    border = np.array([0, shape[0], 0, shape[1]], dtype=np.float32)  # top, bottom, left, right: nothing was padded
    metainfo = {"img_shape": shape, "ori_shape": shape, "scale_factor": (1.0, 1.0), "border": border}
    sample = DetDataSample(metainfo=metainfo)
    found = network.test_step({"inputs": [image], "data_samples": [sample]})[0].pred_instances
    return found.bboxes.float(), found.scores.float()

"""Builds Faster R-CNN and RPN on VGG_CNN_M with MMDetection (DeepDet in Li et al. 2018)."""

from __future__ import annotations

import itertools
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn
from torchvision.ops import RoIPool

from mitobench_mmdet.engine.build import MODELS, BBoxHead, build
from mitobench_mmdet.paper.options import FasterRCNNOptions, Proposals, RPNOptions, Search
from mitobench_mmdet.paper.vgg_m import VGGM

MEAN = (200.0, 115.0, 160.0)  # mean of the MITOS training frames, R G B
STD = (37.0, 52.0, 42.0)


@MODELS.register_module()
class FullyConnectedHead(BBoxHead):
    """Fully connected layers with ReLU and dropout, like fc6 and fc7 of VGG_CNN_M, then class scores and a box.

    Args:
        inputs: channels of a pooled region.
        size: cells along each side of a pooled region.
        fc: units of each layer.
        dropout: dropout after each layer.
    """

    def __init__(self, inputs: int, size: int, fc: tuple[int, ...], dropout: float, **kwargs: Any) -> None:
        super().__init__(roi_feat_size=1, in_channels=fc[-1], **kwargs)
        units = [inputs * size**2, *fc]
        layers = [
            layer
            for before, after in itertools.pairwise(units)
            for layer in (nn.Linear(before, after), nn.ReLU(inplace=True), nn.Dropout(dropout))
        ]
        self.trunk = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns class scores, [K, 2], and box offsets, [K, 4], of pooled regions, [K, C, size, size]."""
        scores, offsets = super().forward(self.trunk(x.flatten(1)))
        return scores, offsets


def faster_rcnn(o: FasterRCNNOptions) -> BaseModel:
    """Builds Faster R-CNN for one class."""
    channels = _channels(o)
    return build(
        {
            "type": "FasterRCNN",
            "data_preprocessor": _preprocessor(),
            "backbone": _backbone(o, o.tile),
            "rpn_head": _rpn_head(o, channels),
            "roi_head": {
                "type": "StandardRoIHead",
                "bbox_roi_extractor": {
                    "type": "SingleRoIExtractor",
                    "roi_layer": _roi_layer(o),
                    "out_channels": channels,
                    "featmap_strides": [o.stride],
                },
                "bbox_head": {
                    "type": "FullyConnectedHead",
                    "inputs": channels,
                    "size": o.roi_size,
                    "fc": o.fc,
                    "dropout": o.dropout,
                    "num_classes": 1,
                    "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": o.box_stds},
                },
            },
            "train_cfg": {
                "rpn": _rpn_training(o),
                "rpn_proposal": _proposals(o, o.train_proposals_before, o.train_proposals_after),
                "rcnn": {
                    "assigner": _assigner(o.roi_iou, o.roi_iou, o.roi_iou, match_low_quality=False),
                    "sampler": _sampler(o.roi_batch, o.roi_positive, add_gt_as_proposals=True),
                    "pos_weight": -1,
                    "debug": False,
                },
            },
            "test_cfg": {
                "rpn": _proposals(o, o.proposals_before, o.proposals_after),
                "rcnn": {
                    "score_thr": o.score_floor,
                    "nms": {"type": "nms", "iou_threshold": o.test_nms},
                    "max_per_img": o.max_per_image,
                },
            },
        }
    )


def rpn(o: RPNOptions | FasterRCNNOptions, search: Search) -> BaseModel:
    """Builds the region proposal network alone; `search` are the options of the detector that uses it."""
    return build(
        {
            "type": "RPN",
            "data_preprocessor": _preprocessor(),
            "backbone": _backbone(o, search.tile),
            "neck": None,
            "rpn_head": _rpn_head(o, _channels(o)),
            "train_cfg": {"rpn": _rpn_training(o)},
            "test_cfg": {"rpn": _proposals(o, search.proposals_before, search.proposals_after)},
        }
    )


def copy_rpn(detector: BaseModel, network: BaseModel) -> BaseModel:
    """Copies the region proposal part of a `faster_rcnn`, built with the same options, into `network`, an `rpn`."""
    state = detector.state_dict()
    network.load_state_dict({key: state[key.replace("bbox_head", "rpn_head")] for key in network.state_dict()})
    return network


def _preprocessor() -> dict[str, Any]:
    return {"type": "DetDataPreprocessor", "mean": MEAN, "std": STD, "bgr_to_rgb": False}


def _backbone(o: FasterRCNNOptions | RPNOptions, tile: int | None) -> dict[str, Any]:
    return {"type": "VGGM", "width": o.width, "norm": o.norm, "stride": o.stride, "tile": tile}


def _channels(o: FasterRCNNOptions | RPNOptions) -> int:
    return VGGM(width=o.width).out_channels


def _rpn_head(o: FasterRCNNOptions | RPNOptions, channels: int) -> dict[str, Any]:
    return {
        "type": "RPNHead",
        "in_channels": channels,
        "feat_channels": o.rpn_channels,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "base_sizes": [o.anchor_base],
            "scales": list(o.anchor_scales),
            "ratios": list(o.anchor_ratios),
            "strides": [o.stride],
            "centers": [(o.stride / 2, o.stride / 2)],
        },
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder"},
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
        "loss_bbox": {"type": "SmoothL1Loss", "beta": 1 / 9},  # sigma 3
    }


def _rpn_training(o: Proposals) -> dict[str, Any]:
    return {
        "assigner": _assigner(o.rpn_positive_iou, o.rpn_negative_iou, 0.01, match_low_quality=True),
        "sampler": _sampler(o.rpn_batch, o.rpn_positive, add_gt_as_proposals=False),
        "allowed_border": 0,
        "pos_weight": -1,
        "debug": False,
    }


def _roi_layer(o: FasterRCNNOptions) -> dict[str, Any]:
    # torchvision's pooling even if compiled mmcv is installed: mmcv's has no CPU code and rounds regions differently
    size = (o.roi_size, o.roi_size)
    if o.roi_pooling == "pool":
        return {"type": RoIPool, "output_size": size}
    return {"type": "RoIAlign", "output_size": size, "sampling_ratio": 2, "use_torchvision": True}


def _assigner(positive: float, negative: float, lowest: float, match_low_quality: bool) -> dict[str, Any]:
    return {
        "type": "MaxIoUAssigner",
        "pos_iou_thr": positive,
        "neg_iou_thr": negative,
        "min_pos_iou": lowest,
        "match_low_quality": match_low_quality,
    }


def _sampler(number: int, positive: float, add_gt_as_proposals: bool) -> dict[str, Any]:
    return {
        "type": "RandomSampler",
        "num": number,
        "pos_fraction": positive,
        "add_gt_as_proposals": add_gt_as_proposals,
    }


def _proposals(o: Proposals, before: int, after: int) -> dict[str, Any]:
    return {
        "nms_pre": before,
        "max_per_img": after,
        "nms": {"type": "nms", "iou_threshold": o.proposal_nms},
        "min_bbox_size": o.min_side,
    }

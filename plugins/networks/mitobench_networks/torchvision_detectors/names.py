"""The names of torchvision's box detectors, and what is known of each without building it."""

from __future__ import annotations

from mitobench.api import MitobenchError, nearest

NETWORKS = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fcos_resnet50_fpn",
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
)
FIXED_SIDE = {"ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320}  # px of the input, for which they are built

REFUSED = {
    "maskrcnn_": "it learns from a mask of every object, and a box estimator gives boxes",
    "keypointrcnn_": "it learns from the keypoints of people",
}


def check_network(name: str) -> None:
    """Raises MitobenchError, with the reason or similar names, unless `name` is one of torchvision's box detectors."""
    for prefix, reason in REFUSED.items():
        if name.startswith(prefix):
            raise MitobenchError(f"torchvision:{name} is not supported: {reason}. {nearest(name, NETWORKS)}")
    if name not in NETWORKS:
        raise MitobenchError(f"torchvision has no box detector {name!r}. {nearest(name, NETWORKS)}")


def check_backbone(network: str, backbone: str) -> None:
    """Raises MitobenchError unless the network can have this backbone: empty for its own, or `timm:NAME`."""
    if not backbone:
        return
    from mitobench.training.timm_models import check_model

    kind, _, name = backbone.partition(":")
    if kind != "timm" or not name:
        raise MitobenchError(f"backbone={backbone}: must be timm:NAME, for example timm:tf_efficientnet_lite0.")
    if network in FIXED_SIDE:
        raise MitobenchError(
            f"backbone={backbone}: the backbone of {network} cannot be replaced, because its own is part of the "
            "detector: its layers give the feature maps, without a pyramid. Choose one of "
            f"{', '.join(other for other in NETWORKS if other not in FIXED_SIDE)}."
        )
    check_model(name)

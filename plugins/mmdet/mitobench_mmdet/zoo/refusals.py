"""Which models of MMDetection are not box detectors that can be fitted here, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SEGMENTS = "it segments masks; mitobench fits boxes. Use the box detector of the same name without a mask"
TRACKS = "it tracks or re-identifies objects in videos"
READS_TEXT = "it needs a text encoder"
TEACHES = "it learns from a trained teacher, a second network that its config downloads"

BY_TYPE = {
    **dict.fromkeys(
        (
            "BoxInst", "CondInst", "Mask2Former", "MaskFormer", "MaskRCNN", "MaskScoringRCNN", "PanopticFPN",
            "PointRend", "QueryInst", "SCNet", "SOLO", "SOLOv2", "YOLACT", "HybridTaskCascade",
        ),
        SEGMENTS,
    ),
    **dict.fromkeys(
        (
            "BaseReID", "ByteTrack", "DeepSORT", "Mask2FormerVideo", "MaskTrackRCNN", "OCSORT", "QDTrack", "SORT",
            "StrongSORT",
        ),
        TRACKS,
    ),
    **dict.fromkeys(("GLIP", "GroundingDINO"), READS_TEXT),
    **dict.fromkeys(("KnowledgeDistillationSingleStageDetector", "LAD"), TEACHES),
    "SoftTeacher": "it learns from unlabelled images beside labelled ones",
    "FastRCNN": "it needs proposals that another network has written to a file",
    "Detectron2Wrapper": "it needs the package detectron2",
}  # fmt: skip

BY_PART = {
    "RTMDetInsSepBNHead": SEGMENTS,
    "RTMDetInsHead": SEGMENTS,
    "BertModel": READS_TEXT,
    "ATSSVLFusionHead": READS_TEXT,
}

BY_KEY = {
    "mask_head": SEGMENTS,
    "mask_roi_extractor": SEGMENTS,
    "semantic_head": SEGMENTS,
    "panoptic_head": SEGMENTS,
    "language_model": READS_TEXT,
    "tracker": TRACKS,
    "teacher_config": TEACHES,
}

MISSING_OPS = {
    "DeformRoIPoolPack": "deform_roi_pool_forward",
    "ModulatedDeformRoIPoolPack": "deform_roi_pool_forward",
}


def refusal(model: object) -> str | None:
    """Returns why a config's `model` cannot be fitted; None if nothing is known against it."""
    if not isinstance(model, dict) or not isinstance(model.get("type"), str):
        return "it has no model of its own; it changes other configs"
    if model["type"] in BY_TYPE:
        return BY_TYPE[model["type"]]
    for inner in _dicts(model):
        for key in inner.keys() & BY_KEY.keys():
            if inner[key] is not None:
                return BY_KEY[key]
        kind = str(inner.get("type", ""))
        if kind in BY_PART:
            return BY_PART[kind]
        if kind in MISSING_OPS:
            return (
                f"its {kind} needs the operator {MISSING_OPS[kind]!r} of compiled mmcv, which torchvision does not have"
            )
        package, dot, _ = kind.partition(".")
        if dot and package not in ("mmdet", "mmcv", "mmengine"):
            return f"its {kind} needs the package {package}"
    return None


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Yields a dict and all dicts in it, at every depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _dicts(inner)

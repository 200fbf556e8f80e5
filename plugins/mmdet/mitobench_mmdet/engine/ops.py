"""Replaces mmcv's compiled operators, which MMDetection needs, by torchvision's if only mmcv-lite is installed.

`mmcv.ops` loads a compiled module `mmcv._ext` when it is imported. `install` puts a module of that name into
`sys.modules` before that happens. If compiled mmcv is installed, it is used and nothing is replaced.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
import torchvision
from torch import Tensor

NAME = "mmcv._ext"


def install() -> None:
    """Provides `mmcv._ext` if it is missing. Call this before the first `import mmdet.models`."""
    if NAME not in sys.modules and importlib.util.find_spec(NAME) is None:
        sys.modules[NAME] = _Extension()


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


def _absent(op: str, *args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError(
        f"The operator {op!r} is missing in mmcv-lite and in mitobench_mmdet.engine.ops. "
        "Install the compiled one: `pip install mmcv`, in place of mmcv-lite."
    )


class _Extension(ModuleType):
    """Replaces the compiled module. A missing operator raises an error when it is called, not when it is imported."""

    nms = staticmethod(nms)
    roi_pool_forward = staticmethod(roi_pool_forward)
    roi_pool_backward = staticmethod(roi_pool_backward)

    def __init__(self) -> None:
        super().__init__(NAME, "Operators of mmcv by torchvision; see mitobench_mmdet.engine.ops.")
        self.__spec__ = ModuleSpec(NAME, loader=None)

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if op.startswith("__"):
            raise AttributeError(op)
        return functools.partial(_absent, op)


def check() -> list[tuple[str, bool, str]]:
    """Compares every operator with a plain-torch reference. Returns (operator, whether they agree, details)."""
    from mitobench_mmdet.engine.ops_check import CHECKS

    install()
    results = []
    for op, compare in CHECKS.items():
        try:
            difference = compare()
            results.append((op, difference < 1e-4, f"differs by at most {difference:.1e} from plain torch"))
        except Exception as reason:  # the doctor reports whatever a broken installation raises
            results.append((op, False, f"{type(reason).__name__}: {reason}"))
    return results

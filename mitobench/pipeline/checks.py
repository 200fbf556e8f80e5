"""Checks arrays that plugins return before they are used, and rounds detections and scores.

All arrays need the right shape and finite numbers. An estimator's boxes and a detector's centres must lie inside the
frame; a detector's boxes need not. The PluginError raised for a wrong value names the plugin and the frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections, Frame, Plugin, PluginError
from mitobench.pipeline.rounding import BOX_DECIMALS, XY_DECIMALS, significant

SLACK_PX = 1.0  # how far boxes and centres may lie outside the frame


def boxes(plugin: Plugin, frame: Frame, returned: Any, count: int) -> NDArray[np.float64]:
    """Returns boxes as a float array [count, 4], px.

    Raises PluginError unless all are finite, have an area, and lie inside the frame.
    """
    array = _array(plugin, frame, "boxes", returned, (count, 4))
    _inside(plugin, frame, "boxes", array)
    if (array[:, 2:] <= array[:, :2]).any():
        raise _error(plugin, frame, "boxes() returned a box without area; boxes need x1 < x2 and y1 < y2")
    return array


def covered(plugin: Plugin, frame: Frame, returned: Any, count: int) -> NDArray[np.bool_]:
    """Returns whether each mitosis is covered by a blob, as bool [count]. Raises PluginError for another shape."""
    return _array(plugin, frame, "covered()", returned, (count,)).astype(bool)


def detections(plugin: Plugin, frame: Frame, returned: Any) -> Detections:
    """Returns the detections, rounded to the precision that records store.

    Raises PluginError unless the arrays have equal lengths, all values are finite, and the centres lie in the frame.
    """
    if not isinstance(returned, Detections):
        raise _error(plugin, frame, f"predict() returned {type(returned).__name__}, not mitobench.api.Detections")
    count = len(np.atleast_1d(returned.score))
    score = _array(plugin, frame, "predict().score", returned.score, (count,))
    xy = _array(plugin, frame, "predict().xy", returned.xy, (count, 2))
    boxes_xyxy = _array(plugin, frame, "predict().boxes", returned.boxes, (count, 4))
    _inside(plugin, frame, "predict().xy", xy)
    return Detections(np.round(xy, XY_DECIMALS), np.round(boxes_xyxy, BOX_DECIMALS), significant(score))


def scores(plugin: Plugin, frame: Frame | None, returned: Any, count: int) -> NDArray[np.float64]:
    """Returns scores [count], rounded to the precision that records store.

    Raises PluginError for another shape or values that are not finite.
    """
    return significant(_array(plugin, frame, "scores", returned, (count,)))


def embeddings(plugin: Plugin, frame: Frame, returned: Any, count: int) -> NDArray[np.float32]:
    """Returns embeddings [count, D] as float32. Raises PluginError for another shape or values that are not finite."""
    shape = np.shape(returned)
    width = shape[1] if len(shape) == 2 else 0
    if not width:
        raise _error(plugin, frame, f"embed() returned shape {shape}; expected ({count}, D)")
    return _array(plugin, frame, "embed()", returned, (count, width)).astype(np.float32)


def _array(
    plugin: Plugin, frame: Frame | None, what: str, returned: Any, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    try:
        array = np.asarray(returned, dtype=np.float64)
    except Exception as reason:  # converting what a plugin returned may raise any exception
        raise _error(plugin, frame, f"{what} is not numeric: {reason}") from reason
    if array.shape != shape:
        raise _error(plugin, frame, f"{what} has shape {array.shape}; expected {shape}")
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise _error(plugin, frame, f"{what} contains NaN or infinite values ({count} of {array.size})")
    return array


def _inside(plugin: Plugin, frame: Frame, what: str, xy: NDArray[np.float64]) -> None:
    first, last = -0.5, np.tile(frame.size, xy.shape[1] // 2) - 0.5
    outside = ((xy < first - SLACK_PX) | (xy > last + SLACK_PX)).any(axis=1)
    if outside.any():
        example = np.round(xy[outside][0], 1).tolist()
        raise _error(
            plugin,
            frame,
            f"{what} lies outside the frame of {frame.size[0]} x {frame.size[1]} px, for example at {example}",
        )


def _error(plugin: Plugin, frame: Frame | None, problem: str) -> PluginError:
    where = f" on frame {frame.key}" if frame else ""
    return PluginError(f"Plugin {plugin.name!r} {plugin.version}{where}: {problem}.")

"""What a plugin may return. Every value is checked before anything is made of it, and the error names the plugin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections, Frame, Plugin, PluginError
from mitobench.pipeline.rounding import BOX_DECIMALS, XY_DECIMALS, significant

SLACK_PX = 1.0


def boxes(plugin: Plugin, frame: Frame, given: Any, count: int) -> NDArray[np.float64]:
    """Boxes [count, 4] px, finite, not empty, inside the frame. Raises PluginError."""
    array = _array(plugin, frame, "boxes", given, (count, 4))
    _inside(plugin, frame, "boxes", array)
    if (array[:, 2:] <= array[:, :2]).any():
        raise _error(plugin, frame, "boxes() returned a box without area; x1 < x2 and y1 < y2 must hold")
    return array


def covered(plugin: Plugin, frame: Frame, given: Any, count: int) -> NDArray[np.bool_]:
    """Whether each mitosis has a blob, bool [count]. Raises PluginError."""
    return _array(plugin, frame, "covered()", given, (count,)).astype(bool)


def detections(plugin: Plugin, frame: Frame, given: Any) -> Detections:
    """Detections whose arrays agree, finite, inside the frame; rounded as records store them. Raises PluginError."""
    if not isinstance(given, Detections):
        raise _error(plugin, frame, f"predict() returned {type(given).__name__}, not mitobench.api.Detections")
    count = len(np.atleast_1d(given.score))
    score = _array(plugin, frame, "predict().score", given.score, (count,))
    xy = _array(plugin, frame, "predict().xy", given.xy, (count, 2))
    found = _array(plugin, frame, "predict().boxes", given.boxes, (count, 4))
    _inside(plugin, frame, "predict().xy", xy)
    return Detections(np.round(xy, XY_DECIMALS), np.round(found, BOX_DECIMALS), significant(score))


def scores(plugin: Plugin, frame: Frame | None, given: Any, count: int) -> NDArray[np.float64]:
    """Scores [count], finite; rounded as records store them. Raises PluginError."""
    return significant(_array(plugin, frame, "scores", given, (count,)))


def _array(plugin: Plugin, frame: Frame | None, what: str, given: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        array = np.asarray(given, dtype=np.float64)
    except Exception as reason:  # whatever a plugin returns may raise anything when it is looked at
        raise _error(plugin, frame, f"{what} is not numeric: {reason}") from reason
    if array.shape != shape:
        raise _error(plugin, frame, f"{what} has shape {array.shape}, must be {shape}")
    if not np.isfinite(array).all():
        raise _error(plugin, frame, f"{what} holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite")
    return array


def _inside(plugin: Plugin, frame: Frame, what: str, xy: NDArray[np.float64]) -> None:
    first, last = -0.5, np.tile(frame.size, xy.shape[1] // 2) - 0.5
    outside = ((xy < first - SLACK_PX) | (xy > last + SLACK_PX)).any(axis=1)
    if outside.any():
        example = np.round(xy[outside][0], 1).tolist()
        raise _error(
            plugin, frame, f"{what} leaves the frame of {frame.size[0]} x {frame.size[1]} px, for example at {example}"
        )


def _error(plugin: Plugin, frame: Frame | None, problem: str) -> PluginError:
    where = f" on frame {frame.key}" if frame else ""
    return PluginError(f"Plugin {plugin.name!r} {plugin.version}{where}: {problem}.")

"""Checks arrays that plugins return before they are used, and rounds detections and scores.

All arrays need the right shape and finite, real numbers; scores and boxes must be within the limits of a record, and a
verifier's scores from 0 to 1. An estimator's boxes and a detector's centres must lie inside the frame, and the boxes at
their mitoses; a detector's boxes need not. The PluginError raised for a wrong value names the plugin and the frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections, Frame, Fuser, Plugin, PluginError
from mitobench.foreign.limits import MAX_NUMBER, MAX_PX
from mitobench.pipeline.rounding import BOX_DECIMALS, XY_DECIMALS, significant

MAX_KIND = 64  # characters of the class of a detection
MAX_EXTRA = 32  # extra arrays of detections
MAX_EXTRA_VALUES = 4_096  # values of one detection in all extra arrays together
SLACK_PX = 1.0  # how far boxes and centres may lie outside the frame
SLACK_PROBABILITY = 1e-6  # how far rounding may move a probability beyond 0 or 1; it is then clipped
SLACK_UM = 5.0  # how far the point of a mitosis may lie outside its box: annotators do not always click on it


def boxes(plugin: Plugin, frame: Frame, returned: Any, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the boxes of the mitoses at `xy` ([N, 2] px) as a float array [N, 4], px.

    Raises PluginError unless all are finite, have an area, lie inside the frame, and are those of these mitoses.
    """
    array = _array(plugin, frame, "boxes", returned, (len(xy), 4))
    _inside(plugin, frame, "boxes", array)
    if (array[:, 2:] <= array[:, :2]).any():
        raise _error(plugin, frame, "boxes() returned a box without area; boxes need x1 < x2 and y1 < y2")
    outside = np.maximum(np.maximum(array[:, :2] - xy, xy - array[:, 2:]), 0)
    away = np.hypot(*(outside * frame.mpp).T)
    if (away > SLACK_UM).any():
        n = int(away.argmax())
        raise _error(
            plugin,
            frame,
            f"box {n} of boxes() is {away[n]:.1f} um away from mitosis {n} at {np.round(xy[n], 1).tolist()}; at most "
            f"{SLACK_UM:g} um are allowed. Return the boxes in the order of mitoses.xy, as (x1, y1, x2, y2)",
        )
    return array


def covered(plugin: Plugin, frame: Frame, returned: Any, count: int) -> NDArray[np.bool_]:
    """Returns whether each mitosis is covered by a blob, as bool [count]. Raises PluginError for another shape."""
    return _array(plugin, frame, "covered()", returned, (count,)).astype(bool)


def detections(plugin: Plugin, frame: Frame, returned: Any) -> Detections:
    """Returns the detections, rounded to the precision that records store.

    Raises PluginError unless the arrays have equal lengths, all values are finite, the centres lie in the frame, and
    boxes, scores, `kind` and `extra` are within their limits.
    """
    if not isinstance(returned, Detections):
        raise _error(plugin, frame, f"predict() returned {type(returned).__name__}, not mitobench.api.Detections")
    count = len(np.atleast_1d(returned.score))
    score = _array(plugin, frame, "predict().score", returned.score, (count,))
    xy = _array(plugin, frame, "predict().xy", returned.xy, (count, 2))
    boxes_xyxy = _array(plugin, frame, "predict().boxes", returned.boxes, (count, 4))
    _inside(plugin, frame, "predict().xy", xy)
    _limited(plugin, frame, "predict().boxes", boxes_xyxy, MAX_PX)
    _limited(plugin, frame, "predict().score", score, MAX_NUMBER)
    return Detections(
        np.round(xy, XY_DECIMALS),
        np.round(boxes_xyxy, BOX_DECIMALS),
        significant(score),
        kind=_kind(plugin, frame, returned.kind, count),
        extra=_extra(plugin, frame, returned.extra, count),
    )


def _kind(plugin: Plugin, frame: Frame, returned: Any, count: int) -> NDArray[Any] | None:
    """Returns the class of each detection as int64 or text [count]; None if there is none."""
    if returned is None:
        return None
    array = np.asarray(returned)
    if array.shape != (count,):
        raise _error(plugin, frame, f"predict().kind has shape {array.shape}; expected {(count,)}")
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if array.dtype.kind != "U" and not (array.dtype.kind == "O" and all(isinstance(kind, str) for kind in array)):
        if count == 0:
            return None
        raise _error(plugin, frame, f"predict().kind holds {array.dtype}; expected whole numbers or texts")
    text = array.astype(np.str_)
    longest = max(map(len, text), default=0)
    if longest > MAX_KIND:
        raise _error(
            plugin, frame, f"predict().kind has a text of {longest} characters; at most {MAX_KIND} are allowed"
        )
    return text


def _extra(plugin: Plugin, frame: Frame, returned: Any, count: int) -> dict[str, NDArray[Any]]:
    """Returns the extra arrays: whole numbers as int64, all others as float32."""
    if not isinstance(returned, Mapping):
        raise _error(plugin, frame, f"predict().extra is {type(returned).__name__}; expected arrays by name")
    if len(returned) > MAX_EXTRA:
        raise _error(plugin, frame, f"predict().extra has {len(returned)} arrays; at most {MAX_EXTRA} are allowed")
    arrays = {name: _extra_array(plugin, frame, name, values, count) for name, values in returned.items()}
    values = sum(array[:1].size for array in arrays.values())
    if values > MAX_EXTRA_VALUES:
        raise _error(
            plugin,
            frame,
            f"predict().extra has {values:,} values per detection; at most {MAX_EXTRA_VALUES:,} are allowed",
        )
    return arrays


def _extra_array(plugin: Plugin, frame: Frame, name: Any, returned: Any, count: int) -> NDArray[Any]:
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", name)):
        raise _error(plugin, frame, f"predict().extra has the name {name!r:.80}; expected letters, digits and _")
    what = f"predict().extra[{name!r}]"
    try:
        array = _real(returned)
        with np.errstate(over="ignore"):  # infinite values are refused below
            array = array.astype(np.int64 if array.dtype.kind in "iub" else np.float32)
    except Exception as reason:  # converting what a plugin returned may raise any exception
        raise _error(plugin, frame, f"{what} is not numeric: {reason}") from reason
    if array.shape[:1] != (count,):
        raise _error(plugin, frame, f"{what} has shape {array.shape}; its first number must be {count}")
    if not np.isfinite(array).all():
        raise _error(plugin, frame, f"{what} contains NaN or infinite values, or numbers beyond float32")
    return array


def scores(plugin: Plugin, frame: Frame | None, returned: Any, count: int) -> NDArray[np.float64]:
    """Returns scores [count], rounded to the precision that records store.

    Raises PluginError for another shape, values that are not finite, or beyond the limit of a record.
    """
    array = _array(plugin, frame, "scores", returned, (count,))
    _limited(plugin, frame, "scores", array, MAX_NUMBER)
    return significant(array)


def probabilities(plugin: Plugin, frame: Frame, returned: Any, count: int) -> NDArray[np.float64]:
    """Returns a verifier's scores [count], rounded to the precision that records store.

    Raises PluginError for another shape, values that are not finite, or not from 0 to 1.
    """
    array = scores(plugin, frame, returned, count)
    wrong = array[(array < -SLACK_PROBABILITY) | (array > 1 + SLACK_PROBABILITY)]
    if len(wrong):
        raise _error(
            plugin,
            frame,
            f"scores contain {wrong[0]:g}; a verifier returns probabilities, from 0 to 1. Apply a sigmoid or softmax "
            "to the output of a network",
        )
    return array.clip(0, 1)


def fused(
    fuser: Fuser,
    frame: Frame | None,
    detector: NDArray[np.float64],
    verifier: NDArray[np.float64],
    frames: Sequence[Frame],
    detections: Sequence[Detections],
) -> NDArray[np.float64]:
    """Returns a fuser's scores [N] of N candidates, rounded to the precision that records store.

    Args:
        fuser: fitted.
        frame: for messages; None if there are several.
        detector, verifier: both scores, [N].
        frames: the frames; may be empty for a fuser that does not use candidates.
        detections: the candidates of each of them.

    Raises PluginError for another shape or values that are not finite.
    """
    if fuser.uses_candidates:
        returned = fuser.fuse_candidates(detector, verifier, frames, detections)
    else:
        returned = fuser.fuse(detector, verifier)
    return scores(fuser, frame, returned, len(detector))


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
        array = np.asarray(_real(returned), dtype=np.float64)
    except Exception as reason:  # converting what a plugin returned may raise any exception
        raise _error(plugin, frame, f"{what} is not numeric: {reason}") from reason
    if array.shape != shape:
        raise _error(plugin, frame, f"{what} has shape {array.shape}; expected {shape}")
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise _error(plugin, frame, f"{what} contains NaN or infinite values ({count} of {array.size})")
    return array


def _real(returned: Any) -> NDArray[Any]:
    """Returns an array. Raises TypeError if it is complex: numpy would only warn, and drop the imaginary part."""
    array = np.asarray(returned)
    if np.iscomplexobj(array):
        raise TypeError("it has complex numbers")
    return array


def _limited(plugin: Plugin, frame: Frame | None, what: str, array: NDArray[np.float64], most: float) -> None:
    if (np.abs(array) > most).any():
        example = float(array[np.abs(array) > most][0])
        raise _error(plugin, frame, f"{what} contains {example:g}; absolute values may be at most {most:,.0f}")


def _inside(plugin: Plugin, frame: Frame, what: str, xy: NDArray[np.float64]) -> None:
    first, last = -0.5, np.tile(frame.size, xy.shape[1] // 2) - 0.5
    outside = ((xy < first - SLACK_PX) | (xy > last + SLACK_PX)).any(axis=1)
    if outside.any():
        example = np.round(xy[outside][0], 1).tolist()
        raise _error(
            plugin,
            frame,
            f"{what} lies outside the frame of {frame.size[0]} x {frame.size[1]} px, for example at {example}. Return "
            "px as (x, y), not (row, column) or um",
        )


def _error(plugin: Plugin, frame: Frame | None, problem: str) -> PluginError:
    where = f" on frame {frame.key}" if frame else ""
    return PluginError(f"Plugin {plugin.name!r} {plugin.version}{where}: {problem}.")

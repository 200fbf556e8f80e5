"""Simple changes of how a file is read, to try when nothing matches: swapped axes, other units, corners for centres."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections
from mitobench.evaluate.files.frame_names import FrameInfo
from mitobench.evaluate.files.table import BOX_PX, UM, FoundFile, as_detections

Floats = NDArray[np.float64]
Change = Callable[[Floats, FrameInfo], Floats | None]  # of centres [M, 2]; None: not possible for this frame

_SIDES = (30, 50, 64, 80)  # px; boxes that public data sets use


@dataclass(frozen=True)
class Alternative:
    """Another reading of a file: what to change, in words, and the detections that it gives."""

    change: str
    detections: Mapping[str, Detections]


def alternatives(found: FoundFile, frames: Mapping[str, FrameInfo]) -> Iterator[Alternative]:
    """Yields other readings of a file, the simplest first."""
    if found.form == "corner boxes":
        yield from _other_form(found, "x1,y1,x2,y2 are x,y,width,height", "x-y-width-height boxes")
    if found.form == "x-y-width-height boxes":
        yield from _other_form(found, "x,y,width,height are x1,y1,x2,y2", "corner boxes")
        yield from _points(found, "x,y are the centres of the boxes, not their upper left corners")
    for text, change in {**_as_px(found), **_changes()}.items():
        changed = _changed(found, frames, change)
        if changed is not None:
            yield Alternative(text, changed)


def _other_form(found: FoundFile, text: str, form: str) -> Iterator[Alternative]:
    yield Alternative(text, {
        frame: as_detections(form, numbers, found.detections[frame].score)  # type: ignore[arg-type]
        for frame, numbers in found.numbers.items()
    })  # fmt: skip


def _points(found: FoundFile, text: str) -> Iterator[Alternative]:
    yield Alternative(text, {
        frame: Detections.from_points(numbers[:, :2], found.detections[frame].score, BOX_PX)
        for frame, numbers in found.numbers.items()
    })  # fmt: skip


def _as_px(found: FoundFile) -> dict[str, Change]:
    """Takes the numbers of a file in mm or um for px."""
    if found.unit == "px":
        return {}
    um = UM[found.unit]
    return {
        f"coordinates are in px, not in {found.unit}": (
            lambda xy, frame: None if frame.mpp is None else xy * np.array(frame.mpp) / um
        )
    }


def _changes() -> dict[str, Change]:
    changes: dict[str, Change] = {
        "x and y are swapped (row and column)": lambda xy, frame: xy[:, ::-1],
        "coordinates are of an image with half the resolution: double them": lambda xy, frame: xy * 2,
        "coordinates are of an image with twice the resolution: halve them": lambda xy, frame: xy / 2,
        "coordinates are of an image with a quarter of the resolution: multiply by 4": lambda xy, frame: xy * 4,
        "coordinates are in mm": lambda xy, frame: None if frame.mpp is None else xy * 1000 / np.array(frame.mpp),
        "coordinates are in um": lambda xy, frame: None if frame.mpp is None else xy / np.array(frame.mpp),
        "coordinates are fractions of width and height": (
            lambda xy, frame: None if frame.size is None else xy * np.array(frame.size)
        ),
        "y counts from the bottom": (
            lambda xy, frame: None if frame.size is None else xy * [1, -1] + [0, frame.size[1] - 1]
        ),
    }
    for side in _SIDES:
        changes[f"x,y are the upper left corners of boxes of {side} px, not their centres"] = _shifted(side / 2)
    double, mm = "coordinates are of an image with half the resolution: double them", "coordinates are in mm"
    changes[f"x and y are swapped, and {double}"] = lambda xy, frame: xy[:, ::-1] * 2
    changes[f"x and y are swapped, and {mm}"] = lambda xy, frame: (
        None if frame.mpp is None else xy[:, ::-1] * 1000 / np.array(frame.mpp)
    )
    return changes


def _shifted(by: float) -> Change:
    return lambda xy, frame: xy + by


def _changed(found: FoundFile, frames: Mapping[str, FrameInfo], change: Change) -> dict[str, Detections] | None:
    made = {}
    for id, detections in found.detections.items():
        xy = change(detections.xy, frames[id])
        if xy is None:
            return None
        made[id] = Detections.from_points(xy, detections.score, BOX_PX)
    return made

"""Combines a frame, its annotation and its detections into what the metrics are computed from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import FramePrediction
from mitobench.pipeline.workspace import Workspace

Floats = NDArray[np.float64]


def frame_prediction(
    workspace: Workspace, key: str, part: str, xy: Floats, score: Floats, boxes: Floats | None = None
) -> FramePrediction:
    """Returns a frame with its annotation and M detections at `xy` [M, 2] (px) with scores `score` [M].

    Their `boxes` [M, 4] (px) are needed by matchers that compare boxes.

    On the `val` part, the frame's id and group include the data set's name: thresholds may be chosen on the validation
    frames of several data sets, whose ids can be equal.
    """
    item = workspace.item(key)
    name, group = (key, workspace.group_of(key)) if part == "val" else (item.frame.id, item.frame.group)
    bare = FramePrediction.of(item.frame, item.mitoses, None)
    return replace(bare, frame=name, group=group, xy=xy, score=score, boxes=boxes)

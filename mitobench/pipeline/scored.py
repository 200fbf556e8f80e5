"""A frame of the workspace as it is scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import FramePrediction
from mitobench.pipeline.workspace import Workspace

Floats = NDArray[np.float64]


def scored(workspace: Workspace, key: str, part: str, xy: Floats, score: Floats) -> FramePrediction:
    """A frame with its annotation and with detections at `xy` [M, 2] px of `score` [M].

    On the `val` part it has its key as id and the data set in its group, as several data sets may choose together.
    """
    item = workspace.item(key)
    name, group = (key, workspace.tissue(key, slide=True)) if part == "val" else (item.frame.id, item.frame.group)
    return FramePrediction(name, group, item.frame.mpp, item.mitoses.xy, xy, score, item.mitoses.labelled)

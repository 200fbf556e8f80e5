"""The estimator's boxes against those of the masks, where there are masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mitobench.api import BoxEstimator, Mitoses
from mitobench.evaluate import score_boxes
from mitobench.pipeline import checks
from mitobench.pipeline.stages.boxes import seen_by
from mitobench.pipeline.stages.job import Job, write_json

Floats = NDArray[np.float64]


def box_scores(job: Job) -> None:
    """The estimator's boxes against those of the masks."""
    plugin = job.plugin()
    estimated, truth, covered = [np.zeros((0, 4))], [np.zeros((0, 4))], [np.zeros(0, dtype=bool)]
    for _, frame, mitoses in job.frames("test"):
        if not mitoses.labelled or mitoses.masks is None:
            continue
        shown = seen_by(plugin, mitoses)
        estimated.append(checks.boxes(plugin, frame, plugin.boxes(frame, shown), len(mitoses)))
        truth.append(_mask_boxes(mitoses))
        covered.append(checks.covered(plugin, frame, plugin.covered(frame, shown), len(mitoses)))
    looks = type(plugin).covered is not BoxEstimator.covered
    blobs = np.concatenate(covered) if looks else None
    _write_scores(job.folder, np.concatenate(estimated), np.concatenate(truth), blobs)


def _mask_boxes(mitoses: Mitoses) -> NDArray[np.float64]:
    masks = mitoses.masks or ()
    return np.array([(*mask.min(axis=0), *(mask.max(axis=0) + 1)) for mask in masks], dtype=np.float64).reshape(-1, 4)


def _write_scores(folder: Path, estimated: Floats, truth: Floats, covered: NDArray[np.bool_] | None) -> None:
    """Write the estimator's scores; an estimator that finds no blobs has no share of them."""
    scores = score_boxes(estimated, truth, ~covered if covered is not None else np.zeros(len(truth), dtype=bool))
    result = scores.model_dump()
    if covered is None:
        result |= {"covered": None, "fallback": None}
    write_json(folder / "box_scores.json", result)

"""Box scores: compares the estimator's boxes with the boxes of annotated masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitobench.api import BoxEstimator, Mitoses, mask_box
from mitobench.evaluate import score_boxes
from mitobench.pipeline import checks
from mitobench.pipeline.stages.boxes import visible_to
from mitobench.pipeline.stages.job import Job, write_json


def box_scores(job: Job) -> None:
    """Write the scores of the estimator's boxes against those of the masks, over all test frames that have masks."""
    plugin = job.plugin()
    estimated, truth, covered = [np.zeros((0, 4))], [np.zeros((0, 4))], [np.zeros(0, dtype=bool)]
    for _, frame, mitoses in job.frames("test"):
        if not mitoses.labelled or mitoses.masks is None:
            continue
        visible = visible_to(plugin, mitoses)
        estimated.append(checks.boxes(plugin, frame, plugin.boxes(frame, visible), mitoses.xy))
        truth.append(_mask_boxes(mitoses))
        covered.append(checks.covered(plugin, frame, plugin.covered(frame, visible), len(mitoses)))
    finds_blobs = type(plugin).covered is not BoxEstimator.covered
    blobs = np.concatenate(covered) if finds_blobs else None
    scores = score_boxes(np.concatenate(estimated), np.concatenate(truth), blobs)
    write_json(job.folder / "box_scores.json", scores.model_dump())


def _mask_boxes(mitoses: Mitoses) -> NDArray[np.float64]:
    return np.array([mask_box(mask) for mask in mitoses.masks or ()], dtype=np.float64).reshape(-1, 4)

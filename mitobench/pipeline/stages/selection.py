"""What validation chooses: candidate threshold (gate), fuser and threshold. It sees validation frames only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Fuser, Validation
from mitobench.evaluate import OperatingPoint, Sweep, choose_threshold
from mitobench.evaluate.matching import near
from mitobench.evaluate.operating_point import best_point
from mitobench.pipeline.stages import candidates
from mitobench.pipeline.stages.candidates import SplitCandidates, evaluated, fused_scores, rule
from mitobench.pipeline.stages.job import Job, write_json

# Shares of the validation mitoses among the candidates that a gate chosen on validation may give up.
GIVEN_UP = (0.02, 0.05, 0.1, 0.2)


def fuse(job: Job) -> None:
    """Choose gate, fuser and threshold: the gate whose fitted fuser has the best F1, the lowest of equals."""
    split = candidates.read(job, "val")
    hits = _near_mitosis(split, float(job.stage.settings["radius_um"]))
    tried = [(*_at(job, split, hits, gate), gate) for gate in _gates(job, split, hits)]
    _, fuser, point, gate = max(tried, key=lambda t: (t[0], np.inf if t[3] is None else -t[3]))
    keep = split.at_gate(gate)
    metrics = evaluated(job, split.scored(keep, fused_scores(fuser, split, keep)), point.threshold)
    alone = choose_threshold(split.frames, *rule(job))  # what the verifier has to beat
    (job.folder / "fuser").mkdir()
    fuser.save(job.folder / "fuser")
    write_json(
        job.folder / "operating_point.json",
        {
            "gate": None if split.verifier is None else gate,
            "gates": [[g, f1] for f1, _, _, g in tried],
            "fuser": fuser.chosen(),
            "point": point.model_dump(),
            "validation": metrics,
            "detector_alone": alone.model_dump(),
        },
    )
    job.progress(1, 1)


def _at(
    job: Job, split: SplitCandidates, hits: NDArray[np.bool_], gate: float | None
) -> tuple[float, Fuser, OperatingPoint]:
    """The fuser fitted on what passes a gate: its best validation F1, itself, and the threshold."""
    assert job.stage.plugin is not None
    keep = split.at_gate(gate)
    sweep = Sweep(split.scored(keep, split.detector[keep]), *rule(job))
    fuser = job.stage.plugin.create("cpu")
    verifier = split.detector if split.verifier is None else split.verifier
    fuser.fit(Validation(split.detector[keep], verifier[keep], hits[keep], sweep.best_f1))
    point = best_point(sweep.curve(fused_scores(fuser, split, keep)))
    return point.f1 or 0.0, fuser, point


def _gates(job: Job, split: SplitCandidates, hits: NDArray[np.bool_]) -> list[float | None]:
    """The gate as it is given; or, to be chosen, none and those that give up certain shares of the mitoses found."""
    given: float | str | None = job.stage.settings["gate"]
    if not isinstance(given, str):
        return [given]
    if split.verifier is None or not hits.any():
        return [None]
    quantiles = np.quantile(split.detector[hits], GIVEN_UP, method="lower")
    return [None, *sorted({float(np.nextafter(q, -np.inf)) for q in quantiles})]


def _near_mitosis(split: SplitCandidates, radius_um: float) -> NDArray[np.bool_]:
    """Which candidates show a mitosis, bool [N]."""
    frames = (near(frame.truth_xy, frame.xy, frame.mpp, radius_um) for frame in split.frames)
    return np.concatenate([np.zeros(0, dtype=bool), *frames])

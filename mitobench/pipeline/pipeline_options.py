"""Options of what mitobench does between the plugins: candidate threshold, candidates, what validation chooses by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mitobench import discovery
from mitobench.api import Options

VALIDATION: Literal["validation"] = "validation"
F1: Literal["f1"] = "f1"
Threshold = Annotated[float, Field(allow_inf_nan=False)] | Literal["validation"] | None

PIPELINE = "the pipeline"  # what messages call the owner of these options


class PipelineOptions(Options):
    """Options of what mitobench does between the plugins.

    Attributes:
        candidate_threshold: only detections with a detector score above it are verified (the paper's gate). One of: a
            number; `validation`, which chooses it on the validation frames; null, which keeps all detections; or a
            table of these by detector, in which detectors that are not named have `validation`.
        candidates: where the verifier's training candidates come from: `in-sample` (detections on the frames that the
            detector was fitted on, as in the paper) or `out-of-fold(k)` (k detectors are fitted, and each predicts
            frames that it was not fitted on).
        choose_by: what the candidate threshold and the fusion weight have the best of on validation: `f1` at the best
            threshold (the paper), or `average-precision`, which depends less on single detections where validation has
            few mitoses. The detection threshold always has the best F1.
    """

    renamed: ClassVar[Mapping[str, str]] = {"gate": "candidate_threshold"}

    candidate_threshold: Threshold | dict[str, Threshold] = VALIDATION
    candidates: Annotated[str, Field(pattern=r"^(in-sample|out-of-fold\(([2-9]|[1-9]\d+)\))$")] = "in-sample"
    choose_by: Literal["f1", "average-precision"] = F1

    @property
    def folds(self) -> int:
        """Number of detectors that are fitted to make training candidates; 0 for `in-sample`."""
        found = re.search(r"\d+", self.candidates)
        return int(found.group()) if found else 0

    def for_detector(self, name: str) -> PipelineOptions:
        """Returns the options for one detector, in which `candidate_threshold` is one value and not a table."""
        value = self.candidate_threshold
        family = value.get(discovery.split(name)[0], VALIDATION) if isinstance(value, dict) else value
        threshold = value.get(name, family) if isinstance(value, dict) else value
        return self.model_copy(update={"candidate_threshold": threshold})

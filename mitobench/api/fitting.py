"""What a plugin's `fit` gets: labelled frames or scored candidates, and the environment of the fit."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api.coordinates import Floats
from mitobench.api.detections import Candidates, Detections
from mitobench.api.frames import Frame, Mitoses
from mitobench.errors import PluginError


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of the points of one labelled frame by a frozen encoder: D numbers a point, float32.

    Attributes:
        mitoses: at `Sample.mitoses.xy`, [M, D].
        imposters: at `Sample.mitoses.imposters`, [K, D].
        candidates: at `Sample.candidates.xy`, [N, D].
    """

    mitoses: NDArray[np.float32]
    imposters: NDArray[np.float32]
    candidates: NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """One labelled frame, as a plugin's `fit` receives it.

    Attributes:
        frame: the frame.
        mitoses: its annotation.
        boxes: the box estimator's boxes, [N, 4] px, in the order of `mitoses.xy`; None for plugins that use no boxes.
        candidates: the detector's candidates; None except for verifiers.
        embeddings: of the mitoses, imposters and candidates; None except for an `EmbeddingVerifier`.
    """

    frame: Frame
    mitoses: Mitoses
    boxes: Floats | None = None
    candidates: Candidates | None = None
    embeddings: Embeddings | None = None


@dataclass(frozen=True)
class Validation:
    """The data that a fuser is fitted on: the candidates of all validation frames, concatenated.

    Attributes:
        detector: the detector's scores, [N].
        verifier: the verifier's scores of the same candidates, [N]; without a verifier the detector's again.
        is_mitosis: the labels of the candidates, bool [N].
        best_f1: takes fused scores, [N], and returns the best F1 over all thresholds, by the run's matching rule.
        frames: the frames, without annotation, if the fuser's `uses_candidates` is True; otherwise empty.
        detections: the candidates of each of `frames`; together they are the N candidates, in the same order.
        choose_by: takes fused scores, [N], and returns what weights should have the greatest value of
            (`pipeline.choose_by`); None: `best_f1`.
    """

    detector: Floats
    verifier: Floats
    is_mitosis: NDArray[np.bool_]
    best_f1: Callable[[Floats], float]
    frames: Sequence[Frame] = ()
    detections: Sequence[Detections] = ()
    choose_by: Callable[[Floats], float] | None = None

    def quality(self, scores: Floats) -> float:
        """Returns how good fused scores, [N], are, by what the run chooses by: the weights of the best are taken."""
        return (self.choose_by or self.best_f1)(scores)


def _harness_only(*arguments: object) -> Any:
    raise PluginError("Only the harness can match detections with mitoses: use the `Context` that `fit` is given.")


@dataclass
class Context:
    """The environment of a `fit`, given by the harness.

    Attributes:
        seed: the seed of this run. All randomness must come from it.
        device: `cpu` or `cuda`.
        work: a folder that is kept if the run is killed; `mitobench.training` stores checkpoints in it.
        upstream: the fitted plugins that `Plugin.requires` named, by role; a tuple, in the same order, for a role with
            a sequence of requirements.
        pretrained: the weights file that `Plugin.pretrained` returned; None means random weights.
        training_info: facts about this fit that readers of the record should know, as JSON values by name, for example
            the number of training patches. `fit` fills it, and the record stores it.
        progress: to be called with (steps done, steps in total) now and then.
        log: writes to the log file of the stage.
        amp: whether to train with mixed precision (CUDA only).
        rank: number of this process among those that fit together, from 0 on.
        world_size: how many processes fit together.
        log_scalar: takes (name, value, step) of a curve, for example a loss. `mitobench run --log tensorboard` shows
            it; otherwise it is dropped. Steps count from the beginning of the fit.
        label: labels detections on a training or validation frame, as the candidates that verifiers learn from are.
        radius_um: takes a frame, and returns the matching radius of its data set, um.
        validation_f1: takes a function that detects mitoses in a frame, and returns the best F1 over all thresholds on
            the validation frames, by the matcher `mitos`: nearest first, within the card's radius. NaN if these frames
            have no annotated mitosis.
    """

    seed: int
    device: str
    work: Path
    upstream: Mapping[str, Any] = field(default_factory=dict)
    pretrained: Path | None = None
    training_info: dict[str, Any] = field(default_factory=dict)
    progress: Callable[[int, int], None] = lambda done, total: None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("mitobench"))
    amp: bool = False
    rank: int = 0
    world_size: int = 1
    log_scalar: Callable[[str, float, int], None] = field(default=lambda name, value, step: None, repr=False)
    label: Callable[[Sample, Detections], Candidates] = field(default=_harness_only, repr=False)
    radius_um: Callable[[Frame], float] = field(default=_harness_only, repr=False)
    validation_f1: Callable[[Callable[[Frame], Detections]], float] = field(default=_harness_only, repr=False)

    @property
    def facts(self) -> dict[str, Any]:
        """Deprecated name of `training_info`."""
        warnings.warn("Context.facts is now called training_info.", DeprecationWarning, stacklevel=2)
        return self.training_info

"""The roles of plugins: the four interfaces, and that of verifiers which score the embeddings of a frozen encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from mitobench.api.coordinates import Floats
from mitobench.api.detections import Detections
from mitobench.api.fitting import Context, Sample, Validation
from mitobench.api.frames import Frame, Mitoses
from mitobench.api.plugin import Plugin


class BoxEstimator(Plugin):
    """Puts a box around every annotated mitosis, for detectors to learn from.

    Attributes:
        needs_masks: whether `boxes` needs the masks of the mitoses.
        learns_from_masks: whether `fit` needs frames with masks. `boxes` then works on frames without them.
    """

    needs_masks: ClassVar[bool] = False
    learns_from_masks: ClassVar[bool] = False

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learns from labelled frames, which have masks if `learns_from_masks` is True.

        Args:
            train: the frames to learn from.
            val: the validation frames.
            context: seed, device, folder, weights, and what the harness computes for the fit.
        """

    @abstractmethod
    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        """Returns a box for each of `mitoses.xy`, in the same order: [N, 4] px.

        Args:
            frame: the frame.
            mitoses: its annotation. `mitoses.masks` is set only if `needs_masks` is True.
        """

    def covered(self, frame: Frame, mitoses: Mitoses) -> NDArray[np.bool_]:
        """Returns which boxes follow a segmented blob and are not a fallback, bool [N].

        Only estimators that segment the frame override it; the record reports the fraction of such boxes.
        """
        return np.zeros(len(mitoses), dtype=bool)


def _raised(options: BaseModel, name: str, factor: float) -> Any:
    """Returns `factor` times the value of an option, at most its greatest allowed value."""
    value = getattr(options, name)
    if value is None:
        return None
    rules = type(options).model_fields[name].metadata
    greatest = [rule.le for rule in rules if getattr(rule, "le", None) is not None]
    return type(value)(min([value * factor, *greatest]))


class Detector(Plugin):
    """Finds candidates in a frame.

    Attributes:
        uses_boxes: False for a detector that does not learn from boxes; it is fitted once for all box estimators.
        limits: the options that limit how many candidates or proposals a frame gives, by name, each with a factor.
            `mitobench predict` multiplies them by it, so that a mitosis is found even where other candidates would fill
            the limit. Choose a large factor for a limit that costs no time, and a small one, such as 4, for one that
            does.
    """

    uses_boxes: ClassVar[bool] = True
    limits: ClassVar[Mapping[str, float]] = {}

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learns from labelled frames, which have boxes if `uses_boxes` is True.

        Args:
            train: the frames to learn from.
            val: the validation frames, for example to stop in time.
            context: seed, device, folder, weights, and what the harness computes for the fit.
        """

    @abstractmethod
    def predict(self, frame: Frame) -> Detections:
        """Returns all candidates of a frame, also unlikely ones, with scores that rank them.

        mitobench chooses the threshold. A place more than 1 px outside the frame is an error. For a frame without a
        candidate, return `Detections.none()`.

        Args:
            frame: a frame of any part, without its annotation.
        """

    def raise_limits(self) -> None:
        """Multiplies the options in `limits` by their factors, as far as their own limits allow.

        Called before `load`, for the detector of a packed model. A detector that consists of others passes it on.
        """
        raised = {name: _raised(self.options, name, factor) for name, factor in self.limits.items()}
        if raised:
            self.options = self.options.model_copy(update=raised)


class Verifier(Plugin):
    """Scores every candidate a second time.

    Attributes:
        verifies: do not set it; the plugin `none` alone sets it to False, and detections stay unverified.
    """

    verifies: ClassVar[bool] = True

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learns from labelled frames with candidates.

        Args:
            train: the frames to learn from, each with the detector's candidates and their labels.
            val: the validation frames, in the same form.
            context: seed, device, folder, weights, and what the harness computes for the fit.
        """

    @abstractmethod
    def score(self, frame: Frame, detections: Detections) -> Floats:
        """Returns the probability of mitosis, from 0 to 1, of each detection, in the same order: [N]."""


class EmbeddingVerifier(Verifier):
    """A verifier on a frozen encoder, which turns the surroundings of a point into an embedding: D numbers.

    In a run, embeddings are stages of their own: the encoder is stored once, and the points of a frame are embedded
    once for all seeds and for all options that only `fit` and `score_embedded` read. `fit` gets the embeddings as
    `Sample.embeddings`. A packed model contains the encoder.

    Attributes:
        encoder_options: names of the options that decide the encoder, for example its name and `pretrained`.
        embedding_options: names of the other options that `embed` reads, for example um/px and the side of a patch.
    """

    encoder_options: ClassVar[Collection[str]] = ()
    embedding_options: ClassVar[Collection[str]] = ()

    @classmethod
    def describe_encoder(cls, options: Any) -> dict[str, Any]:
        """Returns JSON values that decide the encoder besides `encoder_options` and the weights, for the cache key.

        `write_encoder` gets them. An example is the content of a file that says how the encoder is built.
        """
        return {}

    @abstractmethod
    def write_encoder(self, folder: Path, description: Mapping[str, Any], weights: Path | None) -> None:
        """Writes the encoder into an empty folder, as .safetensors and .json files.

        Args:
            folder: the folder, which `read_encoder` gets.
            description: what `describe_encoder` returned.
            weights: the file that `pretrained` returned; None means random weights, the same each time.
        """

    @abstractmethod
    def read_encoder(self, folder: Path) -> None:
        """Reads what `write_encoder` wrote; `embed` is called afterwards. `fit` and `load` do not need it."""

    @abstractmethod
    def embed(self, frame: Frame, xy: Floats) -> NDArray[np.float32]:
        """Returns the embeddings, [N, D], of the points `xy`, [N, 2] px. D is the same for all frames, N may be 0."""

    @abstractmethod
    def score_embedded(self, detections: Detections, embeddings: NDArray[np.float32]) -> Floats:
        """Returns the probability of mitosis of each detection, [N], from their embeddings, [N, D]."""

    def score(self, frame: Frame, detections: Detections) -> Floats:
        """Embeds the detections and scores them; used where no embeddings are stored."""
        return self.score_embedded(detections, self.embed(frame, detections.xy))


class Fuser(Plugin):
    """Combines the detector's and the verifier's score of each candidate.

    Attributes:
        uses_verifier: False if the detector's score is enough; no verifier is fitted then.
        needs_verifier: True if it cannot be combined with the verifier `none`.
        uses_candidates: True if it needs more than the two scores: `fit` then gets the frames and the candidates
            themselves, and `fuse_candidates` is called in place of `fuse`.
    """

    uses_verifier: ClassVar[bool] = True
    needs_verifier: ClassVar[bool] = False
    uses_candidates: ClassVar[bool] = False

    def fit(self, validation: Validation) -> None:
        """Chooses parameters on the candidates of the validation frames."""

    @abstractmethod
    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """Returns one score per candidate, [N], from the two scores, [N] each.

        It gets the candidates of one frame at a time, and a score must not depend on which others are with it: learn
        scales in `fit`.
        """

    def fuse_candidates(
        self, detector: Floats, verifier: Floats, frames: Sequence[Frame], detections: Sequence[Detections]
    ) -> Floats:
        """Returns one score per candidate, [N]. The harness calls it if `uses_candidates` is True, frame by frame.

        Args:
            detector: the detector's scores, [N].
            verifier: the verifier's scores, [N]; without a verifier the detector's again.
            frames: the frames, without annotation; in a run there is one.
            detections: the candidates of each frame; together they are the N candidates, in the same order.
        """
        return self.fuse(detector, verifier)

    def cross_fitted(self) -> Floats | None:
        """Returns a score for each of the validation candidates that `fit` learned from, [N], made without its label.

        A fuser that learns much from few candidates scores these better than any others, so that a threshold chosen
        with its own scores would be wrong on test frames. Such a fuser fits a second time without the slide of a
        candidate to score it. The harness then chooses thresholds with these scores. None: `fuse` is good enough.
        """
        return None

    def chosen(self) -> dict[str, Any]:
        """Returns what `fit` chose, as JSON values by name; the record stores it."""
        return {}

    def restore(self, chosen: Mapping[str, Any]) -> None:
        """Restores what `chosen` returned, read back from a record. A fuser that chooses nothing need not override it.

        Raises:
            PluginError: if `chosen` cannot have returned these values.
        """

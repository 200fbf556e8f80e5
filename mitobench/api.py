"""The four plugin interfaces of mitobench. A plugin needs to import this module only.

A plugin is a class with a `name`, a `version`, typed `Options`, and the methods of one of four roles (methods in
brackets are optional):

    BoxEstimator   puts a box around every annotated mitosis              (fit), boxes
    Detector       finds candidates in a whole frame                      (fit), predict
    Verifier       scores every candidate a second time                   (fit), score
    Fuser          combines the detector's and the verifier's scores      (fit), fuse

mitobench handles labels, thresholds and matching: plugins never see test labels, never choose a
threshold and never match detections with annotations.

**Coordinates** are always pixels (px) of the whole frame, `x` to the right and `y` down. **Whole numbers are the
centres of pixels**: pixel (i, j) covers [i - .5, i + .5) x [j - .5, j + .5), and a frame of W x H pixels covers
[-.5, W - .5) x [-.5, H - .5). Boxes are (x1, y1, x2, y2); the box around the pixels x = a to b reaches from a - .5 to
b + .5. `mask_box` and `clip_boxes` follow this convention. Libraries that count from the upper left corner of the first
pixel (MMDetection, PIL's `resize`, QuPath) use coordinates that are greater by .5.
"""

from __future__ import annotations

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from mitobench.content import File
from mitobench.errors import DataError, MitobenchError, PluginError, nearest
from mitobench.foreign.limits import MAX_OPTION
from mitobench.foreign.specs import are_foreign

__all__ = [
    "API_VERSION",
    "DOMAINS",
    "BoxEstimator",
    "Candidates",
    "Context",
    "DataError",
    "Detections",
    "Detector",
    "Domains",
    "EmbeddingVerifier",
    "Embeddings",
    "Field",
    "File",
    "Frame",
    "Fuser",
    "MitobenchError",
    "Mitoses",
    "Options",
    "Plugin",
    "PluginError",
    "Requirement",
    "Sample",
    "Validation",
    "Verifier",
    "are_foreign",
    "clip_boxes",
    "mask_box",
    "nearest",
    "square_boxes",
]

Floats = NDArray[np.float64]

# The version of these interfaces. It is raised by changes that break plugins written for the version before.
API_VERSION = 1


# ------------------------------------------------------------------------------------------------ coordinates


def mask_box(pixels: NDArray[np.int64]) -> Floats:
    """Returns the smallest box, [4] px, that contains all of the pixels.

    Args:
        pixels: (x, y) of each pixel, int [P, 2].
    """
    box: Floats = np.concatenate([pixels.min(axis=0) - 0.5, pixels.max(axis=0) + 0.5])
    return box


def clip_boxes(boxes: Floats, size: tuple[int, int]) -> Floats:
    """Cuts boxes off at the edges of a frame. Returns them, [N, 4] px.

    Args:
        boxes: (x1, y1, x2, y2) of each box, [N, 4] px.
        size: width and height of the frame, px.
    """
    clipped: Floats = boxes.clip(-0.5, np.tile(size, 2) - 0.5)
    return clipped


# ---------------------------------------------------------------------------------------------------- data


# The names of a frame's domains.
DOMAINS = ("scanner", "tumour", "lab", "species", "region")


class Domains(Mapping[str, str]):
    """The domains of a frame: a read-only mapping from some of the names in `DOMAINS` to texts.

    Args:
        values: texts by name. Empty texts are left out.

    Raises:
        DataError: if a name is not in `DOMAINS`.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = {name: str(value) for name, value in sorted((values or {}).items()) if value}
        for name in self._values:
            if name not in DOMAINS:
                raise DataError(f"Unknown domain {name!r}. {nearest(name, DOMAINS)}")

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass(frozen=True)
class Frame:
    """One image of a data set: one field of view of the microscope (a high-power field).

    Attributes:
        id: unique within its data set, for example `A00_01` (MITOS 2012) or `H03_00Aa` (MITOS 2014).
        dataset: name of the data set.
        group: slide or case, without the letter of the scanner: `03` for both `A03` and `H03`.
        scanner: `A` (Aperio) or `H` (Hamamatsu); another letter or word for other data.
        mpp: resolution along x and y, um/px.
        size: width and height, px.
        reader: returns the pixels. Must be picklable, because frames are sent to worker processes.
        domains: scanner, tumour type, laboratory, species and kind of region, as far as they are known, by the names in
            `DOMAINS`. Read-only. `scanner` here is the full name of the scanner, for people.
        context: width of the strips at the left, top, right and bottom, px, that only show what lies around. Detections
            in them are dropped, so a detector need not search them.

    Raises:
        DataError: if the resolution is outside 0.1-1.0 um/px, or a domain is unknown.
    """

    id: str
    dataset: str
    group: str
    scanner: str
    mpp: tuple[float, float]
    size: tuple[int, int]
    reader: Callable[[], NDArray[np.uint8]] = field(repr=False, compare=False)
    domains: Mapping[str, str] = field(default_factory=Domains, repr=False, compare=False, kw_only=True)
    context: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", Domains(self.domains))
        for axis, mpp in zip("xy", self.mpp, strict=True):
            if not 0.1 <= mpp <= 1.0:
                raise DataError(
                    f"{self.dataset}/{self.id}: {mpp:g} um/px along {axis} is outside 0.1-1.0. "
                    "Correct `mpp` on the data set's card."
                )

    @property
    def key(self) -> str:
        """`dataset/id`, which is unique across all data sets."""
        return f"{self.dataset}/{self.id}"

    def read(self) -> NDArray[np.uint8]:
        """Reads the pixels: uint8 RGB, [height, width, 3].

        Raises:
            DataError: if they have another type, shape or size.
        """
        pixels = self.reader()
        self._check(pixels, self.size)
        return pixels

    def region(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Reads a rectangle of the frame: uint8 RGB, [height, width, 3]. White outside the frame.

        Readers with a method `region` read no more than they must; of others, the whole frame is read.

        Args:
            x: the leftmost pixel; it may be outside the frame.
            y: the uppermost pixel; it may be outside the frame.
            width: width of the rectangle, px.
            height: height of the rectangle, px.

        Raises:
            DataError: if the reader returns pixels of another type, shape or size.
        """
        region = getattr(self.reader, "region", None)
        if region is not None:
            pixels: NDArray[np.uint8] = region(x, y, width, height)
            self._check(pixels, (width, height))
            return pixels
        whole, cut = self.read(), np.full((height, width, 3), 255, dtype=np.uint8)
        inside = whole[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        cut[max(-y, 0) :][: len(inside), max(-x, 0) :][:, : inside.shape[1]] = inside
        return cut

    def _check(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> None:
        if pixels.dtype != np.uint8 or pixels.shape != (size[1], size[0], 3):
            raise DataError(
                f"{self.key}: its pixels are {pixels.dtype} {list(pixels.shape)}, not uint8 {[size[1], size[0], 3]} "
                "(height, width, RGB). The file has changed, or its reader gives another size than its pixels have."
            )


@dataclass(frozen=True)
class Mitoses:
    """The annotation of one frame.

    Imposters are hard negatives: figures that look like mitoses and that the annotators marked as non-mitotic.

    Attributes:
        xy: centroids of the mitoses, [N, 2] px. The centroid of a mask is the mean of its pixels.
        masks: the pixels (x, y) of each mitosis, int [P, 2]; None if the data set has centroids only.
        imposters: centres of the imposters, [M, 2] px; empty if the data set does not annotate them.
        labelled: False if the labels are withheld (a contest's test set), in which case the arrays are empty.
        confidence: how sure the annotators are that each mitosis is one, [N], 0-1: a confidence that the data set
            gives, or the share of the votes for a mitosis. None if the data set has neither.
        imposter_confidence: the same of each imposter, [M]: the share that took it for a mitosis.

    Raises:
        DataError: if a confidence does not have one value for each point.
    """

    xy: Floats
    masks: tuple[NDArray[np.int64], ...] | None = None
    imposters: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    labelled: bool = True
    confidence: Floats | None = field(default=None, kw_only=True)
    imposter_confidence: Floats | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for values, points, what in (
            (self.confidence, self.xy, "mitoses"),
            (self.imposter_confidence, self.imposters, "imposters"),
        ):
            if values is not None and len(values) != len(points):
                raise DataError(f"{len(values)} confidences for {len(points)} {what}. Give one for each.")

    def __len__(self) -> int:
        return len(self.xy)


def square_boxes(xy: Floats, side: float) -> Floats:
    """Returns square boxes around points, [N, 4] px.

    Args:
        xy: the points, [N, 2] px.
        side: side of each box, px.
    """
    boxes: Floats = np.concatenate([xy - side / 2, xy + side / 2], axis=1)
    return boxes


def _scores(score: ArrayLike) -> Floats:
    scores: Floats = np.asarray(score, dtype=np.float64).reshape(-1)
    return scores


def _further(kind: ArrayLike | None, extra: Mapping[str, ArrayLike] | None) -> dict[str, Any]:
    """Returns the arguments `kind` and `extra` of `Detections`, as arrays."""
    arrays = {name: np.asarray(values) for name, values in (extra or {}).items()}
    return {"kind": None if kind is None else np.asarray(kind).reshape(-1), "extra": arrays}


@dataclass(frozen=True)
class Detections:
    """Candidates for mitoses on one frame, in pixels of the whole frame.

    Attributes:
        xy: centres, [N, 2] px.
        boxes: (x1, y1, x2, y2), [N, 4] px.
        score: [N]; a higher score means that a mitosis is more likely.
        kind: the detector's own class of each detection, int [N] or text [N]; None if it has none. Every detection is
            a candidate, whatever its kind.
        extra: further values of each detection by name, [N, ...]: an embedding, an angle, the scores of the members of
            an ensemble. Verifiers and fusers may use them; mitobench itself does not, and records do not hold them.
    """

    xy: Floats
    boxes: Floats
    score: Floats
    kind: NDArray[Any] | None = field(default=None, kw_only=True)
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict, kw_only=True)

    @classmethod
    def from_boxes(
        cls,
        boxes: ArrayLike,
        score: ArrayLike,
        *,
        kind: ArrayLike | None = None,
        extra: Mapping[str, ArrayLike] | None = None,
    ) -> Detections:
        """Makes detections from boxes; the centres are those of the boxes.

        Args:
            boxes: (x1, y1, x2, y2) of each detection, [N, 4] px.
            score: one score for each, [N]; higher means that a mitosis is more likely.
            kind: the detector's own class of each, int or text [N], if it has classes.
            extra: further values of each by name, [N, ...].
        """
        boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        return cls((boxes[:, :2] + boxes[:, 2:]) / 2, boxes, _scores(score), **_further(kind, extra))

    @classmethod
    def from_points(
        cls,
        xy: ArrayLike,
        score: ArrayLike,
        side: float = 30.0,
        *,
        kind: ArrayLike | None = None,
        extra: Mapping[str, ArrayLike] | None = None,
    ) -> Detections:
        """Makes detections from points, each with a square box around it.

        Args:
            xy: the points, [N, 2] px.
            score: one score for each, [N]; higher means that a mitosis is more likely.
            side: side of the boxes, px.
            kind: the detector's own class of each, int or text [N], if it has classes.
            extra: further values of each by name, [N, ...].
        """
        xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        return cls(xy, square_boxes(xy, side), _scores(score), **_further(kind, extra))

    @classmethod
    def none(cls) -> Detections:
        """Makes detections without a candidate: N = 0."""
        return cls.from_boxes(np.zeros((0, 4)), np.zeros(0))

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, keep: Any) -> Detections:
        """Selects detections by an index array or a boolean mask."""
        return Detections(self.xy[keep], self.boxes[keep], self.score[keep], **self._further(keep))

    def apart(self, mpp: tuple[float, float], distance_um: float) -> Detections:
        """Returns those that are at least `distance_um` from every better one that is returned, the best first.

        A detector that finds a cell several times gives a verifier several chances to call it a mitosis, and all but
        one of them are false positives. Boxes of different sizes on one cell overlap too little for non-maximum
        suppression. Of equal scores the first is kept.

        Args:
            mpp: um/px along x and y.
            distance_um: um; 0 keeps all.
        """
        from scipy.spatial import cKDTree

        order = np.argsort(-self.score, kind="stable")
        if not distance_um or len(self) < 2:
            return self[order]
        place = self.xy[order] * np.asarray(mpp)
        near: dict[int, list[int]] = {}
        for better, worse in cKDTree(place).query_pairs(distance_um * (1 - 1e-9)):
            near.setdefault(better, []).append(worse)
        keep = np.ones(len(order), dtype=bool)
        for better in sorted(near):
            if keep[better]:
                keep[near[better]] = False
        return self[order[keep]]

    def _further(self, keep: Any) -> dict[str, Any]:
        """Returns `kind` and `extra` of the selected detections."""
        kind = None if self.kind is None else self.kind[keep]
        return {"kind": kind, "extra": {name: values[keep] for name, values in self.extra.items()}}

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """Concatenates detections. Parts without a detection need not have `kind` and `extra` as the others do.

        Raises:
            PluginError: if the others do not all have the same kind of class, and extra arrays of the same names,
                shapes and types.
        """
        parts = [part for part in parts if len(part)] or list(parts[:1])
        if not parts:
            return cls.none()
        forms = list(dict.fromkeys(part.form for part in parts))
        if len(forms) > 1:
            raise PluginError(
                f"Detections have different `kind` or `extra`: {dict(forms[0])} here and {dict(forms[1])} there. "
                "Return the same names, shapes and types for every frame."
            )
        xy, boxes, score = (np.concatenate([getattr(p, name) for p in parts]) for name in ("xy", "boxes", "score"))
        kind = None if parts[0].kind is None else np.concatenate([p.kind for p in parts if p.kind is not None])
        extra = {name: np.concatenate([p.extra[name] for p in parts]) for name in parts[0].extra}
        return Detections(xy, boxes, score, kind=kind, extra=extra)

    @property
    def form(self) -> tuple[tuple[str, str], ...]:
        """Type of `kind`, and type and shape of each extra array, by name: equal for detections that go together."""
        kind = "" if self.kind is None else "text" if self.kind.dtype.kind == "U" else str(self.kind.dtype)
        arrays = {name: f"{values.dtype} {list(values.shape[1:])}" for name, values in sorted(self.extra.items())}
        return tuple({"kind": kind, **{f"extra {name}": form for name, form in arrays.items()}}.items())


@dataclass(frozen=True)
class Candidates(Detections):
    """Detections on a training frame with labels from the harness.

    Attributes:
        is_mitosis: bool [N]; True if the centre is within the data set's matching radius of an annotated mitosis.
    """

    is_mitosis: NDArray[np.bool_]

    def __getitem__(self, keep: Any) -> Candidates:
        """Selects candidates, with their labels, by an index array or a boolean mask."""
        labels = self.is_mitosis[keep]
        return Candidates(self.xy[keep], self.boxes[keep], self.score[keep], labels, **self._further(keep))

    @classmethod
    def of(cls, detections: Detections, is_mitosis: NDArray[np.bool_]) -> Candidates:
        """Returns detections with labels.

        Args:
            detections: N detections on one frame.
            is_mitosis: the label of each, bool [N].
        """
        return cls(
            detections.xy,
            detections.boxes,
            detections.score,
            is_mitosis,
            kind=detections.kind,
            extra=detections.extra,
        )

    def unlabelled(self) -> Detections:
        """Returns the candidates as a detector returned them, without labels."""
        return Detections(self.xy, self.boxes, self.score, kind=self.kind, extra=self.extra)


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


# ------------------------------------------------------------------------------------------------- plugins


class Options(BaseModel):
    """Base class of a plugin's options: typed, documented, each with a default. Unknown names are refused.

    Attributes:
        renamed: old names of options, each with its current name. An old name is still accepted, so that the profiles,
            records and models of earlier versions keep working; giving both names is an error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    renamed: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        old_names: dict[str, list[str]] = {}
        for old, current in cls.renamed.items():
            if current not in cls.model_fields or old in cls.model_fields:
                raise TypeError(
                    f"{cls.__name__}.renamed = {{{old!r}: {current!r}}}: the key must be a name that is no longer an "
                    "option, the value the option's current name."
                )
            old_names.setdefault(current, []).append(old)
        for current, olds in old_names.items():
            cls.model_fields[current].validation_alias = AliasChoices(current, *olds)
        if old_names:
            cls.model_rebuild(force=True)

    @model_validator(mode="after")
    def _bounded(self) -> Options:
        """Refuses integers that no machine could handle: options also come from untrusted profiles and records."""
        for name, value in self:
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(one, int) and abs(one) > MAX_OPTION for one in numbers):
                raise ValueError(f"{name} is beyond {MAX_OPTION:,}, the limit for whole numbers")
        return self


@dataclass(frozen=True)
class Requirement:
    """Another plugin that must be fitted before this one.

    A single requirement gives a plugin to take weights from: options that only prediction reads have their defaults. A
    sequence of requirements gives plugins that are ready to predict, with all options of the run; plugins that learn
    nothing are then allowed too.

    Attributes:
        name: the plugin's name. Its role is the key in the mapping that `Plugin.requires` returns.
        options: option values that the other plugin must have; its other options are those of the run.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


Need = tuple[Literal["external", "download"], str]


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


HUBS = ("hf-hub:", "hf_hub:", "http://", "https://")


def _remote(name: str, value: Any) -> Iterator[str]:
    """Yields `NAME=TEXT` for each text in an option's value that names a hub or an address."""
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else (value,)
    for text in values:
        if text is not value and isinstance(text, Mapping | list | tuple):
            yield from _remote(name, text)
        elif isinstance(text, str):
            remote = text.strip().lower().startswith(HUBS) or (name == "pretrained" and text.strip() == "timm")
            yield from (f"{name}={text}",) if remote else ()


class Plugin(ABC):
    """Base class of all four roles. A plugin without a `fit` learns nothing and needs no `save` and `load`.

    Attributes:
        name: the name of its entry point.
        version: version of the method. Raise it when the plugin's results change.
        api_version: the `API_VERSION` that the plugin is written for. mitobench rejects a plugin written for another.
        Options: class of its options.
        argument: makes the class a family, whose members are written `NAME:ARGUMENT`: the name of the option that the
            text after the colon sets. None: the plugin takes no argument.
        example: an argument, for messages about a missing one.
        schedule: names of the options that count optimizer steps; `--scale` multiplies all of them.
        inference_options: names of the options that only prediction reads. Changing one reuses the existing fit.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    api_version: ClassVar[int] = 1
    Options: ClassVar[type[Options]] = Options
    argument: ClassVar[str | None] = None
    example: ClassVar[str] = "..."
    schedule: ClassVar[Collection[str]] = ()
    inference_options: ClassVar[Collection[str]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "at_prediction" in vars(cls):  # the attribute's name before `inference_options`
            warnings.warn(
                f"{cls.__name__}.at_prediction is now called inference_options.", DeprecationWarning, stacklevel=2
            )
            if "inference_options" not in vars(cls):
                cls.inference_options = vars(cls)["at_prediction"]

    def __init__(self, options: BaseModel | None = None, device: str = "cpu") -> None:
        self.options: Any = options if options is not None else self.Options()
        self.device = device

    def save(self, folder: Path) -> None:  # noqa: B027 - optional
        """Writes what `fit` learned into an empty folder."""

    def load(self, folder: Path) -> None:  # noqa: B027 - optional
        """Reads what `save` wrote. Predictions must then equal those of the plugin that was saved."""

    @classmethod
    def requires(cls, options: Any) -> Mapping[str, Requirement | Sequence[Requirement]]:
        """Names the plugins that must be fitted before this one, by role; `fit` gets them in `context.upstream`."""
        return {}

    @classmethod
    def trusts(cls, options: Any) -> Sequence[Need]:
        """Returns the programs and downloads of these options, which need the user's permission.

        By default, these are the options that name a hub or an address. `mitobench run` allows the commands that the
        user typed; everything else needs `--allow-external` or `--allow-download`.

        Returns:
            (kind, text) for each. Kind `external`: it runs a program, and the text is the whole command. Kind
                `download`: it contacts a hub, and the text says which one and for what.
        """
        return [("download", text) for name, value in options for text in _remote(name, value)]

    @classmethod
    def trusts_saved(cls, options: Any, folder: Path) -> Sequence[Need]:
        """Returns what `trusts` does, for a plugin that `save` wrote to a folder. Called before `load`.

        A plugin whose folder says more than its options about programs and downloads, such as a union, overrides it.
        The folder may come from anybody.
        """
        return cls.trusts(options)

    @classmethod
    def pretrained(cls, options: Any) -> Path | None:
        """Returns the file of pretrained weights, which `fit` gets in `context.pretrained`; None means random weights.

        The file's SHA-256 is part of the fit's cache key. `mitobench.training.find_weights` looks for such a file.
        """
        return None

    def exportable(self) -> Any:
        """Returns the fitted network for `mitobench export`, as a `mitobench.training.Exportable`.

        Raises:
            PluginError: if the plugin has no network that can be exported. The message says why.
        """
        if not self.learns():
            raise PluginError(f"{self.name} learns nothing, so it has no network")
        raise PluginError(f"{self.name} does not say how its network is exported. Its author can define `exportable`.")

    def use_exported(self, run: Callable[[Any], Any]) -> None:
        """Predicts with another implementation of the network that `exportable` returns.

        Args:
            run: takes the input of that network, and returns its output.

        Raises:
            PluginError: if the plugin cannot use one.
        """
        raise PluginError(f"{self.name} cannot use an exported network")

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the full spelling of an argument: two spellings of one member must give the same.

        Args:
            argument: the text after the colon of `NAME:ARGUMENT`, as the user wrote it.

        Raises:
            MitobenchError: if the family does not know the argument. The message lists similar ones.
        """
        return argument

    @classmethod
    def describe(cls, options: Any) -> Mapping[str, Any]:
        """Returns facts for `mitobench info`, by name: number of parameters, um/px, licence of the weights, ...

        It may build the network, and must not open a connection. Only called for plugins and members of families, never
        for a family without its argument.
        """
        return {}

    @classmethod
    def is_path(cls, argument: str) -> bool:
        """Returns whether an argument of the family is a path. Paths named by records or models are never opened."""
        return False

    @classmethod
    def takes_over(cls, options: Any) -> bool:
        """Returns whether a fit with these options trains nothing: it only copies the network that `pretrained` names.

        Such a fit gets no boxes, and a verifier's no candidates on training frames.
        """
        return False

    @classmethod
    def learns(cls) -> bool:
        """Returns whether the class defines a `fit`."""
        return next(base.__module__ for base in cls.__mro__ if "fit" in vars(base)) != __name__


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
        """Returns one score per candidate, [N], from the two scores, [N] each."""

    def fuse_candidates(
        self, detector: Floats, verifier: Floats, frames: Sequence[Frame], detections: Sequence[Detections]
    ) -> Floats:
        """Returns one score per candidate, [N]. The harness calls it if `uses_candidates` is True.

        Args:
            detector: the detector's scores, [N].
            verifier: the verifier's scores, [N]; without a verifier the detector's again.
            frames: the frames, without annotation.
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

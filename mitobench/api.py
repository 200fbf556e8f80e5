"""The four interfaces of mitobench: the only module that a plugin must import.

A plugin is a class with a `name`, a `version`, typed `Options`, and the methods of one of the four roles:

    BoxEstimator   a box for every annotated mitosis                (fit), boxes
    Detector       candidates in a whole frame                      fit, predict
    Verifier       a second opinion on every candidate              fit, score
    Fuser          one score out of the detector's and verifier's   (fit), fuse

The harness owns everything a benchmark can get wrong: plugins see no test label, pick no threshold and match
nothing.

Coordinates are always whole-frame pixels, `x` to the right, `y` down, and **whole numbers are the centres of pixels**:
pixel (i, j) covers [i - .5, i + .5) x [j - .5, j + .5), and a frame of W x H pixels [-.5, W - .5) x [-.5, H - .5).
Boxes are (x1, y1, x2, y2): that of the pixels x = a to b is from a - .5 to b + .5, so that a box's centre is the
centroid of a symmetric mask in it. `mask_box` and `clip_boxes` keep to this. Libraries that count from the upper left
corner of the first pixel (MMDetection, PIL's `resize`, QuPath) have coordinates that are greater by .5.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mitobench.content import File
from mitobench.errors import DataError, MitobenchError, PluginError
from mitobench.foreign.limits import MAX_OPTION

__all__ = [
    "API_VERSION",
    "BoxEstimator",
    "Candidates",
    "Context",
    "DataError",
    "Detections",
    "Detector",
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
    "clip_boxes",
    "mask_box",
    "square_boxes",
]

Floats = NDArray[np.float64]

# Of this module's interfaces; raised by a change that a plugin written before it may not survive.
API_VERSION = 1


# ------------------------------------------------------------------------------------------------ coordinates


def mask_box(pixels: NDArray[np.int64]) -> Floats:
    """The smallest box [4] px that holds all of the pixels (x, y), int [P, 2]."""
    box: Floats = np.concatenate([pixels.min(axis=0) - 0.5, pixels.max(axis=0) + 0.5])
    return box


def clip_boxes(boxes: Floats, size: tuple[int, int]) -> Floats:
    """The part of boxes [N, 4] px within a frame of `size` (width, height) px."""
    clipped: Floats = boxes.clip(-0.5, np.tile(size, 2) - 0.5)
    return clipped


# ---------------------------------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Frame:
    """One high-power field.

    Attributes:
        id: unique within its data set, for example `A00_01` (2012) or `H03_00Aa` (2014).
        dataset: name of the data set it comes from.
        group: slide or case without the scanner's letter: `03` for both `A03` and `H03`.
        scanner: `A` (Aperio) or `H` (Hamamatsu).
        mpp: um/px along x and y.
        size: width and height in px; the frame covers [-.5, width - .5) x [-.5, height - .5).
        reader: returns the pixels; picklable, so that a frame travels to a worker process.
    """

    id: str
    dataset: str
    group: str
    scanner: str
    mpp: tuple[float, float]
    size: tuple[int, int]
    reader: Callable[[], NDArray[np.uint8]] = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        for axis, mpp in zip("xy", self.mpp, strict=True):
            if not 0.1 <= mpp <= 1.0:
                raise DataError(
                    f"{self.dataset}/{self.id}: {mpp:g} um/px along {axis} is outside 0.1-1.0. "
                    "Correct `mpp` on the data set's card."
                )

    @property
    def key(self) -> str:
        """`dataset/id`: unique over all data sets."""
        return f"{self.dataset}/{self.id}"

    def read(self) -> NDArray[np.uint8]:
        """The pixels, uint8 RGB, [height, width, 3]."""
        return self.reader()


@dataclass(frozen=True)
class Mitoses:
    """What is annotated on one frame.

    Attributes:
        xy: centroids, [N, 2] px; that of a mask is the mean of its pixels, whose centres are whole numbers.
        masks: for each mitosis its pixels (x, y), int [P, 2]; None where a data set has centroids only.
        imposters: centres of annotated look-alikes, [M, 2] px; empty where a data set has none.
        labelled: an unlabelled frame (a withheld test set) is not an empty one.
    """

    xy: Floats
    masks: tuple[NDArray[np.int64], ...] | None = None
    imposters: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    labelled: bool = True

    def __len__(self) -> int:
        return len(self.xy)


def square_boxes(xy: Floats, side: float) -> Floats:
    """Squares of `side` px around points ([N, 2] px): boxes, [N, 4] px."""
    boxes: Floats = np.concatenate([xy - side / 2, xy + side / 2], axis=1)
    return boxes


@dataclass(frozen=True)
class Detections:
    """Candidates on one frame, in whole-frame pixels, the centres of which are whole numbers.

    Attributes:
        xy: centres, [N, 2] px.
        boxes: [N, 4] px (x1, y1, x2, y2); a box round the pixels a to b is from a - .5 to b + .5.
        score: [N], higher is more likely a mitosis.
    """

    xy: Floats
    boxes: Floats
    score: Floats

    @classmethod
    def from_boxes(cls, boxes: ArrayLike, score: ArrayLike) -> Detections:
        """Detections whose centres are the centres of their boxes ([N, 4] px)."""
        boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        return cls((boxes[:, :2] + boxes[:, 2:]) / 2, boxes, np.asarray(score, dtype=np.float64).reshape(-1))

    @classmethod
    def from_points(cls, xy: ArrayLike, score: ArrayLike, side: float = 30.0) -> Detections:
        """Detections around points ([N, 2] px), each with a square box of `side` px."""
        xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        return cls(xy, square_boxes(xy, side), np.asarray(score, dtype=np.float64).reshape(-1))

    @classmethod
    def none(cls) -> Detections:
        """No candidate at all."""
        return cls.from_boxes(np.zeros((0, 4)), np.zeros(0))

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, keep: Any) -> Detections:
        """The detections that an index array or boolean mask keeps."""
        return Detections(self.xy[keep], self.boxes[keep], self.score[keep])


@dataclass(frozen=True)
class Candidates(Detections):
    """Detections that the harness has labelled.

    Attributes:
        is_mitosis: bool [N], True where the centre is within the data set's radius of an annotated mitosis.
    """

    is_mitosis: NDArray[np.bool_]

    def __getitem__(self, keep: Any) -> Candidates:
        """The candidates that an index array or boolean mask keeps, with their labels."""
        return Candidates(self.xy[keep], self.boxes[keep], self.score[keep], self.is_mitosis[keep])


@dataclass(frozen=True)
class Sample:
    """One labelled frame as a plugin's `fit` sees it.

    Attributes:
        frame: the frame.
        mitoses: its annotation.
        boxes: the estimator's boxes, [N, 4] px aligned with `mitoses.xy`; None for a plugin that uses no boxes.
        candidates: the detector's candidates; None except in a verifier's `fit`.
    """

    frame: Frame
    mitoses: Mitoses
    boxes: Floats | None = None
    candidates: Candidates | None = None


@dataclass(frozen=True)
class Validation:
    """What a fuser is fitted on: the candidates of all validation frames, one after the other.

    Attributes:
        detector: the detector's scores, [N].
        verifier: the verifier's scores, [N], aligned.
        is_mitosis: bool [N].
        best_f1: of fused scores [N], the best F1 over all thresholds by the data set's protocol.
    """

    detector: Floats
    verifier: Floats
    is_mitosis: NDArray[np.bool_]
    best_f1: Callable[[Floats], float]


# ------------------------------------------------------------------------------------------------- plugins


class Options(BaseModel):
    """Base of every plugin's options: typed, documented, with defaults; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _bounded(self) -> Options:
        """No whole number is beyond what a machine could do: options come from profiles and records of strangers."""
        for name, value in self:
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(one, int) and abs(one) > MAX_OPTION for one in numbers):
                raise ValueError(f"{name} is beyond {MAX_OPTION:,}, the limit for whole numbers")
        return self


@dataclass(frozen=True)
class Requirement:
    """Another plugin whose fitted stage this one starts from.

    Attributes:
        name: the plugin's name, in the role under which the requirement is listed.
        options: options that must hold there; all others are as the run has them.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Context:
    """What the harness gives to `fit`.

    Attributes:
        seed: of this run; all randomness must come from it.
        device: `cpu` or `cuda`.
        work: a folder that survives a killed run; `mitobench.training` keeps its checkpoints there.
        upstream: the fitted plugins that `requires` named, by role.
        pretrained: the file that `Plugin.pretrained` named; None: start from random weights.
        training_info: what a reader should know of this fit, by name: put JSON values here, and the record has them.
        progress: call with (done, total) now and then.
        log: goes to the stage's log file.
        amp: whether mixed precision is wanted (CUDA only).
        rank, world_size: of this process among those that fit together.
    """

    seed: int
    device: str
    work: Path
    upstream: Mapping[str, Plugin] = field(default_factory=dict)
    pretrained: Path | None = None
    training_info: dict[str, Any] = field(default_factory=dict)
    progress: Callable[[int, int], None] = lambda done, total: None
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("mitobench"))
    amp: bool = False
    rank: int = 0
    world_size: int = 1


class Plugin(ABC):
    """What all four roles share. A plugin without `fit` learns nothing and needs no `save` and `load`.

    Attributes:
        name, version: of the plugin.
        api_version: the `API_VERSION` that it is written for; mitobench loads no plugin of another.
        Options: its options.
        argument: makes the class a family, written `NAME:ARGUMENT`: the option that the text after the colon sets.
        example: an argument, for messages.
        schedule: options counted in optimizer steps; a run that shortens its schedules shortens these together.
        at_prediction: options that `fit` does not read: another value of one needs no other fit.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    api_version: ClassVar[int] = 1
    Options: ClassVar[type[Options]] = Options
    argument: ClassVar[str | None] = None
    example: ClassVar[str] = "..."
    schedule: ClassVar[Collection[str]] = ()
    inference_options: ClassVar[Collection[str]] = ()

    def __init__(self, options: BaseModel | None = None, device: str = "cpu") -> None:
        self.options: Any = options if options is not None else self.Options()
        self.device = device

    def save(self, folder: Path) -> None:  # noqa: B027 - optional
        """Write what `fit` learned into an empty folder."""

    def load(self, folder: Path) -> None:  # noqa: B027 - optional
        """Read what `save` wrote; predictions must then be those of the saved plugin."""

    @classmethod
    def requires(cls, options: Any) -> Mapping[str, Requirement]:
        """Plugins whose fitted stage this one starts from, by role; `fit` finds them in `context.upstream`."""
        return {}

    @classmethod
    def pretrained(cls, options: Any) -> Path | None:
        """The file of weights that `fit` starts from and finds in `context.pretrained`; None: random ones.

        Its content is part of what the fit is known by. `mitobench.training.find_weights` looks for one.
        """
        return None

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the full spelling of an argument: two spellings of one member must give the same.

        Raises MitobenchError, with similar ones, for an argument that the family does not know.
        """
        return argument

    @classmethod
    def learns(cls) -> bool:
        """Whether the class has a `fit` of its own."""
        return next(base.__module__ for base in cls.__mro__ if "fit" in vars(base)) != __name__


class BoxEstimator(Plugin):
    """Gives every annotated mitosis a box. `needs_masks`: works only where the data set has masks."""

    needs_masks: ClassVar[bool] = False
    learns_from_masks: ClassVar[bool] = False

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learn from frames with masks (`learns_from_masks`) before serving frames without."""

    @abstractmethod
    def boxes(self, frame: Frame, mitoses: Mitoses) -> Floats:
        """Boxes around `mitoses.xy`: [N, 4] px, aligned. Masks are there only for a plugin that `needs_masks`."""

    def covered(self, frame: Frame, mitoses: Mitoses) -> NDArray[np.bool_]:
        """Which mitoses a blob was found for, bool [N]; only for estimators that look for blobs and may fall back."""
        return np.zeros(len(mitoses), dtype=bool)


class Detector(Plugin):
    """Finds candidates. `uses_boxes` False: trains the same for every estimator and is trained once."""

    uses_boxes: ClassVar[bool] = True

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learn from labelled frames with boxes."""

    @abstractmethod
    def predict(self, frame: Frame) -> Detections:
        """Candidates down to a low score floor, not thresholded."""


class Verifier(Plugin):
    """Looks again at every candidate. `verifies` False: has no opinion (the plugin `none`)."""

    verifies: ClassVar[bool] = True

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learn from labelled frames with candidates."""

    @abstractmethod
    def score(self, frame: Frame, detections: Detections) -> Floats:
        """The probability of mitosis of each detection: [N], aligned. It can neither add nor drop."""


class Fuser(Plugin):
    """Joins both scores. `uses_verifier` False: the detector's is enough; `needs_verifier` True: needs both."""

    uses_verifier: ClassVar[bool] = True
    needs_verifier: ClassVar[bool] = False

    def fit(self, validation: Validation) -> None:
        """Choose parameters on validation candidates."""

    @abstractmethod
    def fuse(self, detector: Floats, verifier: Floats) -> Floats:
        """One score a candidate: [N] from [N] and [N]."""

    def chosen(self) -> dict[str, Any]:
        """What `fit` chose, for the record: JSON values only."""
        return {}

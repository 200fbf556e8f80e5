"""Reads and writes `model.json`: what a model is, where it comes from, and the digest of every file in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from mitobench import foreign
from mitobench.errors import MitobenchError, nearest, wrong_fields
from mitobench.evaluate.uncertainty import Interval
from mitobench.foreign.limits import MAX_CARD_BYTES, MAX_WEIGHTS_BYTES
from mitobench.foreign.strict import Strict
from mitobench.model import CARD as CARD
from mitobench.pipeline import canonical

BUNDLED = "bundled"
FORMAT: Literal[1] = 1
_OPTIONAL = ("ranges", "calibration", "onnx", "repacked")


class PackedPlugin(Strict):
    """A plugin of a model. `package` is the package to install; `version` is that of the plugin and of the package."""

    name: str
    package: str
    version: str
    options: dict[str, Any]


Finite = Annotated[float, Field(allow_inf_nan=False)]
Mpp = Annotated[float, Field(ge=0.01, le=10)]


class PackedPlugins(Strict):
    """The plugins of a model. A model without a verifier has `none`."""

    detector: PackedPlugin
    verifier: PackedPlugin
    fuser: PackedPlugin


class MeasuredScores(Strict):
    """The record's scores on the test part of its data set, for one seed."""

    dataset: str
    protocol: str
    seed: int
    f1: float | None
    f1_interval: Interval | None


class PackedFile(Strict):
    """SHA-256 and size of a file in the folder."""

    sha256: str
    bytes: int


class Range(Strict):
    """From `low` to `high`."""

    low: Finite
    high: Finite


class TrainingRanges(Strict):
    """What the training frames look like, against which images are compared.

    Attributes:
        frames, patches: number of frames and of parts of them that were measured.
        mpp: um/px of the training frames.
        values: 1st to 99th percentile over the parts, by the names of `slides.appearance.MEASURES`.
    """

    frames: int
    patches: int
    mpp: Range
    values: dict[str, Range]


class Calibration(Strict):
    """How the threshold was chosen on a user's own images. The scores are those on these images.

    Attributes:
        threshold_before: the threshold of the model as it was packed, to which `measured` refers.
        images, slides, mitoses: numbers of labelled images, their slides, and their mitoses.
        digest: SHA-256 of the images and their annotation.
        matcher, radius_um: which detections are hits.
        precision, recall, f1, f1_interval: at the new threshold.
        f1_before, f1_before_interval: at `threshold_before`.
    """

    threshold_before: Finite
    images: int
    slides: int
    mitoses: int
    digest: str
    matcher: str
    radius_um: Finite
    precision: float | None
    recall: float | None
    f1: float | None
    f1_interval: Interval | None
    f1_before: float | None
    f1_before_interval: Interval | None


class Repacked(Strict):
    """Options that were changed when the model was packed, and the threshold chosen again on the validation frames.

    Attributes:
        options: the options that were changed, `ROLE.OPTION`, each with its value in the record and its new value.
        threshold_before: the threshold of the record, to which `measured` refers.
        frames, mitoses: of validation.
        matcher, radius_um: which detections are hits.
        precision, recall, f1: on the validation frames at the new threshold, as the packed model finds mitoses.
        f1_before: on the validation frames according to the record.
    """

    options: dict[str, tuple[Any, Any]]
    threshold_before: Finite
    frames: int
    mitoses: int
    matcher: str
    radius_um: Finite
    precision: float | None
    recall: float | None
    f1: float | None
    f1_before: float | None


class ModelCard(Strict, populate_by_name=True):
    """The content of `model.json`.

    Attributes:
        title: shown to users.
        record, record_digest: the record that the model was packed from.
        combination: names of the plugins and data sets, and the seed.
        train_on: numbers of frames for fitting (`train`) and for choosing thresholds (`val`), by data set.
        notes: notes of the record, for example trained from scratch, shared slides or partial data.
        plugins: the detector, verifier and fuser (stored as `parts`).
        candidate_threshold: detections at or below it are dropped before verification; None: no detection is dropped.
            The paper calls it a gate; it is stored as `gate`.
        threshold: a score at or above it is a mitosis; chosen on validation frames, or as `calibration` says.
        mpp: um/px at which the model works.
        measured: its F1 according to the record.
        half: whether the weights were rounded to 16 bits after F1 was measured.
        ranges: what the training frames look like; None: not measured, as in older models.
        calibration: how the threshold was chosen on a user's own images; None: on validation frames.
        onnx: roles whose networks ONNX Runtime runs on a CPU; None: torch runs all.
        repacked: what was changed when the model was packed; None: nothing.
        files: all other files of the folder, by path within it.
        digest: digest over all of the above.
    """

    format: Literal[1] = FORMAT
    title: str
    record: str
    record_digest: str
    combination: dict[str, Any]
    train_on: dict[str, dict[str, int]]
    notes: list[str]
    plugins: PackedPlugins = Field(validation_alias="parts", serialization_alias="parts")
    candidate_threshold: Finite | None = Field(validation_alias="gate", serialization_alias="gate")
    threshold: Finite
    mpp: Mpp
    measured: MeasuredScores
    half: bool
    ranges: TrainingRanges | None = None
    calibration: Calibration | None = None
    onnx: tuple[str, ...] | None = None
    repacked: Repacked | None = None
    files: dict[str, PackedFile] = Field(default_factory=dict)
    digest: str = ""

    def as_json(self, *exclude: str) -> dict[str, Any]:
        """The content of `model.json`, under the stored names. Fields that older models lack are left out if empty."""
        absent = {name for name in _OPTIONAL if getattr(self, name) is None}
        return self.model_dump(mode="json", by_alias=True, exclude={*exclude, *absent})

    def sealed(self) -> ModelCard:
        """Returns the card with its digest."""
        return self.model_copy(update={"digest": canonical.digest(self.as_json("digest"))})

    @property
    def measured_threshold(self) -> float:
        """The threshold that `measured` refers to: that of the packed model, before any calibration."""
        if self.repacked:
            return self.repacked.threshold_before
        return self.calibration.threshold_before if self.calibration else self.threshold

    @property
    def size_mb(self) -> float:
        """Size of all files together, MB."""
        return sum(file.bytes for file in self.files.values()) / 1e6


def write(folder: Path, card: ModelCard) -> ModelCard:
    """Writes the card with the digests of all files in `folder`; returns it."""
    card = card.model_copy(update={"files": _files(folder)}).sealed()
    text = json.dumps(card.as_json(), sort_keys=True, indent=1, allow_nan=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
    return card


def read(folder: Path) -> ModelCard:
    """Reads the card of a model folder and verifies all files against it.

    Raises MitobenchError if the folder is not a model or has another format, and if a file is missing, altered or not
    listed in the card.
    """
    card = read_unverified(folder)
    _verify(folder, card)
    return card


def read_unverified(folder: Path) -> ModelCard:
    """Reads the card of a model folder alone. Raises MitobenchError if it is not a card or was changed."""
    path = folder / CARD
    if not path.exists():
        raise MitobenchError(
            f"{folder}: is not a model folder: it has no {CARD}. `mitobench pack RECORD --out FOLDER` writes one."
        )
    content = foreign.read_json(path, MAX_CARD_BYTES, "model's card")
    try:
        if isinstance(content, dict) and content.get("format") != FORMAT:
            raise MitobenchError(
                f"{path}: has format {content.get('format')!r}, but this version of mitobench reads {FORMAT}. "
                "Pack the model again with this version, or use the version that packed it."
            )
        card = ModelCard.model_validate(content)
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise MitobenchError(f"{path}: is not a valid model card: {wrong}. Pack the model again.") from reason
    if card.sealed().digest != card.digest:
        raise MitobenchError(
            f"{path}: was changed after it was written: its digest does not match. Pack the model again. To use "
            "another threshold, give --threshold."
        )
    return card


def find(name: str | None) -> Path:
    """Returns the folder of a model.

    Args:
        name: a known model (`known.known_models`), a folder, or an address (`fetching.FORM`); None or `bundled`: the
            only model folder in the registry.

    Raises MitobenchError if there is no such model, if it would have to be downloaded and that is not allowed, or,
    without a name, if the registry has none or several.
    """
    from mitobench.model import fetching
    from mitobench.model.known import Origin, known_models

    known = known_models()
    bundled = [entry for entry in known.values() if entry.origin == Origin.BUNDLED]
    name = None if name == BUNDLED else name
    if name is not None and fetching.is_remote(name):
        return fetching.fetch(name)
    if name is None and len(bundled) == 1:
        return bundled[0].path
    if name is None and bundled:
        names = ", ".join(entry.name for entry in bundled)
        raise MitobenchError(f"Several models are available: {names}. Choose one by its name.")
    if name is None:
        raise MitobenchError(
            "This installation of mitobench has no bundled model. Pack a finished run with "
            "`mitobench pack RECORD --out FOLDER`, then give this folder as the model."
        )
    if name in known:
        return known[name].find()
    if name and Path(name).is_dir():
        return Path(name)
    every = [BUNDLED, *known]
    raise MitobenchError(f"model {name!r}: is neither a known model, a folder nor an address. {nearest(name, every)}")


def _files(folder: Path) -> dict[str, PackedFile]:
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in paths:
        if path.is_symlink():
            raise MitobenchError(
                f"{path}: is a link. A model folder must contain regular files. Copy the folder again."
            )
        foreign.check_regular(path, MAX_WEIGHTS_BYTES, "model's file")
    return {
        path.relative_to(folder).as_posix(): PackedFile(sha256=canonical.file_digest(path), bytes=path.stat().st_size)
        for path in paths
        if path != folder / CARD
    }


def _verify(folder: Path, card: ModelCard) -> None:
    try:
        there = _files(folder)
    except OSError as reason:
        raise MitobenchError(f"{reason.filename}: cannot be read: {reason.strerror}. Copy the model again.") from reason
    for name in sorted(there.keys() | card.files.keys()):
        if name not in there:
            raise MitobenchError(f"{folder / name}: is missing from the model folder. Copy the folder again.")
        if name not in card.files:
            raise MitobenchError(f"{folder / name}: is not part of the model. Remove it.")
        if there[name] != card.files[name]:
            raise MitobenchError(f"{folder / name}: was altered: its SHA-256 does not match. Copy the folder again.")

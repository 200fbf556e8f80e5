"""`model.json`: what a model folder is, where it comes from, and the digest of every file in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mitobench import foreign, registry
from mitobench.errors import MitobenchError, nearest, wrong_fields
from mitobench.evaluate.uncertainty import Interval
from mitobench.foreign.limits import MAX_CARD_BYTES, MAX_WEIGHTS_BYTES
from mitobench.pipeline import canonical

CARD = "model.json"
MODELS = "models"  # the registry's folder
FORMAT: Literal[1] = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PackedPlugin(_Strict):
    """A plugin: its `package` is what to install; `version` is its own with that of the package."""

    name: str
    package: str
    version: str
    options: dict[str, Any]


Finite = Annotated[float, Field(allow_inf_nan=False)]
Mpp = Annotated[float, Field(ge=0.01, le=10)]


class PackedPlugins(_Strict):
    """The plugins; a model without a verifier has `none`."""

    detector: PackedPlugin
    verifier: PackedPlugin
    fuser: PackedPlugin


class MeasuredScores(_Strict):
    """The record's scores on the test part of its data set: those of one seed."""

    dataset: str
    protocol: str
    seed: int
    f1: float | None
    f1_interval: Interval | None


class PackedFile(_Strict):
    """SHA-256 and size of a file."""

    sha256: str
    bytes: int


class ModelCard(_Strict):
    """What `model.json` says.

    Attributes:
        title: for people.
        record, record_digest: what the model was packed from.
        combination: names of its parts, its data and seed.
        train_on: frames that it was fitted on (`train`) and chosen on (`val`), by data set.
        notes: of the record: from scratch, shared slides, partial data.
        parts: its plugins.
        gate: detections at or below it are dropped before verification; None: none is.
        threshold: a score at or above it is a mitosis; chosen on validation frames.
        mpp: um/px that the model works at.
        measured: its F1, as the record has it.
        half: whether weights were rounded to 16 bits after that was measured.
        files: by path within the folder, all but this one.
        digest: over all of the above.
    """

    format: Literal[1] = FORMAT
    title: str
    record: str
    record_digest: str
    combination: dict[str, Any]
    train_on: dict[str, dict[str, int]]
    notes: list[str]
    parts: PackedPlugins
    gate: Finite | None
    threshold: Finite
    mpp: Mpp
    measured: MeasuredScores
    half: bool
    files: dict[str, PackedFile] = {}
    digest: str = ""

    def sealed(self) -> ModelCard:
        """The card with its digest."""
        return self.model_copy(update={"digest": canonical.digest(self.model_dump(mode="json", exclude={"digest"}))})

    @property
    def size_mb(self) -> float:
        """Of all files together, MB."""
        return sum(file.bytes for file in self.files.values()) / 1e6


def write(folder: Path, card: ModelCard) -> ModelCard:
    """Write the card of all files in `folder`, with their digests."""
    card = card.model_copy(update={"files": _files(folder)}).sealed()
    text = json.dumps(card.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
    return card


def read(folder: Path) -> ModelCard:
    """The card of a model folder, every file of which has the digest that the card claims.

    Raises MitobenchError for what is no model, one of another format, or one with a file that is missing, altered or
    not the card's.
    """
    path = folder / CARD
    content = foreign.read_json(path, MAX_CARD_BYTES, "model's card")
    try:
        if isinstance(content, dict) and content.get("format") != FORMAT:
            raise MitobenchError(
                f"{path}: has format {content.get('format')!r}, this mitobench reads {FORMAT}. "
                "Pack the model again with this version, or use the one that packed it."
            )
        card = ModelCard.model_validate(content)
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise MitobenchError(f"{path}: is no model's card: {wrong}. Pack the model again.") from reason
    if card.sealed().digest != card.digest:
        raise MitobenchError(
            f"{path}: was changed after it was written: its digest is another. Pack the model again; for another "
            "threshold give --threshold."
        )
    _verify(folder, card)
    return card


def find(name: str | None) -> Path:
    """The folder of a model: of the registry by its name, or the path of a folder; None: the registry's only one.

    Raises MitobenchError where there is none, or, without a name, several.
    """
    models_dir = registry.ROOT / MODELS
    known = sorted(path.parent.name for path in models_dir.glob(f"*/{CARD}"))
    if name is None and len(known) == 1:
        return models_dir / known[0]
    if name is None and known:
        raise MitobenchError(f"There are several models: {', '.join(known)}. Choose one with --model.")
    if name is None:
        raise MitobenchError(
            "No model is shipped with this mitobench. Make one of a finished run with "
            "`mitobench pack RECORD --out FOLDER`, and give it with --model FOLDER."
        )
    if name in known:
        return models_dir / name
    if Path(name).is_dir():
        return Path(name)
    raise MitobenchError(
        f"--model {name}: is neither a model of registry/{MODELS} nor a folder. {nearest(name, known)}"
    )


def _files(folder: Path) -> dict[str, PackedFile]:
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in paths:
        if path.is_symlink():
            raise MitobenchError(f"{path}: is a link. A model holds its files themselves: copy the folder again.")
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
            raise MitobenchError(f"{folder / name}: is missing from the model. Copy the folder again.")
        if name not in card.files:
            raise MitobenchError(f"{folder / name}: is no part of the model. Remove it.")
        if there[name] != card.files[name]:
            raise MitobenchError(f"{folder / name}: was altered: its SHA-256 is another. Copy the folder again.")

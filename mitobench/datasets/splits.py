"""Reads split files and assigns the frames of a data set to train, val and test.

A part of a split names its frames in one of three ways: as `fields` (frame ids without the scanner's letter, so that
two scans of the same tissue stay together), as `groups` (slides), or by a `rule` that draws fields in the order of a
seeded hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from mitobench import discovery, foreign, registry
from mitobench.api import DOMAINS
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.fold_names import FEW_SLIDES, MIN_SLIDES, fold_of
from mitobench.errors import DataError, MitobenchError, counted, listed, nearest, wrong_fields
from mitobench.foreign.limits import MAX_SPLIT_BYTES
from mitobench.foreign.strict import Strict

PARTS = ("train", "val", "test")
MAX_MISSING = 20  # names of missing slides or fields that are listed


class Rule(Strict):
    """Draws the fields of view at places [start, stop) out of `of` in a seeded order.

    The order sorts all fields of this copy that are not in an official test set by the SHA-256 of `seed:field`. On a
    complete copy with `of` fields a part has exactly `stop - start` fields. On a partial copy it has the same fraction
    of the available fields, so a field may be assigned to another part than on a complete copy.

    With `by = "group"`, slides are drawn in the same way instead of fields of view.
    """

    seed: str
    start: int = Field(ge=0)
    stop: int
    of: int = Field(gt=0)
    by: Literal["field", "group"] = "field"

    @model_serializer(mode="wrap")
    def _without_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves `by` out where it is the default, so that the digests of older splits stay as they are."""
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if (name, value) != ("by", "field")}


class SplitPart(Strict):
    """Names the frames of one part, in exactly one of three ways. The group `*` is all slides.

    With `where`, only those frames are in the part whose domain of each kind is among the values: `{"scanner": ["A"]}`.
    """

    fields: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    rule: Rule | None = None
    where: dict[str, tuple[str, ...]] | None = None

    @model_serializer(mode="wrap")
    def _without_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves `where` out where there is none, so that the digests of older splits stay as they are."""
        values: dict[str, Any] = handler(self)
        return {name: value for name, value in values.items() if name != "where" or value is not None}

    @model_validator(mode="after")
    def _one_way(self) -> SplitPart:
        if sum(way is not None for way in (self.fields, self.groups, self.rule)) != 1:
            raise ValueError("give exactly one of fields, groups, rule")
        if unknown := sorted(set(self.where or ()) - set(DOMAINS)):
            raise ValueError(f"where: {unknown[0]!r} is not a domain. Choose among {', '.join(DOMAINS)}")
        return self

    @property
    def names_any(self) -> bool:
        """Whether it names or draws any frames: a split that only tests leaves the other parts empty."""
        return bool(self.fields or self.groups or self.rule)

    def __str__(self) -> str:
        where = "".join(f", {kind} {' or '.join(values)}" for kind, values in (self.where or {}).items())
        if self.rule:
            if self.rule.by == "group":
                return f"{(self.rule.stop - self.rule.start) / self.rule.of:.0%} of the slides, drawn{where}"
            return f"{self.rule.stop - self.rule.start} of {self.rule.of} fields, drawn{where}"
        return (f"slides {' '.join(self.groups)}" if self.groups else f"fields {' '.join(self.fields or ())}") + where


class SplitParts(Strict):
    """The three parts of every split."""

    train: SplitPart
    val: SplitPart
    test: SplitPart


class SplitFile(Strict):
    """The content of a split file: `splits/DATASET-PROTOCOL.json` in the data set's package or in the registry, or a
    user's own file.

    Attributes:
        name: name of the split.
        dataset: the data set that it splits.
        protocol: results of different protocols are never ranked together.
        disjoint_by: `group` if no slide may be in two parts, which `assign` then checks; None otherwise.
        note: what a reader of a score should know.
        parts: train, val and test.
        together_with: data sets whose split of the same protocol belongs to this one. A run that trains on several of
            them uses the train and val part of each: what is a test slide in one row is never learned from in another.
        path: the file that it was read from.
    """

    name: str
    dataset: str
    protocol: str
    disjoint_by: Literal["group"] | None = None
    note: str = ""
    parts: SplitParts
    together_with: tuple[str, ...] = Field(default=(), exclude=True)  # says nothing about the parts: not in the digest
    path: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _not_with_itself(self) -> SplitFile:
        if self.dataset in self.together_with:
            raise ValueError(f"together_with: names {self.dataset} itself. Name the other data sets")
        return self


@dataclass(frozen=True)
class Split:
    """A split applied to one copy of its data set.

    Attributes:
        name, dataset, protocol, note: as in the file.
        file: the content of the split file.
        parts: frame ids of `train`, `val` and `test`, each sorted.
        groups: the slides of each part, sorted.
        missing: says which slides and fields of the needed parts this copy lacks. Empty if it has all, and for a split
            of the registry or a package if `Dataset.coverage` says that the copy is partial.
    """

    name: str
    dataset: str
    protocol: str
    note: str
    file: SplitFile
    parts: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]
    missing: str = ""

    @property
    def shares_groups(self) -> bool:
        """Whether a slide of the test part is also in the training or validation part."""
        return bool(set(self.groups["test"]) & {*self.groups["train"], *self.groups["val"]})


def protocols(dataset: str) -> list[str]:
    """The protocols with a split of `dataset` in its package or in the registry, sorted."""
    paths = [path for folder in _folders(dataset) for path in folder.glob(f"{dataset}-*.json")]
    return sorted({split.protocol for split in map(read_split, paths) if split.dataset == dataset})


def _folders(dataset: str) -> list[Path]:
    """The folders with splits of a data set: `splits` in its own package, then in the registry."""
    own = discovery.find("dataset", dataset).folders if dataset in discovery.names("dataset") else []
    return [folder / "splits" for folder in (*own, registry.ROOT)]


def load_split(dataset: str, protocol: str | Path) -> SplitFile:
    """Reads the split of a data set under a protocol, or from a user's `.json` file.

    Raises MitobenchError for an unknown protocol (naming the closest ones), and for a file that is not a split of this
    data set.
    """
    own = str(protocol).endswith(".json")
    named = registry.is_name(str(protocol))
    shipped = [folder / f"{dataset}-{protocol}.json" for folder in _folders(dataset) if named]
    path = Path(protocol) if own else next((path for path in shipped if path.is_file()), None)
    if path is None:
        raise MitobenchError(
            f"{dataset} has no protocol {str(protocol)!r}. {nearest(str(protocol), protocols(dataset))} "
            "To use your own split, give the path of a .json file."
        )
    split = read_split(path)
    if split.dataset != dataset:
        raise MitobenchError(f"{path}: is a split of {split.dataset!r}, not of {dataset!r}. Correct its `dataset`.")
    if own and split.together_with:
        raise MitobenchError(
            f"{path}: together_with is for splits of the registry and of packages, so that both can be found by name. "
            "Remove it, and test and train on one data set at a time, or put the splits into the data sets' package."
        )
    if own and split.protocol in protocols(dataset):
        raise MitobenchError(f"{path}: {dataset} already has a protocol {split.protocol!r}. Give yours another name.")
    return split


def named_split(dataset: str, protocol: str) -> SplitFile:
    """Reads the split of a data set under a protocol that a record names. Never opens a path given as the name.

    Raises MitobenchError for an unknown protocol.
    """
    if protocol.endswith(".json"):
        raise MitobenchError(
            f"{dataset}: {protocol!r} is not the name of a protocol. {nearest(protocol, protocols(dataset))}"
        )
    return load_split(dataset, protocol)


def read_split(path: Path) -> SplitFile:
    """Reads a split file. Raises MitobenchError naming the file and the invalid line or field."""
    content = foreign.read_json(path, MAX_SPLIT_BYTES, "split")
    try:
        return SplitFile.model_validate(content).model_copy(update={"path": path})
    except ValidationError as reason:
        wrong = wrong_fields(reason, known=SplitFile.model_fields.keys() - {"path"})
        raise MitobenchError(f"{path}: is not a valid split: {wrong}.") from reason


def assign(split: SplitFile, dataset: Dataset, needed: Sequence[str] | None = None) -> Split:
    """Returns the frames of each part in this copy. Parts that are not in `needed` may be empty.

    Args:
        split: which frames are in which part.
        dataset: the copy.
        needed: parts that must have frames; None: all but those that the split file itself leaves empty.

    Raises MitobenchError when a frame is in two parts, or a slide is although the split declares them disjoint;
    DataError when a needed part is empty, or when a frame in a needed `train` or `val` part has no labels.
    """
    if split.dataset != dataset.name:
        raise MitobenchError(f"{split.path}: is a split of {split.dataset!r}, not of {dataset.name!r}.")
    needed = [name for name in PARTS if getattr(split.parts, name).names_any] if needed is None else needed
    items = {name: list(_members(getattr(split.parts, name), dataset)) for name in PARTS}
    parts = {name: tuple(item.frame.id for item in items[name]) for name in PARTS}
    groups = {name: tuple(sorted({item.frame.group for item in items[name]})) for name in PARTS}
    if split.disjoint_by == "group":
        _refuse_overlap(split, "groups", groups)
    _refuse_overlap(split, "frames", parts)
    _refuse_empty(split, dataset, {name: parts[name] for name in needed})
    _refuse_unlabelled(split, dataset, {name: items[name] for name in needed})
    is_noted = dataset.coverage and not _is_own(split)  # that the copy is partial
    lost = "" if is_noted else missing_names(split, dataset, needed)
    missing = f"the split {split.name} names {lost}, which are not here" if lost else ""
    return Split(split.name, split.dataset, split.protocol, split.note, split, parts, groups, missing)


def missing_names(split: SplitFile, dataset: Dataset, parts: Sequence[str] = PARTS) -> str:
    """Returns the fields of view and slides that a split names for these parts and this copy lacks."""
    named: list[SplitPart] = [getattr(split.parts, name) for name in parts]
    fields = sorted(field for part in named for field in part.fields or () if field not in dataset.fields)
    slides = sorted(group for part in named for group in part.groups or () if group not in {*dataset.groups, "*"})
    lost = (("fields", fields), ("slides", slides))
    return ", ".join(f"{what} {listed(names, MAX_MISSING, ' ')}" for what, names in lost if names)


def _members(part: SplitPart, dataset: Dataset) -> Iterator[Item]:
    by_group = part.rule is not None and part.rule.by == "group"
    drawn = _draw(part.rule, dataset) if part.rule else frozenset(part.fields or ())
    groups = drawn if by_group else frozenset(part.groups or ())
    fields = frozenset() if by_group else drawn
    where = part.where or {}
    for item in dataset.items.values():
        named = item.field in fields or item.frame.group in groups or "*" in groups
        if named and all(item.frame.domains.get(kind) in values for kind, values in where.items()):
            yield item


def _draw(rule: Rule, dataset: Dataset) -> frozenset[str]:
    """The fields of view that a rule draws, or the slides, of those that are not in an official test set."""
    pool = [field for field, official in dataset.fields.items() if official != "test"]
    if rule.by == "group":
        pool = sorted({item.frame.group for item in dataset.items.values() if item.part != "test"})
    order = sorted(pool, key=lambda field: hashlib.sha256(f"{rule.seed}:{field}".encode()).digest())
    return frozenset(
        field for place, field in enumerate(order) if rule.start * len(pool) <= place * rule.of < rule.stop * len(pool)
    )


def _refuse_overlap(split: SplitFile, what: str, of: Mapping[str, tuple[str, ...]]) -> None:
    for one, other in combinations(PARTS, 2):
        shared = sorted(set(of[one]) & set(of[other]))
        if shared:
            hint = " Or set `disjoint_by` to null and mention it in `note`." if what == "groups" else ""
            raise MitobenchError(
                f"{split.path}: {what} {', '.join(shared[:8])} are in both {one} and {other}. Keep each in one.{hint}"
            )


def _refuse_empty(split: SplitFile, dataset: Dataset, parts: Mapping[str, tuple[str, ...]]) -> None:
    here = sorted({item.frame.group for item in dataset.items.values()})
    hint = f" {FEW_SLIDES}" if len(here) >= MIN_SLIDES and fold_of(split.protocol) is None else ""
    for name in (name for name, ids in parts.items() if not ids):
        wanted: SplitPart = getattr(split.parts, name)
        if not wanted.names_any:
            use = "tested on (--dataset)" if name == "test" else "learned from (--train-on)"
            raise DataError(
                f"{split.path}: part {name!r} names no frames, so {dataset.name} cannot be {use} under protocol "
                f"{split.protocol}. Choose another data set or protocol."
            )
        raise DataError(
            f"{split.path}: part {name!r} ({wanted}) is empty: none of its frames are in {dataset.root}, which has "
            f"{counted(len(dataset.items), 'frame')} of slides {' '.join(here)}. Add frames of that part, or choose "
            f"another protocol.{hint}"
        )


def _is_own(split: SplitFile) -> bool:
    """Whether a split is a user's file."""
    return split.path.is_file() and split.path.parent not in _folders(split.dataset)


def _refuse_unlabelled(split: SplitFile, dataset: Dataset, items: Mapping[str, list[Item]]) -> None:
    own = _is_own(split)
    where = f"{split.path}" if own else f"protocol {split.protocol}"
    remove = ", or remove the frames from the split" if own else ""
    searched = f" {dataset.if_searched}." if dataset.if_searched else ""
    for name, of_part in items.items():
        bare = [item for item in of_part if not item.mitoses.labelled]
        if bare and name != "test":
            raise DataError(
                f"{bare[0].files[0]}: frames without labels cannot be used for training or validation; part {name!r} "
                f"of {where} has {len(bare)}. Add their annotation{remove}.{searched}"
            )

"""Splits are files: which frames train, validate and test, under which protocol.

A part names its frames in one of three ways: by `fields` (frame ids without the scanner's letter, so two scans of one
tissue never part), by `groups` (slides), or by a `rule` that draws fields in the order of a seeded hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mitobench import discovery, foreign, registry
from mitobench.datasets.base import Dataset, Item
from mitobench.errors import DataError, MitobenchError, nearest, wrong_fields
from mitobench.foreign.limits import MAX_SPLIT_BYTES

PARTS = ("train", "val", "test")


class Strict(BaseModel):
    """Refuses what it does not know, so that a misspelt key is no silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(Strict):
    """Fields whose place in the hash order is in [start, stop) out of `of`.

    The order is that of SHA-256 over `seed:field`, over all fields that are here and not in an official test set. On
    a complete copy with `of` fields a part has exactly `stop - start`; on a partial one it has the same share of what
    is there, so a field may fall into another part than on the complete one.
    """

    seed: str
    start: int = Field(ge=0)
    stop: int
    of: int = Field(gt=0)


class Part(Strict):
    """The frames of one part, said in exactly one way."""

    fields: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    rule: Rule | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Part:
        if sum(way is not None for way in (self.fields, self.groups, self.rule)) != 1:
            raise ValueError("give exactly one of fields, groups, rule")
        return self

    def __str__(self) -> str:
        if self.rule:
            return f"{self.rule.stop - self.rule.start} of {self.rule.of} fields, drawn"
        return f"slides {' '.join(self.groups)}" if self.groups else f"fields {' '.join(self.fields or ())}"


class Parts(Strict):
    """The three parts of every split."""

    train: Part
    val: Part
    test: Part


class SplitFile(Strict):
    """A split as it is written: `splits/DATASET-PROTOCOL.json` of the data set's package or of the registry, or a file
    of the user's own.

    Attributes:
        name: of the split.
        dataset: the data set it splits.
        protocol: rows of different protocols are never ranked together.
        disjoint_by: `group` where the split promises that no slide is in two parts; None where it does not.
        note: what a reader of a score should know.
        parts: train, val and test.
        path: where it was read from.
    """

    name: str
    dataset: str
    protocol: str
    disjoint_by: Literal["group"] | None = None
    note: str = ""
    parts: Parts
    path: Path = Field(default=Path(), exclude=True)


@dataclass(frozen=True)
class Split:
    """A split's frames in one copy of its data set.

    Attributes:
        name, dataset, protocol, note: as in the file.
        file: the split as it is written.
        parts: frame ids of `train`, `val` and `test`, each sorted.
        groups: the slides of each part, sorted.
    """

    name: str
    dataset: str
    protocol: str
    note: str
    file: SplitFile
    parts: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]

    @property
    def shares_groups(self) -> bool:
        """Whether a slide of the test part is also trained or validated on."""
        return bool(set(self.groups["test"]) & {*self.groups["train"], *self.groups["val"]})


def protocols(dataset: str) -> list[str]:
    """The protocols that the data set's package or the registry has a split of `dataset` for, sorted."""
    paths = [path for folder in _folders(dataset) for path in folder.glob(f"{dataset}-*.json")]
    return sorted({split.protocol for split in map(read_split, paths) if split.dataset == dataset})


def _folders(dataset: str) -> list[Path]:
    """Where splits of a data set lie: `splits` in its own package, then in the registry."""
    own = discovery.find("dataset", dataset).folders if dataset in discovery.names("dataset") else []
    return [folder / "splits" for folder in (*own, registry.ROOT)]


def load_split(dataset: str, protocol: str | Path) -> SplitFile:
    """The split of a data set under a protocol, or the split in a `.json` file of the user's own.

    Raises MitobenchError for an unknown protocol (with the nearest), or a file that is no split of this data set.
    """
    own = str(protocol).endswith(".json")
    named = registry.is_name(str(protocol))
    shipped = [folder / f"{dataset}-{protocol}.json" for folder in _folders(dataset) if named]
    path = Path(protocol) if own else next((path for path in shipped if path.is_file()), None)
    if path is None:
        raise MitobenchError(
            f"{dataset} has no protocol {str(protocol)!r}. {nearest(str(protocol), protocols(dataset))} "
            "A split of your own is given as a path to a .json file."
        )
    split = read_split(path)
    if split.dataset != dataset:
        raise MitobenchError(f"{path}: splits {split.dataset!r}, not {dataset!r}; correct its `dataset`.")
    if own and split.protocol in protocols(dataset):
        raise MitobenchError(f"{path}: {dataset} has a protocol {split.protocol!r} already; give yours another name.")
    return split


def named_split(dataset: str, protocol: str) -> SplitFile:
    """The split of a data set under a protocol that a record names: never a file that the name leads to.

    Raises MitobenchError for an unknown protocol.
    """
    if protocol.endswith(".json"):
        raise MitobenchError(f"{dataset}: {protocol!r} is the name of no protocol.")
    return load_split(dataset, protocol)


def read_split(path: Path) -> SplitFile:
    """The split in a file. Raises MitobenchError naming the file, and the line or the field that is wrong."""
    content = foreign.read_json(path, MAX_SPLIT_BYTES, "split")
    try:
        return SplitFile.model_validate(content).model_copy(update={"path": path})
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise MitobenchError(f"{path}: is no split: {wrong}.") from reason


def assign(split: SplitFile, dataset: Dataset, needed: Sequence[str] = PARTS) -> Split:
    """The frames of each part in this copy; those that are not `needed` may be empty.

    Raises MitobenchError when a frame is in two parts or groups overlap that were declared disjoint; DataError when a
    needed part is empty or a frame of it to fit on has no labels.
    """
    if split.dataset != dataset.name:
        raise MitobenchError(f"{split.path}: splits {split.dataset!r}, not {dataset.name!r}.")
    items = {name: list(_members(getattr(split.parts, name), dataset)) for name in PARTS}
    parts = {name: tuple(item.frame.id for item in items[name]) for name in PARTS}
    groups = {name: tuple(sorted({item.frame.group for item in items[name]})) for name in PARTS}
    if split.disjoint_by == "group":
        _refuse_overlap(split, "groups", groups)
    _refuse_overlap(split, "frames", parts)
    _refuse_empty(split, dataset, {name: parts[name] for name in needed})
    _refuse_unlabelled(split, {name: items[name] for name in needed})
    return Split(split.name, split.dataset, split.protocol, split.note, split, parts, groups)


def _members(part: Part, dataset: Dataset) -> Iterator[Item]:
    drawn = _draw(part.rule, dataset) if part.rule else frozenset(part.fields or ())
    for item in dataset.items.values():
        if item.field in drawn or item.frame.group in (part.groups or ()):
            yield item


def _draw(rule: Rule, dataset: Dataset) -> frozenset[str]:
    pool = [field for field, official in dataset.fields.items() if official != "test"]
    order = sorted(pool, key=lambda field: hashlib.sha256(f"{rule.seed}:{field}".encode()).digest())
    return frozenset(
        field for place, field in enumerate(order) if rule.start * len(pool) <= place * rule.of < rule.stop * len(pool)
    )


def _refuse_overlap(split: SplitFile, what: str, of: Mapping[str, tuple[str, ...]]) -> None:
    for one, other in combinations(PARTS, 2):
        shared = sorted(set(of[one]) & set(of[other]))
        if shared:
            mend = " Or set `disjoint_by` to null and say so in `note`." if what == "groups" else ""
            raise MitobenchError(
                f"{split.path}: {what} {', '.join(shared[:8])} are in both {one} and {other}; leave each in one.{mend}"
            )


def _refuse_empty(split: SplitFile, dataset: Dataset, parts: Mapping[str, tuple[str, ...]]) -> None:
    for name, ids in parts.items():
        if not ids:
            here = sorted({item.frame.group for item in dataset.items.values()})
            raise DataError(
                f"{split.path}: part {name!r} ({getattr(split.parts, name)}) is empty: none of its frames is in "
                f"{dataset.root}, which has {len(dataset.items)} frames of slides {' '.join(here)}. "
                "Add frames of that part, or choose another protocol."
            )


def _refuse_unlabelled(split: SplitFile, items: Mapping[str, list[Item]]) -> None:
    for name, of_part in items.items():
        bare = [item for item in of_part if not item.mitoses.labelled]
        if bare and name != "test":
            raise DataError(
                f"{bare[0].files[0]}: a frame without labels used for training ({len(bare)} such in part {name!r} of "
                f"{split.path}). Put its annotation file in place, or take the frame out of the split."
            )

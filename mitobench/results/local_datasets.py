"""Finds the data of a record on this machine, and compares the record with the annotation.

Frames whose digest is not that of the record are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mitobench import datasets
from mitobench.datasets import Dataset, synthetic_domains
from mitobench.datasets.splits import SplitFile, assign, named_split
from mitobench.errors import DataError, MitobenchError, wrong_fields
from mitobench.evaluate import FrameEntry, FramePrediction, StoredDetections
from mitobench.evaluate.stored import of_frames
from mitobench.pipeline import canonical
from mitobench.pipeline.frame_prediction import frame_prediction
from mitobench.pipeline.workspace import Workspace
from mitobench.results.mismatch import Mismatch, mismatches
from mitobench.results.recompute import Recomputation
from mitobench.results.schema import Record

SYNTHETIC = "synthetic"  # data sets whose name starts with this are generated if they are missing


@dataclass(frozen=True)
class LocalDatasets:
    """The data sets below one folder; each is read once.

    Attributes:
        root: the folder; None: only synthetic data sets, which are generated.
    """

    root: Path | None
    _read: dict[str, Dataset] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def names(self) -> set[str]:
        """Names of the data sets below the folder."""
        return set(datasets.available(self.root)) if self.root else set()

    def has(self, name: str) -> bool:
        """Returns whether a data set is below the folder, or can be generated."""
        return name in self.names or name.startswith(SYNTHETIC)

    def dataset(self, name: str) -> Dataset:
        """Reads a data set. Raises MitobenchError if it is unknown or missing."""
        if name not in self._read:
            self._read[name] = datasets.load(name, self.folder(name))
        return self._read[name]

    def folder(self, name: str) -> Path:
        """Returns the folder that holds a data set. Raises MitobenchError if no folder was given."""
        if name.startswith(SYNTHETIC) and name not in self.names:
            return synthetic_domains.made_here([name])
        if self.root is None:
            raise MitobenchError(
                f"{name}: no folder of data sets is given. Give it with --data FOLDER or MITOBENCH_DATA."
            )
        return self.root

    def workspace(self, record: Record, part: str = "test") -> Workspace:
        """Reads the data sets that hold the frames of a part of a record, with their splits.

        Args:
            record: the record.
            part: `test`, `val` or `train`.

        Raises MitobenchError if a data set or its split is missing, DataError if the frames are not the record's.
        """
        names = record.combination
        used = {
            "test": [names["dataset"]],
            "val": record.choosing,
            "train": names["train_on"],
        }[part]
        return self._verified(record, used, part)

    def part(self, record: Record, name: str, part: str) -> Workspace:
        """Reads the frames of one data set that are in a part of its split: `test`, `val` or `train`.

        Raises as `workspace`.
        """
        return self._verified(record, [name], part)

    def _verified(self, record: Record, used: Iterable[str], part: str) -> Workspace:
        here = {name: self.selected(record, name) for name in used}
        splits = {name: assign(split_of(record, name), dataset, [part]) for name, dataset in here.items()}
        workspace = Workspace(here, splits)
        for name, dataset in here.items():
            if workspace.digest(workspace.part([name], part)) != record.data[name].digest.get(part):
                raise DataError(f"{dataset.root}: {_how_frames_differ(record, dataset, part)}")
        return workspace

    def selected(self, record: Record, name: str) -> Dataset:
        """Reads a data set, with the scanners that a record used. Raises MitobenchError if it is missing."""
        scanners = record.data[name].scanners
        return self.dataset(name) if scanners is None else self.dataset(name).select(scanners)


def _how_frames_differ(record: Record, dataset: Dataset, part: str) -> str:
    """Describes how the frames of a part differ from those of a record."""
    entries = getattr(record.frames, part, [])  # a record names its validation and test frames
    ids = [entry.frame.removeprefix(f"{dataset.name}/") for entry in entries]
    missing = [id for id in ids if id not in dataset.items]
    if missing and part == "test":
        more = " ..." if len(missing) > 5 else ""
        return (
            f"lacks {len(missing)} of the record's {len(ids)} test frames: {', '.join(missing[:5])}{more}. Put them "
            "there, or give another folder with --data."
        )
    return (
        f"the {part} frames of {dataset.name} are not those that the record was made with, by their digest: an image, "
        "an annotation or the data set's card differs. Give the folder that the record was made with, or make the "
        "record again on this one."
    )


def split_of(record: Record, name: str) -> SplitFile:
    """Returns the split of a data set that a record used: its own copy, or the registry's.

    Raises MitobenchError if the registry has no split of that name, DataError if that split has changed.
    """
    entry = record.data[name].split
    if entry.content is not None:
        return _own_split(name, entry.content)
    split = named_split(name, entry.protocol)
    if split_digest(split) != entry.digest:
        raise DataError(
            f"{split.path}: the split {entry.name} has changed since the record was made, by its digest. Use the "
            "mitobench that made the record, or make it again."
        )
    return split


def _own_split(name: str, content: dict[str, Any]) -> SplitFile:
    try:
        return SplitFile.model_validate(content)
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise DataError(
            f"the record's data.{name}.split.content is not a split: {wrong}. Make the record again."
        ) from reason


def split_digest(split: SplitFile) -> str:
    """Returns the SHA-256 of a split's content."""
    return canonical.digest(split.model_dump(mode="json"))


# ------------------------------------------------------------------------------------------- against the annotation


def wrong_annotation(recomputed: Recomputation, local: LocalDatasets) -> Iterator[Mismatch]:
    """Yields frames, and mitoses near detections, that are not those of the annotation.

    Raises MitobenchError if the test frames are missing, or not those of the record. Missing validation frames are left
    out: a data set that was only trained on need not be available.
    """
    record = recomputed.record
    assert record.frames is not None
    workspace = local.workspace(record)
    yield from _wrong_part("test", recomputed.test, record.frames.test, recomputed, workspace)
    if recomputed.val is not None:
        try:
            workspace = local.workspace(record, "val")
        except MitobenchError:
            return
        yield from _wrong_part("val", recomputed.val, record.frames.val, recomputed, workspace)


def _wrong_part(
    part: str, stored: StoredDetections, entries: list[FrameEntry], recomputed: Recomputation, workspace: Workspace
) -> Iterator[Mismatch]:
    record = recomputed.record
    frames = list(_annotated(part, stored, workspace))
    older = all(entry.area_mm2 is None for entry in entries)  # they hold nothing of areas, domains and imposters
    fields = {"frame", "group", "mitoses"} if older else set(FrameEntry.model_fields)
    as_here = [FrameEntry.of(frame).model_dump(include=fields) for frame in frames]
    recorded = [entry.model_dump(include=fields) for entry in entries]
    if [entry["frame"] for entry in recorded] != [entry["frame"] for entry in as_here]:
        expected = f"the {len(as_here)} frames of data set and split"
        yield Mismatch(f"frames.{part}", f"{len(recorded)} other frames", expected)
        return
    yield from mismatches(recorded, as_here, f"frames.{part}")
    matcher, radius_um = str(record.pipeline["matcher"]), float(record.pipeline["radius_um"])
    order = [row for frame in frames for row in stored.rows_of(frame.frame)]
    fresh = of_frames(frames, [stored.boxes[:0]], stored.verifier, stored.score, matcher, radius_um)
    for number, row in enumerate(order):
        if stored.within[row] != fresh.within[number]:
            what = f"{part} detection of row {row + 2}: mitoses within the radius"
            yield Mismatch(what, stored.within[row], fresh.within[number])
            return
        if not older and _imposter(stored, row) != _imposter(fresh, number):
            what = f"{part} detection of row {row + 2}: its imposter"
            yield Mismatch(what, _imposter(stored, row), _imposter(fresh, number))
            return


def _imposter(stored: StoredDetections, row: int) -> int | None:
    return None if stored.imposter is None else int(stored.imposter[row])


def _annotated(part: str, stored: StoredDetections, workspace: Workspace) -> Iterator[FramePrediction]:
    """Yields the frames of a part with their annotation and the stored detections, at the detector's scores."""
    for key in workspace.part(workspace.datasets, part):
        bare = frame_prediction(workspace, key, part, stored.xy[:0], stored.detector[:0])
        rows = stored.rows_of(bare.frame)
        yield replace(bare, xy=stored.xy[rows], score=stored.detector[rows], boxes=stored.boxes[rows])

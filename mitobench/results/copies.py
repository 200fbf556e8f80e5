"""A record's data, found again on this disk: the very same frames, or none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mitobench import datasets
from mitobench.datasets import Dataset, synthetic
from mitobench.datasets.splits import SplitFile, assign, named_split
from mitobench.errors import DataError, MitobenchError, wrong_fields
from mitobench.evaluate import FrameEntry, FramePrediction, StoredDetections
from mitobench.evaluate.stored import of_frames
from mitobench.pipeline import canonical
from mitobench.pipeline.frame_prediction import frame_prediction
from mitobench.pipeline.workspace import Workspace, chosen_on
from mitobench.results.difference import Difference, differences
from mitobench.results.recompute import Recomputed
from mitobench.results.schema import Record

SYNTHETIC = "synthetic"  # frames whose data set begins so are made where they are missing


@dataclass(frozen=True)
class Copies:
    """The data sets below one folder, each read once; `root` None: synthetic frames alone, which are made."""

    root: Path | None
    _read: dict[str, Dataset] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def names(self) -> set[str]:
        """The data sets below the folder."""
        return set(datasets.available(self.root)) if self.root else set()

    def has(self, name: str) -> bool:
        """Whether a data set is there, or can be made."""
        return name in self.names or name.startswith(SYNTHETIC)

    def dataset(self, name: str) -> Dataset:
        """A data set. Raises MitobenchError where it is unknown or not there."""
        if name not in self._read:
            self._read[name] = datasets.load(name, self.folder(name))
        return self._read[name]

    def folder(self, name: str) -> Path:
        """The folder that holds a data set. Raises MitobenchError where none is given."""
        if name.startswith(SYNTHETIC) and name not in self.names:
            return synthetic.ensure()
        if self.root is None:
            raise MitobenchError(f"{name}: say where its frames are, with --data FOLDER or MITOBENCH_DATA.")
        return self.root

    def workspace(self, record: Record, part: str = "test") -> Workspace:
        """The data sets whose frames play a part of a record (`test`, or `val`), with their splits.

        Raises MitobenchError where a data set or its split is not there, DataError where the frames are others.
        """
        asked = record.combination
        names = [asked["dataset"]] if part == "test" else chosen_on(asked["dataset"], asked["train_on"])
        here = {name: self._selected(record, name) for name in names}
        splits = {name: assign(split_of(record, name), dataset, [part]) for name, dataset in here.items()}
        workspace = Workspace(here, splits)
        for name, dataset in here.items():
            if workspace.digest(workspace.part([name], part)) != record.data[name].digest.get(part):
                raise DataError(f"{dataset.root}: {_others(record, dataset, part)}")
        return workspace

    def _selected(self, record: Record, name: str) -> Dataset:
        scanners = record.data[name].scanners
        return self.dataset(name) if scanners is None else self.dataset(name).select(scanners)


def _others(record: Record, dataset: Dataset, part: str) -> str:
    """How the frames of a part differ from those of a record."""
    entries = getattr(record.frames, part) if record.frames else []
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
    """The split that a record used of a data set: its own copy, or the registry's.

    Raises MitobenchError where the registry has none of that name, DataError where it has another one now.
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
            f"the record's data.{name}.split.content is no split: {wrong}. Make the record again."
        ) from reason


def split_digest(split: SplitFile) -> str:
    """SHA-256 over a split's content."""
    return canonical.digest(split.model_dump(mode="json"))


# ------------------------------------------------------------------------------------------- against the annotation


def wrong_annotation(recomputed: Recomputed, copies: Copies) -> Iterator[Difference]:
    """Where frames, or the mitoses near detections, are not those of the annotation.

    Raises MitobenchError where the test frames are not here, or are others. Validation frames that are not here are
    left out: those of data sets that were only trained on need not be at hand.
    """
    record = recomputed.record
    assert record.frames is not None
    workspace = copies.workspace(record)
    yield from _wrong_part("test", recomputed.test, record.frames.test, recomputed, workspace)
    if recomputed.val is not None:
        try:
            workspace = copies.workspace(record, "val")
        except MitobenchError:
            return
        yield from _wrong_part("val", recomputed.val, record.frames.val, recomputed, workspace)


def _wrong_part(
    part: str, stored: StoredDetections, entries: list[FrameEntry], recomputed: Recomputed, workspace: Workspace
) -> Iterator[Difference]:
    record = recomputed.record
    frames = list(_annotated(part, stored, workspace))
    as_here = [FrameEntry.of(frame).model_dump() for frame in frames]
    recorded = [entry.model_dump() for entry in entries]
    if [entry["frame"] for entry in recorded] != [entry["frame"] for entry in as_here]:
        yield Difference(f"frames.{part}", f"{len(recorded)} frames", f"{len(as_here)} others by data and split")
        return
    yield from differences(recorded, as_here, f"frames.{part}")
    matcher, radius_um = str(record.pipeline["matcher"]), float(record.pipeline["radius_um"])
    order = [row for frame in frames for row in stored.rows_of(frame.frame)]
    fresh = of_frames(frames, [stored.boxes[:0]], stored.verifier, stored.score, matcher, radius_um).within
    for row, now in zip(order, fresh, strict=True):
        if stored.within[row] != now:
            yield Difference(f"{part} detection of row {row + 2}: mitoses within the radius", stored.within[row], now)
            return


def _annotated(part: str, stored: StoredDetections, workspace: Workspace) -> Iterator[FramePrediction]:
    """The frames of a part with their annotation and the stored detections on them, at the detector's scores."""
    for key in workspace.part(workspace.datasets, part):
        bare = frame_prediction(workspace, key, part, stored.xy[:0], stored.detector[:0])
        rows = stored.rows_of(bare.frame)
        yield replace(bare, xy=stored.xy[rows], score=stored.detector[rows])

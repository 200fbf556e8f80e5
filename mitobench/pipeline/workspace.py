"""Holds the frames of a run: its data sets, and which frames are for training, validation and testing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mitobench.datasets import Card, Dataset, Item
from mitobench.errors import DataError
from mitobench.pipeline import canonical

if TYPE_CHECKING:
    from mitobench.datasets.splits import Split


def validation_sets(dataset: str, train_on: Sequence[str], together: Collection[str]) -> tuple[str, ...]:
    """Returns the data sets whose validation frames choose the thresholds for a tested data set.

    They are the tested data set and those of `together` (see `SplitFile.together_with`), as far as they are trained on;
    all training sets if the tested data set is none of them.
    """
    return tuple(name for name in train_on if dataset not in train_on or name == dataset or name in together)


@dataclass(frozen=True)
class Workspace:
    """Data sets by name, each with its split. Can be pickled, so that worker processes get the same frames.

    A frame's key is `DATASET/ID`.
    """

    datasets: dict[str, Dataset]
    splits: dict[str, Split]
    _digests: dict[tuple[str, ...], str] = field(default_factory=dict, repr=False, compare=False)
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    def card(self, dataset: str) -> Card:
        """Returns a data set's card."""
        return self.datasets[dataset].card

    def coverage(self, dataset: str) -> str | None:
        """Returns what this copy of a data set and of its split lacks, as noted on every result; None if nothing."""
        return "; ".join(filter(None, (self.datasets[dataset].coverage, self.splits[dataset].missing))) or None

    def part(self, datasets: Iterable[str], part: str) -> tuple[str, ...]:
        """Returns the keys of the frames in one part (`train`, `val` or `test`) of these data sets, sorted."""
        return tuple(sorted(f"{name}/{id}" for name in datasets for id in self.splits[name].parts[part]))

    def choosing(self, dataset: str, train_on: Sequence[str]) -> tuple[str, ...]:
        """Returns the data sets whose validation frames choose for a tested data set (`validation_sets`)."""
        return validation_sets(dataset, train_on, self.together(dataset))

    def together(self, dataset: str) -> tuple[str, ...]:
        """Returns the data sets that are split together with this one, under its protocol."""
        own = self.splits[dataset]
        named = (name for name in own.file.together_with if name in self.splits)
        return tuple(name for name in named if self.splits[name].protocol == own.protocol)

    def validation(self, dataset: str, train_on: Sequence[str]) -> tuple[str, ...]:
        """Returns the keys of the validation frames for a tested data set: the `val` parts of `choosing`."""
        return self.part(self.choosing(dataset, train_on), "val")

    def without_test(self, datasets: Iterable[str]) -> Workspace:
        """Returns the workspace without the test frames of these data sets: nothing can read them by mistake.

        The slides of each part stay known, so that folds, and with them the keys of stages, are those of a full run.
        """
        read, splits = dict(self.datasets), dict(self.splits)
        for name in datasets:
            test = set(splits[name].parts["test"])
            kept = {id: item for id, item in read[name].items.items() if id not in test}
            read[name] = replace(read[name], items=kept)
            splits[name] = replace(splits[name], parts={**splits[name].parts, "test": ()})
        return Workspace(read, splits)

    def joined(self, other: Workspace) -> Workspace | None:
        """Returns a workspace with the frames of both, for stages that name their frames; None if frames differ.

        Its splits are those of this workspace: what is planned under another one is planned with that.
        """
        read = dict(self.datasets)
        for name, data in other.datasets.items():
            ours = read[name].items if name in read else {}
            if any(ours.get(id, item) is not item for id, item in data.items.items()):
                return None
            read[name] = replace(data, items={**ours, **data.items})
        return replace(
            self, datasets=read, _digests={**self._digests, **other._digests}, _seen={**other._seen, **self._seen}
        )

    def item(self, key: str) -> Item:
        """Returns a frame with its annotation."""
        dataset, _, id = key.partition("/")
        return self.datasets[dataset].items[id]

    def group_of(self, key: str) -> str:
        """Returns the slide of a frame, as `DATASET/GROUP`. Scans of one slide by two scanners share it."""
        frame = self.item(key).frame
        return f"{frame.dataset}/{frame.group}"

    def field_of(self, key: str) -> str:
        """Returns the field of view of a frame, as `DATASET/FIELD`. Scans of one field by two scanners share it."""
        item = self.item(key)
        return f"{item.frame.dataset}/{item.field}"

    def radius_um(self, key: str) -> float:
        """Returns the matching radius on the card of the frame's data set, um."""
        return self.card(key.partition("/")[0]).radius_um

    def digest(self, keys: Sequence[str]) -> str:
        """Returns the SHA-256 over these frames in this order.

        It covers the frames' files and what was read from them. The digest therefore also changes if the data set's
        card or reader changes.
        """
        keys = tuple(keys)
        if keys not in self._digests:
            self._digests[keys] = self._digest(keys)
        return self._digests[keys]

    def _digest(self, keys: tuple[str, ...]) -> str:
        datasets = {key.partition("/")[0] for key in keys}
        frames = [[key, self._frame_digest(key), *self._read_values(key)] for key in keys]
        unused = [None for _ in datasets]  # something of each data set stood here: the digests of old records have it
        return canonical.digest([frames, unused])

    def _frame_digest(self, key: str) -> str:
        dataset, _, id = key.partition("/")
        for path in self.item(key).files:
            self._seen.setdefault(path, _state(path))
        return self.datasets[dataset].frame_digest(id)

    def check_files(self, keys: Iterable[str]) -> None:
        """Raises DataError if a file of these frames changed since their digest was taken."""
        for path in (path for key in keys for path in self.item(key).files):
            if path in self._seen and _state(path) != self._seen[path]:
                raise DataError(f"{path} was changed during the run. Run the same command again.")

    def _read_values(self, key: str) -> list[object]:
        """Returns what the reader took from a frame's files, as JSON values."""
        frame, mitoses = self.item(key).frame, self.item(key).mitoses
        masks = [np.asarray(mask).tolist() for mask in mitoses.masks] if mitoses.masks is not None else None
        points = [mitoses.xy.tolist(), mitoses.imposters.tolist()]
        scale = [frame.group, list(frame.mpp), list(frame.size), self.radius_um(key)]
        decoder = getattr(frame.reader, "decoder", "")  # a library that decodes few kinds of images, with its version
        return [mitoses.labelled, *points, masks and canonical.digest(masks), *scale, *([decoder] if decoder else [])]


def _state(path: Path) -> tuple[int, int]:
    """Returns a file's size in bytes and its modification time in ns, which show a change; (-1, -1) if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)

"""The frames that a run works on: data sets as read, and the part that each frame plays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mitobench.datasets import Card, Dataset, Item
from mitobench.errors import DataError
from mitobench.pipeline import canonical

if TYPE_CHECKING:
    from mitobench.datasets.splits import Split


def chosen_on(dataset: str, train_on: Sequence[str]) -> tuple[str, ...]:
    """The data sets whose validation frames choose for one that is tested on.

    Itself where it is one of those trained on, otherwise all of those.
    """
    return (dataset,) if dataset in train_on else tuple(train_on)


@dataclass(frozen=True)
class Workspace:
    """Data sets by name, each with its split. Picklable: a worker process gets the same."""

    datasets: dict[str, Dataset]
    splits: dict[str, Split]
    _digests: dict[tuple[str, ...], str] = field(default_factory=dict, repr=False, compare=False)
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    def card(self, dataset: str) -> Card:
        """A data set's card."""
        return self.datasets[dataset].card

    def part(self, datasets: Iterable[str], part: str) -> tuple[str, ...]:
        """Keys (`dataset/id`) of the frames of one part of these data sets together, sorted."""
        return tuple(sorted(f"{name}/{id}" for name in datasets for id in self.splits[name].parts[part]))

    def validation(self, dataset: str, train_on: Sequence[str]) -> tuple[str, ...]:
        """Keys of the frames that choose for a data set: the validation parts of `chosen_on`."""
        return self.part(chosen_on(dataset, train_on), "val")

    def item(self, key: str) -> Item:
        """The frame of a key, with its annotation."""
        dataset, _, id = key.partition("/")
        return self.datasets[dataset].items[id]

    def tissue(self, key: str, slide: bool) -> str:
        """The slide, or the field of view, that a frame shows; two scans of one tissue share it."""
        item = self.item(key)
        return f"{item.frame.dataset}/{item.frame.group if slide else item.field}"

    def radius_um(self, key: str) -> float:
        """The radius on the card of the frame's data set, um."""
        return self.card(key.partition("/")[0]).radius_um

    def digest(self, keys: Sequence[str]) -> str:
        """SHA-256 over these frames in this order: their files, and what was understood of them.

        The second part makes a change of the card, or of the reading, a change of the data.

        The digest also covers one null a data set, so that the digests in existing records stay comparable.
        """
        keys = tuple(keys)
        if keys not in self._digests:
            self._digests[keys] = self._digest(keys)
        return self._digests[keys]

    def _digest(self, keys: tuple[str, ...]) -> str:
        datasets = {key.partition("/")[0] for key in keys}
        frames = [[key, self._frame_digest(key), *self._understood(key)] for key in keys]
        return canonical.digest([frames, [None for _ in datasets]])

    def _frame_digest(self, key: str) -> str:
        dataset, _, id = key.partition("/")
        for path in self.item(key).files:
            self._seen.setdefault(path, _state(path))
        return self.datasets[dataset].frame_digest(id)

    def check_files(self, keys: Iterable[str]) -> None:
        """Raises DataError where a file of these frames was changed since their digest was taken."""
        for path in (path for key in keys for path in self.item(key).files):
            if path in self._seen and _state(path) != self._seen[path]:
                raise DataError(f"{path} was changed during the run. Run the same command again.")

    def _understood(self, key: str) -> list[object]:
        frame, mitoses = self.item(key).frame, self.item(key).mitoses
        masks = [np.asarray(mask).tolist() for mask in mitoses.masks] if mitoses.masks is not None else None
        points = [mitoses.xy.tolist(), mitoses.imposters.tolist()]
        scale = [frame.group, list(frame.mpp), list(frame.size), self.radius_um(key)]
        return [mitoses.labelled, *points, masks and canonical.digest(masks), *scale]


def _state(path: Path) -> tuple[int, int]:
    """Size and time of the last change: enough to notice one without reading the file again; -1 where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)

"""`Reader`, which reads a data set from disk, and the readers that are installed.

Readers are found through the entry-point group `mitobench.datasets`, so other packages can add data sets.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mitobench import discovery, registry
from mitobench.api import Mitoses
from mitobench.datasets.card import Card
from mitobench.datasets.dataset import Dataset
from mitobench.datasets.files import unread_files, unread_lines, walk
from mitobench.errors import DataError, MitobenchError, PluginError

# Input of the writers: frame id, uint8 RGB pixels [height, width, 3], annotation, official part.
NewFrame = tuple[str, NDArray[np.uint8], Mitoses, str | None]

log = logging.getLogger("mitobench")


class Reader(ABC):
    """Reads one data set from disk. `name` is the name of the entry point and of the card."""

    name: ClassVar[str]

    @classmethod
    def card(cls) -> Card:
        """The data set's card: `NAME.toml` in the reader's package, otherwise in the registry."""
        for folder in discovery.folders_of(cls.__module__):
            if (folder / f"{cls.name}.toml").is_file():
                return Card.load(folder / f"{cls.name}.toml")
        return Card.load(registry.entry("datasets", cls.name))

    @abstractmethod
    def find(self, root: Path) -> list[Path]:
        """Returns the folders below `root`, at any depth, with frames of this data set. Looks at file names only."""

    def find_labels(self, root: Path) -> list[Path]:
        """Returns the annotation files of this data set below `root` that can be read without any image.

        None by default. `data check` shows what they hold although there is nothing to run on.
        """
        return []

    @abstractmethod
    def read(self, root: Path) -> Dataset:
        """Reads all frames below `root`.

        Raises DataError when there are none, or when a file is broken or inconsistent.
        """

    def write_example(self, root: Path) -> None:
        """Writes a few small frames in the data set's layout below `root`, for `mitobench check-plugin`.

        Raises PluginError for readers that do not implement it.
        """
        raise PluginError(
            f"The reader of {self.name} has no write_example(root). Implement it: it writes a few small frames in the "
            "data set's layout, on which the reader is checked."
        )


def reader(name: str) -> Reader:
    """Returns the reader of a data set.

    Raises MitobenchError for an unknown name, PluginError if the reader cannot be loaded or is not a `Reader`.
    """
    item = discovery.find("dataset", name)
    cls = item.load()
    if not (isinstance(cls, type) and issubclass(cls, Reader)):
        raise PluginError(
            f"{item.target} of package {item.package} is not a mitobench.datasets.Reader. "
            f"Derive the class of {name!r} from Reader."
        )
    instance: Reader = cls()
    return instance


def available(root: Path, labels_only: bool = False) -> list[str]:
    """Names of the data sets below `root`, at any depth. Readers that fail are skipped with a warning in the log.

    `labels_only` adds the data sets of which only annotation files are there.
    """
    found = []
    for name in discovery.names("dataset"):
        try:
            one = reader(name)
            if one.find(Path(root)) or (labels_only and one.find_labels(Path(root))):
                found.append(name)
        except Exception as reason:
            log.warning("Skipped data set %s: its reader is broken: %s", name, reason)
    return found


def load(name: str, root: Path, labels_only: bool = False) -> Dataset:
    """Reads data set `name` from any depth below `root`.

    `labels_only` accepts a copy without any image, whose frames are all in `without_image`.

    Raises MitobenchError for an unknown name, DataError when the data set is missing, broken or inconsistent, and
    PluginError when its reader is broken.
    """
    try:
        dataset = reader(name).read(Path(root))
        if not dataset.items and not labels_only:
            raise no_images(dataset)
        used = {path for item in dataset.items.values() for path in item.files[:1]}
        return replace(dataset, unread=unread_files({path.parent for path in used}, used))
    except (MitobenchError, OSError, MemoryError):
        raise
    except Exception as reason:  # a reader of another package may raise anything
        found = discovery.find("dataset", name)
        raise PluginError(
            f"{root}: the reader of data set {name!r} (package {found.package} {found.version}) raised "
            f"{type(reason).__name__}: {reason}. Update or uninstall {found.package}, or report it to its authors."
        ) from reason


def no_images(dataset: Dataset) -> DataError:
    """The error for a copy that has annotations and no image."""
    source = f" They are available from {dataset.card.images_from}" if dataset.card.images_from else ""
    return DataError(
        f"{dataset.root}: has the annotation of {len(dataset.without_image)} {dataset.name} frames, and none of their "
        f"images.{source} Put the images anywhere below this folder."
    )


def not_found(name: str, root: Path, looked_for: str) -> DataError:
    """The error for a folder without this data set. It says what was looked for and what the folder holds instead."""
    root = Path(root)
    if not root.is_dir():
        return DataError(
            f"{root}: is not a directory. Give the folder that holds the data set with --data or MITOBENCH_DATA."
        )
    there = [other for other in available(root) if other != name]
    instead = f"It holds {' and '.join(there)}." if there else "No other data set was found either."
    unread = " ".join(f"{line}." for line in unread_lines(unread_files({path.parent for path in walk(root)})))
    none = f"no frames of data set {name!r} found at any depth"
    return DataError(f"{root}: {none}. Looked for {looked_for}. {instead} {unread}".strip())

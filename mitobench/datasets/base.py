"""What every data set is once it is read: a card, and frames with their annotation.

A reader turns files on disk into a `Dataset`; nothing behind this room knows a file layout. Readers are found by the
entry-point group `mitobench.datasets`, so a package can bring its own.
"""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mitobench import discovery, foreign, registry
from mitobench.api import Frame, Mitoses
from mitobench.datasets.card import Card, Expected
from mitobench.errors import DataError, MitobenchError, PluginError, nearest
from mitobench.foreign.limits import MAX_IMAGE_BYTES

__all__ = ["Card", "Dataset", "Expected", "Item", "NewFrame", "Reader", "available", "load", "not_here", "reader"]

# What a writer takes: frame id, uint8 RGB pixels [height, width, 3], annotation, official part.
NewFrame = tuple[str, NDArray[np.uint8], Mitoses, str | None]

log = logging.getLogger("mitobench")


@dataclass(frozen=True)
class Item:
    """One frame with all that is known of it.

    Attributes:
        frame: the frame.
        mitoses: its annotation.
        files: the image first, then its annotation files.
        part: official part, `train` or `test`, where the layout or the card tells; else None.
    """

    frame: Frame
    mitoses: Mitoses
    files: tuple[Path, ...]
    part: str | None = None

    @property
    def field(self) -> str:
        """The field of view: the id without the scanner's letter. Two scans of one tissue share it."""
        return self.frame.id.removeprefix(self.frame.scanner)


@dataclass(frozen=True)
class Dataset:
    """A data set as it lies on this disk, whole or in part.

    Attributes:
        card: what a complete copy is.
        root: the folder it was read from.
        items: by frame id, sorted.
        notes: every conversion, clipped coordinate and oddity met while reading.
        fields: the fields of view of all scanners that were read, sorted, with their official part; `select` keeps
            them, so that a split falls alike whichever scanner is asked for.
    """

    card: Card
    root: Path
    items: Mapping[str, Item]
    notes: tuple[str, ...] = ()
    fields: Mapping[str, str | None] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", dict(sorted(self.items.items())))
        if not self.fields:
            fields = {item.field: item.part for item in self.items.values()}
            object.__setattr__(self, "fields", dict(sorted(fields.items())))

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name

    @property
    def scanners(self) -> tuple[str, ...]:
        """The scanners that have a frame here, sorted."""
        return tuple(sorted({item.frame.scanner for item in self.items.values()}))

    @property
    def coverage(self) -> str | None:
        """What part of the data set this copy is, for every row measured on it; None where it is complete."""
        short = sorted(self._short(), reverse=True)
        said = ", ".join(f"{have} of {of} {scanner} {what}" for have, of, scanner, what in short)
        return "; ".join(filter(None, [said, "positives only" if self._positives_only() else ""])) or None

    def _short(self) -> Iterable[tuple[int, int, str, str]]:
        """(number here, number in a complete copy, scanner, what) of every part that is not whole."""
        for scanner in self.scanners:
            for part, expected in self.card.expected.get(scanner, {}).items():
                have = sum(i.frame.scanner == scanner and i.part == part for i in self.items.values())
                # A withheld test set that is not here at all is missed by nobody.
                if expected.frames and have < expected.frames and (have or expected.labelled):
                    yield have, expected.frames, scanner, "frames" if part == "train" else f"{part} frames"
                elif expected.mitoses and expected.labelled:
                    found = sum(
                        len(i.mitoses) for i in self.items.values() if (i.frame.scanner, i.part) == (scanner, part)
                    )
                    if found < expected.mitoses:
                        yield found, expected.mitoses, scanner, f"{part} mitoses"

    def _positives_only(self) -> bool:
        """Whether every labelled frame holds a mitosis although the card says that only some do."""
        if self.card.frames_with_mitosis is None:
            return False
        labelled = [len(item.mitoses) > 0 for item in self.items.values() if item.mitoses.labelled]
        whole = max(
            (sum(e.frames or 0 for e in p.values() if e.labelled) for p in self.card.expected.values()), default=0
        )
        return bool(labelled) and all(labelled) and self.card.frames_with_mitosis < whole

    def select(self, scanners: Iterable[str]) -> Dataset:
        """The frames of these scanners alone.

        Raises DataError when there is none.
        """
        wanted = set(scanners)
        unknown = sorted(wanted - set(self.card.mpp))
        if unknown:
            raise DataError(f"{self.name} has no scanner {unknown[0]!r}. {nearest(unknown[0], self.card.mpp)}")
        items = {id: item for id, item in self.items.items() if item.frame.scanner in wanted}
        if not items:
            raise DataError(
                f"{self.root}: {self.name} has no frame of scanner {' or '.join(sorted(wanted))} here; "
                f"it has {' and '.join(self.scanners)}."
            )
        return replace(self, items=items)

    def frame_digest(self, id: str) -> str:
        """SHA-256 over the frame's files: what each is, its length and its bytes. Read once per process."""
        if id not in self._digests:
            digest = hashlib.sha256()
            for path in self.items[id].files:
                content = foreign.read_bytes(path, MAX_IMAGE_BYTES, "frame's file", DataError)
                # The kind tells an empty list of mitoses from an empty list of imposters, and from none at all.
                kind = path.name.removeprefix(id).lower() if path.suffix.lower() == ".csv" else "image"
                digest.update(f"{kind} {len(content)}\n".encode())
                digest.update(content)
            self._digests[id] = digest.hexdigest()
        return self._digests[id]

    def digest(self, ids: Iterable[str] | None = None) -> str:
        """SHA-256 over the digests of these frames (all by default), whatever their order."""
        lines = sorted(f"{id} {self.frame_digest(id)}\n" for id in (self.items if ids is None else ids))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class Reader(ABC):
    """Reads one data set from disk. `name` equals the entry point and the card's name."""

    name: ClassVar[str]

    @classmethod
    def card(cls) -> Card:
        """The data set's card: `NAME.toml` in its own package, else in the registry."""
        for folder in discovery.folders_of(cls.__module__):
            if (folder / f"{cls.name}.toml").is_file():
                return Card.load(folder / f"{cls.name}.toml")
        return Card.load(registry.entry("datasets", cls.name))

    @abstractmethod
    def find(self, root: Path) -> list[Path]:
        """Folders at any depth below `root` that hold frames of this data set; looks at names alone."""

    @abstractmethod
    def read(self, root: Path) -> Dataset:
        """All frames below `root`.

        Raises DataError when there is none, or when one cannot be trusted.
        """


def reader(name: str) -> Reader:
    """The reader of a data set.

    Raises MitobenchError for an unknown name, PluginError for one that cannot be loaded or is no reader.
    """
    item = discovery.find("dataset", name)
    cls = item.load()
    if not (isinstance(cls, type) and issubclass(cls, Reader)):
        raise PluginError(
            f"{item.target} of package {item.package} is no mitobench.datasets.Reader; derive {name!r} from it."
        )
    instance: Reader = cls()
    return instance


def available(root: Path) -> list[str]:
    """Names of the data sets at any depth below `root`. A reader that breaks is skipped, and the log says so."""
    found = []
    for name in discovery.names("dataset"):
        try:
            if reader(name).find(Path(root)):
                found.append(name)
        except Exception as reason:
            log.warning("Data set %s is skipped, its reader is broken: %s", name, reason)
    return found


def load(name: str, root: Path) -> Dataset:
    """Data set `name`, from any depth below `root`.

    Raises MitobenchError for an unknown name, DataError when it is not there or cannot be trusted, PluginError where
    its reader is broken.
    """
    try:
        return reader(name).read(Path(root))
    except (MitobenchError, OSError, MemoryError):
        raise
    except Exception as reason:  # a reader of another package may raise anything
        found = discovery.find("dataset", name)
        raise PluginError(
            f"{root}: the reader of data set {name!r} (package {found.package} {found.version}) raised "
            f"{type(reason).__name__}: {reason}. Update or uninstall {found.package}, or report it to its authors."
        ) from reason


def not_here(name: str, root: Path, looked_for: str) -> DataError:
    """The error for a folder without a data set: what was looked for, and what is there instead."""
    root = Path(root)
    if not root.is_dir():
        return DataError(f"{root}: is no folder. Give the folder that holds {name} with --data or MITOBENCH_DATA.")
    there = [other for other in available(root) if other != name]
    instead = f"It holds {' and '.join(there)}." if there else "It holds no data set at all."
    return DataError(f"{root}: holds no {name} frames at any depth. Looked for {looked_for}. {instead}")

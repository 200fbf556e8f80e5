"""`Dataset`, the form that every data set has in memory. Only readers know layouts of files; all else works with it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mitobench import foreign
from mitobench.api import Frame, Mitoses
from mitobench.datasets.card import Card
from mitobench.errors import DataError, nearest
from mitobench.file_cache import remembered
from mitobench.foreign.limits import MAX_IMAGE_BYTES, MB
from mitobench.mpp import differ, um_px

POSITIVES_ONLY = "positives only"  # in `Dataset.coverage`: frames without mitoses are missing
SIZE_TOLERANCE = 0.02  # relative; scanners cut some frames a few pixels short


@dataclass(frozen=True)
class Item:
    """One frame with its annotation and files.

    Attributes:
        frame: the frame.
        mitoses: its annotation.
        files: the image first, then its annotation files.
        part: official part, `train` or `test`; None if neither the layout nor the card says which.
        annotation: what was read of an annotation file that many frames share, as text; empty if all annotation files
            of this frame are in `files`. It is part of the frame's digest.
        image_notes: what was converted, guessed or odd in reading the image, without its name (`images.frame_image`).
        annotation_notes: what was odd in its annotation, in general words, without names of files.
        file_mpp: um/px along x and y that the image file says; None if it says none, or the card has none to compare.
    """

    frame: Frame
    mitoses: Mitoses
    files: tuple[Path, ...]
    part: str | None = None
    annotation: str = field(default="", repr=False)
    image_notes: tuple[str, ...] = ()
    annotation_notes: tuple[str, ...] = ()
    file_mpp: tuple[float, float] | None = None

    def other_mpp(self, card: Card) -> str:
        """Says how the um/px of the file differ from those of the card, by more than 5 %; empty if they do not."""
        expected, found = card.mpp.get(self.frame.scanner), self.file_mpp
        if found is None or expected is None or not differ(found, expected):
            return ""
        return f"{um_px(found)} um/px, not {um_px(expected)}; {um_px(self.frame.mpp)} is used"

    @property
    def field(self) -> str:
        """The field of view: the frame id without the scanner's letter. Two scans of the same tissue share it."""
        return self.frame.id.removeprefix(self.frame.scanner)


@dataclass(frozen=True)
class Dataset:
    """A copy of a data set on disk, complete or partial.

    Attributes:
        card: describes a complete copy.
        root: the folder that it was read from.
        items: the frames by id, sorted.
        notes: every conversion, clipped coordinate and anomaly found while reading.
        fields: the fields of view of all scanners that were read, sorted, with their official part. `select` keeps
            all of them, so that a split assigns the same fields whichever scanners are selected.
        groups: the slides of all scanners that were read; `select` keeps all of them, too.
        without_image: frames that are annotated here although their image is missing, by id, sorted. They are in no
            part of a split.
        unread: files beside the images that look like images and are not read, by folder.
        if_searched: how a user says that frames without annotation were searched, without a full stop; perhaps empty.
        looks: what is odd about the pixels of its frames, as `looks.looked_at` finds it; no names, no paths.
    """

    card: Card
    root: Path
    items: Mapping[str, Item]
    notes: tuple[str, ...] = ()
    fields: Mapping[str, str | None] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    without_image: Mapping[str, Item] = field(default_factory=dict)
    looks: tuple[str, ...] = ()
    unread: Mapping[Path, Sequence[Path]] = field(default_factory=dict)
    if_searched: str = ""
    _digests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", dict(sorted(self.items.items())))
        object.__setattr__(self, "without_image", dict(sorted(self.without_image.items())))
        if not self.fields:
            fields = {item.field: item.part for item in self.items.values()}
            object.__setattr__(self, "fields", dict(sorted(fields.items())))
        if not self.groups:
            object.__setattr__(self, "groups", frozenset(item.frame.group for item in self.items.values()))

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name

    @property
    def scanners(self) -> tuple[str, ...]:
        """The scanners that have at least one frame in this copy, sorted."""
        return tuple(sorted({item.frame.scanner for item in self.items.values()}))

    @property
    def coverage(self) -> str | None:
        """What this copy is missing, as noted on every result measured on it; None if it is complete."""
        if self.without_image and not self.items:
            return "annotation only, no images"
        short = sorted(self._short(), reverse=True)
        counts = ", ".join(f"{have} of {of} {scanner} {what}" for have, of, scanner, what in short)
        positives = POSITIVES_ONLY if self._positives_only() else ""
        return "; ".join(filter(None, [self._short_of_slides() or self._short_of_images(), counts, positives])) or None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is odd about this copy, as noted on every result measured on it: no names, no paths."""
        own = ((*item.image_notes, *item.annotation_notes) for item in self.items.values())
        counts = Counter(note for notes in own for note in dict.fromkeys(notes))
        total = len(self.items)
        notes = [f"{count} of {total} frames: {note}" for note, count in sorted(counts.items())]
        return (*self._other_sizes(), *self._other_mpp(), *notes, *self.looks, *self._unread())

    def _other_sizes(self) -> Iterable[str]:
        """Yields a remark for each scanner with frames of another size than the card says, by more than 2 %."""
        for scanner, expected in sorted(self.card.frame_size.items()):
            sizes = [item.frame.size for item in self.items.values() if item.frame.scanner == scanner]
            other = Counter(size for size in sizes if _differ(size, expected))
            if other:
                (width, height), _ = other.most_common(1)[0]
                yield (
                    f"{sum(other.values())} of {len(sizes)} {scanner} frames have another size than on the card: "
                    f"{width} x {height} px, not {expected[0]} x {expected[1]}; the card's um/px may be wrong for them"
                )

    def _other_mpp(self) -> Iterable[str]:
        """Yields a remark for each scanner whose files say other um/px than the card."""
        for scanner in self.scanners:
            of_scanner = [item for item in self.items.values() if item.frame.scanner == scanner]
            other = Counter(text for item in of_scanner if (text := item.other_mpp(self.card)))
            if other:
                (text, _), more = other.most_common(1)[0], f" (and {len(other) - 1} others)" if len(other) > 1 else ""
                yield (
                    f"{other.total()} of {len(of_scanner)} {scanner} frames say another um/px than the card, by more "
                    f"than 5 %: {text}{more}"
                )

    def _unread(self) -> Iterable[str]:
        """Yields a remark on files beside the images that look like images and are not read."""
        suffixes = [path.suffix.lower() for paths in self.unread.values() for path in paths]
        if suffixes:
            yield f"files beside the images that are not read: {len(suffixes)} ({' '.join(sorted(set(suffixes)))})"

    def _short_of_slides(self) -> str:
        """Returns "n of m slides" if labelled slides are missing."""
        here = {item.frame.group for item in self.items.values() if item.mitoses.labelled}
        return f"{len(here)} of {self.card.slides} slides" if len(here) < (self.card.slides or 0) else ""

    def _short_of_images(self) -> str:
        """Says how many annotated images are missing, for a card that does not say how many slides there are."""
        missing = len(self.without_image)
        return f"{missing} of the annotated images are missing" if missing and not self.card.slides else ""

    def _short(self) -> Iterable[tuple[int, int, str, str]]:
        """Yields (number here, number in a complete copy, scanner, what is counted) for every incomplete part."""
        for scanner in self.scanners:
            for part, expected in self.card.expected.get(scanner, {}).items():
                have = sum(i.frame.scanner == scanner and i.part == part for i in self.items.values())
                # A missing test set whose labels are withheld does not make the copy incomplete.
                if expected.frames and have < expected.frames and (have or expected.labelled):
                    yield have, expected.frames, scanner, "frames" if part == "train" else f"{part} frames"
                elif expected.mitoses and expected.labelled:
                    found = sum(
                        len(i.mitoses) for i in self.items.values() if (i.frame.scanner, i.part) == (scanner, part)
                    )
                    if found < expected.mitoses:
                        yield found, expected.mitoses, scanner, f"{part} mitoses"

    def _positives_only(self) -> bool:
        """Whether every labelled frame here has a mitosis although, according to the card, only some do."""
        if self.card.frames_with_mitosis is None:
            return False
        labelled = [len(item.mitoses) > 0 for item in self.items.values() if item.mitoses.labelled]
        whole = max(
            (sum(e.frames or 0 for e in p.values() if e.labelled) for p in self.card.expected.values()), default=0
        )
        return bool(labelled) and all(labelled) and self.card.frames_with_mitosis < whole

    def select(self, scanners: Iterable[str]) -> Dataset:
        """Returns the data set with the frames of these scanners only.

        Raises DataError for an unknown scanner, and when there are no such frames.
        """
        wanted = set(scanners)
        unknown = sorted(wanted - set(self.card.mpp))
        if unknown:
            raise DataError(f"{self.name} has no scanner {unknown[0]!r}. {nearest(unknown[0], self.card.mpp)}")
        items = {id: item for id, item in self.items.items() if item.frame.scanner in wanted}
        if not items:
            raise DataError(
                f"{self.root}: this copy of {self.name} has no frames of scanner {' or '.join(sorted(wanted))}. "
                f"Available: {', '.join(self.scanners)}."
            )
        return replace(self, items=items)

    def frame_digest(self, id: str) -> str:
        """SHA-256 over the kind, length and bytes of each of the frame's files.

        Computed once per process, and not again in later ones while the files are unchanged (`file_cache`).
        """
        if id not in self._digests:
            # The kind distinguishes an empty list of mitoses from an empty list of imposters and from no file.
            files = [
                (path.name.lower().removeprefix(id.lower()) if path.suffix.lower() == ".csv" else "image", path)
                for path in self.items[id].files
            ]
            digest = remembered("frame digest 1", files, lambda: _digest_of(files))
            annotation = self.items[id].annotation
            if annotation:
                digest = hashlib.sha256(f"{digest}\nannotation {annotation}".encode()).hexdigest()
            self._digests[id] = digest
        return self._digests[id]

    def digest(self, ids: Iterable[str] | None = None) -> str:
        """SHA-256 over the digests of these frames (default: all). Does not depend on their order."""
        lines = sorted(f"{id} {self.frame_digest(id)}\n" for id in (self.items if ids is None else ids))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, remembered while it is unchanged (`file_cache`). Raises DataError if it is unreadable."""
    return remembered("sha256", [("", path)], lambda: _digest_of([("", path)], named=False))


def _digest_of(files: Iterable[tuple[str, Path]], named: bool = True) -> str:
    """SHA-256 over files, each after a line with its kind and length if `named`. Holds a small part in memory."""
    digest = hashlib.sha256()
    for kind, path in files:
        with foreign.open_regular(path, MAX_IMAGE_BYTES, "frame's file", DataError) as file:
            size = left = os.fstat(file.fileno()).st_size
            digest.update(f"{kind} {size}\n".encode() if named else b"")
            try:
                while block := file.read(MB):
                    digest.update(block)
                    left -= len(block)
            except OSError as reason:
                raise DataError(f"{path}: cannot be read: {reason.strerror}. Check the disk.") from reason
        if left:
            raise DataError(f"{path}: was changed while it was read. Run the same command again.")
    return digest.hexdigest()


def _differ(size: tuple[int, int], expected: tuple[int, int]) -> bool:
    return any(abs(a / b - 1) > SIZE_TOLERANCE for a, b in zip(size, expected, strict=True))

"""Which test slides may have been seen before: by declared data sets, by slide, and by image."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from mitobench import file_cache, foreign
from mitobench.api import Frame
from mitobench.atomic import write_atomic
from mitobench.datasets.base import Dataset, Item, reader
from mitobench.datasets.card import Card, slide_names
from mitobench.datasets.duplicates import BITS, Duplicate, Fingerprint, find, fingerprint
from mitobench.errors import MitobenchError
from mitobench.foreign.limits import MB

FOLDER = "fingerprints-3"  # in the cache; change it with `duplicates.fingerprint`
MAX_BYTES = MB  # of one file there
MADE_HERE = "synthetic"  # data sets that a program makes cannot have been seen, and are not compared by image

Progress = Callable[[int, int], None]


def shared_slides(tested: Card, other: str) -> frozenset[str] | None:
    """Returns the slides of a data set that are part of another one, as both cards declare; None: all of them.

    Args:
        tested: card of the data set that is tested on.
        other: name of a data set that was trained on. It need not have a reader here.
    """
    if other == tested.name:
        return None
    declared = [card.get(other, ()) for card in (tested.contains, tested.contained_in)]
    with suppress(MitobenchError):
        card = reader(other).card()
        declared += [of.get(tested.name, ()) for of in (card.contains, card.contained_in)]
    return frozenset(name for ranges in declared for name in slide_names(ranges))


def seen(tested: Card, slides: Iterable[str], other: str) -> list[str]:
    """Returns those of the test slides that a data set may contain, sorted."""
    shared = shared_slides(tested, other)
    return sorted(set(slides) if shared is None else set(slides) & shared)


def note(seen: Sequence[str], slides: Sequence[str], by: str) -> str:
    """The note on test slides that may have been seen."""
    return f"{len(seen)} of {len(slides)} test slides may have been seen, by {by}"


# --------------------------------------------------------------------------------------------------------- by image


def fingerprints(items: Mapping[str, tuple[Dataset, Item]], progress: Progress | None = None) -> dict[str, Fingerprint]:
    """Returns what is compared of frames, by their keys. Computed once for each content of a frame's files.

    Args:
        items: the frames by key, each with its data set.
        progress: called with (done, total) after each frame.
    """
    found = {}
    for done, (key, (dataset, item)) in enumerate(items.items(), 1):
        found[key] = _cached(dataset.frame_digest(item.frame.id), item.frame)
        if progress:
            progress(done, len(items))
    return found


def _cached(digest: str, frame: Frame) -> Fingerprint:
    path = file_cache.folder() / FOLDER / f"{digest}.npz"
    known = _read(path)
    if known is not None:
        return known
    made = fingerprint(frame.read())
    content = io.BytesIO()
    np.savez_compressed(
        content,
        pixels=np.array(made.pixels),
        points0=made.points[0].astype(np.float32),
        points1=made.points[1].astype(np.float32),
        bits0=np.packbits(made.bits[0], axis=1),
        bits1=np.packbits(made.bits[1], axis=1),
    )
    with suppress(OSError, MitobenchError):  # a cache that cannot be written is not an error
        write_atomic(path, content.getvalue())
    return made


def _read(path: Path) -> Fingerprint | None:
    """Returns a cached fingerprint; None if there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        content = io.BytesIO(foreign.read_bytes(path, MAX_BYTES, "cached fingerprint"))
        with np.load(content, allow_pickle=False) as file:
            points = tuple(np.asarray(file[f"points{view}"], dtype=np.float64).reshape(-1, 2) for view in (0, 1))
            bits = tuple(np.unpackbits(file[f"bits{view}"], axis=1, count=BITS).astype(bool) for view in (0, 1))
            pixels = str(file["pixels"])
    except Exception:  # whatever a damaged file makes numpy raise
        return None
    if any(len(a) != len(b) for a, b in zip(points, bits, strict=True)):
        return None
    return Fingerprint(pixels, (points[0], points[1]), (bits[0], bits[1]))


def duplicates(items: Mapping[str, tuple[Dataset, Item]], progress: Progress | None = None) -> list[Duplicate]:
    """Returns the pairs of frames that show the same tissue, except those that their ids declare to.

    Frames of one field of view are scans of the same tissue by two scanners.
    """
    found = find(fingerprints(items, progress))
    return [pair for pair in found if _field(*items[pair.one]) != _field(*items[pair.other])]


def _field(dataset: Dataset, item: Item) -> tuple[str, str]:
    return dataset.name, item.field


def in_data(datasets: Mapping[str, Dataset]) -> list[Duplicate]:
    """Returns the pairs of frames of different slides that show the same tissue, by their keys `DATASET/ID`.

    Synthetic frames are not compared. Takes about half a second for each frame that is new to this machine. The last
    result is kept, since the folds of a protocol and the parts of an experiment have the same frames.
    """
    global _last
    real = {name: dataset for name, dataset in sorted(datasets.items()) if not name.startswith(MADE_HERE)}
    key = tuple((name, dataset.digest()) for name, dataset in real.items())
    if _last is None or _last[0] != key:
        _last = key, _in_data(real)
    return _last[1]


_last: tuple[tuple[tuple[str, str], ...], list[Duplicate]] | None = None


def _in_data(datasets: Mapping[str, Dataset]) -> list[Duplicate]:
    items = {
        f"{name}/{id}": (dataset, item) for name, dataset in datasets.items() for id, item in dataset.items.items()
    }
    return [pair for pair in duplicates(items) if _slide(*items[pair.one]) != _slide(*items[pair.other])]


def _slide(dataset: Dataset, item: Item) -> tuple[str, str]:
    return dataset.name, item.frame.group


def of_slides(pairs: Iterable[Duplicate], fitted: Iterable[str], test: Iterable[str]) -> Iterator[str]:
    """Yields the keys of test frames that show the same tissue as a frame that was trained or chosen on."""
    learned, tested = set(fitted), set(test)
    for pair in pairs:
        for one, other in ((pair.one, pair.other), (pair.other, pair.one)):
            if one in tested and other in learned:
                yield one

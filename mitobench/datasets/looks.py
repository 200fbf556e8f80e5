"""What is known of the pixels of frames: what is compared of them, and what is odd about them.

The pixels are read once for each content of a frame's files, and not again while the result is in the user's cache.
"""

from __future__ import annotations

import io
import json
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mitobench import file_cache, foreign
from mitobench.api import Frame
from mitobench.atomic import write_atomic
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.duplicates import BITS, Fingerprint, fingerprint
from mitobench.errors import MitobenchError
from mitobench.foreign.limits import MB
from mitobench.slides.reader import oddities

FOLDER = "looks-2"  # in the cache; change it with `duplicates.fingerprint` and `reader.oddities`
MAX_BYTES = MB  # of one file there
MADE_HERE = "synthetic"  # how the names of data sets begin that a program makes
MANY = 20  # new frames from which on notes say that they are read: it takes seconds
NOTE_SECONDS = 15.0  # between two notes
AT_ONCE = 8  # frames, at most: reading a large one takes several hundred MB

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Look:
    """What is known of a frame's pixels; `oddities`: what does not look like tissue stained with H&E."""

    fingerprint: Fingerprint
    oddities: tuple[str, ...]


def is_made_here(name: str) -> bool:
    """Whether a data set is made by a program: it cannot have been seen, and is not looked at."""
    return name.startswith(MADE_HERE)


def looked_at(dataset: Dataset, notify: Callable[[str], None] = lambda message: None) -> Dataset:
    """Returns the data set with what is odd about the pixels of its frames as `looks`.

    Frames that are new to this machine are read, which takes a fraction of a second for each; if there are many,
    notes say so, and how far it is.
    """
    if is_made_here(dataset.name):
        return dataset
    frames = [(dataset.frame_digest(id), item.frame) for id, item in dataset.items.items()]
    new = sum(not _path(digest).is_file() for digest, _ in frames)
    progress = _Notes(dataset.name, new, notify) if new >= MANY else None
    odd = Counter(oddity for seen in _looks(frames, progress) for oddity in seen.oddities)
    total = len(frames)
    return replace(dataset, looks=tuple(f"{count} of {total} frames: {text}" for text, count in sorted(odd.items())))


class _Notes:
    """Says that frames are read, and now and then how many have been."""

    def __init__(self, name: str, new: int, notify: Callable[[str], None]) -> None:
        self.name, self.notify, self.last = name, notify, time.monotonic()
        notify(f"{name}: looking at {new:,} frames that are new to this machine, once.")

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self.last > NOTE_SECONDS and done < total:
            self.last = time.monotonic()
            self.notify(f"{self.name}: {done:,} of {total:,} frames have been looked at.")


def fingerprints(items: Mapping[str, tuple[Dataset, Item]], progress: Progress | None = None) -> dict[str, Fingerprint]:
    """Returns what is compared of frames, by their keys.

    Args:
        items: the frames by key, each with its data set.
        progress: called with (done, total) after each frame.
    """
    frames = [(dataset.frame_digest(item.frame.id), item.frame) for dataset, item in items.values()]
    return {key: seen.fingerprint for key, seen in zip(items, _looks(frames, progress), strict=True)}


def _looks(frames: Sequence[tuple[str, Frame]], progress: Progress | None = None) -> Iterator[Look]:
    """Yields what is known of frames, given with their digests, in their order. Several are read at once."""
    with warnings.catch_warnings(), ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        # Of ORB, for images without contrast. In one place, as threads share the filters.
        warnings.filterwarnings("ignore", module=r"skimage\b")
        for done, seen in enumerate(pool.map(look, *zip(*frames, strict=True)) if frames else (), 1):
            yield seen
            if progress:
                progress(done, len(frames))


def look(digest: str, frame: Frame) -> Look:
    """Returns what is known of the pixels of a frame whose files have this digest."""
    known = _read(_path(digest))
    if known is not None:
        return known
    pixels = frame.read()
    made = Look(fingerprint(pixels), tuple(oddities(pixels)))
    with suppress(OSError, MitobenchError):  # a cache that cannot be written is not an error
        write_atomic(_path(digest), _packed(made))
    return made


def _path(digest: str) -> Path:
    return file_cache.folder() / FOLDER / f"{digest}.npz"


def _packed(made: Look) -> bytes:
    content, compared = io.BytesIO(), made.fingerprint
    np.savez_compressed(
        content,
        pixels=np.array(compared.pixels),
        points0=compared.points[0].astype(np.float32),
        points1=compared.points[1].astype(np.float32),
        bits0=np.packbits(compared.bits[0], axis=1),
        bits1=np.packbits(compared.bits[1], axis=1),
        oddities=np.array(json.dumps(made.oddities)),
    )
    return content.getvalue()


def _read(path: Path) -> Look | None:
    """Returns what the cache has; None if it has nothing, or the file is damaged."""
    if not path.is_file():
        return None
    try:
        content = io.BytesIO(foreign.read_bytes(path, MAX_BYTES, "cached description of a frame"))
        with np.load(content, allow_pickle=False) as file:
            points = tuple(np.asarray(file[f"points{view}"], dtype=np.float64).reshape(-1, 2) for view in (0, 1))
            bits = tuple(np.unpackbits(file[f"bits{view}"], axis=1, count=BITS).astype(bool) for view in (0, 1))
            pixels, odd = str(file["pixels"]), tuple(map(str, json.loads(str(file["oddities"]))))
    except Exception:  # whatever a damaged file makes numpy raise
        return None
    if any(len(a) != len(b) for a, b in zip(points, bits, strict=True)):
        return None
    return Look(Fingerprint(pixels, (points[0], points[1]), (bits[0], bits[1])), odd)

"""The two synthetic data sets: frames made by `synthesis.py` in the layouts of the real ones, with masks and centroids.

Both are written to one folder together with a marker file, `synthetic.json`, which holds the generator's version and
the counts of both. The readers of the real data sets skip folders with this marker.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from filelock import FileLock
from platformdirs import user_cache_path

from mitobench import foreign
from mitobench.atomic import atomic_folder, write_text_atomic
from mitobench.datasets import mitos2012, mitos2014, mitotic_figures, shapes, synthesis, tissue
from mitobench.datasets.card import Expected
from mitobench.datasets.dataset import Dataset
from mitobench.datasets.files import MARKER, is_synthetic
from mitobench.datasets.reader import NewFrame, Reader, not_found
from mitobench.errors import DataError, MitobenchError
from mitobench.foreign.limits import MAX_SEED, MAX_STATE_BYTES

log = logging.getLogger("mitobench")

Progress = Callable[[int, int], None]


# ------------------------------------------------------------------------------------------------- reading


class _SyntheticReader(Reader):
    """Base of both readers: reads only folders next to a marker file."""

    layout: ClassVar[ModuleType]

    def find(self, root: Path) -> list[Path]:
        """Returns the data set's folder next to each marker; `root` may also be that folder itself."""
        root = Path(root)
        if root.name == self.name and is_synthetic(root.parent):
            return [root]
        markers = (path for path in sorted(root.rglob(MARKER)) if not _is_hidden(path.relative_to(root)))
        return [path.with_name(self.name) for path in markers if path.with_name(self.name).is_dir()]

    def read(self, root: Path) -> Dataset:
        """Reads all frames. A copy is complete if it holds what its marker says.

        Raises DataError when `root` holds no such data set or more than one, or when the marker is broken.
        """
        found = self.find(root)
        if not found:
            raise not_found(self.name, root, f"a folder {self.name!r} next to a file {MARKER!r}")
        if len(found) > 1:
            raise DataError(
                f"{root}: holds {self.name} more than once: {', '.join(map(str, found))}. Give one of these folders."
            )
        expected = _read_marker(found[0].parent / MARKER)[self.name]
        dataset: Dataset = self.layout.read_layout(found[0], self.card().model_copy(update={"expected": expected}))
        return dataset


class Synthetic(_SyntheticReader):
    """Frames with masks, in the layout of MITOS 2012."""

    name = "synthetic"
    layout: ClassVar[ModuleType] = mitos2012


class SyntheticCentroids(_SyntheticReader):
    """Frames with centroids and imposters, in the layout of MITOS-ATYPIA 2014."""

    name = "synthetic-centroids"
    layout: ClassVar[ModuleType] = mitos2014


@dataclass(frozen=True)
class SetPlan:
    """What one of the two data sets will hold.

    Attributes:
        reader: its reader, which has its name and layout.
        slides, test: numbers of all slides, and of those in the test part.
        frames: frames per slide.
        frame_id: returns the id of a slide's n-th frame.
    """

    reader: type[_SyntheticReader]
    slides: range
    test: range
    frames: int
    frame_id: Callable[[int, int], str]


def _id_2012(slide: int, number: int) -> str:
    return f"A{slide:02d}_{number:02d}"


def _id_2014(slide: int, number: int) -> str:
    field, quadrant = divmod(number, 16)
    return f"A{slide:02d}_{field:02d}{'ABCD'[quadrant // 4]}{'abcd'[quadrant % 4]}"


PLANS = (
    SetPlan(Synthetic, range(14), range(9, 14), 8, _id_2012),
    SetPlan(SyntheticCentroids, range(20, 32), range(27, 32), 6, _id_2014),
)


def _is_hidden(path: Path) -> bool:
    """Whether a part of the path is hidden, like the folder that an interrupted `write` leaves."""
    return any(part.startswith(".") for part in path.parts)


def _read_marker(path: Path) -> dict[str, dict[str, dict[str, Expected]]]:
    """Reads what each data set next to the marker holds, by scanner and part."""
    try:
        sets = foreign.read_json(path, MAX_STATE_BYTES, "marker of a synthetic set", DataError)["sets"]
        return {
            plan.reader.name: {
                scanner: {part: Expected(**counts) for part, counts in parts.items()}
                for scanner, parts in sets[plan.reader.name].items()
            }
            for plan in PLANS
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as reason:
        raise DataError(
            f"{path}: is not a valid marker of a synthetic data set ({reason!r}). Run `mitobench data synth` again."
        ) from reason


# ------------------------------------------------------------------------------------------------- writing


def version() -> str:
    """Digest of everything that determines the frames of a seed: the source code of the image model, and the plans."""
    digest = hashlib.sha256(repr([(plan.slides, plan.test, plan.frames) for plan in PLANS]).encode())
    for module in (shapes, tissue, mitotic_figures, synthesis):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def write(
    folder: Path,
    seed: int = 0,
    frames: int | None = None,
    size: int = 256,
    progress: Progress = lambda done, total: None,
) -> None:
    """Writes both data sets below `folder` atomically. Replaces a synthetic data set that is there already.

    Args:
        folder: created if needed; must be empty or hold a synthetic data set.
        seed: seed of all randomness; the same seed writes the same bytes.
        frames: frames per slide; by default 8 with masks, 6 with centroids.
        size: width and height of a frame, px.
        progress: called with (frames written, total number of frames).

    Raises MitobenchError when an argument is out of range, or the folder holds anything else or cannot be written.
    """
    if not 0 <= seed <= MAX_SEED or not 1 <= (1 if frames is None else frames) <= 100 or not 64 <= size <= 4096:
        raise MitobenchError(
            f"seed {seed}, {frames} frames, {size} px: out of range. Give a seed from 0 to {MAX_SEED}, 1 to 100 frames "
            "per slide, and a size from 64 to 4096 px."
        )
    folder = Path(folder).resolve()
    _refuse_unexpected(folder)
    try:
        with atomic_folder(folder) as new:
            _write_sets(new, seed, frames, size, progress)
    except OSError as reason:
        raise MitobenchError(
            f"{folder}: cannot be written: {reason.strerror}. Give another folder, or free some space."
        ) from reason


def ensure(cache: Path | None = None, seed: int = 0) -> Path:
    """Returns the folder of the default data sets. Makes them first if they are not in the cache.

    `cache` defaults to the environment variable MITOBENCH_CACHE, otherwise to the user's cache folder. Safe to call
    from several processes at once.
    """
    cache = Path(cache or os.environ.get("MITOBENCH_CACHE") or user_cache_path("mitobench"))
    folder = cache / f"synthetic-{version()[:12]}-{seed}"
    if not is_synthetic(folder):
        _make_folder(cache)
        with FileLock(cache / f"{folder.name}.lock"):
            if not is_synthetic(folder):
                log.info("Making the synthetic data sets in %s", folder)
                write(folder, seed)
    return folder


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise MitobenchError(
            f"{folder}: cannot be created: {reason.strerror}. Set MITOBENCH_CACHE to a writable folder."
        ) from reason


def _refuse_unexpected(folder: Path) -> None:
    if folder.is_dir():
        there = {path.name for path in folder.iterdir()}
        unexpected = sorted(there - {MARKER, *(plan.reader.name for plan in PLANS)} if MARKER in there else there)
        if unexpected:
            raise MitobenchError(
                f"{folder}: holds {', '.join(unexpected[:5])}, which is not part of a synthetic data set. "
                "Give an empty or a new folder."
            )
    elif folder.exists():
        raise MitobenchError(f"{folder}: is not a directory. Give an empty or a new folder.")


def _write_sets(root: Path, seed: int, frames: int | None, size: int, progress: Progress) -> None:
    plans = [replace(plan, frames=plan.frames if frames is None else frames) for plan in PLANS]
    total = sum(len(plan.slides) * plan.frames for plan in plans)
    done = itertools.count(1)
    sets = {}
    for plan in plans:
        home, layout = root / plan.reader.name, plan.reader.layout
        layout.write(home, _make_frames(plan, seed, size, lambda: progress(next(done), total)))
        sets[plan.reader.name] = _counts(layout.read_layout(home, plan.reader.card()))
    marker = {"generator": version(), "seed": seed, "size": size, "sets": sets}
    write_text_atomic(root / MARKER, (json.dumps(marker, indent=2) + "\n"))


def _make_frames(plan: SetPlan, seed: int, size: int, tick: Callable[[], None]) -> Iterator[NewFrame]:
    for slide, number in itertools.product(plan.slides, range(plan.frames)):
        picture = synthesis.make_frame(seed, slide, number, size)
        yield plan.frame_id(slide, number), picture.image, picture.mitoses, "test" if slide in plan.test else "train"
        tick()


def _counts(dataset: Dataset) -> dict[str, dict[str, dict[str, int]]]:
    """Counts what a data set holds, by scanner and part, in the form of a card's `expected`."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for item in dataset.items.values():
        part = counts.setdefault(item.frame.scanner, {}).setdefault(str(item.part), {"frames": 0, "mitoses": 0})
        part["frames"] += 1
        part["mitoses"] += len(item.mitoses)
        if dataset.card.has_imposters:
            part["imposters"] = part.get("imposters", 0) + len(item.mitoses.imposters)
    return counts

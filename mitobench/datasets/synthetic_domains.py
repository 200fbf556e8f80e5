"""`synthetic-domains`: synthetic frames of several tumour types and scanners in the layout of the MIDOG data sets.

Tumour types differ in the size and density of nuclei, scanners in stain, sharpness and um/px, so that a method that
was fitted on one domain loses on another. Frames come from `synthesis.py`, as those of the other synthetic sets.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_path
from scipy import ndimage

from mitobench import foreign
from mitobench.api import Mitoses
from mitobench.atomic import atomic_folder, write_text_atomic
from mitobench.datasets import midog, mitotic_figures, shapes, synthesis, synthetic, tissue
from mitobench.datasets.card import Expected
from mitobench.datasets.dataset import Dataset
from mitobench.datasets.files import MARKER, is_synthetic
from mitobench.datasets.reader import NewFrame, Reader, not_found
from mitobench.errors import DataError, MitobenchError
from mitobench.foreign.limits import MAX_SEED, MAX_STATE_BYTES

log = logging.getLogger("mitobench")

NAME = "synthetic-domains"
LABELS = "MIDOG.json"


@dataclass(frozen=True)
class Tumour:
    """A tumour type: the size of everything relative to the other synthetic sets, and the density of nuclei."""

    name: str
    species: str
    scale: float
    spacing: float
    vesicular: float


@dataclass(frozen=True)
class Scanner:
    """A scanner with its laboratory: um/px, blur, factors of haematoxylin and eosin, and the lamp's colour."""

    name: str
    lab: str
    mpp: float
    blur_px: float
    strength: tuple[float, float]
    lamp: tuple[float, float, float]


TUMOURS = (
    Tumour("synthetic carcinoma", "human", 1.0, 8.5, 0.6),
    Tumour("synthetic lymphoma", "canine", 0.8, 6.5, 0.2),
    Tumour("synthetic sarcoma", "canine", 1.25, 9.5, 0.9),
)
SCANNERS = (
    Scanner("Synthetic One", "Lab North", 0.25, 0.5, (1.05, 1.0), (250, 246, 249)),
    Scanner("Synthetic Two", "Lab South", 0.23, 1.3, (0.75, 1.35), (252, 238, 240)),
    Scanner("Synthetic Three", "Lab West", 0.28, 0.8, (1.45, 0.6), (236, 238, 252)),
)
COMBINATIONS = ((0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 2))
"""Pairs of tumour type and scanner: each tumour type is on two scanners, and each scanner has two tumour types."""
SLIDES, TEST = 6, 2
"""Slides of each pair, and those of them, the last ones, that are in the test part."""


class SyntheticDomains(Reader):
    """Reads the frames that `write` made."""

    name = NAME

    def find(self, root: Path) -> list[Path]:
        """Returns the data set's folder next to each marker; `root` may also be that folder itself."""
        root = Path(root)
        if root.name == NAME and is_synthetic(root.parent):
            return [root]
        below = ((path, path.relative_to(root).parts) for path in sorted(root.rglob(MARKER)))
        markers = (path for path, parts in below if not any(part.startswith(".") for part in parts))
        return [path.with_name(NAME) for path in markers if path.with_name(NAME).is_dir()]

    def read(self, root: Path) -> Dataset:
        """Reads all frames. Raises DataError when `root` holds no such data set or more than one."""
        found = self.find(root)
        if not found:
            raise not_found(NAME, root, f"a folder {NAME!r} next to a file {MARKER!r}")
        if len(found) > 1:
            raise DataError(f"{root}: holds {NAME} more than once: {', '.join(map(str, found))}. Give one of them.")
        expected = _read_marker(found[0].parent / MARKER)
        return midog.read_layout(found[0], self.card().model_copy(update={"expected": expected}), found[0] / LABELS)


def _read_marker(path: Path) -> dict[str, dict[str, Expected]]:
    try:
        counts = foreign.read_json(path, MAX_STATE_BYTES, "marker of a synthetic set", DataError)["sets"][NAME]
        return {s: {part: Expected(**expected) for part, expected in parts.items()} for s, parts in counts.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as reason:
        raise DataError(
            f"{path}: is not a valid marker of {NAME} ({reason!r}). Run `mitobench data synth --domains` again."
        ) from reason


# ------------------------------------------------------------------------------------------------- writing


def write(folder: Path, seed: int = 0, size: int = 320, slides: int = SLIDES) -> None:
    """Writes the data set below `folder` atomically; the same arguments write the same bytes.

    Args:
        folder: must be empty or new, or hold this data set.
        seed: seed of all randomness.
        size: width and height of a frame before it is scaled to its scanner's um/px, px.
        slides: slides of each pair of tumour type and scanner; each has one frame.

    Raises MitobenchError when an argument is out of range, or the folder holds anything else or cannot be written.
    """
    if not 0 <= seed <= MAX_SEED or not 96 <= size <= 4096 or not 3 <= slides <= 100:
        raise MitobenchError(
            f"seed {seed}, {size} px, {slides} slides: out of range. Give a seed from 0 to {MAX_SEED}, a size from 96 "
            "to 4096 px, and 3 to 100 slides."
        )
    folder = Path(folder).resolve()
    if folder.is_dir() and (there := {path.name for path in folder.iterdir()}) and there != {MARKER, NAME}:
        raise MitobenchError(f"{folder}: holds {', '.join(sorted(there)[:5])}. Give an empty or a new folder.")
    try:
        with atomic_folder(folder) as new:
            _write(new, seed, size, slides)
    except OSError as reason:
        raise MitobenchError(f"{folder}: cannot be written: {reason.strerror}.") from reason


def ensure(cache: Path | None = None) -> Path:
    """Returns the folder of the default data set. Makes it first if it is not in the cache, as `synthetic.ensure`."""
    cache = Path(cache or os.environ.get("MITOBENCH_CACHE") or user_cache_path("mitobench"))
    folder = cache / f"{NAME}-{version()[:12]}"
    if not is_synthetic(folder):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not is_synthetic(folder):
                log.info("Making %s in %s", NAME, folder)
                write(folder)
    return folder


def made_here(names: Collection[str]) -> Path:
    """Returns the folder of synthetic data sets, which are made first if they are not in the cache.

    Raises MitobenchError for this data set together with others: they are in different folders.
    """
    if NAME not in names:
        return synthetic.ensure()
    others = sorted({*names} - {NAME})
    if others:
        raise MitobenchError(
            f"{NAME} and {', '.join(others)} are made in different folders. Write both below one folder with "
            "`mitobench data synth`, and give it with --data."
        )
    return ensure()


def _write(root: Path, seed: int, size: int, slides: int) -> None:
    pairs = [(TUMOURS[t], SCANNERS[s], n) for t, s in COMBINATIONS for n in range(slides)]
    plan = {f"{number:03d}": pair for number, pair in enumerate(pairs, start=1)}
    domains = {
        id: {"tumour": tumour.name, "species": tumour.species, "scanner": scanner.name, "lab": scanner.lab}
        for id, (tumour, scanner, _) in plan.items()
    }
    home = root / NAME
    midog.write(home, _frames(plan, seed, size, slides), {id: s.mpp for id, (_, s, _) in plan.items()}, domains)
    dataset = midog.read_layout(home, SyntheticDomains.card(), home / LABELS)
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for item in dataset.items.values():
        part = counts.setdefault(item.frame.scanner, {}).setdefault(
            str(item.part), {"frames": 0, "mitoses": 0, "imposters": 0}
        )
        part["frames"] += 1
        part["mitoses"] += len(item.mitoses)
        part["imposters"] += len(item.mitoses.imposters)
    marker = {"generator": version(), "seed": seed, "size": size, "sets": {NAME: counts}}
    write_text_atomic(root / MARKER, json.dumps(marker, indent=2) + "\n")


def version() -> str:
    """Digest of the source code that determines the frames of a seed."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for module in (shapes, tissue, mitotic_figures, synthesis):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _frames(plan: dict[str, tuple[Tumour, Scanner, int]], seed: int, size: int, slides: int) -> Iterator[NewFrame]:
    test = max(1, round(slides * TEST / SLIDES))
    for number, (id, (tumour, scanner, place)) in enumerate(plan.items()):
        image, mitoses = make_frame(seed, number, tumour, scanner, size)
        yield id, image, mitoses, "test" if place >= slides - test else "train"


def make_frame(
    seed: int, number: int, tumour: Tumour, scanner: Scanner, size: int
) -> tuple[NDArray[np.uint8], Mitoses]:
    """Makes the frame of one slide: pixels, and the annotation with votes of three simulated raters."""
    slide = synthesis.Slide.draw(seed, 1000 + number)
    cells = replace(slide.tissue, spacing=tumour.spacing, vesicular=tumour.vesicular)
    slide = replace(
        slide,
        tissue=cells,
        strength=slide.strength * np.array(scanner.strength),
        lamp=np.array(scanner.lamp, dtype=float),
        blur_px=scanner.blur_px,
    )
    rng = np.random.default_rng([seed, 1000 + number, 0])
    picture = synthesis.draw_frame(slide, rng, size)
    zoom = tissue.MPP / scanner.mpp * tumour.scale
    pixels = ndimage.zoom(picture.image.astype(np.float32), (zoom, zoom, 1), order=1, grid_mode=True, mode="nearest")
    factors = np.array(pixels.shape[1::-1]) / size
    mitoses = picture.mitoses
    return pixels.round().clip(0, 255).astype(np.uint8), Mitoses(
        (mitoses.xy + 0.5) * factors - 0.5,
        imposters=(mitoses.imposters + 0.5) * factors - 0.5,
        confidence=np.where(rng.random(len(mitoses.xy)) < 0.25, 2 / 3, 1.0),
        imposter_confidence=np.where(rng.random(len(mitoses.imposters)) < 0.25, 1 / 3, 0.0),
    )

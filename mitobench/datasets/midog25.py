"""MIDOG 2025: test cases with a ground truth in the form of the contest's evaluator.

The contest has no training set of its own (it allows anything public), and its test set is hidden. This reads test
cases of anybody's in the same form: `ground_truth.json` with points in mm, tumour domain and kind of region, and images
of the names in it. Train on other data sets with `--train-on`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mitobench import foreign
from mitobench.api import Frame
from mitobench.datasets import images as image_files
from mitobench.datasets.annotation_text import annotation_text
from mitobench.datasets.card import Card
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.figures import Figure, Figures
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.missing import missing_images
from mitobench.datasets.reader import Reader, not_found
from mitobench.datasets.whole_slides import size_of
from mitobench.errors import DataError
from mitobench.foreign.limits import MAX_LABELS_BYTES
from mitobench.foreign.midog25 import TruthEntry, truth_entries
from mitobench.slides.reader import PixelReader

LABELS = "ground_truth.json"
SCANNER = "unknown"


class Midog25(Reader):
    """Reads the images of a `ground_truth.json`; images beside it that it does not list are unlabelled."""

    name = "midog25"

    def find(self, root: Path) -> list[Path]:
        """Returns the folders of the images."""
        return sorted({path.parent for file in self.find_labels(root) for path in _images(file.parent)})

    def find_labels(self, root: Path) -> list[Path]:
        """Returns the files of ground truth."""
        return [] if inside_synthetic(root) else [path for path in walk(root) if path.name.lower() == LABELS]

    def read(self, root: Path) -> Dataset:
        """Reads all cases. Cases whose image is not here are in `without_image`."""
        found = self.find_labels(root)
        if not found:
            raise not_found(self.name, root, f"{LABELS}, as the contest's evaluator takes it")
        if len(found) > 1:
            raise DataError(f"{root}: has several files {LABELS}: {', '.join(map(str, found))}. Keep one of them.")
        return _read(Path(root), self.card(), found[0])


def _images(folder: Path) -> list[Path]:
    return [path for path in walk(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def _read(root: Path, card: Card, file: Path) -> Dataset:
    content = foreign.read_json(file, MAX_LABELS_BYTES, "ground truth", DataError)
    entries = truth_entries(content, file, DataError)
    truth = {Path(name.replace("\\", "/")).stem: entry for name, entry in entries.items()}
    images = unique(((path.stem, path) for path in _images(file.parent)), "image")
    notes: list[str] = []
    items: dict[str, Item] = {}
    missing: dict[str, Item] = {}
    for id in sorted({*truth, *images}):
        item = _item(id, truth.get(id), images.get(id), card, f"{file}: {id}", notes)
        (items if id in images else missing)[id] = item
    if missing:
        notes.append(missing_images(file, card, sorted(missing), len(items) + len(missing)))
    return Dataset(card, root, items, tuple(notes), without_image=missing)


def _item(id: str, case: TruthEntry | None, image: Path | None, card: Card, where: str, notes: list[str]) -> Item:
    header = image_files.frame_image(image) if image else None
    mpp = (header.mpp if header else None) or card.mpp[SCANNER]
    if header and header.mpp is None:
        notes.append(f"{image}: says no um/px; {mpp[0]:g} is assumed, which the points in mm depend on")
    figures = _figures(case.points if case else (), mpp, where)
    read = Figures(header.size if header else size_of(figures), card.duplicates)
    mitoses = read.annotation(figures, labelled=case is not None)
    notes += read.notes
    domains = {"scanner": SCANNER}
    if case is not None:
        domains |= {"tumour": f"domain {case.tumour}", "region": case.region}
    reader = header.reader if header else PixelReader(Path(id))
    frame = Frame(id, card.name, id, SCANNER, mpp, read.size, reader, domains=domains)
    return Item(
        frame,
        mitoses,
        (image,) if image else (),
        "test",
        annotation_text(mitoses, dict(frame.domains)),
        (*(header.notes if header else ()), *([image_files.NO_MPP] if header and not header.mpp else [])),
        tuple(read.oddities),
        header.file_mpp if header else None,
    )


def _figures(points: Sequence[tuple[float, float]], mpp: tuple[float, float], where: str) -> list[Figure]:
    """Points in mm as figures in px. Raises DataError for coordinates that cannot be mm."""
    figures = []
    for position, (x, y) in enumerate(points):
        place = f"{where}: annotation {position}"
        if max(x, y) > 10 or min(x, y) < -0.0075:
            raise DataError(f"{place}: ({x:g}, {y:g}) cannot be mm. Are these pixels?")
        figures.append(Figure(x * 1000 / mpp[0], y * 1000 / mpp[1], True, None, place))
    return figures

"""TUPAC16's auxiliary data set, with its original labels (`tupac16`) and the alternative ones (`tupac16-al`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mitobench.datasets import cases
from mitobench.datasets.cases import CasesReader, Labels
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.sliderunner import read_database
from mitobench.errors import DataError

AUGMENTED, MANUAL = "labels_augmented.csv", "labels_manual.csv"
CLASSES = {1: True, 2: False}


class Tupac16(CasesReader):
    """Reads the images `NN/MM.tif` with the original labels; the alternative ones add their votes."""

    name = "tupac16"
    cases = 107

    def other_labels(self, root: Path, images: Mapping[str, Path]) -> Labels | None:
        """Returns the alternative labels, if they are here and the original ones too."""
        alternative = cases.alternative_labels(path for path in walk(root) if self._is_mine(path))
        return alternative if alternative.figures and self.labels(root, images).figures else None


class Tupac16Alternative(CasesReader):
    """Reads the alternative labels: per case, or of stitched images from a table or a SlideRunner database."""

    name = "tupac16-al"
    cases = 73

    def find(self, root: Path) -> list[Path]:
        """Returns the folders of the images, if alternative labels are here."""
        if inside_synthetic(root) or not self.find_labels(root):
            return []
        return sorted({path.parent for path in self.images(root).values()})

    def find_labels(self, root: Path) -> list[Path]:
        """Returns the table or database of labels, and folders of labels per case."""
        if inside_synthetic(root):
            return []
        files = list(walk(root))
        return [
            *(path for path in files if path.name.lower() in (AUGMENTED, MANUAL)),
            *(path for path in files if _is_database(path)),
            *sorted({folder for path in files for folder in path.parents if folder.name.lower() == cases.OTHERS}),
        ]

    def looked_for(self) -> str:
        """What `read` looked for, for messages."""
        return f"{AUGMENTED}, a database such as TUPAC_alternativeLabels.sqlite, or a folder {cases.OTHERS}"

    def images(self, root: Path) -> dict[str, Path]:
        """Returns stitched images by case, or images per case by frame."""
        files = [path for path in walk(root) if path.suffix.lower() in IMAGE_SUFFIXES and self._is_mine(path)]
        if any(path.stem.lower().endswith("_stitched1") for path in files):
            return unique(((id, path) for path in files for id in cases.stitched_id(path)), "image")
        return super().images(root)

    def labels(self, root: Path, images: Mapping[str, Path]) -> Labels:
        """Returns the augmented labels, or the manual ones if only these are here."""
        for name in (AUGMENTED, MANUAL):
            if tables := [path for path in walk(root) if path.name.lower() == name]:
                return cases.table_labels(_only(tables))
        if databases := [path for path in walk(root) if _is_database(path)]:
            return _of_database(_only(databases))
        return cases.alternative_labels(path for path in walk(root) if self._is_mine(path))

    def other_labels(self, root: Path, images: Mapping[str, Path]) -> Labels | None:
        """Returns the manual labels beside the augmented ones, or the original ones beside the alternative ones."""
        names = {path.name.lower(): path for path in walk(root)}
        if AUGMENTED in names and MANUAL in names:
            return cases.table_labels(names[MANUAL])
        original = cases.original_labels(path for path in walk(root) if self._is_mine(path))
        return original if original.figures and any("_" in id for id in images) else None


def _is_database(path: Path) -> bool:
    return path.suffix.lower() in (".sqlite", ".sqlite3", ".db") and "tupac" in path.name.lower()


def _only(paths: list[Path]) -> Path:
    if len(paths) > 1:
        raise DataError(f"{paths[0]}: and {paths[1]} are both labels of tupac16-al. Keep one of them.")
    return paths[0]


def _of_database(path: Path) -> Labels:
    labels = Labels(shared=path)
    for name, slide in read_database(path, CLASSES, labels.notes).items():
        for id in cases.stitched_id(Path("stitched") / name):
            labels.figures[id] = slide.figures
    return labels

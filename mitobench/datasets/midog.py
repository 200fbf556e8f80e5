"""The layout of the MIDOG data sets: one JSON of boxes for all images, `001.tiff`, ..., and tables of their domains.

A box is [xmin, ymin, xmax, ymax], unlike COCO's x, y, width, height. An image without an annotation is unlabelled
unless something says that it is labelled: the card, the table, or `"labelled": true` in the JSON.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mitobench.api import Frame, Mitoses
from mitobench.atomic import write_text_atomic
from mitobench.datasets import images
from mitobench.datasets.annotation_text import annotation_text
from mitobench.datasets.card import Card, Cohort
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.figures import Figure, Figures, without_confidence
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.images import NO_MPP
from mitobench.datasets.midog_labels import (
    COLUMNS,
    TABLE,
    Entry,
    Row,
    normal,
    read_entries,
    read_table,
    short,
    slide_of,
)
from mitobench.datasets.missing import missing_images
from mitobench.datasets.reader import NewFrame, Reader, not_found
from mitobench.errors import DataError
from mitobench.foreign import coco
from mitobench.slides.reader import PixelReader

SIDE_PX = 50


class MidogReader(Reader):
    """Base of the readers of this layout.

    Attributes:
        labels: matches the name of the JSON, in any letter case.
    """

    labels: ClassVar[re.Pattern[str]]

    def find(self, root: Path) -> list[Path]:
        """Returns the folders of the images."""
        if inside_synthetic(root):
            return []
        return sorted({path.parent for file in self.find_labels(root) for path in numbered_images(root, file).values()})

    def find_labels(self, root: Path) -> list[Path]:
        """Returns the JSON files of this data set."""
        return [] if inside_synthetic(root) else label_files(root, self.labels)

    def read(self, root: Path) -> Dataset:
        """Reads all images of the JSON. Those that are not here are in `without_image`."""
        found = self.find_labels(root)
        if not found:
            raise not_found(self.name, root, f"a file such as {self.example()}")
        if len(found) > 1:
            raise DataError(
                f"{root}: has the labels of {self.name} more than once: {', '.join(map(str, found))}. Keep one of them."
            )
        return read_layout(root, self.card(), found[0])

    def example(self) -> str:
        """The usual name of the JSON, for messages."""
        return "MIDOG.json"


def label_files(root: Path, named: re.Pattern[str]) -> list[Path]:
    """Returns the files below `root` whose name matches."""
    return [path for path in walk(root) if named.fullmatch(path.name.lower())]


def numbered_images(root: Path, labels: Path) -> dict[str, Path]:
    """Returns the images by slide: those below the folder of the labels, or all below `root` if there are none."""
    for folder in dict.fromkeys((labels.parent, Path(root))):
        found = [path for path in walk(folder) if path.suffix.lower() in IMAGE_SUFFIXES and path.stem.isdecimal()]
        if found:
            return unique(((slide_of(path.name), path) for path in found), "image")
    return {}


# ------------------------------------------------------------------------------------------------- reading


def read_layout(root: Path, card: Card, labels: Path) -> Dataset:
    """Reads the images that `labels` lists, real or synthetic, as data set `card.name`.

    Raises DataError when two images have the same number, when a file is broken, or contradicts another one.
    """
    notes: list[str] = []
    entries, categories = read_entries(labels)
    table = _table_beside(labels, notes)
    here = numbered_images(root, labels)
    named = {slide.lower(): slide for slide in entries}
    here |= {named[s.lower()]: path for s, path in _named_images(labels, named).items()}
    items: dict[str, Item] = {}
    missing: dict[str, Item] = {}
    derived: list[str] = []
    for slide, entry in entries.items():
        item = _item(entry, here.get(slide), card, table.get(slide), categories, notes, derived)
        (items if slide in here else missing)[slide] = item
    notes += _summary(labels, card, entries, missing, table, derived)
    return Dataset(card, Path(root), items, tuple(notes), without_image=missing)


def _named_images(labels: Path, named: Mapping[str, str]) -> dict[str, Path]:
    """Images below the folder of the labels whose names are not numbers, by slide."""
    return unique(
        (
            (path.stem, path)
            for path in walk(labels.parent)
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.stem.isdecimal() and path.stem.lower() in named
        ),
        "image",
    )


def _table_beside(labels: Path, notes: list[str]) -> dict[str, Row]:
    tables = [path for path in walk(labels.parent) if path.name.lower() == TABLE]
    return read_table(tables[0], notes) if tables else {}


def _item(
    entry: Entry,
    image: Path | None,
    card: Card,
    row: Row | None,
    categories: Mapping[coco.Id, bool],
    notes: list[str],
    derived: list[str],
) -> Item:
    """Returns an image with its annotation; adds what is odd to `notes`, and a slide without um/px to `derived`."""
    cohort = card.cohort_of(entry.slide)
    domains = {**card.domains, **(_of_cohort(cohort) if cohort else {}), **(row.domains if row else {}), **entry.extra}
    if entry.tumour:
        domains["tumour"] = normal("tumour", entry.tumour)
    labelled = bool(entry.boxes or row is not None or entry.labelled)
    header = images.frame_image(image) if image else None
    if header and header.note:
        notes.append(header.note)
    if header and header.size != entry.size:
        raise DataError(
            f"{image}: has {header.size[0]} x {header.size[1]} px, and {entry.where} says {entry.size[0]} x "
            f"{entry.size[1]}. The image was resized, or belongs to another data set. Get the original."
        )
    mpp = header.mpp if header else None
    if mpp is None:
        mpp = derived_mpp(entry.size, card, short(domains.get("scanner", "")), entry.where)
        derived.append(entry.slide)
    read = Figures(entry.size, card.duplicates)
    mitoses = read.annotation([_figure(box, categories) for box in entry.boxes], labelled=labelled)
    notes += read.notes
    scanner = short(domains.get("scanner", ""))
    reader = header.reader if header else PixelReader(Path(f"{entry.slide}.tiff"))
    frame = Frame(entry.slide, card.name, entry.slide, scanner, mpp, entry.size, reader, domains=domains)
    part = row.part if row else _card_part(card, entry.slide, labelled)
    return Item(
        frame,
        mitoses,
        (image,) if image else (),
        part,
        annotation_text(mitoses, domains),
        (*(header.notes if header else ()), *([NO_MPP] if header and not header.mpp else [])),
        tuple(read.oddities),
        header.file_mpp if header else None,
    )


def _of_cohort(cohort: Cohort) -> dict[str, str]:
    values = {name: getattr(cohort, name) for name in ("scanner", "tumour", "lab", "species")}
    return {name: value for name, value in values.items() if value}


def _card_part(card: Card, slide: str, labelled: bool) -> str | None:
    if not card.test_groups or not labelled:
        return None
    return "test" if slide in card.test_groups else "train"


def _figure(box: Mapping[str, Any], categories: Mapping[coco.Id, bool]) -> Figure:
    x1, y1, x2, y2 = box["bbox"]
    votes = box.get("labels")
    share = sum(categories[vote] for vote in votes) / len(votes) if votes else None
    return Figure((x1 + x2) / 2, (y1 + y2) / 2, categories[box["category_id"]], share, box["where"])


def derived_mpp(size: tuple[int, int], card: Card, scanner: str, where: str) -> tuple[float, float]:
    """Returns um/px along x and y of an image that does not say it, from the area on the card or from its scanner.

    `where`: file and entry of the image, for the message. Raises DataError if the card says neither.
    """
    side = round(float(np.sqrt((card.area_mm2 or 0) * 1e6 / (size[0] * size[1]))), 4)
    low, high = images.FRAME_MPP
    if low <= side <= high:
        return (side, side)
    if scanner in card.mpp:
        return card.mpp[scanner]
    raise DataError(
        f"{where}: the image says no um/px, and the card of {card.name} has none for scanner {scanner!r}. "
        "Add it to `mpp` on the card."
    )


def _summary(
    labels: Path,
    card: Card,
    entries: Mapping[str, Entry],
    missing: Mapping[str, Item],
    table: Mapping[str, Row],
    derived: Sequence[str],
) -> Iterator[str]:
    if missing:
        yield missing_images(labels, card, sorted(missing), len(entries))
    leaving = [box for entry in entries.values() for box in entry.boxes if _leaves(box["bbox"], entry.size)]
    if leaving:
        yield (
            f"{labels}: {len(leaving)} boxes leave their image (the first: {leaving[0]['where'].rpartition(' ')[2]}); "
            "their centres are kept"
        )
    boxes = [box for entry in entries.values() for box in entry.boxes]
    yield from without_confidence(labels, [box["where"] for box in boxes if not box.get("labels")], len(boxes))
    odd = sorted(set(table) - set(entries))
    if odd:
        yield f"{labels.parent / TABLE}: {len(odd)} slides are not in {labels.name}: {' '.join(odd[:8])}"
    if derived:
        how = f"the {card.area_mm2:g} mm2 that each image shows" if card.area_mm2 else "the card"
        yield f"{labels}: um/px of {len(derived)} images is derived from {how}, not read from the image"


def _leaves(box: Sequence[float], size: tuple[int, int]) -> bool:
    return bool(box[0] < 0 or box[1] < 0 or box[2] > size[0] or box[3] > size[1])


# ------------------------------------------------------------------------------------------------- writing


def write(
    root: Path, frames: Iterable[NewFrame], mpp: Mapping[str, float], domains: Mapping[str, Mapping[str, str]]
) -> None:
    """Writes frames in this layout: images with their um/px in `images`, `MIDOG.json`, and the table.

    Args:
        root: folder to write.
        frames: id (a number such as `001`), pixels, annotation and part.
        mpp: um/px by id.
        domains: domains by id.
    """
    listed: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    lines = [";".join(map(str.title, COLUMNS))]
    for id, image, mitoses, part in frames:
        _write_tiff(Path(root) / "images" / f"{id}.tiff", image, mpp[id])
        height, width = image.shape[:2]
        size = {"width": width, "height": height, "labelled": mitoses.labelled}
        own = domains[id]
        listed.append({"id": int(id), "file_name": f"{id}.tiff", **size, "tumor_type": own.get("tumour", "")})
        boxes += [{"id": len(boxes) + n, "image_id": int(id), **box} for n, box in enumerate(_boxes(mitoses), start=1)]
        if mitoses.labelled:
            cells = [str(int(id)), part or "train", *(own.get(k, "") for k in ("tumour", "scanner", "lab", "species"))]
            lines.append(";".join(cells))
    categories = [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic figure"}]
    content = {"images": listed, "categories": categories, "annotations": boxes}
    write_text_atomic(Path(root) / "MIDOG.json", json.dumps(content) + "\n")
    write_text_atomic(Path(root) / TABLE, "\n".join(lines) + "\n")


def _boxes(mitoses: Mitoses) -> Iterator[dict[str, Any]]:
    kinds = ((1, mitoses.xy, mitoses.confidence), (2, mitoses.imposters, mitoses.imposter_confidence))
    for category, xy, confidence in kinds:
        for number, (x, y) in enumerate(np.round(xy, 2).tolist()):
            half = SIDE_PX / 2
            box: dict[str, Any] = {"bbox": [x - half, y - half, x + half, y + half], "category_id": category}
            if confidence is not None:
                yes = round(3 * float(confidence[number]))
                box["labels"] = [1] * yes + [2] * (3 - yes)
            yield box


def _write_tiff(path: Path, image: Any, mpp: float) -> None:
    from PIL import Image

    from mitobench.atomic import write_atomic

    content = io.BytesIO()
    per_cm = 10_000 / mpp
    Image.fromarray(image).save(content, "TIFF", compression="tiff_deflate", resolution_unit=3, resolution=per_cm)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content.getvalue())

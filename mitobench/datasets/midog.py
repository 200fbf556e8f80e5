"""The layout of the MIDOG data sets: one JSON of boxes for all images, `001.tiff`, ..., and tables of their domains.

A box is [xmin, ymin, xmax, ymax], unlike COCO's x, y, width, height. An image without an annotation is unlabelled
unless something says that it is labelled: the card, the table, or `"labelled": true` in the JSON.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mitobench import foreign
from mitobench.api import Frame, Mitoses
from mitobench.atomic import write_text_atomic
from mitobench.datasets import images
from mitobench.datasets.annotation_text import annotation_text
from mitobench.datasets.base import Card, Dataset, Item, NewFrame, Reader, not_found
from mitobench.datasets.card import Cohort
from mitobench.datasets.figures import Figure, Figures
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.images import NO_MPP
from mitobench.datasets.missing import missing_images
from mitobench.errors import DataError
from mitobench.foreign import coco
from mitobench.foreign.limits import MAX_ANNOTATION_BYTES, MAX_LABELS_BYTES
from mitobench.slides.reader import PixelReader

TABLE = "datasets_xvalidation.csv"
MITOTIC, NOT_MITOTIC = {"mitotic figure", "mitosis"}, {"not mitotic figure", "non-mitotic figure", "hard negative"}
SIDE_PX = 50
_PARTS = {"train": "train", "training": "train", "test": "test"}
_SPELLINGS = {"hamammatsu": "hamamatsu", "canine lymphoma": "canine lymphosarcoma", "tumour": "tumor"}
_COLUMNS = ("slide", "dataset", "tumor", "scanner", "origin", "species")


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


def slide_of(name: str) -> str:
    """The name of a slide: `1`, `001` and `001.TIFF` are all `001`. Another name stays, without its suffix."""
    stem = Path(name).stem if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
    return f"{int(stem):03d}" if stem.isdecimal() and stem.isascii() else stem


def numbered_images(root: Path, labels: Path) -> dict[str, Path]:
    """Returns the images by slide: those below the folder of the labels, or all below `root` if there are none."""
    for folder in dict.fromkeys((labels.parent, Path(root))):
        found = [path for path in walk(folder) if path.suffix.lower() in IMAGE_SUFFIXES and path.stem.isdecimal()]
        if found:
            return unique(((slide_of(path.name), path) for path in found), "image")
    return {}


# ------------------------------------------------------------------------------------------------- the JSON


@dataclass(frozen=True)
class Entry:
    """One image of the JSON."""

    slide: str
    size: tuple[int, int]
    tumour: str
    where: str
    extra: Mapping[str, str]
    labelled: bool | None
    boxes: list[Mapping[str, Any]] = field(default_factory=list)


def read_entries(path: Path) -> tuple[dict[str, Entry], dict[coco.Id, bool]]:
    """Reads the images with their boxes by slide, and whether each category is a mitosis.

    Raises DataError naming the file and the image or annotation that is wrong.
    """
    content = foreign.read_json(path, MAX_LABELS_BYTES, "label file", DataError)
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(not isinstance(content.get(key), list) for key in keys):
        raise DataError(f"{path}: is not a MIDOG label file. Expected the lists {', '.join(keys)}.")
    foreign.check_version(path, content, "label file", DataError)
    categories: dict[coco.Id, bool] = {}
    for where, category in coco.entries(path, content, "categories", DataError):
        id, is_mitosis = _category(where, category)
        if categories.setdefault(id, is_mitosis) != is_mitosis:
            raise DataError(f"{where}: the id {id!r} occurs twice. Give each category its own.")
    entries: dict[Any, Entry] = {}
    for number, image in enumerate(content["images"]):
        entry = _entry(f"{path}: images[{number}]", image)
        if image["id"] in entries:
            raise DataError(f"{path}: images[{number}]: the id {image['id']!r} occurs twice. Give each image its own.")
        entries[image["id"]] = entry
    for number, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{number}]"
        _check_annotation(where, annotation, entries, categories)
        entries[annotation["image_id"]].boxes.append({**annotation, "where": where})
    _refuse_widths(path, list(entries.values()))
    slides = Counter(entry.slide for entry in entries.values())
    twice = [slide for slide, count in slides.items() if count > 1]
    if twice:
        raise DataError(f"{path}: the image {twice[0]} is listed {slides[twice[0]]} times. Keep one entry.")
    return {entry.slide: entry for entry in entries.values()}, categories


def _category(where: str, entry: Mapping[str, Any]) -> tuple[coco.Id, bool]:
    name = str(entry.get("name", "")).lower().strip()
    if name not in MITOTIC | NOT_MITOTIC:
        known = ", ".join(sorted(MITOTIC | NOT_MITOTIC))
        raise DataError(
            f"{where}: unknown category {foreign.printable(repr(entry), 80)}. Its name must be one of: {known}."
        )
    return coco.id_of(where, entry, "id", DataError), name in MITOTIC


def _entry(where: str, image: Any) -> Entry:
    try:
        size = (int(image["width"]), int(image["height"]))
        name, _ = image["file_name"], image["id"]
    except (KeyError, TypeError, ValueError) as reason:
        raise DataError(f"{where}: needs id, file_name, width and height ({reason}). Correct the entry.") from reason
    coco.id_of(where, image, "id", DataError)
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: `file_name` must be a text, not {foreign.printable(repr(name), 40)}. Correct it.")
    if min(size) < 1:
        raise DataError(f"{where}: {size[0]} x {size[1]} px is not the size of an image. Correct the entry.")
    extra = {key: str(image[key]) for key in ("scanner", "lab", "species", "region") if image.get(key)}
    labelled = image.get("labelled")
    if not (labelled is None or isinstance(labelled, bool)):
        raise DataError(
            f"{where}: `labelled` must be true or false, not {foreign.printable(repr(labelled), 40)}. Correct it."
        )
    return Entry(slide_of(name), size, str(image.get("tumor_type") or ""), where, extra, labelled)


def _check_annotation(
    where: str, annotation: Any, entries: Mapping[Any, Entry], categories: Mapping[coco.Id, bool]
) -> None:
    box = annotation.get("bbox") if isinstance(annotation, dict) else None
    if not (isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box)):
        raise DataError(f"{where}: `bbox` must be four numbers, xmin, ymin, xmax, ymax in px. Correct it.")
    for key, known in (("image_id", entries), ("category_id", categories)):
        if not isinstance(annotation.get(key), (int, str)) or annotation[key] not in known:
            raise DataError(f"{where}: {key} {annotation.get(key)!r} is not listed in the file. Correct it.")
    _check_votes(where, annotation.get("labels"), categories)


def _check_votes(where: str, votes: Any, categories: Mapping[coco.Id, bool]) -> None:
    """Raises DataError if the raters' votes are not a list of ids of categories. An annotation may have no votes."""
    if votes is None:
        return
    if not isinstance(votes, list):
        shown = foreign.printable(repr(votes), 40)
        raise DataError(f"{where}: `labels` must be a list with the category that each rater chose, not {shown}.")
    for vote in votes:
        if type(vote) not in (int, str) or vote not in categories:
            shown = foreign.printable(repr(vote), 40)
            raise DataError(f"{where}: `labels` has {shown}, which is not the id of a category. Correct it.")


def _refuse_widths(path: Path, entries: Iterable[Entry]) -> None:
    """Raises DataError if the boxes seem to be x, y, width and height."""
    boxes = [box for entry in entries for box in entry.boxes]
    flipped = [box for box in boxes if box["bbox"][2] <= box["bbox"][0] or box["bbox"][3] <= box["bbox"][1]]
    if not flipped:
        return
    hint = ""
    if 2 * len(flipped) > len(boxes):
        hint = " It seems to have x, y, width, height, as COCO files do: read it as data set `folder`, or convert it."
    raise DataError(
        f"{flipped[0]['where']}: bbox {flipped[0]['bbox']} has a corner before its first one; so have {len(flipped)} "
        f"of {len(boxes)} boxes. MIDOG boxes are xmin, ymin, xmax, ymax.{hint}"
    )


# ------------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True)
class Row:
    """What the table says about one slide."""

    part: str | None
    domains: Mapping[str, str]


def read_table(path: Path, notes: list[str]) -> dict[str, Row]:
    """Reads `datasets_xvalidation.csv` by slide: `Slide;Dataset;Tumor;Scanner;Origin;Species`.

    Notes spellings that differ from the usual ones. Raises DataError with file and line.
    """
    text = foreign.read_text(path, MAX_ANNOTATION_BYTES, "table of slides", DataError, "utf-8-sig")
    lines = csv.reader(io.StringIO(text), delimiter=";")
    header = [cell.strip().lower() for cell in next(lines, [])]
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise DataError(f"{path}:1: has no column {missing[0]!r}. Expected {';'.join(map(str.title, _COLUMNS))}.")
    rows: dict[str, Row] = {}
    spellings: Counter[tuple[str, str]] = Counter()
    for line, cells in enumerate(lines, start=2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise DataError(f"{path}:{line}: {len(cells)} columns; the header has {len(header)}. Correct the line.")
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        slide = slide_of(row["slide"])
        if slide in rows:
            raise DataError(f"{path}:{line}: slide {slide} occurs twice. Keep one line.")
        if row["dataset"].lower() not in _PARTS:
            raise DataError(f"{path}:{line}: {row['dataset']!r} is not a part. Expected train or test.")
        spellings.update((row[name], spelled(row[name])) for name in ("tumor", "scanner"))
        domains = {"tumour": row["tumor"], "scanner": row["scanner"], "lab": row["origin"], "species": row["species"]}
        rows[slide] = Row(_PARTS[row["dataset"].lower()], {key: normal(key, value) for key, value in domains.items()})
    for (written, usual), count in sorted(spellings.items()):
        if written.lower() != usual.lower():
            notes.append(f"{path}: {count} slides have {written!r}, which is read as {usual!r}")
    return rows


def spelled(text: str) -> str:
    """Returns the usual spelling of a tumour type or scanner."""
    for wrong, right in _SPELLINGS.items():
        text = re.sub(re.escape(wrong), partial(_in_case, right), text, flags=re.IGNORECASE)
    return text


def _in_case(word: str, found: re.Match[str]) -> str:
    return word.capitalize() if found[0][0].isupper() else word


def normal(name: str, value: str) -> str:
    """Returns the usual form of a domain's value: `Canine` and `canine` are the same."""
    value = " ".join(spelled(value).split())
    return value.lower() if name in ("species", "tumour", "region") else value


def short(scanner: str) -> str:
    """Returns the short name of a scanner, for `--scanner`: `hamamatsu-xr` for `Hamamatsu XR`."""
    return re.sub(r"[^a-z0-9]+", "-", scanner.lower()).strip("-") or "unknown"


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
    without = [box for box in boxes if not box.get("labels")]
    if 0 < len(without) < len(boxes):
        yield (
            f"{labels}: {len(without)} of {len(boxes)} annotations have no raters' votes in `labels` (the first: "
            f"{without[0]['where'].rpartition(' ')[2]}); images with one of them have no confidences"
        )
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
    lines = [";".join(map(str.title, _COLUMNS))]
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

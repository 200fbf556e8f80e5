"""`folder`: any images with one CSV, GeoJSON or COCO file of points or boxes, and perhaps a `dataset.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mitobench.api import Frame
from mitobench.datasets import images
from mitobench.datasets.annotation_text import annotation_text
from mitobench.datasets.card import Card
from mitobench.datasets.dataset import Dataset, Item
from mitobench.datasets.figures import NEAR_PX, Figures, repeats, without_confidence
from mitobench.datasets.files import IMAGE_SUFFIXES, inside_synthetic, unique, walk
from mitobench.datasets.folder_formats import SUFFIXES, Annotations, read_annotations
from mitobench.datasets.folder_names import FolderNames
from mitobench.datasets.folder_settings import FILE, FolderSettings, read_settings
from mitobench.datasets.reader import Reader, not_found
from mitobench.datasets.spans import spans
from mitobench.errors import DataError, counted, listed
from mitobench.mpp import um_px

IF_SEARCHED = f'If such images were searched, write in {FILE}: unannotated = "empty"'
SCANNER = "unknown"  # of every frame: a folder does not say it
CORNER_PX, CORNER = 10.0, 0.03  # figures that are all nearer to the corner, in px and as a share, are not in px
MIN_FIGURES = 3  # fewer may be there by chance
BY_CHANCE = 1e-6  # probability below which figures do not all lie in the upper left part of their images by chance


class Folder(Reader):
    """Reads one folder. Below a folder with several data sets, it is the one that has a `dataset.toml`."""

    name = "folder"

    def find(self, root: Path) -> list[Path]:
        """Returns the folders with a `dataset.toml`. A folder without one is read only when it is asked for by name."""
        return [] if inside_synthetic(root) else [path.parent for path in walk(root) if path.name == FILE]

    def read(self, root: Path) -> Dataset:
        """Reads the images of the folder with their annotation."""
        if not Path(root).is_dir():
            raise not_found(self.name, root, "images and one annotation file")
        found = self.find(root) or [Path(root)]
        if len(found) > 1:
            raise DataError(f"{root}: has several {FILE}: {', '.join(map(str, found))}. Give one of these folders.")
        return read_folder(found[0], self.card())


def read_folder(folder: Path, card: Card) -> Dataset:
    """Reads the images below a folder. Raises DataError when there are none, or no or several annotation files."""
    settings = read_settings(folder)
    paths = images_of(folder)
    if not paths:
        raise not_found(card.name, folder, "images (bmp, tif, tiff, png, jpg, jpeg)")
    given = {"radius_um": settings.radius_um, "cut_offs": settings.cut_offs}
    card = card.model_copy(update={**given, "title": settings.title or card.title})
    if settings.mpp:
        card = card.model_copy(update={"mpp": {SCANNER: (settings.mpp, settings.mpp)}})
    headers = {id: images.frame_image(path) for id, path in paths.items()}
    notes = [header.note for header in headers.values() if header.note]
    sizes = {id: header.size for id, header in headers.items()}
    figures, shared = _figures(folder, settings, paths, sizes, notes)
    slides = {} if settings.slide else _groups(shared, figures, paths, notes)
    _check_units(shared, figures, sizes, notes)
    every = [figure for of in figures.figures.values() for figure in of]
    notes += without_confidence(shared, [figure.where for figure in every if figure.confidence is None], len(every))
    items = {}
    for id, path in paths.items():
        domains = {"scanner": SCANNER, **settings.domains}
        read = Figures(headers[id].size, card.duplicates)
        known = id in figures.figures or settings.unannotated == "empty"
        mitoses = read.annotation(figures.figures.get(id, []), labelled=known)
        notes += read.notes
        mpp = _mpp(path, headers[id], settings, notes)
        group = slides.get(id) or _slide(folder, path, settings)
        frame = Frame(id, card.name, group, SCANNER, mpp, headers[id].size, headers[id].reader, domains=domains)
        items[id] = Item(
            frame,
            mitoses,
            (path,),
            None,
            annotation_text(mitoses, domains),
            headers[id].notes,
            tuple(read.oddities),
            headers[id].file_mpp if settings.mpp else None,  # without it, the card says nothing
        )
    notes += _unannotated(shared, items, settings)
    has_imposters = any(len(item.mitoses.imposters) for item in items.values())
    card = card.model_copy(update={"has_imposters": has_imposters})
    return Dataset(card, folder, items, tuple(notes), if_searched=IF_SEARCHED)


def images_of(folder: Path) -> dict[str, Path]:
    """Returns the images below a folder by their path without suffix: `a` for `a.png`, `slide1/a` for one deeper."""
    found = (path for path in walk(folder) if path.suffix.lower() in IMAGE_SUFFIXES)
    return unique(
        ((path.relative_to(folder).with_suffix("").as_posix().replace("/", "__"), path) for path in found), "image"
    )


def annotation_files(folder: Path, settings: FolderSettings) -> list[Path]:
    """Returns the annotation files. Raises DataError if there is none, or it is not clear which one is meant."""
    if settings.annotations:
        _check_inside(folder, "annotations", settings.annotations)
        found = sorted(path for path in folder.glob(settings.annotations) if path.is_file())
        if not found:
            raise DataError(f"{folder / FILE}: no file matches annotations = {settings.annotations!r}. Correct it.")
        return found
    listing = images_file(folder, settings)
    found = [path for path in walk(folder) if path.suffix.lower() in SUFFIXES and path != listing]
    geojson = [path for path in found if path.suffix.lower() == ".geojson"]
    if not found:
        raise DataError(f"{folder}: has no annotation file ({' '.join(SUFFIXES)}). Put one there.")
    if len(found) > 1 and len(geojson) < len(found):
        names = ", ".join(path.name for path in found[:5])
        raise DataError(f'{folder}: has several annotation files: {names}. Write in {FILE}: annotations = "NAME".')
    return found


def images_file(folder: Path, settings: FolderSettings) -> Path | None:
    """Returns the COCO file of images that the settings name; None without one. Raises DataError if it is not there."""
    if not settings.images:
        return None
    _check_inside(folder, "images", settings.images)
    path = folder / settings.images
    if not path.is_file():
        raise DataError(f"{folder / FILE}: images = {settings.images!r} names a file that does not exist. Correct it.")
    return path


def _check_inside(folder: Path, key: str, name: str) -> None:
    if ".." in name or name.startswith(("/", "~")):
        raise DataError(f"{folder / FILE}: `{key}` must be a file in the folder, without `..`.")


def _figures(
    folder: Path,
    settings: FolderSettings,
    paths: Mapping[str, Path],
    sizes: Mapping[str, tuple[int, int]],
    notes: list[str],
) -> tuple[Annotations, Path]:
    """Returns the figures and slides by frame id, and an annotation file. Notes images that are not here."""
    names = FolderNames(folder, paths)
    found = Annotations()
    files = annotation_files(folder, settings)
    listing = images_file(folder, settings)
    absent: set[str] = set()
    for file in files:
        read = read_annotations(file, settings, {path.name: sizes[id] for id, path in paths.items()}, listing)
        found.grouped_by = found.grouped_by or read.grouped_by
        for name, figures in read.figures.items():
            id = names.find(file, name) if name else next(iter(paths)) if len(paths) == 1 else None
            if not name and id is None:
                raise DataError(
                    f"{file}: does not name its images, of which there are {len(paths)}. Add a column image."
                )
            if id is None:
                absent.add(name)
                continue
            _check_size(paths[id], sizes[id], read.sizes.get(name))
            found.figures.setdefault(id, []).extend(figures)
            for group, where in read.groups.get(name, {}).items():
                found.add_group(id, group, where)
    if absent and not found.figures:
        first, image = min(absent), next(iter(paths.values())).relative_to(folder).as_posix()
        raise DataError(f"{files[0]}: names no image of this folder: {first!r}; an image is {image!r}.")
    if absent:
        are_missing = counted(len(absent), "of its images is missing", "of its images are missing")
        notes.append(f"{files[0]}: {are_missing}: {listed(sorted(absent), 8)}")
    return found, files[0]


def _groups(file: Path, found: Annotations, paths: Mapping[str, Path], notes: list[str]) -> dict[str, str]:
    """Returns the slides that the annotation gives, by frame id, and notes where they are from.

    Raises DataError if an image has two.
    """
    for id, groups in found.groups.items():
        if len(groups) > 1:
            (one, first), (other, second) = list(groups.items())[:2]
            raise DataError(
                f"{second}: {found.grouped_by} of {paths[id].name} is {other!r}, and {one!r} in {first}. Correct one."
            )
    slides = {id: next(iter(groups)) for id, groups in found.groups.items()}
    if slides:
        notes.append(f"{file}: {counted(len(set(slides.values())), 'slide')} by its `{found.grouped_by}`")
    if slides and (others := [id for id in paths if id not in slides]):
        without = counted(len(others), "image")
        notes.append(f"{file}: {without} without `{found.grouped_by}`; folder or name is the slide: {spans(others)}")
    return slides


def _check_size(path: Path, size: tuple[int, int], given: tuple[str, tuple[int, int]] | None) -> None:
    """Raises DataError if an annotation file says another size of an image."""
    if given is not None and given[1] != size:
        where, (width, height) = given
        raise DataError(
            f"{path}: has {size[0]} x {size[1]} px, and {where} says {width} x {height}. The image was resized, or "
            "belongs to other annotations. Get the original."
        )


def _check_units(file: Path, found: Annotations, sizes: Mapping[str, tuple[int, int]], notes: list[str]) -> None:
    """Raises DataError if all figures lie in a corner of their images, as in mm; notes many that coincide."""
    groups = [(figures, sizes[id]) for id, figures in found.figures.items() if figures]
    count = sum(len(figures) for figures, _ in groups)
    largest = max((max(figure.x, figure.y) for figures, _ in groups for figure in figures), default=0.0)
    least = min((min(size) for _, size in groups), default=0)
    if count and largest < min(CORNER_PX, CORNER * least):
        lie = "the only figure lies" if count == 1 else f"all {count} figures lie"
        text = (
            f"{file}: {lie} within {max(largest, 0):.3g} px of the upper left corner of their "
            f"images, of at least {least} px. Coordinates must be px: are these mm, um, or fractions of the image?"
        )
        if count >= MIN_FIGURES:
            raise DataError(f"{text} Convert them: px = mm * 1000 / (um/px).")
        notes.append(text)
    reached = max((max(f.x / w, f.y / h) for figures, (w, h) in groups for f in figures), default=1.0)
    if count >= MIN_FIGURES and 0 < reached < 1 and reached ** (2 * count) < BY_CHANCE:
        notes.append(
            f"{file}: all {count} figures lie in the upper left {reached:.0%} of the width and height of their images: "
            "are the coordinates um, or px of another resolution?"
        )
    again = sum(len(repeats(np.array([[f.x, f.y] for f in figures]))) for figures, _ in groups)
    if again >= MIN_FIGURES and again * 4 >= count:
        notes.append(
            f"{file}: {again} of {count} figures are within {NEAR_PX:g} px of another one: are the coordinates px of "
            "these images, or of another resolution or unit?"
        )


def _mpp(path: Path, header: images.FrameImage, settings: FolderSettings, notes: list[str]) -> tuple[float, float]:
    own, given = header.mpp, settings.mpp
    if own is None and given is None:
        low, high = images.FRAME_MPP
        says = f"{um_px(header.file_mpp)} um/px, not {low:g} to {high:g}" if header.file_mpp else "no um/px"
        raise DataError(
            f"{path}: says {says}. Write it in {FILE}, for example mpp = 0.25, or run: mitobench data init "
            f"{path.parent} --mpp 0.25"
        )
    if given is None or own is None:
        return own or (given or 0.0, given or 0.0)
    if max(own) / given > 1.05 or min(own) / given < 0.95:
        notes.append(f"{path}: says {own[0]:.4g} um/px, and {FILE} {given:g}, which is used")
    return (given, given)


def _slide(folder: Path, path: Path, settings: FolderSettings) -> str:
    if settings.slide:
        match = re.search(settings.slide, path.name)
        if match is None:
            raise DataError(f"{path}: its name does not match slide = {settings.slide!r} in {FILE}. Correct it.")
        return match[1] or path.stem
    inner = path.parent.relative_to(folder).as_posix()
    return path.stem if inner == "." else inner


def _unannotated(file: Path, items: Mapping[str, Item], settings: FolderSettings) -> list[str]:
    bare = [id for id, item in items.items() if not item.mitoses.labelled]
    if not bare:
        return []
    has, count = ("has", "counts") if len(bare) == 1 else ("have", "count")
    return [
        f"{file}: {len(bare)} of {len(items)} images {has} no annotation, and {count} as unlabelled: {spans(bare)}. "
        f"{IF_SEARCHED}"
    ]

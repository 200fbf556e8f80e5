"""The figures in SlideRunner's databases: the annotation of whole slides or stitched images by several raters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mitobench.datasets.figures import Figure, without_confidence
from mitobench.errors import DataError
from mitobench.foreign import classes
from mitobench.foreign.sliderunner import read_sliderunner


@dataclass
class SlideLabels:
    """The figures of one slide, and its size in px if the database has it."""

    filename: str
    size: tuple[int, int] | None = None
    figures: list[Figure] = field(default_factory=list)


def read_database(
    path: Path, numbers: Mapping[int, bool] | None = None, notes: list[str] | None = None
) -> dict[str, SlideLabels]:
    """Reads the mitoses and imposters of each slide, by the slide's name without suffix, in lower case.

    Args:
        path: the database. It is opened read-only.
        numbers: whether each class is a mitosis, for a database without names of classes; others are left out.
        notes: receives what is left out, with the number of annotations of each class.

    A figure's centre is the mean of its coordinates; its confidence is the share of its raters who took it for a
    mitosis. Raises DataError if the file is not such a database or is locked, for classes and coordinates that are not
    numbers, and if no class of its annotations is known to be a mitosis.
    """
    database = read_sliderunner(path, DataError)
    named = _classes(path, database.classes, numbers)
    slides = {uid: SlideLabels(slide.filename, slide.size) for uid, slide in database.slides.items()}
    left_out: Counter[str] = Counter()
    for annotation in database.annotations:
        slide, agreed = annotation.slide, annotation.agreed
        if slide is None or slide not in slides:
            left_out["on a slide not listed"] += 1
        elif agreed is None or agreed not in named:
            left_out[f"class {agreed}" if agreed is None else database.classes.get(agreed, f"class {agreed}")] += 1
        elif annotation.centre is None:
            raise DataError(f"{annotation.where} has no coordinates. Correct or delete it.")
        else:
            share = _share(annotation.votes, named)
            slides[slide].figures.append(Figure(*annotation.centre, named[agreed], share, annotation.where))
    _check_mitoses(
        path, slides.values(), named, left_out, by_number=True not in map(meaning, database.classes.values())
    )
    if notes is not None:
        notes += _unused(path, slides.values(), left_out)
    by_name: dict[str, SlideLabels] = {}
    for labels in slides.values():
        if by_name.setdefault(Path(labels.filename).stem.lower(), labels) is not labels:
            raise DataError(f"{path}: slide {labels.filename} is listed twice. Keep one entry of `Slides`.")
    return by_name


def _share(votes: Sequence[int], named: Mapping[int, bool]) -> float | None:
    """The share of votes for a mitosis; None without votes. A vote for a class that is neither counts against it."""
    return sum(named.get(vote, False) for vote in votes) / len(votes) if votes else None


def _check_mitoses(
    path: Path, slides: Iterable[SlideLabels], named: Mapping[int, bool], left_out: Counter[str], by_number: bool
) -> None:
    """Raises DataError if classes have numbers but no names, and no annotation has the number of mitoses."""
    found = any(figure.is_mitosis for labels in slides for figure in labels.figures)
    if by_number and left_out and not found:
        mitoses = " or ".join(str(uid) for uid, is_mitosis in named.items() if is_mitosis)
        raise DataError(
            f"{path}: no annotation is a mitosis: without a table Classes that names it, that is agreedClass "
            f"{mitoses}. Its other annotations: {classes.listed(left_out)}. Add the table Classes (uid, name) to the "
            "database."
        )


def _unused(path: Path, slides: Iterable[SlideLabels], left_out: Counter[str]) -> Iterator[str]:
    if left_out:
        yield f"{path}: {left_out.total()} annotations of other classes are left out: {classes.listed(left_out)}"
    figures = [figure for labels in slides for figure in labels.figures]
    yield from without_confidence(path, [f.where for f in figures if f.confidence is None], len(figures))
    if not any(figure.is_mitosis for figure in figures):
        yield f"{path}: WARNING: has no annotation of a mitosis, so all of its slides count as free of mitoses"


def _classes(path: Path, names: Mapping[int, str], given: Mapping[int, bool] | None) -> dict[int, bool]:
    meanings = {uid: meaning(name) for uid, name in names.items()}
    named = {uid: is_mitosis for uid, is_mitosis in meanings.items() if is_mitosis is not None}
    named = named if True in named.values() else dict(given or {})
    if True not in named.values():
        raise DataError(f"{path}: no entry of its table Classes is called mitosis. It is not a data set of mitoses.")
    return named


def meaning(name: str) -> bool | None:
    """Whether the name of a class means a mitosis, or an imposter; None for another class."""
    usual = classes.meaning(name)
    if usual is not None:
        return usual
    plain = re.sub(r"[^a-z]", "", name.lower())
    if not re.search(r"mito|hardneg|imposter", plain):
        return None
    return not re.search(r"non|not|like|hardneg|imposter|look", plain)

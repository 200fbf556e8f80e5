"""SlideRunner's databases (sqlite): the annotation of whole slides or stitched images by several raters."""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from mitobench import foreign
from mitobench.datasets.figures import Figure
from mitobench.errors import DataError
from mitobench.foreign import classes
from mitobench.foreign.limits import MAX_ANNOTATIONS, MAX_DATABASE_BYTES

_NEEDED = {
    "Slides": ("uid", "filename"),
    "Annotations": ("uid", "slide", "agreedClass", "deleted"),
    "Annotations_coordinates": ("coordinateX", "coordinateY", "annoId"),
}
_STEPS, _MAX_CALLS = 1_000_000, 20_000  # a query of more steps than real databases need is stopped


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
    left_out: Counter[str] = Counter()
    with _opened(path) as database:
        _check_tables(path, database)
        names = _names(database)
        named = _classes(path, names, numbers)
        slides = _slides(path, database)
        votes = _votes(database, named)
        for uid, slide, agreed, x, y in _annotations(path, database):
            if agreed is None or agreed not in named or slide not in slides:
                name = f"class {agreed}" if agreed is None or agreed not in names else names[agreed]
                left_out[name if slide in slides else "on a slide not listed"] += 1
                continue
            if x is None or y is None:
                raise DataError(f"{path}: annotation {uid} has no coordinates. Correct or delete it.")
            where = f"{path}: annotation {uid}"
            slides[slide].figures.append(Figure(x, y, named[agreed], votes.get(uid), where))
    _check_mitoses(path, slides.values(), named, left_out, by_number=True not in map(meaning, names.values()))
    if notes is not None:
        notes += _unused(path, slides.values(), left_out)
    by_name: dict[str, SlideLabels] = {}
    for labels in slides.values():
        if by_name.setdefault(Path(labels.filename).stem.lower(), labels) is not labels:
            raise DataError(f"{path}: slide {labels.filename} is listed twice. Keep one entry of `Slides`.")
    return by_name


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
    if not any(figure.is_mitosis for labels in slides for figure in labels.figures):
        yield f"{path}: WARNING: has no annotation of a mitosis, so all of its slides count as free of mitoses"


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    foreign.check_regular(path, MAX_DATABASE_BYTES, "database of annotations", DataError)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > _MAX_CALLS

    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=1)) as database:
            database.set_progress_handler(stop, _STEPS)
            database.execute("PRAGMA trusted_schema = OFF")
            yield database
    except sqlite3.DatabaseError as reason:
        if "locked" in str(reason):
            raise DataError(f"{path}: is locked. Close the program that has it open, or copy the file.") from reason
        raise DataError(f"{path}: cannot be read as a SlideRunner database ({reason}). Get the file again.") from reason


def _check_tables(path: Path, database: sqlite3.Connection) -> None:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table, columns in _NEEDED.items():
        if table not in tables:
            raise DataError(f"{path}: is not a SlideRunner database: it has no table {table}. Give another file.")
        there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
        missing = sorted(set(columns) - there)
        if missing:
            raise DataError(f"{path}: table {table} has no column {missing[0]}. Its form is unknown to mitobench.")


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")} if table in tables else set()


def _names(database: sqlite3.Connection) -> dict[int, str]:
    if not {"uid", "name"} <= _columns(database, "Classes"):
        return {}
    return {uid: str(name) for uid, name in database.execute("SELECT uid, name FROM Classes").fetchmany(1000)}


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


def _slides(path: Path, database: sqlite3.Connection) -> dict[int, SlideLabels]:
    sized = {"width", "height"} <= _columns(database, "Slides")
    query = f"SELECT uid, filename, {'width, height' if sized else 'NULL, NULL'} FROM Slides"
    rows = database.execute(query).fetchmany(100_000)
    for uid, name, *size in rows:
        for column, value in zip(("width", "height"), size, strict=True):
            if value is not None and (not isinstance(value, (int, float)) or not math.isfinite(value)):
                raise DataError(f"{path}: slide {name}: {column} is {value!r:.40}, which is not a number. Correct it.")
        if not isinstance(uid, int):
            raise DataError(f"{path}: slide {name}: uid is {uid!r:.40}, which is not a whole number. Correct it.")
    slides = {uid: SlideLabels(str(name), (int(w), int(h)) if w and h else None) for uid, name, w, h in rows}
    if not slides:
        raise DataError(f"{path}: lists no slide. Get the file again.")
    return slides


_QUERY = """
SELECT a.uid, a.slide, a.agreedClass, a.deleted, AVG(c.coordinateX), AVG(c.coordinateY), COUNT(c.annoId),
  TOTAL(typeof(c.coordinateX) IN ('integer', 'real')), TOTAL(typeof(c.coordinateY) IN ('integer', 'real'))
FROM Annotations AS a LEFT JOIN Annotations_coordinates AS c ON c.annoId = a.uid
GROUP BY a.uid ORDER BY a.uid
"""


def _annotations(
    path: Path, database: sqlite3.Connection
) -> Iterator[tuple[int, int, int | None, float | None, float | None]]:
    """Yields uid, slide, class and centre of the annotations that are not deleted.

    Raises DataError for what is not a number: sqlite stores text in any column, and takes it for 0 in a mean.
    """
    again = database.execute("SELECT uid FROM Annotations GROUP BY uid HAVING COUNT(*) > 1 LIMIT 1").fetchone()
    if again is not None:
        raise DataError(f"{path}: several rows of Annotations have the uid {again[0]}. Give each its own.")
    rows = database.execute(_QUERY).fetchmany(MAX_ANNOTATIONS + 1)
    if len(rows) > MAX_ANNOTATIONS:
        raise sqlite3.DatabaseError(f"more than {MAX_ANNOTATIONS:,} annotations")
    for uid, slide, agreed, deleted, x, y, given, numbers_x, numbers_y in rows:
        where = f"{path}: annotation {uid}"
        for column, value in (("slide", slide), ("agreedClass", agreed), ("deleted", deleted)):
            if not isinstance(value, int) and value is not None:
                raise DataError(f"{where}: {column} is {value!r:.40}, which is not a whole number. Correct it.")
        if deleted:
            continue
        for column, n, mean in (("coordinateX", numbers_x, x), ("coordinateY", numbers_y, y)):
            if given and (n < given or not math.isfinite(mean)):
                raise DataError(f"{where}: one of its {column} is not a number. Correct it.")
        yield uid, slide, agreed, x, y


def _votes(database: sqlite3.Connection, named: Mapping[int, bool]) -> dict[int, float]:
    """The share of the raters of each annotation who took it for a mitosis; empty without a table of raters."""
    if not {"annoId", "class"} <= _columns(database, "Annotations_label"):
        return {}
    given: dict[int, list[bool]] = {}
    query = "SELECT annoId, class FROM Annotations_label WHERE class > 0"
    for annotation, vote in database.execute(query).fetchmany(5 * MAX_ANNOTATIONS):
        given.setdefault(annotation, []).append(named.get(vote, False))
    return {annotation: sum(votes) / len(votes) for annotation, votes in given.items()}

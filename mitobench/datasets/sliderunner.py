"""SlideRunner's databases (sqlite): the annotation of whole slides or stitched images by several raters."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from mitobench import foreign
from mitobench.datasets.figures import Figure
from mitobench.errors import DataError
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


def read_database(path: Path, classes: Mapping[int, bool] | None = None) -> dict[str, SlideLabels]:
    """Reads the mitoses and imposters of each slide, by the slide's name without suffix, in lower case.

    Args:
        path: the database. It is opened read-only.
        classes: whether each class is a mitosis; others are left out. None: by the names in the table `Classes`.

    A figure's centre is the mean of its coordinates; its confidence is the share of its raters who took it for a
    mitosis. Raises DataError if the file is not such a database or is locked.
    """
    with _opened(path) as database:
        _check_tables(path, database)
        named = _classes(path, database, classes)
        slides = _slides(path, database)
        votes = _votes(database, named)
        for uid, slide, agreed, x, y in _annotations(database):
            if agreed in named and slide in slides:
                if x is None or y is None:
                    raise DataError(f"{path}: annotation {uid} has no coordinates. Correct or delete it.")
                where = f"{path}: annotation {uid}"
                slides[slide].figures.append(Figure(float(x), float(y), named[agreed], votes.get(uid), where))
    by_name: dict[str, SlideLabels] = {}
    for labels in slides.values():
        if by_name.setdefault(Path(labels.filename).stem.lower(), labels) is not labels:
            raise DataError(f"{path}: slide {labels.filename} is listed twice. Keep one entry of `Slides`.")
    return by_name


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


def _classes(path: Path, database: sqlite3.Connection, given: Mapping[int, bool] | None) -> dict[int, bool]:
    named: dict[int, bool] = {}
    if {"uid", "name"} <= _columns(database, "Classes"):
        for uid, name in database.execute("SELECT uid, name FROM Classes").fetchmany(1000):
            is_mitosis = meaning(str(name))
            if is_mitosis is not None:
                named[uid] = is_mitosis
    named = named if True in named.values() else dict(given or {})
    if True not in named.values():
        raise DataError(f"{path}: no entry of its table Classes is called mitosis. It is not a data set of mitoses.")
    return named


def meaning(name: str) -> bool | None:
    """Whether the name of a class means a mitosis, or an imposter; None for another class."""
    plain = re.sub(r"[^a-z]", "", name.lower())
    if not re.search(r"mito|hardneg|imposter", plain):
        return None
    return not re.search(r"non|not|like|hardneg|imposter|look", plain)


def _slides(path: Path, database: sqlite3.Connection) -> dict[int, SlideLabels]:
    sized = {"width", "height"} <= _columns(database, "Slides")
    query = f"SELECT uid, filename, {'width, height' if sized else 'NULL, NULL'} FROM Slides"
    rows = database.execute(query).fetchmany(100_000)
    slides = {uid: SlideLabels(str(name), (int(w), int(h)) if w and h else None) for uid, name, w, h in rows}
    if not slides:
        raise DataError(f"{path}: lists no slide. Get the file again.")
    return slides


def _annotations(database: sqlite3.Connection) -> list[tuple[int, int, int, float | None, float | None]]:
    query = (
        "SELECT a.uid, a.slide, a.agreedClass, AVG(c.coordinateX), AVG(c.coordinateY) "
        "FROM Annotations AS a LEFT JOIN Annotations_coordinates AS c ON c.annoId = a.uid "
        "WHERE NOT COALESCE(a.deleted, 0) GROUP BY a.uid ORDER BY a.uid"
    )
    rows = database.execute(query).fetchmany(MAX_ANNOTATIONS + 1)
    if len(rows) > MAX_ANNOTATIONS:
        raise sqlite3.DatabaseError(f"more than {MAX_ANNOTATIONS:,} annotations")
    return rows


def _votes(database: sqlite3.Connection, named: Mapping[int, bool]) -> dict[int, float]:
    """The share of the raters of each annotation who took it for a mitosis; empty without a table of raters."""
    if not {"annoId", "class"} <= _columns(database, "Annotations_label"):
        return {}
    given: dict[int, list[bool]] = {}
    query = "SELECT annoId, class FROM Annotations_label WHERE class > 0"
    for annotation, vote in database.execute(query).fetchmany(5 * MAX_ANNOTATIONS):
        given.setdefault(annotation, []).append(named.get(vote, False))
    return {annotation: sum(votes) / len(votes) for annotation, votes in given.items()}

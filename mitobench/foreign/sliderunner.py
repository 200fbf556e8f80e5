"""SlideRunner's databases (sqlite): slides, classes, and the annotation by several raters, as they are stored."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mitobench.errors import MitobenchError
from mitobench.foreign.files import check_regular
from mitobench.foreign.limits import MAX_ANNOTATIONS, MAX_DATABASE_BYTES

SUFFIXES = (".sqlite", ".sqlite3", ".db")

_NEEDED = {
    "Slides": ("uid", "filename"),
    "Annotations": ("uid", "slide", "agreedClass", "deleted"),
    "Annotations_coordinates": ("coordinateX", "coordinateY", "annoId"),
}
_STEPS, _MAX_CALLS = 1_000_000, 20_000  # a query of more steps than real databases need is stopped


@dataclass(frozen=True)
class Annotation:
    """One annotation that is not deleted.

    Attributes:
        where: file and number of the annotation, for messages.
        slide: `uid` of its slide; the slide may be missing from `Slides`.
        agreed: `uid` of the class that the raters agreed on; None: none.
        centre: the mean of its coordinates, px; None if it has none.
        votes: the class that each rater chose; empty without the table `Annotations_label`.
    """

    where: str
    slide: int | None
    agreed: int | None
    centre: tuple[float, float] | None
    votes: Sequence[int] = ()


@dataclass(frozen=True)
class Slide:
    """One slide: the name of its file, and its width and height in px if the database has them."""

    filename: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class Database:
    """What a database holds: slides by `uid`, names of classes by `uid` (empty without the table), annotations."""

    slides: Mapping[int, Slide]
    classes: Mapping[int, str]
    annotations: Sequence[Annotation]


def read_sliderunner(path: Path, error: type[MitobenchError] = MitobenchError) -> Database:
    """Reads a database, which is opened read-only.

    Raises `error` if the file is not such a database or is locked, and for ids, classes, votes and coordinates that are
    not numbers.
    """
    with _opened(path, error) as database:
        _check_tables(path, database, error)
        slides = _slides(path, database, error)
        return Database(slides, _classes(database), _annotations(path, database, _votes(path, database, error), error))


@contextmanager
def _opened(path: Path, error: type[MitobenchError]) -> Iterator[sqlite3.Connection]:
    check_regular(path, MAX_DATABASE_BYTES, "database of annotations", error)
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
            raise error(f"{path}: is locked. Close the program that has it open, or copy the file.") from reason
        raise error(f"{path}: cannot be read as a SlideRunner database ({reason}). Get the file again.") from reason


def _check_tables(path: Path, database: sqlite3.Connection, error: type[MitobenchError]) -> None:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in _NEEDED:
        if table not in tables:
            raise error(f"{path}: is not a SlideRunner database: it has no table {table}. Give another file.")
    for table, columns in _NEEDED.items():
        there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
        missing = sorted(set(columns) - there)
        if missing:
            raise error(f"{path}: table {table} has no column {missing[0]}. Its form is unknown to mitobench.")


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")} if table in tables else set()


def _classes(database: sqlite3.Connection) -> dict[int, str]:
    if not {"uid", "name"} <= _columns(database, "Classes"):
        return {}
    return {uid: str(name) for uid, name in database.execute("SELECT uid, name FROM Classes").fetchmany(1000)}


def _slides(path: Path, database: sqlite3.Connection, error: type[MitobenchError]) -> dict[int, Slide]:
    sized = {"width", "height"} <= _columns(database, "Slides")
    query = f"SELECT uid, filename, {'width, height' if sized else 'NULL, NULL'} FROM Slides"
    rows = database.execute(query).fetchmany(100_000)
    for uid, name, *size in rows:
        for column, value in zip(("width", "height"), size, strict=True):
            if value is not None and (not isinstance(value, (int, float)) or not math.isfinite(value)):
                raise error(f"{path}: slide {name}: {column} is {value!r:.40}, which is not a number. Correct it.")
        if not isinstance(uid, int):
            raise error(f"{path}: slide {name}: uid is {uid!r:.40}, which is not a whole number. Correct it.")
    slides = {uid: Slide(str(name), (int(w), int(h)) if w and h else None) for uid, name, w, h in rows}
    if not slides:
        raise error(f"{path}: lists no slide. Get the file again.")
    return slides


_QUERY = """
SELECT a.uid, a.slide, a.agreedClass, a.deleted, AVG(c.coordinateX), AVG(c.coordinateY), COUNT(c.annoId),
  TOTAL(typeof(c.coordinateX) IN ('integer', 'real')), TOTAL(typeof(c.coordinateY) IN ('integer', 'real'))
FROM Annotations AS a LEFT JOIN Annotations_coordinates AS c ON c.annoId = a.uid
GROUP BY a.uid ORDER BY a.uid
"""


def _annotations(
    path: Path, database: sqlite3.Connection, votes: Mapping[int, Sequence[int]], error: type[MitobenchError]
) -> list[Annotation]:
    """Returns the annotations that are not deleted.

    Raises `error` for what is not a number: sqlite stores text in any column, and takes it for 0 in a mean.
    """
    again = database.execute("SELECT uid FROM Annotations GROUP BY uid HAVING COUNT(*) > 1 LIMIT 1").fetchone()
    if again is not None:
        raise error(f"{path}: several rows of Annotations have the uid {again[0]}. Give each its own.")
    rows = database.execute(_QUERY).fetchmany(MAX_ANNOTATIONS + 1)
    if len(rows) > MAX_ANNOTATIONS:
        raise sqlite3.DatabaseError(f"more than {MAX_ANNOTATIONS:,} annotations")
    found: list[Annotation] = []
    for uid, slide, agreed, deleted, x, y, given, numbers_x, numbers_y in rows:
        where = f"{path}: annotation {uid}"
        for column, value in (("slide", slide), ("agreedClass", agreed), ("deleted", deleted)):
            if not isinstance(value, int) and value is not None:
                raise error(f"{where}: {column} is {value!r:.40}, which is not a whole number. Correct it.")
        if deleted:
            continue
        for column, n, mean in (("coordinateX", numbers_x, x), ("coordinateY", numbers_y, y)):
            if given and (n < given or not math.isfinite(mean)):
                raise error(f"{where}: one of its {column} is not a number. Correct it.")
        found.append(Annotation(where, slide, agreed, (x, y) if given else None, votes.get(uid, ())))
    return found


def _votes(path: Path, database: sqlite3.Connection, error: type[MitobenchError]) -> dict[int, list[int]]:
    """Returns the classes that raters chose, by annotation; empty without a table of raters. 0: nothing was chosen."""
    if not {"annoId", "class"} <= _columns(database, "Annotations_label"):
        return {}
    given: dict[int, list[int]] = {}
    query = "SELECT annoId, class FROM Annotations_label WHERE class > 0"
    for annotation, vote in database.execute(query).fetchmany(5 * MAX_ANNOTATIONS):
        if not isinstance(vote, int):
            raise error(
                f"{path}: a rater's class of annotation {annotation} in Annotations_label is {vote!r:.40}, which is "
                "not a whole number. Correct it."
            )
        given.setdefault(annotation, []).append(vote)
    return given

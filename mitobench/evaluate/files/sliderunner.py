"""Reads the annotations in a SlideRunner database (sqlite) as detections."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from mitobench import foreign
from mitobench.errors import MitobenchError
from mitobench.evaluate.files.frame_names import FrameNames
from mitobench.evaluate.files.table import Row, Table
from mitobench.foreign import limits

SUFFIXES = (".sqlite", ".sqlite3", ".db")
_MAGIC = b"SQLite format 3\0"
_QUERY = """
SELECT a.uid, s.filename, a.agreedClass, c.coordinateX, c.coordinateY
FROM Annotations a JOIN Slides s ON s.uid = a.slide LEFT JOIN Annotations_coordinates c ON c.annoId = a.uid
WHERE coalesce(a.deleted, 0) = 0 ORDER BY a.uid, c.orderIdx LIMIT ?
"""


def read_sliderunner(path: Path, frames: FrameNames) -> Table:
    """Reads the annotations that are not deleted; the centre is the middle of their coordinates. All scores are 1.

    The class is the name in the table `Classes`, or the number `agreedClass`.

    Raises MitobenchError for a file that is not such a database, is locked or damaged, or names an unknown frame.
    """
    foreign.check_regular(path, limits.MAX_DATABASE_BYTES, "SlideRunner database")
    with foreign.open_regular(path, limits.MAX_DATABASE_BYTES, "SlideRunner database") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise MitobenchError(f"{path}: is not an sqlite database. Give a file of SlideRunner.")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            _check_tables(path, database)
            rows = database.execute(_QUERY, (4 * limits.MAX_DETECTIONS,)).fetchall()
            names = _classes(database)
    except sqlite3.Error as reason:
        raise MitobenchError(
            f"{path}: cannot be read as a SlideRunner database: {reason}. If another program has it open, close it."
        ) from reason
    corners: dict[tuple[int, str, str], list[tuple[float, float]]] = defaultdict(list)
    for uid, file_name, agreed, x, y in rows:
        if not isinstance(x, (int, float)) or not isinstance(y, (int, float)):
            raise MitobenchError(f"{path}: annotation {uid}: its coordinates are not numbers.")
        corners[uid, str(file_name), str(agreed)].append((float(x), float(y)))
    table = Table("points", "SlideRunner database", classes_in="agreedClass")
    table.notes.append(f"{path}: annotations have no score: all are 1, so scores over thresholds say nothing")
    for (uid, file_name, agreed), points in corners.items():
        where = f"{path}: annotation {uid}"
        x, y = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
        table.rows.append(Row(where, frames.find(where, file_name), (x, y), 1.0, names.get(agreed, agreed)))
    return table


def _check_tables(path: Path, database: sqlite3.Connection) -> None:
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = sorted({"Slides", "Annotations", "Annotations_coordinates"} - there)
    if missing:
        raise MitobenchError(f"{path}: has no table {missing[0]}, so it is not a SlideRunner database.")


def _classes(database: sqlite3.Connection) -> dict[str, str]:
    try:
        return {str(uid): str(name) for uid, name in database.execute("SELECT uid, name FROM Classes")}
    except sqlite3.Error:  # an older database without the table
        return {}

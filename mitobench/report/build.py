"""`mitobench leaderboard build`: records become pages and figures.

A broken record is named and left out here, and is for `mitobench leaderboard check` to fail at. Who reads the records
decides what is broken: bytes alone, or every number, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from mitobench.atomic import write_text_whole
from mitobench.report.leaderboard import leaderboard
from mitobench.report.table import Section, sections
from mitobench.results import record
from mitobench.results.schema import Record

PAGE = "LEADERBOARD.md"
RECORDS = "records"

log = logging.getLogger("mitobench")

Read = Callable[[Path], tuple[list[tuple[Path, Record]], list[str]]]


def build(folder: Path, png: bool = False, read: Read = record.read_good) -> tuple[Path, list[Section]]:
    """Write everything that is made from `folder/records`: `LEADERBOARD.md`, `index.html` and `figures/`.

    `png`: the figures as PNG, too. `read`: gives the records, and what is wrong with each broken one.

    Returns the path of LEADERBOARD.md and the sections. A record that is broken, changed, or of another schema version
    is left out, with a warning that names it. Raises MitobenchError where a file cannot be written.
    """
    from mitobench.report import figures  # costly to import: `show` does not need it

    found = read_sections(folder / RECORDS, read)
    write_pages(folder, found)
    figures.write(folder, found, ("svg", "png") if png else ("svg",))
    return folder / PAGE, found


def write_pages(folder: Path, sections: list[Section]) -> list[Path]:
    """Write LEADERBOARD.md and index.html; returns their paths. Raises MitobenchError where one cannot be written."""
    from mitobench.report import page

    write_text_whole(folder / PAGE, leaderboard(sections, RECORDS))
    page.write(folder, sections)
    return [folder / PAGE, folder / page.PAGE]


def read_sections(records: Path, read: Read = record.read_good) -> list[Section]:
    """The sections of all good records of a folder; of each broken one a warning."""
    good, broken = read(records)
    for problem in broken:
        log.warning("Left out: %s", problem)
    return sections(
        (item for _, item in good), {item.digest: path.relative_to(records).as_posix() for path, item in good}
    )

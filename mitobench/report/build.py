"""`mitobench leaderboard build`: records become pages."""

from __future__ import annotations

from pathlib import Path

from mitobench.atomic import write_whole
from mitobench.report import markdown
from mitobench.report.table import Section, sections
from mitobench.results import record

PAGE = "LEADERBOARD.md"
RECORDS = "records"


def build(folder: Path) -> tuple[Path, list[Section]]:
    """Write `folder/LEADERBOARD.md` from `folder/records`; returns its path and the sections.

    Raises RecordError at a record that is broken, changed, or of another schema version; then nothing is written.
    """
    found = sections(item for _, item in record.read_all(folder / RECORDS))
    page = folder / PAGE
    write_whole(page, markdown.leaderboard(found, RECORDS).encode())
    return page, found

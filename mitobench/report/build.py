"""Builds a leaderboard: LEADERBOARD.md, index.html, a page per section, and figures, all from records.

Broken records are left out with a warning; `mitobench leaderboard check` fails on them. The caller chooses how much is
verified when records are read: their bytes alone, or every number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mitobench.atomic import write_text_atomic
from mitobench.report.leaderboard import leaderboard
from mitobench.report.published_page import PAGE as PUBLISHED
from mitobench.report.published_page import elsewhere, published_page
from mitobench.report.section_page import MADE_BY, SECTIONS, section_page
from mitobench.report.table import Section, sections
from mitobench.results import record
from mitobench.results.schema import Record

PAGE = "LEADERBOARD.md"
RECORDS = "records"

log = logging.getLogger("mitobench")

Read = Callable[[Path], tuple[list[tuple[Path, Record]], list[str]]]


def build(
    folder: Path, png: bool = False, read: Read = record.read_good, counts: bool = False
) -> tuple[Path, list[Section]]:
    """Write everything that is made from `folder/records`.

    That is `LEADERBOARD.md`, `index.html`, `sections/` and `figures/`. Pages of sections that no longer exist are
    removed.

    Args:
        folder: of the leaderboard.
        png: also write the figures as PNG.
        read: returns the good records of a folder, and a line for each broken one.
        counts: also draw how well the best row of each section counts.

    Returns the path of LEADERBOARD.md and the sections. Broken records, changed ones and those of another schema
    version are left out with a warning. Raises MitobenchError where a file cannot be written.
    """
    from mitobench.report import figures  # slow to import, and not needed by `show`

    found = read_sections(folder / RECORDS, read)
    write_pages(folder, found)
    for path in old_pages(folder, found):
        if MADE_BY in path.read_text(encoding="utf-8", errors="replace"):
            path.unlink()
    figures.write(folder, found, ("svg", "png") if png else ("svg",), counts)
    return folder / PAGE, found


def write_pages(folder: Path, sections: Sequence[Section]) -> list[Path]:
    """Write LEADERBOARD.md, index.html, a page for each section and one of other published numbers.

    Returns their paths.

    Raises MitobenchError where one cannot be written.
    """
    from mitobench.report import html_page

    write_text_atomic(folder / PAGE, leaderboard(sections, RECORDS))
    pages = html_page.write(folder, sections)
    paths = [folder / SECTIONS / f"{section.name}.md" for section in sections]
    for path, section in zip(paths, sections, strict=True):
        write_text_atomic(path, section_page(section, f"../{RECORDS}"))
    if sections and elsewhere(sections):
        paths.append(folder / SECTIONS / PUBLISHED)
        write_text_atomic(paths[-1], published_page(sections))
    return [folder / PAGE, *pages, *paths]


def old_pages(folder: Path, sections: Sequence[Section]) -> Iterator[Path]:
    """Files among the pages of sections that belong to none of the sections."""
    expected = {f"{section.name}.md" for section in sections}
    expected |= {PUBLISHED} if sections and elsewhere(sections) else set()
    for path in sorted((folder / SECTIONS).glob("*")):
        if path.is_file() and path.name not in expected:
            yield path


def read_sections(records: Path, read: Read = record.read_good) -> list[Section]:
    """The sections of all good records of a folder; logs a warning for each broken one."""
    good, broken = read(records)
    for problem in broken:
        log.warning("Left out: %s", problem)
    return sections(
        (item for _, item in good), {item.digest: path.relative_to(records).as_posix() for path, item in good}
    )

"""`sections/published.md`: published numbers for data sets and protocols that no section of a leaderboard has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mitobench.published import PublishedResults, read_all
from mitobench.report.footnotes import Footnotes
from mitobench.report.markdown import SENTENCE, bullets, escape
from mitobench.report.section_page import MADE_BY, published_table
from mitobench.report.table import Section

PAGE = "published.md"

INTRODUCTION = """\
None of these numbers is measured here, and none is ranked. *Hits*: the rule, by the name of the matcher here that does
the same, and the radius. Numbers under different rules or on different test frames cannot be compared."""


def elsewhere(sections: Sequence[Section]) -> list[PublishedResults]:
    """Returns the published results in the registry for data sets and protocols that no section has."""
    measured = {(section.dataset, section.protocol) for section in sections}
    return [results for results in read_all() if (results.dataset, results.protocol) not in measured]


def published_page(sections: Sequence[Section]) -> str:
    """Returns the whole page."""
    sources = Footnotes()
    parts = ["# Published, not measured here", f"[All sections](../LEADERBOARD.md). {MADE_BY}", INTRODUCTION]
    parts += [part for results in elsewhere(sections) for part in _results(results, sources)]
    return "\n\n".join([*parts, "## Sources", sources.listed()]) + "\n"


def _results(results: PublishedResults, sources: Footnotes) -> Iterator[str]:
    yield f"## {escape(results.title, SENTENCE)}"
    where = f"Data set `{results.dataset}`, protocol `{results.protocol}`."
    notes = bullets([*filter(None, [results.no_split]), *results.notes])
    yield from filter(None, [where, notes, published_table(results.method, sources)])

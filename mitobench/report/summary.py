"""The answers above a section's table: which row to use, how well the best counts, and its worst domain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mitobench.report import case_counts
from mitobench.report.markdown import number
from mitobench.report.recommend import MARGIN, recommend
from mitobench.report.table import Section


class Answer(NamedTuple):
    """One answer in plain text: its first words, which pages show in bold, and the rest of the sentence."""

    lead: str
    text: str


def recommendation(section: Section) -> Answer | None:
    """Which row to use, where rows differ in cost; None for a section without ranked rows."""
    found, lead, margin = recommend(section), "Recommended:", number(MARGIN, 2)
    if found.best is None:
        return None
    if found.chosen is None:
        return Answer(lead, "undecided, as cheaper rows may be as good as the best.")
    if found.chosen is found.best:
        return Answer(lead, f"rank 1, as no cheaper row is known to be within {margin} of its F1.")
    which = f"{found.chosen.row.title}, rank {found.chosen.rank}, {number(found.chosen.seconds, 2)} s/frame"
    return Answer(lead, f"{which}: the cheapest row within {margin} of the best F1.")


def worst_domain(section: Section) -> Answer | None:
    """The domain on whose frames the best row has its lowest F1; None where its frames have no domains."""
    best = section.best
    if best is None or best.worst_domain is None:
        return None
    kind, value, f1 = best.worst_domain
    return Answer("The worst domain", f"of rank 1: {kind} {value}, F1 {number(f1)}.")


def count(section: Section) -> Answer | None:
    """How well the best row counts that has counts of cases; None if no row has."""
    found = case_counts.of_best(section)
    return found and Answer("The count", f"{case_counts.of_rank(found[0])}: {case_counts.sentence(found[1])}.")


def answers(section: Section) -> Iterator[Answer]:
    """Yields all of them, the recommendation first."""
    yield from filter(None, (recommendation(section), worst_domain(section), count(section)))

"""`mitobench leaderboard recommend`: the cheapest row that is as good as the best, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mitobench.report.recommend import Candidate, Recommendation
    from mitobench.report.table import Section

MAX_SHOWN = 5  # rows of a kind that are listed


def show(records: Path, margin: float, section: str | None, dataset: str | None, protocol: str | None) -> None:
    """Print the recommendation for each section asked for; exit code 1 where the data of one cannot decide.

    Raises MitobenchError where no section is meant.
    """
    from mitobench.cli.terminal import echo
    from mitobench.errors import MitobenchError
    from mitobench.report.build import read_sections
    from mitobench.report.recommend import recommend
    from mitobench.results.check import verified_all

    every = read_sections(records, verified_all)
    asked = [
        found
        for found in every
        if (dataset or found.dataset) == found.dataset
        and (protocol or found.protocol) == found.protocol
        and (section or "").lower() in f"{found.title}\n{found.name}".lower()
    ]
    if not asked:
        titles = "; ".join(found.title for found in every) or "none, as there is no record"
        raise MitobenchError(f"{records}: no section matches. Available: {titles}.")
    recommended = [(found, recommend(found, margin)) for found in asked]
    for found, what in recommended:
        for line in _lines(found, what, margin):
            echo(line)
    if any(what.chosen is None for _, what in recommended):
        raise typer.Exit(1)


def _lines(section: Section, found: Recommendation, margin: float) -> Iterator[str]:
    from mitobench.report.markdown import number, over

    yield section.title
    if found.best is None:
        yield "  The data cannot decide: no row is ranked."
        return
    allowed = number(margin)
    yield f"  Best: {_row(found.best)}"
    if found.chosen is None:
        yield f"  The data cannot decide. {_why(found, allowed)}"
    elif found.chosen is found.best:
        yield f"  Recommended: the best. No row with fewer seconds is within {allowed} of it."
    else:
        yield f"  Recommended: {_row(found.chosen)}"
        yield f"    {_lead(found.chosen)}: by {allowed} at most."
    for one in found.undecided[:MAX_SHOWN]:
        yield f"  Not decided, cheaper: {_row(one)}"
        yield f"    {_lead(one)}."
    if len(found.undecided) > MAX_SHOWN:
        yield f"  and {len(found.undecided) - MAX_SHOWN} more, of a rank behind these."
    for one in found.as_cheap[:MAX_SHOWN]:
        yield f"  As cheap, with an F1 that is no higher: {_row(one)}"
    if found.untimed:
        yield f"  Without seconds a frame, so not considered: {'; '.join(_name(one) for one in found.untimed)}"
    if found.devices:
        yield f"  Seconds were measured on different devices: {', '.join(found.devices)}."
    shown = [one.lead.interval for one in (found.chosen, *found.undecided) if one and one.lead and one.lead.interval]
    if shown:
        yield f"  Differences: 95 % intervals, paired, {over(shown[0])}."


def _why(found: Recommendation, margin: str) -> str:
    if found.undecided:
        few = f"{len(found.undecided)} cheaper row{'s' if len(found.undecided) > 1 else ''}"
        return f"{few} may be worse by more than {margin} or not; more slides would say."
    return "The best has no seconds a frame, and no other row is known to be not worse."


def _row(one: Candidate) -> str:
    from mitobench.report import markdown

    seconds = "no seconds" if one.seconds is None else f"{markdown.number(one.seconds, 2)} s"
    return f"rank {one.rank}, {_name(one)}; F1 {markdown.f1(one.row)}, {seconds} a frame"


def _name(one: Candidate) -> str:
    from mitobench.report.markdown import plugin
    from mitobench.report.row import ROLES, UNUSED

    return " + ".join(name for role in ROLES if (name := plugin(one.row.first, role)) != UNUSED)


def _lead(one: Candidate) -> str:
    from mitobench.report.markdown import brackets, signed

    if one.lead is None:
        return "It cannot be compared with the best: no seed in common, or other frames"
    if one.lead.interval is None:
        return f"The best is ahead by {signed(one.lead.delta)}, without an interval: there is one test frame only"
    return f"The best is ahead by {signed(one.lead.delta)}{brackets(one.lead.interval, signed)}"

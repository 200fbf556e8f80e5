"""`mitobench leaderboard recommend`: prints the fastest row that is about as good as the best."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mitobench.errors import MitobenchError, counted

if TYPE_CHECKING:
    from mitobench.report.recommend import Candidate, Recommendation
    from mitobench.report.table import Section

MAX_SHOWN = 5  # rows of each kind to list


def show(records: Path, margin: float, section: str | None, dataset: str | None, protocol: str | None) -> None:
    """Prints the recommendation for each matching section. Exits with code 1 if the data of one cannot decide.

    Raises MitobenchError if no section matches.
    """
    from mitobench.cli.section_choice import sections_of
    from mitobench.cli.terminal import echo
    from mitobench.report.recommend import recommend

    asked = sections_of(records, section, dataset, protocol)
    if not asked:
        raise MitobenchError(f"{records}: has no records to recommend from.")
    recommended = [(found, recommend(found, margin)) for found in asked]
    for found, what in recommended:
        for line in lines(found, what, margin):
            echo(line)
    if any(what.chosen is None for _, what in recommended):
        raise typer.Exit(1)


def lines(section: Section, found: Recommendation, margin: float) -> Iterator[str]:
    """Yields what is recommended in a section, and why, line by line."""
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
        yield f"  Recommended: the best. No faster row is within {allowed} of it."
    else:
        yield f"  Recommended: {_row(found.chosen)}"
        yield f"    {_lead(found.chosen, found.best)}: at most {allowed}."
    for one in found.undecided[:MAX_SHOWN]:
        yield f"  Faster, but undecided: {_row(one)}"
        yield f"    {_lead(one, found.best)}."
    if len(found.undecided) > MAX_SHOWN:
        yield f"  and {len(found.undecided) - MAX_SHOWN} more with lower ranks."
    for one in found.as_cheap[:MAX_SHOWN]:
        yield f"  Equally fast, with the same or a lower F1: {_row(one)}"
    if found.untimed:
        yield f"  Not considered, as their speed was not measured: {'; '.join(_name(one) for one in found.untimed)}"
    if found.devices:
        yield f"  Seconds were measured on different devices: {', '.join(found.devices)}."
    shown = [one.lead.interval for one in (found.chosen, *found.undecided) if one and one.lead and one.lead.interval]
    if shown:
        yield f"  Differences: 95 % intervals, paired, {over(shown[0])}."


def _why(found: Recommendation, margin: str) -> str:
    if found.undecided:
        rows = counted(len(found.undecided), "faster row")
        return f"{rows} may or may not be worse by more than {margin}. More slides would be needed to tell."
    return "The best row has no measured seconds per frame, and no other row is known to be about as good."


def _row(one: Candidate) -> str:
    from mitobench.report import markdown

    seconds = "no seconds" if one.seconds is None else f"{markdown.number(one.seconds, 2)} s"
    return f"rank {one.rank}, {_name(one)}; F1 {markdown.f1(one.row)}, {seconds} per frame"


def _name(one: Candidate) -> str:
    from mitobench.report.markdown import plugin
    from mitobench.report.row import ROLES, UNUSED

    return " + ".join(name for role in ROLES if (name := plugin(one.row.first, role)) != UNUSED)


def _lead(one: Candidate, best: Candidate) -> str:
    from mitobench.report.markdown import brackets, signed

    if one.lead is None:
        return "It cannot be compared with the best: they have no seed in common, or different frames"
    ahead = f"The best is ahead by {signed(one.lead.delta)}"
    if one.lead.interval is None:
        return f"{ahead}, without an interval, as there is only one test frame{_on_seeds(one, best)}"
    return f"{ahead}{brackets(one.lead.interval, signed)}{_on_seeds(one, best)}"


def _on_seeds(one: Candidate, best: Candidate) -> str:
    """Which seeds are compared and their F1, where one of the rows has others: its F1 is the mean of all of them."""
    from mitobench.report.markdown import number

    common = set(one.row.seeds) & set(best.row.seeds)
    if common == set(one.row.seeds) == set(best.row.seeds):
        return ""
    ours, theirs = (number(float(row.score(common).statistic.value)) for row in (best.row, one.row))
    seeds = f"seed{'s' if len(common) > 1 else ''} {', '.join(map(str, sorted(common)))}"
    return f", on {seeds} of both ({ours} and {theirs})"

"""What a row is, beside its title: profile, training data, and what distinguishes it from similar rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mitobench.report.row import LeaderboardRow
from mitobench.report.table import Section, title_of
from mitobench.results.current_names import current_overrides


def trained_on(row: LeaderboardRow) -> str:
    """The data sets that a row was trained on, in words: `MITOS 2012 + MITOS 2014`."""
    return " + ".join(title_of(row.first, name) for name in row.first.combination["train_on"])


def profile(row: LeaderboardRow) -> str:
    """The profile of a row with the options that were set by hand."""
    return ", ".join([row.first.profile, *current_overrides(row.first)])


def description(section: Section, row: LeaderboardRow, facts: Sequence[str]) -> str:
    """Profile, training data and the `distinguishing_facts` of a row, without what its remarks say."""
    return "; ".join(description_parts(section, row, facts))


def shared_parts(descriptions: Collection[Sequence[str]]) -> list[str]:
    """The parts that all of some descriptions have, in the order of the first; empty where there is no description."""
    first = next(iter(descriptions), ())
    return [part for part in first if all(part in parts for parts in descriptions)]


def description_parts(section: Section, row: LeaderboardRow, facts: Sequence[str]) -> list[str]:
    """The parts of a row's `description`. A row without others to differ from has all its options."""
    facts = facts if len(section.rows) > 1 else [*facts, *current_overrides(row.first)]
    known = {row.first.profile, f"trained on {', '.join(row.first.combination['train_on'])}", *section.remarks(row)}
    return [f"profile {row.first.profile}", trained_on(row), *(fact for fact in facts if fact not in known)]

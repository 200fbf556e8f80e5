"""Finds how rows differ that look the same in a table: device, data, versions, code, or options not shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from mitobench.report.row import ROLES, LeaderboardRow, plugin
from mitobench.results.current_names import current_options, current_overrides
from mitobench.results.schema import Record

MAX_FACTS = 4  # that are listed


def disambiguations(rows: Iterable[LeaderboardRow]) -> dict[LeaderboardRow, str]:
    """How each row differs from the rows that look like it: `device cpu, detector lr 0.1`.

    Rows that look like no other are left out.
    """
    same_look: dict[tuple[Any, ...], list[LeaderboardRow]] = defaultdict(list)
    for row in rows:
        same_look[_shown(row.first)].append(row)
    return {row: text for group in same_look.values() if len(group) > 1 for row, text in _differences(group)}


def _shown(record: Record) -> tuple[Any, ...]:
    names = [plugin(record, role) for role in ROLES]
    return *names, *record.combination["train_on"], record.profile, *current_overrides(record)


def _differences(group: list[LeaderboardRow]) -> Iterable[tuple[LeaderboardRow, str]]:
    facts = {row: _facts(row.first) for row in group}
    names = dict.fromkeys(name for known in facts.values() for name in known)
    differing = [name for name in names if len({str(known.get(name)) for known in facts.values()}) > 1]
    more = [f"and {len(differing) - MAX_FACTS} more"] if len(differing) > MAX_FACTS else []
    for row, known in facts.items():
        listed = [f"{name} {known.get(name, '–')}" for name in differing[:MAX_FACTS]]
        yield row, ", ".join([*listed, *more])


def _facts(record: Record) -> dict[str, Any]:
    facts = {"device": record.device, **_data(record), **record.versions, **record.pipeline}
    for role, entry in record.plugins.items():
        facts |= {f"{role} {option}": value for option, value in current_options(role, entry).items()}
        facts |= {f"{role} version": entry.version, f"{role} code": entry.source[:8]}
    return facts


def _data(record: Record) -> dict[str, str]:
    return {
        f"{name} {part} data": digest[:8]
        for name, entry in record.data.items()
        for part, digest in entry.digest.items()
    }

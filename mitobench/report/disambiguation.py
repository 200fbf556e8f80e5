"""What tells rows apart that look the same in a table: device, data, versions, code, options that no column shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from mitobench.report.row import ROLES, Row, plugin
from mitobench.results.current_names import current_options, current_overrides
from mitobench.results.schema import Record

MOST = 4


def disambiguations(rows: Iterable[Row]) -> dict[Row, str]:
    """Of each row that another one looks like, the facts in which such rows differ: `device cpu, detector lr 0.1`."""
    alike: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        alike[_shown(row.first)].append(row)
    return {row: said for group in alike.values() if len(group) > 1 for row, said in _told_apart(group)}


def _shown(record: Record) -> tuple[Any, ...]:
    names = [plugin(record, role) for role in ROLES]
    return *names, *record.combination["train_on"], record.profile, *current_overrides(record)


def _told_apart(group: list[Row]) -> Iterable[tuple[Row, str]]:
    facts = {row: _facts(row.first) for row in group}
    names = dict.fromkeys(name for known in facts.values() for name in known)
    differing = [name for name in names if len({str(known.get(name)) for known in facts.values()}) > 1]
    more = [f"and {len(differing) - MOST} more"] if len(differing) > MOST else []
    for row, known in facts.items():
        told = [f"{name} {known.get(name, '–')}" for name in differing[:MOST]]
        yield row, ", ".join([*told, *more])


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

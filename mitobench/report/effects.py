"""What each part of a combination adds: rows that are alike but for that part, compared in pairs."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mitobench.pipeline import canonical
from mitobench.report.pairs import Paired, paired
from mitobench.report.row import ROLES, Row, plugin
from mitobench.results.current_names import current_options
from mitobench.results.schema import Record

NO_VERIFIER = "none"  # leaves a fuser nothing to join

# The role that has no say beside some choice of this one. Not the verifier beside a fuser: a fuser set against
# `detector-only` would be given what the verifier adds, a second time.
MAY_BE_IDLE = {"detector": "estimator", "verifier": "fuser"}

MOST = 12  # plugins of a role of which every two are compared: of hundreds nobody would read all pairs


@dataclass(frozen=True)
class Effect(Paired):
    """What a plugin adds to F1 against another of its role; `plugin` is the one that is ahead.

    Attributes:
        role: in which the rows differ, and in nothing else.
        plugin, against: names, with the options that make them variants.
    """

    role: str
    plugin: str
    against: str


def effects(rows: Sequence[Row]) -> list[Effect]:
    """Of each role, every two plugins that some rows differ in alone; the greatest difference first.

    Of a role in `references` only the pairs with that plugin.

    A part that has no say is no difference: a detector that needs no boxes is set against another under every
    estimator, and `none`, which leaves nothing to fuse, against a verifier with every fuser that comes with it.
    """
    parts = [_Parts.of(row) for row in rows]
    against = references(rows)
    return [effect for role in ROLES for effect in sorted(_of_role(role, parts, against.get(role)), key=_greatest)]


def references(rows: Sequence[Row]) -> dict[str, str]:
    """Of each role with more than `MOST` plugins, the one in most rows (the first row's, of several such)."""
    found = {}
    for role in ROLES:
        names = Counter(plugin(row.first, role) for row in rows if role in row.first.plugins)
        if len(names) > MOST:
            found[role] = names.most_common(1)[0][0]
    return found


def _of_role(role: str, rows: Sequence[_Parts], reference: str | None) -> Iterator[Effect]:
    pairs: dict[tuple[str, str], list[tuple[Row, Row]]] = defaultdict(list)
    for one, other in _alike_but_for(role, rows, reference):
        names = plugin(one.first, role), plugin(other.first, role)
        if names[0] != names[1]:
            pairs[min(names), max(names)].append((one, other) if names[0] < names[1] else (other, one))
    for (name, against), found in pairs.items():
        mean = paired(found)
        if mean and mean.delta < 0:
            name, against, mean = against, name, mean.reversed()
        if mean:
            yield Effect(mean.n_pairs, mean.delta, mean.interval, role, name, against)


def _greatest(effect: Effect) -> tuple[float, str, str]:
    return -effect.delta, effect.plugin, effect.against


@dataclass(frozen=True)
class _Parts:
    """A row taken apart.

    Attributes:
        of_role: a digest of each part, with its options and its code.
        idle: roles whose part has no say.
        rest: a digest of what it was computed from and with, whatever the parts.
    """

    row: Row
    of_role: dict[str, str]
    idle: Collection[str]
    rest: str

    @classmethod
    def of(cls, row: Row) -> _Parts:
        record = row.first
        unused = {role for role in ROLES if role not in record.plugins}
        unverified = {"verifier", "fuser"} if record.combination["verifier"] == NO_VERIFIER else set()
        return cls(row, {role: _part(record, role) for role in ROLES}, unused | unverified, _rest(record))

    def beside(self, *roles: str | None) -> tuple[str, ...]:
        """What is the same in two rows that may differ in `roles`."""
        return self.rest, *(self.of_role[role] for role in ROLES if role not in roles)


def _alike_but_for(role: str, rows: Sequence[_Parts], reference: str | None) -> Iterator[tuple[Row, Row]]:
    idle = MAY_BE_IDLE.get(role)
    alike: dict[tuple[str, ...], list[_Parts]] = defaultdict(list)
    for parts in rows:
        if role in parts.row.first.plugins:
            alike[parts.beside(role, idle)].append(parts)
    for group in alike.values():
        for one, other in _pairs(role, group, reference):
            if idle is None or idle in {*one.idle, *other.idle} or one.of_role[idle] == other.of_role[idle]:
                yield one.row, other.row


def _pairs(role: str, group: Sequence[_Parts], reference: str | None) -> Iterable[tuple[_Parts, _Parts]]:
    if reference is None:
        return itertools.combinations(group, 2)
    of_it = [parts for parts in group if plugin(parts.row.first, role) == reference]
    return itertools.product(of_it, group)


def _part(record: Record, role: str) -> str:
    """Of a plugin, and of those whose fits it starts from."""
    entries = {name: entry for name, entry in record.plugins.items() if name.partition(" ")[0] == role}
    return canonical.digest(
        {name: [e.name, e.version, e.source, current_options(name, e)] for name, e in entries.items()}
    )


def _rest(record: Record) -> str:
    names = [record.combination["dataset"], *record.combination["train_on"]]
    data = {name: entry.digest for name, entry in record.data.items() if name in names}
    return canonical.digest([names, data, record.pipeline, record.versions, record.device])

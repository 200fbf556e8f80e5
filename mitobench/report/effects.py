"""Computes what each part of a combination adds, by comparing pairs of rows that differ in that part alone."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mitobench.pipeline import canonical
from mitobench.report.pairs import PairedDifference, mean_difference
from mitobench.report.row import ROLES, LeaderboardRow, plugin
from mitobench.results.current_names import current_options
from mitobench.results.schema import Record

NO_VERIFIER = "none"  # with it, a fuser has nothing to combine

# Options of the pipeline that are not used without a verifier.
VERIFICATION = frozenset({"candidate_threshold", "candidates", "choose_by"})

# By role, the role that some of its plugins make unused. The verifier is not listed for the fuser: comparing a fuser
# with `detector-only` would count the effect of the verifier a second time.
MAY_BE_IDLE = {"detector": "estimator", "verifier": "fuser"}

# Of more plugins in a role, each is compared with one only, because the list of all pairs would be too long.
MAX_COMPARED = 12


@dataclass(frozen=True)
class Effect(PairedDifference):
    """What a plugin adds to F1 compared with another plugin of its role.

    Attributes:
        role: the only role in which the rows differ.
        plugin, against: names with the options that make them variants; `plugin` has the higher F1.
    """

    role: str
    plugin: str
    against: str


def effects(rows: Sequence[LeaderboardRow]) -> list[Effect]:
    """The effects of all pairs of plugins that some rows differ in alone: by role, the largest difference first.

    For a role in `references` only the pairs with that plugin are compared.

    An unused part does not count as a difference: a detector that needs no boxes is compared with another one under
    every estimator, and `none`, which leaves nothing to fuse, is compared with a verifier under each of its fusers.
    """
    parts = [_Parts.of(row) for row in rows]
    against = references(rows)
    return [effect for role in ROLES for effect in sorted(_of_role(role, parts, against.get(role)), key=_largest_first)]


def references(rows: Sequence[LeaderboardRow]) -> dict[str, str]:
    """For each role with more than `MAX_COMPARED` plugins, the one in most rows (the first of several such)."""
    found = {}
    for role in ROLES:
        names = Counter(plugin(row.first, role) for row in rows if role in row.first.plugins)
        if len(names) > MAX_COMPARED:
            found[role] = names.most_common(1)[0][0]
    return found


def _of_role(role: str, rows: Sequence[_Parts], reference: str | None) -> Iterator[Effect]:
    pairs: dict[tuple[str, str], list[tuple[LeaderboardRow, LeaderboardRow]]] = defaultdict(list)
    for one, other in _differing_in(role, rows, reference):
        first, second = sorted((one, other), key=lambda parts: parts.names[role])
        if first.names[role] != second.names[role]:
            pairs[first.names[role], second.names[role]].append((first.row, second.row))
    for (name, against), found in pairs.items():
        mean = mean_difference(found)
        if mean and mean.delta < 0:
            name, against, mean = against, name, mean.reversed()
        if mean:
            yield Effect(mean.n_pairs, mean.delta, mean.interval, role, name, against)


def _largest_first(effect: Effect) -> tuple[float, str, str]:
    return -effect.delta, effect.plugin, effect.against


@dataclass(frozen=True)
class _Parts:
    """The parts of a row.

    Attributes:
        row: the row.
        names: by role, the plugin with the options that make it a variant.
        of_role: by role, a digest of the part with its options and its code.
        idle: roles whose part is not used.
        verification: a digest of the pipeline's options that act on verification; empty without a verifier.
        rest: a digest of everything else that the row was computed from and with.
    """

    row: LeaderboardRow
    names: dict[str, str]
    of_role: dict[str, str]
    idle: Collection[str]
    verification: str
    rest: str

    @classmethod
    def of(cls, row: LeaderboardRow) -> _Parts:
        record = row.first
        unused = {role for role in ROLES if role not in record.plugins}
        unverified = {"verifier", "fuser"} if record.combination["verifier"] == NO_VERIFIER else set()
        names = {role: plugin(record, role) for role in ROLES}
        of_role = {role: _part(record, role) for role in ROLES}
        verification = "" if unverified else _verification(record)
        return cls(row, names, of_role, unused | unverified, verification, _rest(record))

    def beside(self, *roles: str | None) -> tuple[str, ...]:
        """A key that is equal for rows that differ in nothing but `roles`."""
        return self.rest, *(self.of_role[role] for role in ROLES if role not in roles)


def _differing_in(role: str, rows: Sequence[_Parts], reference: str | None) -> Iterator[tuple[_Parts, _Parts]]:
    idle = MAY_BE_IDLE.get(role)
    alike: dict[tuple[str, ...], list[_Parts]] = defaultdict(list)
    for parts in rows:
        if role in parts.row.first.plugins:
            alike[parts.beside(role, idle)].append(parts)
    for group in alike.values():
        for one, other in _pairs(role, group, reference):
            same_idle = idle is None or idle in {*one.idle, *other.idle} or one.of_role[idle] == other.of_role[idle]
            if same_idle and _verified_alike(role, one, other):
                yield one, other


def _verified_alike(role: str, one: _Parts, other: _Parts) -> bool:
    """Returns whether the pipeline verified two rows alike; without a verifier, it did nothing that could differ."""
    added = role == "verifier" and "" in (one.verification, other.verification)
    return added or one.verification == other.verification


def _pairs(role: str, group: Sequence[_Parts], reference: str | None) -> Iterable[tuple[_Parts, _Parts]]:
    if reference is None:
        return itertools.combinations(group, 2)
    of_it = [parts for parts in group if parts.names[role] == reference]
    return itertools.product(of_it, group)


def _part(record: Record, role: str) -> str:
    """A digest of a role's plugin, and of the plugins whose fits it starts from."""
    entries = {name: entry for name, entry in record.plugins.items() if name.partition(" ")[0] == role}
    return canonical.digest(
        {name: [e.name, e.version, e.source, current_options(name, e)] for name, e in entries.items()}
    )


def _verification(record: Record) -> str:
    return canonical.digest({name: value for name, value in record.pipeline.items() if name in VERIFICATION})


def _rest(record: Record) -> str:
    names = [record.combination["dataset"], *record.combination["train_on"]]
    data = {name: entry.digest for name, entry in record.data.items() if name in names}
    pipeline = {name: value for name, value in record.pipeline.items() if name not in VERIFICATION}
    return canonical.digest([names, data, pipeline, record.versions, record.device])

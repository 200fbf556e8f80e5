"""The plugins of a grid: what the names mean, which plugins are used where none is named, whether options fit them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mitobench import discovery
from mitobench.api import Plugin
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline.graph import Combination
from mitobench.pipeline.overrides import Override
from mitobench.pipeline.plan import NO_FUSER
from mitobench.pipeline.requirements import with_required
from mitobench.pipeline.settings import Settings, check_all_used
from mitobench.pipeline.workspace import Workspace
from mitobench.reading import Notify

NO_MASKS = "fixed"  # the default estimator where there are no masks


@dataclass(frozen=True)
class Grid:
    """Plugins to combine, each with each, and overrides of the profile.

    Attributes:
        roles: plugin names by role; `all` means every installed plugin. A role that is left out uses the profile's
            default plugin.
        sets: overrides, `ROLE.OPTION=VALUE`.
    """

    roles: Mapping[str, Sequence[str]]
    sets: Sequence[str | Override] = ()


def expanded(role: str, names: Sequence[str]) -> list[str]:
    """Returns the names without duplicates, and all installed plugins for `all`. Raises MitobenchError."""
    stripped = [name.strip() for name in names if name.strip()]
    if "all" in stripped:
        return [name for name in discovery.names(role) if not _needs_argument(role, name)]
    if not stripped:
        available = ", ".join(discovery.names(role)) or "none"
        raise MitobenchError(f"--{role}: no name given. Give at least one. Available: {available}.")
    for name in stripped:
        discovery.find(role, name)  # raises MitobenchError with similar names
    return list(dict.fromkeys(_spelled(role, name) for name in stripped))


def _spelled(role: str, spec: str) -> str:
    """Returns the full spelling of a spec; as it is where its family is broken, which the plan reports."""
    with suppress(PluginError):
        return discovery.spelled(role, spec)
    return spec


def _needs_argument(role: str, name: str) -> bool:
    """Returns whether a plugin is a family, whose members `all` does not list. A broken plugin is listed."""
    with suppress(PluginError):
        return discovery.family(role, name).argument is not None
    return False


def with_defaults(roles: Mapping[str, list[str]], settings: Settings, notify: Notify) -> dict[str, list[str]]:
    """Returns plugin names for every role: those given, and the profile's default for each role that is left out."""
    named = dict(roles)
    for role in (role for role in ROLES if role not in roles):
        name, note = settings.default(role)
        named[role] = [name]
        if note:
            notify(note)
    return named


def for_masks(
    roles: dict[str, list[str]], given: Mapping[str, Any], workspace: Workspace, notes: list[str]
) -> dict[str, list[str]]:
    """Replaces the default estimator by `fixed`, and notes it, if it learns from masks and no data set here has any."""
    if "estimator" in given or any(workspace.card(name).has_masks for name in workspace.datasets):
        return roles
    if not learn_from_masks(roles["estimator"]):
        return roles
    (name,) = roles["estimator"]
    notes.append(f"Default estimator: {NO_MASKS}, because {name} learns from masks, and no data set here has any.")
    return {**roles, "estimator": [NO_MASKS]}


def notify_replaced(fusers: Sequence[str], planned: Sequence[Combination], notify: Notify) -> None:
    """Says which of the fusers that the user named are planned as the detector alone, for lack of a verifier."""
    alone = {combination.verifier for combination in planned if combination.fuser == NO_FUSER}
    kept = {combination.fuser for combination in planned if combination.verifier in alone}
    replaced = [name for name in fusers if name not in kept]
    if alone and replaced and NO_FUSER not in fusers:
        compute = "computes" if len(replaced) == 1 else "compute"
        notify(f"Without a verifier, {' and '.join(replaced)} {compute} what {NO_FUSER} does: the row has its name.")


def check_options(named: Sequence[Mapping[str, Sequence[str]]], settings: Sequence[Settings]) -> None:
    """Checks all options of the named plugins, before any data is read.

    Raises MitobenchError, with the place where the option was given, for an option that no plugin has or that has the
    wrong type. Overrides of a role without names are not checked: its default plugin is not known yet. Plugins that
    cannot be loaded are left to the plan, which marks their combinations as broken; what they use is not known.
    """
    grids, broken = list[tuple[Settings, list[tuple[str, type[Plugin]]]]](), False
    for roles, own in zip(named, settings, strict=True):
        own.pipeline()
        grids.append((replace(own, overrides=[o for o in own.overrides if o.role in {*roles, "pipeline"}]), []))
        for role, names in roles.items():
            for name in names:
                try:
                    grids[-1][1].extend((of, cls) for of, cls, _ in with_required(own, role, name))
                except PluginError:
                    broken = True
    if not broken:
        check_all_used(grids)


def learn_from_masks(estimators: Iterable[str]) -> bool:
    """Returns whether one of the estimators learns from masks."""
    for name in estimators:
        with suppress(PluginError):  # the plan reports a plugin that cannot be loaded
            if discovery.load("estimator", name).learns_from_masks:  # type: ignore[attr-defined]
                return True
    return False

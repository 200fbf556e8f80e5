"""Checks that every plugin must pass. Run them with `mitobench check-plugin`, or from pytest:

    @pytest.mark.parametrize("check", contract.checks("detector", "mine"), ids=str)
    def test_contract(check):
        check()

They use tiny frames and a tiny budget (the profile `smoke` with two iterations), so they show whether a plugin works,
not how well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mitobench import discovery
from mitobench.contract.datasets import DATASET_CHECKS, DatasetSubject
from mitobench.contract.failures import where
from mitobench.contract.plugins import plugin_checks
from mitobench.contract.subject import Subject, subject
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, PluginError, nearest

__all__ = ["Check", "checks", "find_role"]


@dataclass(frozen=True)
class Check:
    """One check of a plugin. Calling it raises PluginError if the plugin fails it."""

    subject: Subject | DatasetSubject
    test: Callable[[Any], None]

    @property
    def title(self) -> str:
        """What the plugin must do, in words, such as "handles empty input"."""
        return self.test.__name__.replace("_", " ")

    def __str__(self) -> str:
        return f"{self.subject.role} {self.subject.name}: {self.title}"

    def __call__(self) -> None:
        """Runs the check. Raises PluginError if the plugin is wrong, MitobenchError if something else is."""
        try:
            self.test(self.subject)
        except MitobenchError:
            raise
        except (Exception, SystemExit) as reason:  # a plugin that ends the process must not end the other checks
            message = str(reason) or "no message"
            raise PluginError(
                f"{type(reason).__name__}: {message} ({where(self.subject.role, self.subject.name, reason)})"
            ) from reason


def checks(role: str, name: str, sets: Sequence[str] = ()) -> list[Check]:
    """Returns all checks for a plugin. A family without an argument is checked by the example that it names.

    Args:
        role: the plugin's role.
        name: its name, or `NAME:ARGUMENT`.
        sets: overrides of its options, `ROLE.OPTION=VALUE`, as for `mitobench run --set`.

    Raises MitobenchError, with the nearest names, for an unknown role, plugin or option.
    """
    if role == "dataset":
        discovery.find(role, name)
        tested = DatasetSubject(name)
        return [Check(tested, test) for test in DATASET_CHECKS]
    if role not in ROLES:
        raise MitobenchError(f"Unknown role {role!r}. {nearest(role, (*ROLES, 'dataset'))}")
    discovery.find(role, name)
    name = discovery.example(role, name)
    of = subject(role, name, sets=tuple(sets))
    if sets:
        of.check_sets()
    return [Check(of, test) for test in plugin_checks(of)]


def find_role(name: str) -> str:
    """Returns the role of the plugin of that name. Raises MitobenchError if there is none, or one in several roles."""
    roles = [role for role in (*ROLES, "dataset") if discovery.is_installed(role, name)]
    if not roles:
        known = {other for role in ROLES for other in discovery.names(role)}
        family, _ = discovery.split(name)
        raise MitobenchError(f"Unknown plugin {family!r}. {nearest(family, known)}")
    if len(roles) > 1:
        raise MitobenchError(f"{name!r} is the name of a {' and a '.join(roles)}. Choose one with --role.")
    return roles[0]

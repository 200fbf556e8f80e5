"""Checks that every plugin must pass. Run them with `mitobench check-plugin`, or from pytest:

    @pytest.mark.parametrize("check", contract.checks("detector", "mine"), ids=str)
    def test_contract(check):
        check()

They use tiny frames and a tiny budget (the profile `smoke` with two iterations), so they show whether a plugin works,
not how well.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mitobench import api, discovery
from mitobench.contract import frames
from mitobench.contract.subject import Subject, subject
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, PluginError, nearest
from mitobench.pipeline import canonical
from mitobench.pipeline import checks as returned

__all__ = ["Check", "checks", "find_role"]


@dataclass(frozen=True)
class Check:
    """One check of a plugin. Calling it raises PluginError if the plugin fails it."""

    subject: Subject
    test: Callable[[Subject], None]

    @property
    def title(self) -> str:
        """What is checked, as a sentence."""
        return self.test.__name__.replace("_", " ")

    def __str__(self) -> str:
        return f"{self.subject.role} {self.subject.name}: {self.title}"

    def __call__(self) -> None:
        """Runs the check. Raises PluginError if the plugin is wrong, MitobenchError if something else is."""
        try:
            self.test(self.subject)
        except MitobenchError:
            raise
        except Exception as reason:
            message = str(reason) or "no message"
            raise PluginError(f"{type(reason).__name__}: {message} ({_where(self.subject, reason)})") from reason


def checks(role: str, name: str) -> list[Check]:
    """Returns all checks for a plugin. A family without an argument is checked by the example that it names.

    Raises MitobenchError, with the nearest names, for an unknown role or plugin.
    """
    if role not in ROLES:
        raise MitobenchError(f"Unknown role {role!r}. {nearest(role, ROLES)}")
    discovery.find(role, name)
    name = discovery.example(role, name)
    return [Check(subject(role, name), test) for test in (*_ALL, *_OF_ROLE.get(role, ()))]


def find_role(name: str) -> str:
    """Returns the role of the plugin of that name. Raises MitobenchError if there is none, or one in several roles."""
    roles = [role for role in ROLES if discovery.is_installed(role, name)]
    if not roles:
        known = {other for role in ROLES for other in discovery.names(role)}
        raise MitobenchError(f"Unknown plugin {name!r}. {nearest(name, known)}")
    if len(roles) > 1:
        raise MitobenchError(f"{name!r} is the name of a {' and a '.join(roles)}. Choose one with --role.")
    return roles[0]


def _require(true: Any, sentence: str) -> None:
    if not true:
        raise PluginError(sentence)


def _where(of: Subject, reason: BaseException) -> str:
    """Returns file and line of the plugin's code that raised, or of the code that raised if it is not the plugin's."""
    package = discovery.find(of.role, of.name).target.partition(":")[0].partition(".")[0]
    lines = traceback.extract_tb(reason.__traceback__)
    own = [line for line in lines if package in Path(line.filename).with_suffix("").parts]
    last = (own or lines)[-1]
    return f"{last.filename}:{last.lineno}"


# ------------------------------------------------------------------------------------------------- the contract


def it_loads_and_has_a_version(of: Subject) -> None:
    """`discovery.load` checks its base class, its name, its version and the defaults of its options."""
    _require(of.cls.version, "version is empty. Set one, for example '1'.")


def its_options_have_descriptions(of: Subject) -> None:
    """`mitobench info` shows them."""
    options = of.cls.Options
    _require(issubclass(options, api.Options), f"Options is {options.__name__}. Derive it from mitobench.api.Options.")
    documented = " ".join(base.__doc__ or "" for base in options.__mro__ if issubclass(base, api.Options))
    for name, field in options.model_fields.items():
        described = field.description or f"{name}:" in documented
        _require(described, f"option {name!r} has no description. Write Field(..., description='what it is, unit').")


def its_options_survive_json(of: Subject) -> None:
    """Options are stored in records and sent to other processes."""
    text = canonical.dumps(of.cls.Options().model_dump(mode="json"))
    again = of.cls.Options.model_validate_json(text)
    _require(again == of.cls.Options(), "its default options change when they are written as JSON and read again.")


def its_card_lists_the_renamed_options(of: Subject) -> None:
    """Tables are built without importing plugins, so they read the old names of options from the card."""
    listed = discovery.renamed_options(of.role, of.name)
    renamed = dict(of.cls.Options.renamed)
    lines = ", ".join(f'{old} = "{current}"' for old, current in renamed.items())
    _require(
        listed == renamed,
        f"Options.renamed and the card {of.name}.toml differ. Write on the card: renamed = {{ {lines} }}.",
    )


def what_it_requires_exists(of: Subject) -> None:
    """The detectors that it requires are installed, have a `fit`, and accept the options that it sets."""
    for role, requirement in of.requirements().items():
        _require(of.role in ("detector", "verifier") and role == "detector", f"a {of.role} cannot require a {role}.")
        cls = discovery.load(role, requirement.name)
        _require(cls.learns(), f"it requires {requirement.name!r}, which learns nothing. Use its class instead.")
        cls.Options.model_validate(dict(requirement.options))


def it_is_made_with_its_defaults(of: Subject) -> None:
    """Every option has a default."""
    plugin = of.cls()
    _require(
        plugin.options == of.cls.Options(),
        "created without options, it does not have those of Options(). Call super().__init__().",
    )


def it_fits_and_its_answers_are_complete_finite_and_inside(of: Subject) -> None:
    """On frames with mitoses and on one without."""
    of.answers(of.fitted)


def it_answers_where_there_is_nothing(of: Subject) -> None:
    """On a frame without mitoses, with no candidates, or with no scores."""
    plugin, frame = of.fitted, frames.blank()
    if of.role == "estimator":
        returned.boxes(plugin, frame, plugin.boxes(frame, _nothing(plugin.needs_masks)), 0)
    elif of.role == "detector":
        returned.detections(plugin, frame, plugin.predict(frame))
    elif of.role == "verifier":
        returned.scores(plugin, frame, plugin.score(frame, api.Detections.none()), 0)
    else:
        returned.scores(plugin, None, plugin.fuse(np.zeros(0), np.zeros(0)), 0)


def _nothing(masks: bool) -> api.Mitoses:
    return replace(api.Mitoses(np.zeros((0, 2))), masks=() if masks else None)


def it_fits_without_masks_too(of: Subject) -> None:
    """Most data sets have centroids only. An estimator that needs masks sets `needs_masks` or `learns_from_masks`."""
    if of.cls.learns() and not of.wants_masks:
        of.answers(of.fit(masks=False))


def it_fits_on_validation_that_is_empty_or_of_one_kind(of: Subject) -> None:
    """Validation may have no candidates, only mitoses, or no mitoses. A fuser must not raise then."""
    for name, given in frames.meagre_validations().items():
        plugin = of.cls(of.options, "cpu")
        try:
            plugin.fit(given)
            canonical.dumps(plugin.chosen())
            for fuser, both in itertools.product((plugin, of.reload(plugin)), (given, frames.validation())):
                returned.scores(fuser, None, fuser.fuse(both.detector, both.verifier), len(both.detector))
        except Exception as reason:
            message = f"{type(reason).__name__}: {reason} ({_where(of, reason)})"
            raise PluginError(f"on validation that is {name}: {message}") from reason


def it_answers_the_same_after_saving_and_loading(of: Subject) -> None:
    """`save` writes everything that `fit` learned."""
    _same(of, of.reloaded, "its results change after save() and load(). Save everything that fit() sets.")


def it_answers_the_same_for_the_same_seed(of: Subject) -> None:
    """All randomness comes from `context.seed`."""
    _same(
        of,
        of.fit(),
        "fitted twice with the same seed, it gives different results. Take all randomness from context.seed.",
    )


def _same(of: Subject, other: Any, sentence: str) -> None:
    one, two = of.answers(of.fitted), of.answers(other)
    differing = [frame for frame in one if not np.array_equal(one[frame], two[frame])]
    _require(not differing, f"{sentence} (frame {', '.join(differing)})")


def it_leaves_its_inputs_as_they_are(of: Subject) -> None:
    """Other plugins receive the same arrays."""
    of.answers(of.fitted)
    _require(not of.changed, f"{' and '.join(sorted(of.changed))}() changes its arguments. Work on a copy.")


def what_it_chose_is_json(of: Subject) -> None:
    """It is stored in the record."""
    try:
        canonical.dumps(of.fitted.chosen())
    except (TypeError, ValueError) as reason:
        raise PluginError(f"chosen() returns something that is not a JSON value: {reason}.") from reason


_ALL: tuple[Callable[[Subject], None], ...] = (
    it_loads_and_has_a_version,
    its_options_have_descriptions,
    its_options_survive_json,
    its_card_lists_the_renamed_options,
    it_is_made_with_its_defaults,
    what_it_requires_exists,
    it_fits_and_its_answers_are_complete_finite_and_inside,
    it_answers_where_there_is_nothing,
    it_answers_the_same_after_saving_and_loading,
    it_answers_the_same_for_the_same_seed,
    it_leaves_its_inputs_as_they_are,
)
_OF_ROLE: dict[str, tuple[Callable[[Subject], None], ...]] = {
    "estimator": (it_fits_without_masks_too,),
    "detector": (it_fits_without_masks_too,),
    "verifier": (it_fits_without_masks_too,),
    "fuser": (what_it_chose_is_json, it_fits_on_validation_that_is_empty_or_of_one_kind),
}

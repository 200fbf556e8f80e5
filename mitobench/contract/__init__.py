"""The contract that every plugin keeps, as checks that anybody can run: `mitobench check-plugin`, or from pytest:

    @pytest.mark.parametrize("check", contract.checks("detector", "mine"), ids=str)
    def test_contract(check):
        check()

They run on tiny frames with a tiny budget (profile `smoke`, then two iterations), so they say whether a plugin works,
and nothing of how well.
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
    """One sentence about a plugin. Calling it raises PluginError where it is not true."""

    subject: Subject
    test: Callable[[Subject], None]

    @property
    def title(self) -> str:
        """The sentence."""
        return self.test.__name__.replace("_", " ")

    def __str__(self) -> str:
        return f"{self.subject.role} {self.subject.name}: {self.title}"

    def __call__(self) -> None:
        """Raises PluginError, or MitobenchError where something else than the plugin is wrong."""
        try:
            self.test(self.subject)
        except MitobenchError:
            raise
        except Exception as reason:
            said = str(reason) or "no message"
            raise PluginError(f"{type(reason).__name__}: {said} ({_where(self.subject, reason)})") from reason


def checks(role: str, name: str) -> list[Check]:
    """All checks for a plugin; nothing is imported before the first is called.

    Raises MitobenchError for an unknown role or plugin, with the nearest names.
    """
    if role not in ROLES:
        raise MitobenchError(f"No role is called {role!r}. {nearest(role, ROLES)}")
    discovery.find(role, name)
    return [Check(subject(role, name), test) for test in (*_ALL, *_OF_ROLE.get(role, ()))]


def find_role(name: str) -> str:
    """The role of the plugin of that name. Raises MitobenchError when there is none, or one in several roles."""
    roles = [role for role in ROLES if name in discovery.names(role)]
    if not roles:
        known = {other for role in ROLES for other in discovery.names(role)}
        raise MitobenchError(f"No plugin is called {name!r}. {nearest(name, known)}")
    if len(roles) > 1:
        raise MitobenchError(f"{name!r} is the name of a {' and a '.join(roles)}: say which with --role.")
    return roles[0]


def _require(true: Any, sentence: str) -> None:
    if not true:
        raise PluginError(sentence)


def _where(of: Subject, reason: BaseException) -> str:
    """File and line of the plugin's own code that raised; of whatever raised where it was not the plugin's."""
    package = discovery.find(of.role, of.name).target.partition(":")[0].partition(".")[0]
    lines = traceback.extract_tb(reason.__traceback__)
    own = [line for line in lines if package in Path(line.filename).with_suffix("").parts]
    last = (own or lines)[-1]
    return f"{last.filename}:{last.lineno}"


# ------------------------------------------------------------------------------------------------- the contract


def it_loads_and_has_a_version(of: Subject) -> None:
    """`discovery.load` holds that it is a class of its role, named as its entry point, with a version and defaults."""
    _require(of.cls.version, "version is empty; give it one, for example '1'.")


def its_options_have_descriptions(of: Subject) -> None:
    """So that `mitobench info` can explain them."""
    options = of.cls.Options
    _require(issubclass(options, api.Options), f"Options is {options.__name__}; derive it from mitobench.api.Options.")
    documented = " ".join(base.__doc__ or "" for base in options.__mro__ if issubclass(base, api.Options))
    for name, field in options.model_fields.items():
        described = field.description or f"{name}:" in documented
        _require(described, f"option {name!r} has no description; give Field(..., description='what it is, unit').")


def its_options_survive_json(of: Subject) -> None:
    """They go into records and between processes."""
    text = canonical.dumps(of.cls.Options().model_dump(mode="json"))
    again = of.cls.Options.model_validate_json(text)
    _require(again == of.cls.Options(), "its default options are others after a round trip through JSON.")


def its_card_lists_the_renamed_options(of: Subject) -> None:
    """Tables are built without importing plugins: they read the old names of options from the card."""
    listed = discovery.renamed_options(of.role, of.name)
    renamed = dict(of.cls.Options.renamed)
    lines = ", ".join(f'{old} = "{current}"' for old, current in renamed.items())
    _require(
        listed == renamed,
        f"Options.renamed and the card {of.name}.toml differ. Write on the card: renamed = {{ {lines} }}.",
    )


def what_it_requires_exists(of: Subject) -> None:
    """The detectors that it starts from are installed, learn, and have the options that it sets on them."""
    for role, requirement in of.requirements().items():
        _require(of.role in ("detector", "verifier") and role == "detector", f"a {of.role} cannot require a {role}.")
        cls = discovery.load(role, requirement.name)
        _require(cls.learns(), f"it requires {requirement.name!r}, which learns nothing: use its class instead.")
        cls.Options.model_validate(dict(requirement.options))


def it_is_made_with_its_defaults(of: Subject) -> None:
    """No option has to be given."""
    plugin = of.cls()
    _require(plugin.options == of.cls.Options(), "made without options, it has not those of Options(); call super().")


def it_fits_and_its_answers_are_complete_finite_and_inside(of: Subject) -> None:
    """On frames with mitoses and on one without."""
    of.answers(of.fitted)


def it_answers_where_there_is_nothing(of: Subject) -> None:
    """No mitosis to box, nothing to be found, no candidate to judge, no score to fuse."""
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
    """Most data sets have centroids only; one that cannot do without masks says so with a flag."""
    if of.cls.learns() and not of.wants_masks:
        of.answers(of.fit(masks=False))


def it_fits_on_validation_that_is_empty_or_of_one_kind(of: Subject) -> None:
    """No candidate may pass on the validation frames, or only mitoses, or none: a run goes on, and so must a fuser."""
    for name, given in frames.meagre_validations().items():
        plugin = of.cls(of.options, "cpu")
        try:
            plugin.fit(given)
            canonical.dumps(plugin.chosen())
            for fuser, both in itertools.product((plugin, of.reload(plugin)), (given, frames.validation())):
                returned.scores(fuser, None, fuser.fuse(both.detector, both.verifier), len(both.detector))
        except Exception as reason:
            said = f"{type(reason).__name__}: {reason} ({_where(of, reason)})"
            raise PluginError(f"on validation that is {name}: {said}") from reason


def it_answers_the_same_after_saving_and_loading(of: Subject) -> None:
    """What `fit` learned is all in what `save` writes."""
    _same(of, of.reloaded, "after save() and load() it answers otherwise; save everything that fit() sets.")


def it_answers_the_same_for_the_same_seed(of: Subject) -> None:
    """All randomness comes from `context.seed`."""
    _same(of, of.fit(), "fitted twice with one seed it answers differently; draw all randomness from context.seed.")


def _same(of: Subject, other: Any, sentence: str) -> None:
    one, two = of.answers(of.fitted), of.answers(other)
    differing = [frame for frame in one if not np.array_equal(one[frame], two[frame])]
    _require(not differing, f"{sentence} (frame {', '.join(differing)})")


def it_leaves_its_inputs_as_they_are(of: Subject) -> None:
    """Other plugins are given the same arrays."""
    of.answers(of.fitted)
    _require(not of.changed, f"{' and '.join(sorted(of.changed))}() changes what it is given; work on a copy.")


def what_it_chose_is_json(of: Subject) -> None:
    """It goes into the record."""
    try:
        canonical.dumps(of.fitted.chosen())
    except (TypeError, ValueError) as reason:
        raise PluginError(f"chosen() returns what is no JSON value: {reason}.") from reason


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

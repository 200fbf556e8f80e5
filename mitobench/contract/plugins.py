"""The checks of estimators, detectors, verifiers and fusers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mitobench import api, discovery
from mitobench.contract import frames
from mitobench.contract.failures import require, where
from mitobench.contract.subject import Results, Subject
from mitobench.errors import PluginError
from mitobench.pipeline import canonical
from mitobench.pipeline import checks as returned


def loads_and_has_a_version(of: Subject) -> None:
    """`discovery.load` checks the base class, the name, the version, and that every option has a default."""
    require(of.cls.version, "version is empty. Set one, for example '1'.")


def all_options_have_descriptions(of: Subject) -> None:
    """`mitobench info` shows the descriptions."""
    options = of.cls.Options
    require(issubclass(options, api.Options), f"Options is {options.__name__}. Derive it from mitobench.api.Options.")
    documented = " ".join(base.__doc__ or "" for base in options.__mro__ if issubclass(base, api.Options))
    for name, field in options.model_fields.items():
        described = field.description or f"{name}:" in documented
        require(described, f"option {name!r} has no description. Write Field(..., description='what it is, unit').")


def options_can_be_stored_as_json(of: Subject) -> None:
    """Options are stored in records and sent to other processes."""
    text = canonical.dumps(of.cls.Options().model_dump(mode="json"))
    reread = of.cls.Options.model_validate_json(text)
    require(reread == of.cls.Options(), "the default options change when they are written as JSON and read again.")


def the_card_lists_all_renamed_options(of: Subject) -> None:
    """Tables are built without importing plugins, so they read the old names of options from the card."""
    listed = discovery.renamed_options(of.role, of.name)
    renamed = dict(of.cls.Options.renamed)
    lines = ", ".join(f'{old} = "{current}"' for old, current in renamed.items())
    require(
        listed == renamed,
        f"Options.renamed and the card {of.name}.toml differ. Write on the card: renamed = {{ {lines} }}.",
    )


def list_names_the_argument(of: Subject) -> None:
    """`mitobench list` imports no plugin, so it reads from the card what a family accepts."""
    named = discovery.find(of.role, of.name).card(of.cls.name).get("argument")
    require(
        named in (None, of.cls.argument),
        f"the card {discovery.split(of.name)[0]}.toml calls the argument {named!r}, the class {of.cls.argument!r}.",
    )


def describe_returns_facts(of: Subject) -> None:
    """`mitobench info` shows them: names with texts or numbers."""
    for name, fact in of.cls.describe(of.options).items():
        simple = isinstance(name, str) and (fact is None or isinstance(fact, str | int | float | list | tuple))
        require(simple, f"describe() returns {fact!r:.100} as {name!r}. Return texts, numbers or lists of them.")


def required_plugins_exist_and_can_be_fitted(of: Subject) -> None:
    """Required detectors are installed, have a `fit` (or are in a sequence), and accept the options that are set."""
    for place, (role, requirement) in of.requirements().items():
        require(of.role in ("detector", "verifier") and role == "detector", f"a {of.role} cannot require a {role}.")
        cls = discovery.load(role, requirement.name)
        require(
            cls.learns() or place != role,
            f"the required {role} {requirement.name!r} has no fit(). Do not require it: use its class directly.",
        )
        cls.Options.model_validate(dict(requirement.options))


def can_be_created_without_options(of: Subject) -> None:
    """Every option has a default."""
    plugin = of.cls()
    require(
        plugin.options == of.cls.Options(),
        "a plugin created without options does not have the default options. Call super().__init__().",
    )


def fits_and_returns_valid_results(of: Subject) -> None:
    """Results are complete, finite and inside the frame, on frames with mitoses and on one without."""
    of.results(of.fitted)


def handles_empty_input(of: Subject) -> None:
    """Empty input is a frame without mitoses, no candidates, or no scores, depending on the role."""
    plugin, frame = of.fitted, frames.blank()
    if of.role == "estimator":
        returned.boxes(plugin, frame, plugin.boxes(frame, _no_mitoses(plugin.needs_masks)), np.zeros((0, 2)))
    elif of.role == "detector":
        returned.detections(plugin, frame, plugin.predict(frame))
    elif of.role == "verifier":
        returned.probabilities(plugin, frame, plugin.score(frame, api.Detections.none()), 0)
    else:
        returned.fused(plugin, None, np.zeros(0), np.zeros(0), [frame], [api.Detections.none()])


def _no_mitoses(masks: bool) -> api.Mitoses:
    return replace(api.Mitoses(np.zeros((0, 2))), masks=() if masks else None)


def fits_without_masks(of: Subject) -> None:
    """Most data sets have centroids only. An estimator that needs masks sets `needs_masks` or `learns_from_masks`."""
    if of.cls.learns() and not of.wants_masks:
        of.results(of.fit(masks=False))


def fits_on_validation_data_with_no_candidates_or_one_class(of: Subject) -> None:
    """`fit` must not raise an error if validation has no candidates, only mitoses, or no mitoses."""
    for name, edge_case in frames.edge_case_validations().items():
        plugin = of.cls(of.options, "cpu")
        try:
            plugin.fit(edge_case)
            canonical.dumps(plugin.chosen())
            for fuser, data in itertools.product((plugin, of.reload(plugin)), (edge_case, frames.validation())):
                returned.fused(fuser, None, data.detector, data.verifier, data.frames, data.detections)
            cross_fitted = plugin.cross_fitted()
            if cross_fitted is not None:
                returned.scores(plugin, None, cross_fitted, len(edge_case.detector))
        except (Exception, SystemExit) as reason:
            message = f"{type(reason).__name__}: {reason} ({where(of.role, of.name, reason)})"
            raise PluginError(f"Fuser {of.cls.name} fails on validation data with {name}: {message}") from reason


def returns_the_same_results_after_saving_and_loading(of: Subject) -> None:
    """`save` writes everything that `fit` learned."""
    _same(of, of.reloaded, "the results change after save() and load(). Save everything that fit() sets.")


def saves_files_that_can_be_packed(of: Subject) -> None:
    """Otherwise `mitobench pack` would refuse them after the training."""
    of.check_saved()


def returns_the_same_results_for_the_same_seed(of: Subject) -> None:
    """All randomness comes from `context.seed`."""
    _same(
        of,
        of.fit(),
        "two fits with the same seed give different results. Take all randomness from context.seed.",
    )


def returns_the_same_results_whatever_the_order_of_frames(of: Subject) -> None:
    """What a plugin returns for a frame must not depend on the frames before: others come first in other runs."""
    if of.role != "fuser":
        _equal(
            of.results(of.reloaded),
            of.results_in_reverse(),
            "the results of a frame change when other frames come before it. Keep nothing of a frame in self.",
        )


def _same(of: Subject, other: Any, message: str) -> None:
    _equal(of.results(of.fitted), of.results(other), message)


def _equal(one: Results, two: Results, message: str) -> None:
    differing = [frame for frame in two if not np.array_equal(one[frame], two[frame])]
    require(not differing, f"{message} (frame {', '.join(differing)})")


def scores_candidates_alike_in_any_order(of: Subject) -> None:
    """The order of a detector's candidates says nothing about a candidate. Networks may differ in the last digits."""
    for sample in frames.val(candidates=True):
        assert sample.candidates is not None
        reverse = of.scores(of.fitted, sample.frame, sample.candidates.unlabelled()[::-1])
        require(
            np.allclose(of.results(of.fitted)[sample.frame.id], reverse[::-1], rtol=1e-4, atol=1e-6),
            f"score() gives candidates other scores when their order is reversed. (frame {sample.frame.id})",
        )


def does_not_change_its_inputs(of: Subject) -> None:
    """Other plugins receive the same arrays."""
    of.results(of.fitted)
    require(not of.changed, f"{' and '.join(sorted(of.changed))}() changes its arguments. Work on a copy.")


def scores_are_those_of_stored_embeddings(of: Subject) -> None:
    """A run scores stored embeddings, which fits and other seeds share; a packed model embeds and scores at once."""
    for sample in frames.val(candidates=True):
        candidates = sample.candidates
        assert candidates is not None
        found = api.Detections(candidates.xy, candidates.boxes, candidates.score)
        embedded = of.embedded(sample.frame, found.xy)
        stored = returned.probabilities(of.fitted, sample.frame, of.fitted.score_embedded(found, embedded), len(found))
        direct = returned.probabilities(of.fitted, sample.frame, of.fitted.score(sample.frame, found), len(found))
        require(
            np.allclose(stored, direct, rtol=1e-4, atol=1e-6),
            "score() differs from score_embedded() of the embeddings that embed() returns.",
        )


def the_encoder_is_the_same_each_time(of: Subject) -> None:
    """Embeddings are stored without a seed: two encoders of the same options must embed alike, after each fit."""
    frame = frames.train()[0].frame
    points = np.array([[40.0, 50.0], [100.0, 60.0]])
    before = of.embedded(frame, points)
    again = of.encoder_again()
    for plugin, what in ((of.fitted, "fit() changes the encoder"), (again, "write_encoder() differs from run to run")):
        require(np.array_equal(before, plugin.embed(frame, points)), f"{what}. The encoder must be frozen.")


def fuses_frame_by_frame(of: Subject) -> None:
    """A run does so, as does `mitobench predict`: a score that depends on other frames would learn from test frames."""
    data, first, fused = frames.validation(), 0, [np.zeros(0)]
    for frame, found in zip(data.frames, data.detections, strict=True):
        part = slice(first, first + len(found))
        fused.append(returned.fused(of.fitted, frame, data.detector[part], data.verifier[part], [frame], [found]))
        first = part.stop
    require(
        np.allclose(np.concatenate(fused), of.results(of.fitted)["all"], rtol=1e-5, atol=1e-9),
        "the scores of a frame change when other frames are fused with it. Learn scales, such as a minimum and a "
        "maximum, in fit().",
    )


def chosen_values_can_be_stored_as_json(of: Subject) -> None:
    """The values are stored in the record."""
    try:
        text = canonical.dumps(of.fitted.chosen())
    except (TypeError, ValueError) as reason:
        raise PluginError(
            f"chosen() returns a value that is not JSON: {reason}. Return numbers, strings, lists and dicts only."
        ) from reason
    if of.cls.restore is not api.Fuser.restore:
        restored = of.cls(of.options, "cpu")
        restored.restore(json.loads(text))
        _same(of, restored, "the results change after restore(chosen()). Return everything that fit() sets.")


def cross_fitted_scores_are_complete(of: Subject) -> None:
    """A fuser that has scores of its own for validation has one for each candidate."""
    scores = of.fitted.cross_fitted()
    if scores is not None:
        returned.scores(of.fitted, None, scores, len(frames.validation().detector))


_ALL: tuple[Callable[[Subject], None], ...] = (
    loads_and_has_a_version,
    all_options_have_descriptions,
    options_can_be_stored_as_json,
    the_card_lists_all_renamed_options,
    list_names_the_argument,
    describe_returns_facts,
    can_be_created_without_options,
    required_plugins_exist_and_can_be_fitted,
    fits_and_returns_valid_results,
    handles_empty_input,
    returns_the_same_results_after_saving_and_loading,
    saves_files_that_can_be_packed,
    returns_the_same_results_for_the_same_seed,
    returns_the_same_results_whatever_the_order_of_frames,
    does_not_change_its_inputs,
)
_OF_EMBEDDING = (scores_are_those_of_stored_embeddings, the_encoder_is_the_same_each_time)
_OF_ROLE: dict[str, tuple[Callable[[Subject], None], ...]] = {
    "estimator": (fits_without_masks,),
    "detector": (fits_without_masks,),
    "verifier": (fits_without_masks, scores_candidates_alike_in_any_order),
    "fuser": (
        fuses_frame_by_frame,
        chosen_values_can_be_stored_as_json,
        cross_fitted_scores_are_complete,
        fits_on_validation_data_with_no_candidates_or_one_class,
    ),
}


def plugin_checks(of: Subject) -> tuple[Callable[[Subject], None], ...]:
    """Returns the checks of a plugin: those of all, of its role, and of one that embeds patches."""
    return (*_ALL, *_OF_ROLE.get(of.role, ()), *(_OF_EMBEDDING if _embeds(of) else ()))


def _embeds(of: Subject) -> bool:
    try:
        return of.embeds
    except PluginError:  # a class that cannot be loaded, which the checks report
        return False

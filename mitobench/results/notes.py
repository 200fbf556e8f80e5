"""The notes of a record: what every table must say about its row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mitobench.evaluate import Metrics
from mitobench.results.schema import PluginEntry, Record
from mitobench.weights_search import UNKNOWN_FRAMES, WHOLE

FROM_SCRATCH = "trained from scratch"
NO_BOX_SCORES = "no box scores"  # the reason follows
WEIGHTS = re.compile(r"(.+), sha256 [0-9a-f]{64}")  # the option `pretrained` of a fit that started from weights


def of_dataset(name: str, coverage: str | None, named: bool) -> list[str]:
    """Returns the notes on a data set that took part.

    Args:
        name: of the data set.
        coverage: what part of it was there; None: all of it.
        named: whether it was tested on or trained on; otherwise only its masks were used.
    """
    notes = [] if named else [f"estimator learned from the masks of {name}"]
    if name.startswith("synthetic"):
        notes.append(f"{name}: made by a program, no tissue")
    return [*notes, f"{name}: {coverage}"] if coverage else notes


def of_images(name: str, remarks: Iterable[str]) -> list[str]:
    """Returns the notes on images of a data set that were converted, or differ from its card."""
    return [f"{name}: {remark}" for remark in remarks]


def all_frames_learned_from(name: str) -> str:
    """Returns the note on a data set whose test part was trained on, too."""
    return f"{name}: all labelled frames are learned from, as it is neither tested nor chosen on"


def split_together(name: str, tested: str) -> str:
    """Returns the note on a further training set that is split together with the data set tested on."""
    return (
        f"{name}: split together with {tested}; its test slides are not learned from, its validation slides choose too"
    )


def shared_slides(name: str) -> str:
    """Returns the note on a data set whose test slides also have frames that were trained or chosen on."""
    return f"{name}: slides are shared between training and test"


def shortened(scale: float) -> str:
    """Returns the note on schedules that were multiplied by a factor."""
    return f"schedules shortened to {scale:g} of the profile's"


def unlabelled(name: str, number: int, frames: int) -> str:
    """Returns the note on test frames without labels: `number` of `frames`."""
    return f"{name}: {number} of {frames} test frames are unlabelled, not scored"


def seen_before(plugins: Iterable[PluginEntry], dataset: str) -> list[str]:
    """Returns a note for each plugin whose published weights have seen the data set that is tested on."""
    seen = (plugin.name for plugin in plugins if dataset in plugin.trained_on)
    return [f"{name}: its weights were trained on {dataset}, which is tested on here" for name in dict.fromkeys(seen)]


def starts(fits: Sequence[tuple[str, str | None]]) -> list[str]:
    """Returns the notes on what training started from.

    Args:
        fits: names of each fitted plugin and of its pretrained weights; None: random ones.
    """
    if any(weights for _, weights in fits):
        return [f"{name} started from {weights}" if weights else f"{name} from scratch" for name, weights in fits]
    return [FROM_SCRATCH] if fits else []


def missing_weights(plugin: str, name: str) -> str:
    """Returns the note on pretrained weights that `auto` looked for: training started from random weights instead."""
    return f"{plugin}: pretrained weights {name} wanted and not found"


def trained_before(plugins: Mapping[str, PluginEntry], training_info: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a note for each fit that started from weights of an earlier fit: they may have seen test frames.

    Args:
        plugins: by role.
        training_info: what each fit reported, by role.
    """
    learned_from = {role: plugin.learned_from for role, plugin in plugins.items() if plugin.learned_from}
    whole = {role: [UNKNOWN_FRAMES] for role, info in training_info.items() if info.get(WHOLE) is True}
    whole |= {role: [UNKNOWN_FRAMES] for role, plugin in plugins.items() if plugin.options.get("iterations") == 0}
    names = {role: plugins[role].name if role in plugins else role for role in {**whole, **learned_from}}
    return [
        f"{names[role]}: its weights had been trained before, on {', '.join(frames)}"
        for role, frames in {**whole, **learned_from}.items()
    ]


def nothing_passed(threshold: float | None, validation: Metrics, test: Metrics) -> list[str]:
    """Returns a note for each part that had frames but no candidate to score, so that an F1 of 0 explains itself."""
    reason = (
        "the detector found no candidate" if threshold is None else f"no candidate passed the threshold {threshold:g}"
    )
    parts = {"validation": validation, "test": test}
    return [
        f"{reason} on the {part} frames"
        for part, scores in parts.items()
        if scores.n_frames and scores.n_detections == 0
    ]


# ------------------------------------------------------------------------------------------- required by a record


def required(record: Record) -> Iterator[str]:
    """Yields the notes that follow from the rest of a record.

    Shared slides are found for validation frames only, as a record does not list its training frames.
    """
    tested, train_on = record.combination["dataset"], record.combination["train_on"]
    for name, entry in record.data.items():
        yield from of_dataset(name, entry.coverage, named=name in (tested, *train_on))
    yield from seen_before(record.plugins.values(), tested)
    if record.scale != 1:
        yield shortened(record.scale)
    if record.frames is None or record.chosen is None or record.validation is None or record.test is None:
        return
    number = sum(frame.mitoses is None for frame in record.frames.test)
    if number:
        yield unlabelled(tested, number, len(record.frames.test))
    if {f"{tested}/{frame.group}" for frame in record.frames.test} & {frame.group for frame in record.frames.val}:
        yield shared_slides(tested)
    yield from trained_before(record.plugins, record.training_info)
    yield from nothing_passed(record.chosen.candidate_threshold, record.validation, record.test)
    found = starts(_fits(record))
    if found != [FROM_SCRATCH] or not any(" started from " in note for note in record.notes):
        yield from found  # a plugin may start from weights that no option of it names


def _fits(record: Record) -> list[tuple[str, str | None]]:
    """Returns the fitted plugins that the specs name, with the weights that each started from."""
    specs, stages = record.specs, record.stages
    boxes = specs.get(stages.get("boxes", ""), {})
    keys = [boxes.get("upstream", {}).get("estimator"), stages.get("detector"), stages.get("verifier")]
    keys, fitted = [key for key in keys if key in specs], dict[str, dict[str, Any]]()
    while keys:
        key = keys.pop(0)
        if key not in fitted:
            fitted[key] = specs[key]
            keys += [other for name, other in specs[key]["upstream"].items() if name.startswith("requires-")]
    trained = [spec for spec in fitted.values() if not spec.get("members")]
    plugins: list[dict[str, Any]] = [spec["plugin"] for spec in trained if spec["plugin"]]
    found = [(plugin["name"], WEIGHTS.fullmatch(str(plugin["options"].get("pretrained")))) for plugin in plugins]
    return [(name, match[1] if match else None) for name, match in found]

"""Checks that what a record says about its request, data and stages agrees; no score is computed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mitobench.content import with_files
from mitobench.pipeline import canonical
from mitobench.pipeline.pipeline_options import F1, VALIDATION, PipelineOptions
from mitobench.results import notes
from mitobench.results.command import command_of
from mitobench.results.mismatch import ABSENT, Mismatch, mismatches
from mitobench.results.schema import SCHEMA_VERSION, PluginEntry, Record

PARTS = ("train", "val", "test")
MATCHING = ("matcher", "radius_um")
ADDED = {"threads", "choose_by"}  # records of earlier versions do not have them
PIPELINE = {*PipelineOptions.model_fields, *MATCHING, "processes"} - ADDED

# The stage whose spec holds all options of a role's plugin: one that predicts, or that chooses and scores.
STAGE_OF = {
    "estimator": "boxes",
    "detector": "detections-test",
    "verifier": "verifier-scores-test",
    "fuser": "evaluation",
}
# The kind of each stage that a record may name.
KINDS = {
    "boxes": "boxes",
    "box-scores": "box-scores",
    "detector": "fit-detector",
    "verifier": "fit-verifier",
    "detections-val": "detections",
    "detections-test": "detections",
    "encoder": "encoder",
    "embeddings-val": "embeddings",
    "embeddings-test": "embeddings",
    "verifier-scores-val": "verifier-scores",
    "verifier-scores-test": "verifier-scores",
    "fusion": "fusion",
    "evaluation": "evaluation",
}
REQUIRED = ("detections-val", "detections-test", "fusion", "evaluation")  # every record with scores has them
# Which stage each input of a stage is: (stage, input, stage that it is).
INPUTS = (
    ("evaluation", "fusion", "fusion"),
    ("evaluation", "detections", "detections-test"),
    ("evaluation", "verifier-scores", "verifier-scores-test"),
    ("fusion", "detections", "detections-val"),
    ("fusion", "verifier-scores", "verifier-scores-val"),
    ("detections-val", "detector", "detector"),
    ("detections-test", "detector", "detector"),
    ("verifier-scores-val", "detections", "detections-val"),
    ("verifier-scores-test", "detections", "detections-test"),
    ("verifier-scores-val", "verifier", "verifier"),
    ("verifier-scores-test", "verifier", "verifier"),
    ("verifier", "candidates-val", "detections-val"),
    ("verifier", "embeddings-val", "embeddings-val"),
    ("verifier-scores-val", "embeddings", "embeddings-val"),
    ("verifier-scores-test", "embeddings", "embeddings-test"),
    ("embeddings-val", "detections", "detections-val"),
    ("embeddings-test", "detections", "detections-test"),
    ("embeddings-val", "encoder", "encoder"),
    ("embeddings-test", "encoder", "encoder"),
)
# Stages that work on all validation or all test frames: (stage, name of the frames in its spec, part).
FRAMES = (
    ("fusion", "val", "val"),
    ("evaluation", "test", "test"),
    ("detector", "val", "val"),
    ("verifier", "val", "val"),
    ("detections-val", "frames", "val"),
    ("detections-test", "frames", "test"),
    ("embeddings-val", "frames", "val"),
    ("embeddings-test", "frames", "test"),
    ("verifier-scores-val", "frames", "val"),
    ("verifier-scores-test", "frames", "test"),
)


def contradictions(record: Record) -> Iterator[Mismatch]:
    """Yields what contradicts something else in the record.

    Of migrated records, which have no specs, only what does not need them is checked.
    """
    yield from mismatches(record.run.command, command_of(record), "run.command")
    yield from _status(record)
    yield from _plugin_entries(record)
    yield from _data_entries(record)
    yield from _numbers_of_frames(record)
    yield from _migrated(record)
    try:
        yield from list(_notes(record))
        if record.status == "ok" and not record.migrated:
            yield from list(_specs(record))
    except (KeyError, TypeError, AttributeError) as reason:  # the specs of others may have any form
        yield Mismatch("specs", f"{type(reason).__name__} {reason}", "of the form that a run writes")


# ---------------------------------------------------------------------------------------------- without the specs


def _status(record: Record) -> Iterator[Mismatch]:
    if record.status == "ok" and record.reason is not None:
        yield Mismatch("reason", record.reason, "null, as the status is ok")
    if record.status != "ok" and not record.reason:
        yield Mismatch("reason", record.reason, f"a text, as the status is {record.status}")
    if record.status == "ok" and not record.migrated and record.validation_detections is None:
        yield Mismatch("validation_detections", None, "a file, as the record was not migrated")
    if record.boxes is not None and record.boxes.iou is None and not record.migrated:
        yield Mismatch("boxes.iou", None, "a number for each mitosis, as the record was not migrated")


def _plugin_entries(record: Record) -> Iterator[Mismatch]:
    """Checks that the options that a table shows, and the digests of files, are those among the options."""
    for role, entry in record.plugins.items():
        shown = {option: entry.options.get(option) for option in entry.variant}
        yield from mismatches(entry.variant, shown, f"plugins.{role}.variant")
        digests = {place: f"sha256 {file.sha256}" for place, file in entry.files.items()}
        yield from mismatches(entry.options, with_files(entry.options, digests), f"plugins.{role}.options")


def _data_entries(record: Record) -> Iterator[Mismatch]:
    for name, entry in record.data.items():
        for field in ("digest", "frames"):
            yield from _names(getattr(entry, field), PARTS, f"data.{name}.{field}")
        if entry.split.content is not None:
            digest = canonical.digest(entry.split.content)
            yield from mismatches(entry.split.digest, digest, f"data.{name}.split.digest")
    tested = record.combination["dataset"]
    yield from mismatches(record.combination["protocol"], record.data[tested].split.protocol, "combination.protocol")


def _numbers_of_frames(record: Record) -> Iterator[Mismatch]:
    """Checks that the record lists as many frames as its data sets had."""
    if record.frames is None:
        return
    tested = record.combination["dataset"]
    validation = sum(record.data[name].frames.get("val", 0) for name in record.choosing)
    yield from mismatches(validation, len(record.frames.val), "data.frames.val")
    yield from mismatches(record.data[tested].frames.get("test"), len(record.frames.test), f"data.{tested}.frames.test")


def _migrated(record: Record) -> Iterator[Mismatch]:
    versions = [earlier.schema_version for earlier in record.migrated]
    if versions != sorted(set(versions)) or not all(0 < version < SCHEMA_VERSION for version in versions):
        yield Mismatch("migrated", versions, f"versions before {SCHEMA_VERSION}, in ascending order")
    if record.migrated and record.specs:
        yield Mismatch("specs", f"{len(record.specs)} specs", "empty, as the record was migrated")


def _notes(record: Record) -> Iterator[Mismatch]:
    """Checks that no note is missing that the rest of the record requires."""
    for note in notes.required(record):
        if note not in record.notes:
            yield Mismatch("notes", f"without {note!r}", "with it")
    unscored = record.status == "ok" and "box-scores" in record.stages and record.boxes is None
    if unscored and not any(note.startswith(notes.NO_BOX_SCORES) for note in record.notes):
        yield Mismatch("notes", f"without {notes.NO_BOX_SCORES!r}", "with it")


# ------------------------------------------------------------------------------------------------- with the specs


def _specs(record: Record) -> Iterator[Mismatch]:
    """Checks that every key is the digest of its spec, and that the specs agree with the record."""
    for key, spec in record.specs.items():
        yield from mismatches(key, canonical.digest(spec), f"specs.{key[:12]}")
        for upstream in spec["upstream"].values():
            if upstream not in record.specs:
                yield Mismatch(f"specs.{key[:12]}.upstream", upstream, "one of specs")
    unknown = [role for role in {**dict.fromkeys(REQUIRED), **record.stages} if not _is_known(record, role)]
    for role in unknown:
        yield Mismatch(f"stages.{role}", record.stages.get(role), "one of specs")
    if unknown:
        return
    yield from _unused_specs(record)
    yield from _links(record)
    yield from _plugins(record)
    yield from _request(record)
    yield from _data(record)
    yield from _candidates(record)


def _is_known(record: Record, role: str) -> bool:
    return role in KINDS and record.stages.get(role) in record.specs


def _spec(record: Record, role: str) -> dict[str, Any] | None:
    """Returns the spec of the stage of a role; None if the record has no such stage."""
    return record.specs[record.stages[role]] if role in record.stages else None


def _unused_specs(record: Record) -> Iterator[Mismatch]:
    """Checks that every spec belongs to a stage of the record, or to one that such a stage builds on."""
    used, pending = set[str](), list(record.stages.values())
    while pending:
        key = pending.pop()
        if key in record.specs and key not in used:
            used.add(key)
            pending += record.specs[key]["upstream"].values()
    for key in record.specs.keys() - used:
        yield Mismatch(f"specs.{key[:12]}", record.specs[key]["kind"], "absent, as no stage builds on it")


def _links(record: Record) -> Iterator[Mismatch]:
    """Checks the kinds of the stages, and that they build on one another."""
    for role, key in record.stages.items():
        yield from mismatches(record.specs[key]["kind"], KINDS[role], f"specs.{key[:12]}.kind")
    for role, name, source in INPUTS:
        spec = _spec(record, role)
        if spec:
            key, expected = spec["upstream"].get(name), record.stages.get(source)
            yield from mismatches(expected, key, f"stages.{source}")
    detector = _spec(record, "detector") or {"upstream": {}}
    if "boxes" in detector["upstream"]:
        yield from mismatches(record.stages.get("boxes"), detector["upstream"]["boxes"], "stages.boxes")
    if record.boxes is not None and "box-scores" not in record.stages:
        yield Mismatch("stages.box-scores", None, "a stage, as the record has scores of boxes")


# ------------------------------------------------------------------------------------------------------- plugins


def _plugins(record: Record) -> Iterator[Mismatch]:
    """Checks that plugins have the versions, sources and options of their stages."""
    fits = dict(_required_fits(record))
    for role, entry in record.plugins.items():
        if role in STAGE_OF:
            spec = _spec(record, STAGE_OF[role])
            if spec:
                yield from _plugin(entry, spec["plugin"] or {}, f"plugins.{role}")
            elif role == "verifier":  # one that verifies nothing has no stage
                yield from mismatches(entry.options, {}, f"plugins.{role}.options")
            else:
                yield Mismatch(f"plugins.{role}", entry.name, "absent, as no stage uses it")
        elif role in fits:
            yield from _plugin(entry, fits[role], f"plugins.{role}")
        else:
            yield Mismatch(f"plugins.{role}", entry.name, "absent, as no stage uses it")
    needed = {role for role, stage in STAGE_OF.items() if stage in record.stages} | fits.keys()
    for role in sorted(needed - record.plugins.keys()):
        yield Mismatch(f"plugins.{role}", ABSENT, "there, as a stage uses it")


def _plugin(entry: PluginEntry, plugin: dict[str, Any], path: str) -> Iterator[Mismatch]:
    for name in ("name", "version", "source", "options"):
        yield from mismatches(getattr(entry, name), plugin.get(name), f"{path}.{name}")


def _required_fits(record: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the plugins that others start from, with names such as `detector requires frcnn`."""
    for spec in record.specs.values():
        members = spec.get("members", {})
        for name, key in spec["upstream"].items():
            plugin = record.specs[key]["plugin"] if key in record.specs else None
            if name.startswith("requires-") and name not in members and spec["plugin"] and plugin:
                yield f"{spec['plugin']['role']} requires {plugin['name']}", plugin
        for member in members.values():
            yield f"{spec['plugin']['role']} uses {member['name']}", member


# ------------------------------------------------------------------------------------------------ request and data


def _request(record: Record) -> Iterator[Mismatch]:
    """Checks seed, device, matcher, radius and candidate threshold against the settings of the stages."""
    yield from _names(record.pipeline, PIPELINE | (ADDED & record.pipeline.keys()), "pipeline")
    for role in ("fusion", "evaluation"):
        settings = record.specs[record.stages[role]]["settings"]
        for name in MATCHING:
            yield from mismatches(record.pipeline[name], settings.get(name), f"pipeline.{name}")
    threshold = record.pipeline["candidate_threshold"]
    fixed = None if threshold == VALIDATION else threshold
    expected = {"fusion": threshold, "verifier-scores-val": fixed, "verifier-scores-test": fixed}
    for role, value in expected.items():
        spec = _spec(record, role)
        if spec:
            given = spec["settings"].get("candidate_threshold")
            yield from mismatches(value, given, "pipeline.candidate_threshold")
    chosen_by = record.specs[record.stages["fusion"]]["settings"].get("choose_by", F1)
    yield from mismatches(record.pipeline.get("choose_by", F1), chosen_by, "pipeline.choose_by")
    for spec in record.specs.values():
        given = spec["settings"]
        if "seed" in given:
            yield from mismatches(record.combination["seed"], given["seed"], "combination.seed")
            yield from mismatches(record.pipeline.get("processes", 1), given.get("processes"), "pipeline.processes")
            yield from mismatches(record.pipeline.get("threads"), given.get("threads"), "pipeline.threads")
        if "device" in given:
            yield from mismatches(record.device, given["device"], "device")
    for name in record.run.seconds.keys() - record.stages.keys():
        yield Mismatch(f"run.seconds.{name}", record.run.seconds[name], "absent, as there is no such stage")


def _data(record: Record) -> Iterator[Mismatch]:
    """Checks data sets and the digests of their frames against those of the stages."""
    read = {
        name for spec in record.specs.values() if spec["kind"] != "box-scores" for name in spec["settings"]["readers"]
    }
    yield from _names(record.data, {record.combination["dataset"], *record.combination["train_on"], *read}, "data")
    chosen = record.specs[record.stages["fusion"]]["frames"].get("val")
    tested, choosing = record.combination["dataset"], record.choosing
    expected = {"val": chosen, "test": record.data[tested].digest["test"]}
    if len(choosing) == 1:
        yield from mismatches(record.data[choosing[0]].digest.get("val"), chosen, f"data.{choosing[0]}.digest.val")
    for role, name, part in FRAMES:
        spec = _spec(record, role)
        if spec:
            where = (
                f"data.{tested}.digest.{part}" if part == "test" else f"specs.{record.stages[role][:12]}.frames.{name}"
            )
            yield from mismatches(expected[part], spec["frames"].get(name), where)
    train_on = record.combination["train_on"]
    if len(train_on) == 1:
        digest = record.data[train_on[0]].digest.get("train")
        for role in ("detector", "verifier"):
            spec = _spec(record, role)
            if spec:
                yield from mismatches(digest, spec["frames"].get("train"), f"data.{train_on[0]}.digest.train")


def _candidates(record: Record) -> Iterator[Mismatch]:
    """Checks `pipeline.candidates` against the detectors that found the verifier's training candidates."""
    verifier = _spec(record, "verifier")
    if verifier is None or "detector" not in record.stages:  # nothing depends on it
        return
    number = sum(name.startswith("candidates-train-") for name in verifier["upstream"])
    expected = f"out-of-fold({number})" if number else "in-sample"
    yield from mismatches(record.pipeline["candidates"], expected, "pipeline.candidates")


def _names(recorded: Any, expected: Any, path: str) -> Iterator[Mismatch]:
    """Checks that the names of an object are the expected ones."""
    for name in sorted(set(recorded) ^ set(expected)):
        known = name in expected
        yield Mismatch(f"{path}.{name}", ABSENT if known else "there", "there" if known else ABSENT)

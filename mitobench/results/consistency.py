"""Whether what a record says of its request, data and stages fits together; no number is computed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mitobench.pipeline import canonical
from mitobench.pipeline.workspace import chosen_on
from mitobench.results.command import command_of
from mitobench.results.difference import Difference, differences
from mitobench.results.schema import SCHEMA_VERSION, PluginEntry, Record

# The stage whose spec holds all options of a role's plugin: one that predicts, or that chooses and scores.
STAGE_OF = {
    "estimator": "boxes",
    "detector": "detections-test",
    "verifier": "verifier-scores-test",
    "fuser": "evaluation",
}
NEEDED = ("fusion", "evaluation")  # stages of every row that has scores
ASKED = ("matcher", "radius_um")


def contradictions(record: Record) -> Iterator[Difference]:
    """Where two places of a record contradict each other."""
    yield from differences(record.run.command, command_of(record), "run.command")
    yield from _of_plugins(record)
    yield from _of_splits(record)
    yield from _of_frames(record)
    versions = [earlier.schema_version for earlier in record.migrated]
    if versions != sorted(set(versions)) or not all(0 < version < SCHEMA_VERSION for version in versions):
        yield Difference("migrated", versions, f"versions before {SCHEMA_VERSION}, in their order")
    if record.status == "ok" and not record.migrated:
        try:
            yield from list(_of_specs(record))
        except (KeyError, TypeError, AttributeError) as reason:  # a stranger's specs have any form
            yield Difference("specs", f"{type(reason).__name__} {reason}", "the form that a run writes")


def _of_plugins(record: Record) -> Iterator[Difference]:
    for role, entry in record.plugins.items():
        shown = {option: entry.options.get(option) for option in entry.variant}
        yield from differences(entry.variant, shown, f"plugins.{role}.variant")


def _of_splits(record: Record) -> Iterator[Difference]:
    for name, entry in record.data.items():
        if entry.split.content is not None:
            yield from differences(
                entry.split.digest, canonical.digest(entry.split.content), f"data.{name}.split.digest"
            )
    tested = record.combination["dataset"]
    yield from differences(record.combination["protocol"], record.data[tested].split.protocol, "combination.protocol")


def _of_frames(record: Record) -> Iterator[Difference]:
    """As many frames as the data had."""
    if record.frames is None:
        return
    tested, train_on = record.combination["dataset"], record.combination["train_on"]
    of_val = sum(record.data[name].frames.get("val", 0) for name in chosen_on(tested, train_on))
    yield from differences(of_val, len(record.frames.val), "data.frames.val")
    yield from differences(
        record.data[tested].frames.get("test"), len(record.frames.test), f"data.{tested}.frames.test"
    )


# ------------------------------------------------------------------------------------------------- stages


def _of_specs(record: Record) -> Iterator[Difference]:
    """Every key is the digest of its spec, and the specs say what the record says."""
    for key, spec in record.specs.items():
        yield from differences(key, canonical.digest(spec), f"specs.{key[:12]}")
        for upstream in spec["upstream"].values():
            if upstream not in record.specs:
                yield Difference(f"specs.{key[:12]}.upstream", upstream, "one of specs")
    unknown = [
        role for role in {**dict.fromkeys(NEEDED), **record.stages} if record.stages.get(role) not in record.specs
    ]
    for role in unknown:
        yield Difference(f"stages.{role}", record.stages.get(role), "one of specs")
    if unknown:
        return
    yield from _of_options(record)
    yield from _of_request(record)


def _of_options(record: Record) -> Iterator[Difference]:
    for role, entry in record.plugins.items():
        stage = record.stages.get(STAGE_OF.get(role, ""))
        if stage:
            yield from _of_plugin(entry, record.specs[stage]["plugin"] or {}, f"plugins.{role}")
    fitted = [spec["plugin"] or {} for spec in record.specs.values() if spec["kind"].startswith("fit-")]
    for role, entry in record.plugins.items():
        if role not in STAGE_OF and not any(_is_plugin(entry, plugin) for plugin in fitted):
            yield Difference(f"plugins.{role}", entry.name, "a plugin of specs, with its options")


def _of_plugin(entry: PluginEntry, plugin: dict[str, Any], path: str) -> Iterator[Difference]:
    for name in ("name", "version", "source", "options"):
        yield from differences(getattr(entry, name), plugin.get(name), f"{path}.{name}")
    for option in entry.options.keys() - (plugin.get("options") or {}).keys():
        yield Difference(f"{path}.options.{option}", entry.options[option], "not an option of its stage")


def _is_plugin(entry: PluginEntry, plugin: dict[str, Any]) -> bool:
    return not any(_of_plugin(entry, plugin, ""))


def _of_request(record: Record) -> Iterator[Difference]:
    """Seed, device, matcher, radius, candidate threshold and data, as each stage was given them."""
    tested = record.combination["dataset"]
    scoring = record.specs[record.stages["evaluation"]]
    yield from differences(
        record.data[tested].digest["test"], scoring["frames"].get("test"), f"data.{tested}.digest.test"
    )
    for name in ASKED:
        yield from differences(record.pipeline[name], scoring["settings"].get(name), f"pipeline.{name}")
    chosen_by = record.specs[record.stages["fusion"]]["settings"]
    yield from differences(
        record.pipeline["candidate_threshold"], chosen_by.get("candidate_threshold"), "pipeline.candidate_threshold"
    )
    for spec in record.specs.values():
        given = spec["settings"]
        if "seed" in given:
            yield from differences(record.combination["seed"], given["seed"], "combination.seed")
            yield from differences(record.pipeline.get("processes", 1), given.get("processes"), "pipeline.processes")
        if "device" in given:
            yield from differences(record.device, given["device"], "device")

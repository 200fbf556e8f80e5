"""Stages that ran before, as the store's manifests describe them: estimates of time and memory are made from these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.store import Store


class Group(NamedTuple):
    """What stages have in common that can be compared. `plugin` and `device` are empty for a stage without one."""

    kind: str
    plugin: str
    device: str
    processes: int


@dataclass(frozen=True)
class EarlierStage:
    """A stage that ran before.

    Attributes:
        group: its kind, plugin, device and number of processes.
        options: of its plugin, as they are in keys.
        seconds: how long it took.
        frames: the number of its frames; 0 if it is not known.
        peak_bytes: the most memory of the process that ran it; 0 if it is not known.
    """

    group: Group
    options: Mapping[str, Any]
    seconds: float
    frames: int
    peak_bytes: int


def group_of(stage: Stage) -> Group:
    """Returns the group of a stage of a plan."""
    return _group(stage.kind, stage.plugin.name if stage.plugin else "", stage.settings)


def earlier_stages(store: Store, kinds: Iterable[str], most: int) -> Iterator[EarlierStage]:
    """Yields the stages of these kinds in the store, of each kind the newest, `most` at most."""
    for manifest in (manifest for kind in sorted(kinds) for manifest in store.manifests(kind, most)):
        with suppress(KeyError, TypeError, AttributeError, ValueError):  # of another version
            yield _earlier(manifest)


def _earlier(manifest: Mapping[str, Any]) -> EarlierStage:
    spec, plugin = manifest["spec"], manifest["spec"]["plugin"] or {}
    return EarlierStage(
        _group(spec["kind"], plugin.get("name", ""), spec["settings"]),
        dict(plugin.get("options", {})),
        float(manifest["seconds"]),
        sum(map(int, manifest.get("n_frames", {}).values())),
        int(manifest.get("peak_bytes", 0)),
    )


def _group(kind: str, plugin: str, settings: Mapping[str, Any]) -> Group:
    return Group(kind, plugin, str(settings.get("device", "")), int(settings.get("processes", 1)))

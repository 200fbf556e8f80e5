"""What a plan is made of: stages, each known by its key, and the combinations that end in them.

A stage's key is the digest of its kind, of the harness's code that does it, of its plugin (name, version, source,
options), of its frames, of the environment, and of the keys of all stages it builds on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mitobench.pipeline import canonical
from mitobench.pipeline.plugins import PluginRef
from mitobench.pipeline.settings import Settings

FACTS = "facts.json"  # in the output of a fit: what it said of itself


@dataclass(frozen=True)
class Stage:
    """One thing to do, once.

    Attributes:
        kind: which function of `mitobench.pipeline.stages` does it.
        plugin: whose turn it is; None for the harness's own stages.
        frames: keys of the frames it works on, by part.
        settings: everything else that goes into it, JSON values.
        upstream: the stages whose output it reads, by role.
        digests: of the frames, by part.
    """

    kind: str
    plugin: PluginRef | None
    frames: Mapping[str, tuple[str, ...]]
    settings: Mapping[str, Any]
    upstream: Mapping[str, Stage]
    digests: Mapping[str, str]

    @cached_property
    def spec(self) -> dict[str, Any]:
        """All that goes into it, spelled out: what the key is the digest of."""
        return {
            "kind": self.kind,
            "plugin": self.plugin.spec() if self.plugin else None,
            "frames": dict(self.digests),
            "settings": dict(self.settings),
            "upstream": {role: stage.key for role, stage in self.upstream.items()},
        }

    @cached_property
    def key(self) -> str:
        """The digest of the spec."""
        return canonical.digest(self.spec)

    @property
    def label(self) -> str:
        """For people: what is done, with what, on what."""
        where = "+".join(sorted({key.partition("/")[0] for keys in self.frames.values() for key in keys}))
        name = self.plugin.name if self.plugin else "harness"
        part = self.settings.get("part")
        return f"{self.kind} {name} ({where}{' ' + part if part else ''})"


@dataclass(frozen=True)
class Combination:
    """One row: the names of its parts, its data and its seed."""

    dataset: str
    train_on: tuple[str, ...]
    protocol: str
    estimator: str
    detector: str
    verifier: str
    fuser: str
    seed: int

    @property
    def title(self) -> str:
        """`estimator + detector + verifier + fuser`."""
        return " + ".join([self.estimator, self.detector, self.verifier, self.fuser])


@dataclass(frozen=True)
class Planned:
    """A combination with the stages it ends in, or the reason why it cannot be done.

    Attributes:
        settings: options of all plugins.
        refs: its plugins by role.
        stages: `evaluation` and those whose outputs its record shows, by role.
        problem: why there are no stages: (status, reason), status `not applicable` or `broken`.
    """

    combination: Combination
    settings: Settings
    refs: Mapping[str, PluginRef] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    problem: tuple[str, str] | None = None


@dataclass(frozen=True)
class Request:
    """What a run was asked for: data sets, seeds, and how to compute."""

    datasets: Sequence[str]
    train_on: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    matcher: str = "mitos"
    device: str = "cpu"
    amp: bool = False
    processes: int = 1
    only_scanners: Sequence[str] | None = None


@dataclass(frozen=True)
class Plan:
    """All rows of a run, and the distinct stages behind them, each after those it builds on."""

    rows: Sequence[Planned]

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """Distinct stages by key, in an order in which they can be done."""
        found: dict[str, Stage] = {}
        for row in self.rows:
            for stage in row.stages.values():
                _collect(stage, found)
        return found


def _collect(stage: Stage, found: dict[str, Stage]) -> None:
    if stage.key not in found:
        for needed in stage.upstream.values():
            _collect(needed, found)
        found[stage.key] = stage

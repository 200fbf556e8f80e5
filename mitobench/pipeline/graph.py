"""What a plan is made of: stages, and the combinations that end in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mitobench.pipeline.plugins import PluginRef
from mitobench.pipeline.settings import Settings
from mitobench.pipeline.stages.stage import Stage


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
class PlannedRun:
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

    rows: Sequence[PlannedRun]

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

"""The data classes of a plan: what was requested, each combination of plugins, and the stages that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mitobench.pipeline.plugin_ref import PluginRef
from mitobench.pipeline.settings import Settings
from mitobench.pipeline.stages.stage import Stage

UNUSED = "-"  # shown as the estimator of a detector that uses no boxes


@dataclass(frozen=True)
class Combination:
    """One combination: the names of its four plugins, its data sets, its split and its seed.

    `estimator` is `UNUSED` if the detector does not use its boxes.
    """

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
        """`estimator + detector + verifier + fuser`, without an estimator that is not used."""
        names = [self.estimator, self.detector, self.verifier, self.fuser]
        return " + ".join(name for name in names if name != UNUSED)


@dataclass(frozen=True)
class PlannedRun:
    """A combination with its stages, which give one record, or with the reason why it cannot run.

    Attributes:
        combination: its names and seed.
        settings: the options of all plugins.
        refs: its plugins, by role.
        stages: the stages that the record lists, under its names: `detector`, `detections-test`, `evaluation`, ... The
            other stages are reached through `Stage.upstream`.
        problem: why it cannot run, as (status, reason); the status is `not applicable` or `broken`. None if it can.
    """

    combination: Combination
    settings: Settings
    refs: Mapping[str, PluginRef] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    problem: tuple[str, str] | None = None


@dataclass(frozen=True)
class Request:
    """What a run was asked to do: data sets, seeds, and how to compute.

    Attributes:
        datasets: to test on.
        train_on: to train on; empty: the data set tested on.
        seeds: of training.
        matcher: how detections are matched with mitoses.
        device: `cpu` or `cuda`.
        amp: whether fits use mixed precision.
        processes: how many processes one fit is distributed over.
        threads: CPU threads of a stage, part of the key of a fit: their number changes the last bits of its weights.
        only_scanners: the scanners that the frames are limited to; None: all.
        part: `test`, or `val` to stop at the validation frames: no stage then has a test frame.
    """

    datasets: Sequence[str]
    train_on: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    matcher: str = "mitos"
    device: str = "cpu"
    amp: bool = False
    processes: int = 1
    threads: int = 1
    only_scanners: Sequence[str] | None = None
    part: Literal["test", "val"] = "test"


@dataclass(frozen=True)
class Plan:
    """All combinations of a run (`rows`), and the distinct stages that they need."""

    rows: Sequence[PlannedRun]

    @property
    def has_broken(self) -> bool:
        """Whether a combination cannot run because a plugin is broken."""
        return any(row.problem is not None and row.problem[0] == "broken" for row in self.rows)

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """Returns the distinct stages by key, each after the stages that it depends on."""
        return stages_of(stage for row in self.rows for stage in row.stages.values())


def stages_of(last: Iterable[Stage]) -> dict[str, Stage]:
    """Returns these stages and all that they depend on, once each, by key; each after those that it depends on."""
    stages: dict[str, Stage] = {}
    for stage in last:
        _collect(stage, stages)
    return stages


def _collect(stage: Stage, stages: dict[str, Stage]) -> None:
    if stage.key not in stages:
        for needed in stage.upstream.values():
            _collect(needed, stages)
        stages[stage.key] = stage

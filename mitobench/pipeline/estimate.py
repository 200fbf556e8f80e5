"""Estimates how long the missing stages of a plan will take, from the seconds of earlier stages in the store.

An earlier stage counts if it has the same kind, plugin, device and number of processes; if some of them have the same
options, these alone count. Seconds are scaled: those of a fit by its training steps (the plugin's `schedule`), all
others by the number of frames. Stages of which there is no earlier one are not part of any sum.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mitobench.pipeline import canonical
from mitobench.pipeline.earlier import Group, earlier_stages, group_of
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.store import Store

MAX_EARLIER = 1_000  # newest outputs of a kind that are looked at
STEPS, FRAMES = "training steps", "frames"


@dataclass(frozen=True)
class StageTime:
    """How long the missing stages of one kind and plugin will take.

    Attributes:
        kind, plugin: what they have in common.
        n_stages: the number of missing stages.
        n_unknown: those of them without an earlier stage to estimate from, which are not in the seconds.
        seconds: of all others, one after another, from the median of earlier stages.
        low, high: the same from the fastest and from the slowest of them.
        n_earlier: the number of earlier stages.
        scaled_by: `training steps` or `frames`; empty where the earlier stages do not say how many they had.
    """

    kind: str
    plugin: str
    n_stages: int
    n_unknown: int
    seconds: float
    low: float
    high: float
    n_earlier: int
    scaled_by: str


@dataclass(frozen=True)
class _Size:
    """Seconds of a stage, the text of its plugin's options, and its training steps and frames (0: unknown)."""

    seconds: float
    options: str
    steps: int
    frames: int


def estimate(missing: Sequence[Stage], store: Store) -> list[StageTime]:
    """Returns the time of each kind and plugin of the missing stages, longest first, unknown ones last."""
    groups: dict[Group, list[Stage]] = defaultdict(list)
    for stage in missing:
        groups[group_of(stage)].append(stage)
    schedules = {group: _schedule(stages[0]) for group, stages in groups.items()}
    earlier = _earlier(store, schedules)
    times = [_time(stages, schedules[group], earlier.get(group, [])) for group, stages in groups.items()]
    return sorted(times, key=lambda time: (-time.seconds, time.kind, time.plugin))


def _schedule(stage: Stage) -> frozenset[str]:
    """Returns the options that count the training steps of a fit; empty for other stages."""
    fits = stage.plugin is not None and stage.kind.startswith("fit-")
    return frozenset(stage.plugin.cls().schedule) if fits and stage.plugin else frozenset()


def _earlier(store: Store, schedules: Mapping[Group, frozenset[str]]) -> dict[Group, list[_Size]]:
    found: dict[Group, list[_Size]] = defaultdict(list)
    for one in earlier_stages(store, {group.kind for group in schedules}, MAX_EARLIER):
        if one.group in schedules:
            with suppress(TypeError):  # options of another version
                steps = _steps(one.options, schedules[one.group])
                found[one.group].append(_Size(one.seconds, canonical.dumps(one.options), steps, one.frames))
    return found


def _steps(options: Mapping[str, Any], schedule: Iterable[str]) -> int:
    if options.get("iterations") == 0:  # it takes a network over, whatever its warm-up would be
        return 0
    values = [options.get(name) or 0 for name in schedule]
    return sum(sum(value) if isinstance(value, (list, tuple)) else value for value in values)


def _time(stages: Sequence[Stage], schedule: frozenset[str], earlier: Sequence[_Size]) -> StageTime:
    kind, name, *_ = group_of(stages[0])
    unknown = 0
    used, by = set[int](), ""
    total = low = high = 0.0
    for stage, count in Counter(_Size(0, *_amount(stage, schedule)) for stage in stages).items():
        comparable = [one for one in earlier if bool(one.steps) == bool(stage.steps)]  # a fit of 0 steps only copies
        counted = [one for one in comparable if one.options == stage.options] or comparable
        if not counted:
            unknown += count
            continue
        seconds, by = _scaled(stage, counted)
        total += count * statistics.median(seconds)
        low, high = low + count * min(seconds), high + count * max(seconds)
        used |= {id(one) for one in counted}
    return StageTime(kind, name, len(stages), unknown, total, low, high, len(used), by)


def _amount(stage: Stage, schedule: frozenset[str]) -> tuple[str, int, int]:
    options = stage.plugin.key_options if stage.plugin else {}
    return canonical.dumps(options), _steps(options, schedule), sum(map(len, stage.frames.values()))


def _scaled(stage: _Size, earlier: Sequence[_Size]) -> tuple[list[float], str]:
    """Returns the seconds of earlier stages, as if they had the size of `stage`, and what they were scaled by."""
    if stage.steps and all(one.steps for one in earlier):
        return [one.seconds * stage.steps / one.steps for one in earlier], STEPS
    if stage.frames and all(one.frames for one in earlier):
        return [one.seconds * stage.frames / one.frames for one in earlier], FRAMES
    return [one.seconds for one in earlier], ""

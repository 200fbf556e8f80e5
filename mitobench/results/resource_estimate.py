"""Estimates what reproducing a record will use, before it runs: a record of unknown origin may ask for too much."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from mitobench import compute
from mitobench.errors import RecordError
from mitobench.foreign.limits import MAX_PROCESSES
from mitobench.results.current_names import current_options
from mitobench.results.schema import PluginEntry, Record

# Options by which plugins say how long they train, and how much memory they use.
COUNTED = (
    "ensemble_size",
    "iterations",
    "batch_size",
    "patch",
    "hard_negative_rounds",
    "workers",
    "tiles",
    "proposals_after",
)
MAX_STEPS = 1_000_000  # optimizer steps of one plugin: days, even on a GPU
LAYERS = 64  # about how many times a batch of patches is in memory while a network trains


def processes(recorded: Record) -> int:
    """Returns the number of processes of its fits. Raises RecordError for an impossible number."""
    number = recorded.pipeline.get("processes", 1)
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_PROCESSES:
        raise RecordError(f"pipeline.processes is {number!r}; it must be from 1 to {MAX_PROCESSES}.")
    return number


def threads(recorded: Record) -> int | None:
    """Returns the number of threads that it was computed with; None if the record does not say."""
    number = str(recorded.pipeline.get("threads", recorded.run.host.get("threads", "")))  # records of earlier versions
    return int(number) if re.fullmatch(r"[1-9]\d{0,3}", number) else None


def resource_lines(recorded: Record) -> Iterator[str]:
    """Yields what will be used, one line each."""
    yield f"{processes(recorded)} processes, {threads(recorded) or 'all'} threads."
    for role, plugin in recorded.plugins.items():
        counts = _counts(role, plugin)
        if counts:
            yield f"{role} {plugin.name}: {', '.join(f'{name} {value}' for name, value in counts.items())}."


def excessive(recorded: Record) -> Iterator[str]:
    """Yields what is more than this machine has, or takes too long; one line each."""
    cores = os.cpu_count() or 1
    if processes(recorded) > max(cores, _gpus()):
        yield f"{processes(recorded)} processes: this machine has {cores} cores."
    if (threads(recorded) or 1) > cores:
        yield f"{threads(recorded)} threads: this machine has {cores} cores."
    for role, plugin in recorded.plugins.items():
        counts = _counts(role, plugin)
        steps = _total(counts.get("iterations", 0)) * _total(counts.get("ensemble_size", 1))
        if steps > MAX_STEPS:
            yield f"{role} {plugin.name}: {steps:,} optimizer steps."
        needed = _total(counts.get("batch_size", 1)) * _total(counts.get("patch", 0)) ** 2 * 3 * 4 * LAYERS
        if needed > _memory():
            memory = _memory() / 1e9
            yield f"{role} {plugin.name}: a batch of about {needed / 1e9:.0f} GB; this machine has {memory:.0f} GB."


def _counts(role: str, plugin: PluginEntry) -> dict[str, int | list[int]]:
    options = current_options(role, plugin)
    return {name: options[name] for name in COUNTED if _is_count(options.get(name))}


def _is_count(value: object) -> bool:
    values = value if isinstance(value, list) and value else [value]
    return all(isinstance(one, int) and not isinstance(one, bool) for one in values)


def _total(count: int | list[int]) -> int:
    return sum(count) if isinstance(count, list) else count


def _gpus() -> int:
    return len(compute.cuda_devices())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 1 << 62

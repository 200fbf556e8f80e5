"""A benchmark for each fold of a protocol: what `mitobench run --protocol cv-by-slide` runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mitobench import datasets as data_sets
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets import folds
from mitobench.errors import MitobenchError
from mitobench.reading import Notify, ReadDatasets, find_data, once, protocol_of

log = logging.getLogger("mitobench")


def prepare(
    grids: Sequence[Grid],
    *,
    data: Path | None = None,
    datasets: Sequence[str] | None = None,
    train_on: Sequence[str] | None = None,
    protocol: str | None = None,
    scanners: Sequence[str] | None = None,
    notify: Notify = log.info,
    known: ReadDatasets | None = None,
    **options: Any,
) -> list[Benchmark]:
    """Plan the grids under each fold of a protocol; a protocol without folds gives one benchmark.

    Folds share the stages that do not depend on them, and each data set is read once. The arguments, and what is
    raised, are those of `Benchmark.prepare`.
    """
    notify = once(notify)
    given: dict[str, Any] = {
        "data": data,
        "datasets": datasets,
        "train_on": train_on,
        "scanners": scanners,
        "notify": notify,
        "known": known or ReadDatasets(),
    }
    return [
        Benchmark.prepare(grids, protocol=name, **given, **options)
        for name in _protocols(data, datasets, train_on, protocol, scanners, notify, given["known"])
    ]


def name_of(benchmarks: Sequence[Benchmark]) -> str:
    """Returns the name of a fold, or of the protocol of several; empty for a protocol without folds."""
    first = benchmarks[0].fold
    found = folds.fold_of(first or "")
    return f"{found[0]}, {len(benchmarks)} folds" if found and len(benchmarks) > 1 else first or ""


def _protocols(
    data: Path | None,
    datasets: Sequence[str] | None,
    train_on: Sequence[str] | None,
    protocol: str | None,
    scanners: Sequence[str] | None,
    notify: Notify,
    known: ReadDatasets,
) -> list[str | None]:
    """Returns the protocol of each benchmark; None: the default of each data set."""
    named = datasets or ()
    if not (protocol and folds.is_computed(protocol)) and not any(_may_have_folds(name, protocol) for name in named):
        return [protocol]  # nothing is read before the rest of the request was checked
    root, tested = find_data(data, datasets, train_on, protocol, scanners, notify, known)
    found: dict[str, list[str | None]] = {}
    for name in tested:
        wanted = _wanted(name, protocol)
        if folds.may_have_folds(name, wanted):
            found[name] = list(folds.expand(known.get(name, root, scanners), wanted))
        else:
            found[name] = [protocol]
    several = {tuple(names) for names in found.values()}
    if len(several) > 1:
        listed = "; ".join(f"{name}: {len(names)}" for name, names in found.items())
        raise MitobenchError(
            f"--protocol {protocol or 'not given'}: the data sets do not have the same folds ({listed}). Test on one "
            "at a time, or name the number of folds, for example cv-by-slide-of3."
        )
    return next(iter(found.values()))


def _may_have_folds(dataset: str, protocol: str | None) -> bool:
    return folds.may_have_folds(dataset, _wanted(dataset, protocol))


def _wanted(dataset: str, protocol: str | None) -> str:
    return protocol_of(dataset, protocol) if protocol else data_sets.reader(dataset).card().default_protocol

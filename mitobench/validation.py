"""Scores combinations on validation frames alone, and sweeps options: what `mitobench run --part val` does.

No test frame is read. Its results choose options; they are no measurement of a method, because the same frames chose
thresholds and fusion weights.
"""

from __future__ import annotations

import itertools
import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mitobench.atomic import write_text_atomic
from mitobench.benchmark import Benchmark, Grid, finished_rows
from mitobench.discovery import ROLES, quoted
from mitobench.errors import MitobenchError
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_RECORD_BYTES, MAX_SWEEP
from mitobench.pipeline.executors import Executor, ProgressListener, StageResult
from mitobench.pipeline.graph import UNUSED, PlannedRun
from mitobench.pipeline.overrides import Override
from mitobench.results.assemble import overrides
from mitobench.results.record import VALIDATION_KIND

SWEEP = "--sweep"
FILE = "validation.json"
NOTE = (
    "Scores on validation frames, at thresholds chosen on the same frames. They choose options and rank nothing on a "
    "leaderboard: run the best setting without --part and --sweep to measure it on test frames."
)


# ------------------------------------------------------------------------------------------------------- sweeps


def swept(grid: Grid, sweeps: Sequence[str]) -> list[Grid]:
    """Returns one grid for each combination of the swept values.

    Args:
        grid: the plugins to combine.
        sweeps: `ROLE.OPTION=VALUE,VALUE,...` each, with the forms that `--set` has before `=`.

    Raises MitobenchError for a text of another form, an option that is swept twice, or more than MAX_SWEEP settings.
    """
    axes = [_axis(text) for text in sweeps]
    options = [axis[0].text.partition("=")[0].strip() for axis in axes]
    for option in options:
        if options.count(option) > 1:
            raise MitobenchError(f"{SWEEP} {option}: is given twice. Give all of its values at once, with commas.")
    count = 1
    for axis in axes:
        count *= len(axis)
    if count > MAX_SWEEP:
        raise MitobenchError(f"{SWEEP}: {count:,} settings; at most {MAX_SWEEP:,} are allowed. Give fewer values.")
    return [Grid(grid.roles, [*grid.sets, *chosen]) for chosen in itertools.product(*axes)]


def _axis(text: str) -> list[Override]:
    """Returns an override for each of the values of one swept option."""
    where, equals, values = text.partition("=")
    if not equals:
        return [Override.parse(text, SWEEP)]  # raises with the forms that are accepted
    parts = list(dict.fromkeys(_values(text, values)))
    if not all(parts):
        raise MitobenchError(f"{SWEEP} {text}: a value is missing. Give values separated by commas.")
    axis = {part: Override.parse(f"{where}={part}", SWEEP) for part in parts}
    for one, other in itertools.combinations(parts, 2):
        if _equal(axis[one].value, axis[other].value):
            raise MitobenchError(f"{SWEEP} {text}: {one} and {other} are the same value. Give it once.")
    return list(axis.values())


def _equal(one: Any, other: Any) -> bool:
    """Returns whether two values are the same: 1 and 1.0 are, 1 and true are not."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _values(text: str, values: str) -> list[str]:
    """Splits values at the commas outside brackets and double quotes: `[1,2],[3,4]` is two values."""
    parts, depth, in_quotes = [""], 0, False
    for character in values:
        in_quotes ^= character == '"'
        depth += 0 if in_quotes else (character in "[{") - (character in "]}")
        if character == "," and not depth and not in_quotes:
            parts.append("")
        else:
            parts[-1] += character
    if depth or in_quotes:
        raise MitobenchError(f"{SWEEP} {text}: a bracket or a quote does not end.")
    return [part.strip() for part in parts]


# ------------------------------------------------------------------------------------------------------ results


@dataclass(frozen=True)
class SeedScores:
    """The scores of one seed on validation frames; None where they are undefined or the seed failed (`reason`).

    `fold`: the fold whose validation frames these are; None under a protocol without folds.
    """

    seed: int
    f1: float | None = None
    average_precision: float | None = None
    precision: float | None = None
    recall: float | None = None
    threshold: float | None = None
    candidate_threshold: float | None = None
    reason: str | None = None
    fold: str | None = None


@dataclass(frozen=True)
class ValidationRow:
    """One combination with one setting of the swept options, over its seeds and folds.

    Attributes:
        dataset: whose validation frames were scored, or those of the data sets trained on in its place.
        plugins: names by role.
        sets: the values of the swept options that have an effect on it, as `--set` takes them.
        seeds: in the order of the run; under a protocol with folds, those of each fold.
    """

    dataset: str
    plugins: Mapping[str, str]
    sets: tuple[str, ...]
    seeds: tuple[SeedScores, ...]

    @property
    def title(self) -> str:
        """The names of its plugins, without an unused estimator."""
        return " + ".join(name for name in self.plugins.values() if name != UNUSED)

    def mean(self, score: str) -> float | None:
        """The mean over seeds; None where it is undefined for any of them."""
        values = [getattr(seed, score) for seed in self.seeds]
        return None if None in values else statistics.fmean(values)

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and highest F1 over seeds; None for a single seed, and where one is undefined."""
        values = [seed.f1 for seed in self.seeds if seed.f1 is not None]
        return (min(values), max(values)) if len(values) == len(self.seeds) > 1 else None

    @property
    def reasons(self) -> list[str]:
        """Why seeds failed, without repetitions."""
        return list(dict.fromkeys(seed.reason for seed in self.seeds if seed.reason))


def measure(
    benchmarks: Sequence[Benchmark], listener: ProgressListener | None = None, executor: Executor | None = None
) -> list[ValidationRow]:
    """Run benchmarks that were prepared with `part="val"`: one, or those of the folds of a protocol.

    Returns the rows by data set, each with its scores in every fold, by mean F1 on validation, best first; rows without
    F1 last. Of equals the first in the order of the sweep is first. The arguments are those of `run_all`.
    """
    runs = {
        id(row): _scores(row, results, benchmark.fold)
        for benchmark, row, results in finished_rows(benchmarks, listener, executor)
    }
    return _over_folds([_rows(benchmark, runs) for benchmark in benchmarks])


def _rows(benchmark: Benchmark, ended: Mapping[int, SeedScores]) -> list[ValidationRow]:
    """Returns the rows of one benchmark, from the scores of its planned runs by their `id`."""
    runs = dict(ended)
    for row in benchmark.problems:
        status, reason = row.problem or ("", "")
        if status == "broken":
            runs[id(row)] = SeedScores(row.combination.seed, reason=reason, fold=benchmark.fold)
    grouped: dict[tuple[str, ...], dict[int, SeedScores]] = {}
    heads: dict[tuple[str, ...], PlannedRun] = {}
    for row in benchmark.plan.rows:  # in the order of the sweep, whatever ended first
        if id(row) in runs:
            key = (row.combination.dataset, row.combination.title, *_swept_sets(row))
            heads.setdefault(key, row)
            grouped.setdefault(key, {}).setdefault(row.combination.seed, runs[id(row)])
    return [
        ValidationRow(
            heads[key].combination.dataset,
            {role: getattr(heads[key].combination, role) for role in ROLES},
            _swept_sets(heads[key]),
            tuple(seeds.values()),
        )
        for key, seeds in grouped.items()
    ]


def _over_folds(folds: Sequence[Sequence[ValidationRow]]) -> list[ValidationRow]:
    """Returns the rows of all folds, each with its scores in every fold, in the order of `measure`."""
    merged: dict[tuple[str, ...], ValidationRow] = {}
    for row in (row for rows in folds for row in rows):
        key = (row.dataset, row.title, *row.sets)
        seeds = (*merged[key].seeds, *row.seeds) if key in merged else row.seeds
        merged[key] = replace(row, seeds=seeds)
    return _best_first(list(merged.values()))


def _best_first(rows: Sequence[ValidationRow]) -> list[ValidationRow]:
    order = list(dict.fromkeys(row.dataset for row in rows))
    return sorted(rows, key=lambda row: (order.index(row.dataset), -_or_less(row.mean("f1"))))


def _or_less(value: float | None) -> float:
    return -1.0 if value is None else value


def _swept_sets(row: PlannedRun) -> tuple[str, ...]:
    if row.problem:
        return tuple(override.text for override in row.settings.overrides if override.location == SWEEP)
    return tuple(override.text for override in overrides(row) if override.location == SWEEP)


def _scores(row: PlannedRun, results: Mapping[str, StageResult], fold: str | None) -> SeedScores:
    fusion = results[row.stages["fusion"].key]
    if fusion.output is None:
        return SeedScores(row.combination.seed, reason=fusion.reason, fold=fold)
    chosen = read_json(fusion.output.folder / "operating_point.json", MAX_RECORD_BYTES, "stage's output")
    point = chosen["validation"]
    return SeedScores(
        row.combination.seed,
        **{name: point[name] for name in ("f1", "average_precision", "precision", "recall", "threshold")},
        candidate_threshold=chosen["candidate_threshold"],
        fold=fold,
    )


def best(rows: Sequence[ValidationRow]) -> list[ValidationRow]:
    """Returns the best row of each data set that has one with an F1."""
    found: dict[str, ValidationRow] = {}
    for row in rows:
        if row.mean("f1") is not None:
            found.setdefault(row.dataset, row)
    return list(found.values())


def arguments(row: ValidationRow) -> str:
    """Returns a row's plugins and swept options as arguments of `mitobench run`."""
    words = [word for role, name in row.plugins.items() if name != UNUSED for word in (f"--{role}", quoted(name))]
    return shlex.join([*words, *(word for text in row.sets for word in ("--set", text))])


def write(folder: Path, benchmark: Benchmark, rows: Sequence[ValidationRow]) -> Path:
    """Write the rows to `folder/validation.json`, in place of those of an earlier run; returns the file."""
    content: dict[str, Any] = {
        "kind": VALIDATION_KIND,
        "note": NOTE,
        "profile": benchmark.settings[0].profile,
        "matcher": benchmark.request.matcher,
        "device": benchmark.request.device,
        "rows": [
            {
                **asdict(row),
                "plugins": dict(row.plugins),
                **{score: row.mean(score) for score in ("f1", "average_precision")},
                "spread": row.spread,
            }
            for row in rows
        ],
    }
    path = folder / FILE
    write_text_atomic(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return path

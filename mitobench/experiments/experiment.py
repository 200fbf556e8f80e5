"""An experiment from definition to results: one benchmark for each protocol that its rows are measured under."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitobench import datasets
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets import splits
from mitobench.errors import DataError
from mitobench.experiments.definition import Definition, Row
from mitobench.pipeline.executors import Watcher
from mitobench.results.record import Record
from mitobench.results.submission import write_submission

Say = Callable[[str], None]
Watch = Callable[[Benchmark], AbstractContextManager[Watcher]]


@dataclass(frozen=True)
class Result:
    """A row and what became of it.

    Attributes:
        row: as it is defined.
        protocol: that it was measured under.
        records: of all seeds, with the files they were written to.
        problem: why there are none.
    """

    row: Row
    protocol: str
    records: Sequence[tuple[Path, Record]] = ()
    problem: str | None = None

    @property
    def submitted(self) -> list[tuple[Path, Record]]:
        """The records that contest files are made of: not a stand-in's, nor where validation chose no threshold."""
        own = [] if self.row.protocol else self.records
        return [(path, made) for path, made in own if made.chosen and made.chosen.point.threshold is not None]


@dataclass
class Experiment:
    """A planned experiment.

    Attributes:
        definition: what it is.
        dataset: measured on; the paper's, or another in its place.
        scanners: whose frames were asked for; none given: those of the definition.
        profile, scale: whose options the rows start from, and the factor on all schedules.
        seeds: their number.
        sets: what is set for all rows.
        protocols: that a row is measured under, by the one it names.
        benchmarks: by protocol.
        absent: why a protocol cannot be measured here.
    """

    definition: Definition
    dataset: str
    scanners: Sequence[str]
    profile: str
    scale: float
    seeds: int
    sets: Sequence[str]
    protocols: dict[str, str]
    benchmarks: dict[str, Benchmark]
    absent: dict[str, str]

    @classmethod
    def prepare(
        cls,
        definition: Definition,
        *,
        dataset: str | None,
        scanners: Sequence[str],
        profile: str | None,
        scale: float,
        seeds: int,
        sets: Sequence[str],
        say: Say,
        **options: Any,
    ) -> Experiment:
        """Read the data and plan all rows.

        Args:
            definition: what to measure.
            dataset: takes the place of the definition's, under its own first protocol where it lacks the definition's.
            scanners: whose frames to take, instead of the definition's; `all` for all.
            profile: takes the place of the definition's.
            scale: factor on all schedules.
            seeds: their number.
            sets: overrides of all rows.
            say: is told what a user should know.
            options: of `Benchmark.prepare`.

        Raises MitobenchError for a plugin or an option that does not exist, or DataError where no row can be measured.
        """
        here = dataset or definition.dataset
        wanted = dict.fromkeys(row.protocol or definition.protocol for row in definition.row)
        protocols = {protocol: _protocol(here, protocol, definition, say) for protocol in wanted}
        taken = [] if "all" in scanners else list(scanners or definition.scanners)
        if taken and not scanners:
            say(f"Frames of scanner {', '.join(taken)}, as in the paper; --scanner takes others.")
        profile = profile or definition.profile
        made = cls(definition, here, scanners, profile, scale, seeds, sets, protocols, {}, {})
        for protocol in dict.fromkeys(protocols.values()):
            grids = [Grid(definition.plugins(row), definition.overrides(row)) for row in made.rows(protocol)]
            try:
                made.benchmarks[protocol] = Benchmark.prepare(
                    grids,
                    datasets=[here],
                    protocol=protocol,
                    scanners=taken,
                    profile=profile,
                    sets=sets,
                    scale=scale,
                    seeds=range(seeds),
                    say=say,
                    **options,
                )
            except DataError as reason:
                made.absent[protocol] = str(reason)
                say(f"Protocol {protocol} cannot be measured here: {reason}")
        if definition.row and not made.benchmarks:
            raise DataError("\n".join(made.absent.values()))
        return made

    def rows(self, protocol: str) -> list[Row]:
        """The rows that are measured under a protocol."""
        given = self.definition.protocol
        return [row for row in self.definition.row if self.protocols[row.protocol or given] == protocol]

    def run(self, out: Path, watch: Watch, jobs: int = 1) -> None:
        """Do everything; records go below `out/records`, and the contest's files below `out/submission`."""
        for benchmark in self.benchmarks.values():
            with watch(benchmark) as watcher:
                benchmark.run(out, watcher, jobs)
        if self.definition.submission:
            for result in self.results():
                for path, record in result.submitted:
                    folder = out / "submission" / self.definition.name / path.stem
                    write_submission(folder, path, record, self._test_frames(result.protocol))

    def _test_frames(self, protocol: str) -> list[str]:
        workspace = self.benchmarks[protocol].workspace
        return [workspace.item(key).frame.id for key in workspace.part([self.dataset], "test")]

    def results(self) -> list[Result]:
        """What became of each row, in the definition's order."""
        return [self._result(row) for row in self.definition.row]

    def _result(self, row: Row) -> Result:
        protocol = self.protocols[row.protocol or self.definition.protocol]
        if protocol in self.absent:
            return Result(row, protocol, problem=self.absent[protocol])
        benchmark = self.benchmarks[protocol]
        settings = benchmark.settings[self.rows(protocol).index(row)]
        planned = [each for each in benchmark.plan.rows if each.settings is settings]
        records = [(done.path, done.record) for done in benchmark.done if done.row.settings is settings]
        problems = [each.problem[1] for each in planned if each.problem]
        return Result(row, protocol, records, problems[0] if problems else None)

    @property
    def spoiled(self) -> bool:
        """Whether any row failed."""
        return any(benchmark.spoiled for benchmark in self.benchmarks.values())


def _protocol(dataset: str, wanted: str, definition: Definition, say: Say) -> str:
    if dataset == definition.dataset or wanted in splits.protocols(dataset):
        return wanted
    first = datasets.reader(dataset).card().protocols[0]
    say(f"{dataset} has no protocol {wanted!r}: {first} is in its place.")
    return first

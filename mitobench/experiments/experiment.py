"""An experiment from definition to results: its parts, one benchmark each, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mitobench.benchmark import Benchmark
from mitobench.errors import DataError
from mitobench.experiments.definition import Definition, PaperTable, Row
from mitobench.experiments.parts import Notify, Overrides, Part, parts
from mitobench.pipeline.executors import ProgressListener
from mitobench.report.pairs import Paired, paired
from mitobench.report.row import LeaderboardRow
from mitobench.results.schema import Record
from mitobench.results.submission import write_submission

PAGES = "experiments"

ShowProgress = Callable[[Benchmark], AbstractContextManager[ProgressListener]]


@dataclass(frozen=True)
class Result:
    """A row of a table and what became of it.

    Attributes:
        row: as it is defined.
        part: that it was measured in.
        records: of all seeds, with the files they were written to.
        problem: why there are none.
        gain: its F1 less that of the row that the table compares with.
    """

    row: Row
    part: Part
    records: Sequence[tuple[Path, Record]] = ()
    problem: str | None = None
    gain: Paired | None = None

    @property
    def submitted(self) -> list[tuple[Path, Record]]:
        """The records that contest files are made of: not a stand-in's, nor where validation chose no threshold."""
        own = [] if self.row.protocol else self.records
        return [(path, made) for path, made in own if made.chosen and made.chosen.point.threshold is not None]

    @property
    def test_frames(self) -> list[str]:
        """The ids of the frames that it was tested on."""
        assert self.part.benchmark is not None
        workspace = self.part.benchmark.workspace
        return [workspace.item(key).frame.id for key in workspace.part([self.part.dataset], "test")]


@dataclass
class Experiment:
    """A planned experiment.

    Attributes:
        definition: what it is.
        asked: what was asked for in place of what the definition says.
        parts: what is measured, each by one benchmark.
    """

    definition: Definition
    overrides: Overrides
    parts: Sequence[Part]

    @classmethod
    def prepare(cls, definition: Definition, overrides: Overrides, notify: Notify, **options: Any) -> Experiment:
        """Read the data and plan all parts.

        Args:
            definition: what to measure.
            asked: what to change of it.
            say: is told what a user should know.
            options: of `Benchmark.prepare`.

        Raises MitobenchError for whatever does not exist, or DataError where no part can be measured.
        """
        planned = parts(definition, overrides, notify)
        for part in planned:
            part.prepare(notify, **options)
        if planned and not any(part.benchmark for part in planned):
            raise DataError("\n".join(dict.fromkeys(part.absent for part in planned if part.absent)))
        return cls(definition, overrides, planned)

    @property
    def benchmarks(self) -> list[Benchmark]:
        """Of the parts that can be measured here."""
        return [part.benchmark for part in self.parts if part.benchmark]

    def folder(self, out: Path) -> Path:
        """Where its `records/` go: those of grids are the leaderboard's own, a table's are apart from them."""
        return out / PAGES if isinstance(self.definition, PaperTable) else out

    def run(self, folder: Path, show_progress: ShowProgress, jobs: int = 1) -> None:
        """Do everything; records go below `folder/records`, and the contest's files below `folder/submission`."""
        for benchmark in self.benchmarks:
            with show_progress(benchmark) as listener:
                benchmark.run(folder, listener, jobs)
        if isinstance(self.definition, PaperTable) and self.definition.submission:
            for result in self.results():
                for path, record in result.submitted:
                    place = folder / "submission" / self.definition.name / path.stem
                    write_submission(place, path, record, result.test_frames)

    def results(self) -> list[Result]:
        """What became of each row of a table, in the definition's order."""
        if not isinstance(self.definition, PaperTable):
            return []
        results = [_result(part, row) for row in self.definition.row for part in self.parts if row in part.rows]
        against = [result for result in results if result.row.name == self.definition.against]
        return [replace(result, gain=_gain(result, against[0])) for result in results] if against else results

    @property
    def has_failures(self) -> bool:
        """Whether any combination failed, or a grid came to nothing."""
        grids = [] if isinstance(self.definition, PaperTable) else self.parts
        empty = any(not (part.benchmark and part.benchmark.done) for part in grids)
        return empty or any(benchmark.has_failures for benchmark in self.benchmarks)


def _gain(result: Result, against: Result) -> Paired | None:
    measured = [LeaderboardRow([record for _, record in each.records]) for each in (result, against)]
    return None if result is against or not all(row.good for row in measured) else paired([(measured[0], measured[1])])


def _result(part: Part, row: Row) -> Result:
    if part.benchmark is None:
        return Result(row, part, problem=part.absent)
    settings = part.benchmark.settings[part.rows.index(row)]
    planned = [each for each in part.benchmark.plan.rows if each.settings is settings]
    records = [(done.path, done.record) for done in part.benchmark.done if done.row.settings is settings]
    problems = [each.problem[1] for each in planned if each.problem]
    return Result(row, part, records, problems[0] if problems else None)

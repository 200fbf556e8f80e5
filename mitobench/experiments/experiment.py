"""Plans and runs an experiment, and collects the result of each row of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mitobench.benchmark import Benchmark, run_all
from mitobench.errors import DataError
from mitobench.experiments.definition import Definition, PaperTable, TableRow
from mitobench.experiments.parts import ExperimentPart, Notify, Overrides, parts
from mitobench.pipeline.executors import Executor, ProgressListener
from mitobench.reading import ReadDatasets
from mitobench.report.pairs import PairedDifference, mean_difference
from mitobench.report.row import LeaderboardRow
from mitobench.results.record_files import stem_of
from mitobench.results.schema import Record
from mitobench.results.submission import write_submission

PAGES = "experiments"

ShowProgress = Callable[[Sequence[Benchmark]], AbstractContextManager[ProgressListener]]


@dataclass(frozen=True)
class RowResult:
    """The result of one row of a table.

    Attributes:
        row: the row's definition.
        part: the part that it was measured in.
        records: the records of all seeds, with the files they were written to.
        problem: why there are no records; None if there are some.
        gain: its F1 minus that of the row that the table compares with; None if they cannot be compared.
    """

    row: TableRow
    part: ExperimentPart
    records: Sequence[tuple[Path, Record]] = ()
    problem: str | None = None
    gain: PairedDifference | None = None

    @property
    def submitted(self) -> list[tuple[Path, Record]]:
        """The records that submission files are written from.

        These are records of the contest's own protocol for which validation chose a threshold.
        """
        own = [] if self.row.protocol else self.records
        return [(path, record) for path, record in own if record.chosen and record.chosen.point.threshold is not None]

    @property
    def test_frames(self) -> list[str]:
        """The ids of the frames that the row was tested on."""
        workspace = self.part.benchmarks[0].workspace
        return [workspace.item(key).frame.id for key in workspace.part([self.part.dataset], "test")]


@dataclass
class Experiment:
    """A planned experiment.

    Attributes:
        definition: what it measures.
        overrides: what replaces values of the definition.
        parts: the parts, each with its benchmarks.
    """

    definition: Definition
    overrides: Overrides
    parts: Sequence[ExperimentPart]

    @classmethod
    def prepare(cls, definition: Definition, overrides: Overrides, notify: Notify, **options: Any) -> Experiment:
        """Read the data and plan all parts.

        Args:
            definition: what to measure.
            overrides: what replaces values of the definition.
            notify: called with each message for the user.
            options: passed to `Benchmark.prepare`.

        Raises MitobenchError for a name that does not exist, and DataError if no part can be measured here.
        """
        planned, known = parts(definition, overrides, notify), ReadDatasets()
        for part in planned:
            part.prepare(notify, known=known, **options)
        if planned and not any(part.benchmarks for part in planned):
            raise DataError("\n".join(dict.fromkeys(part.absent for part in planned if part.absent)))
        return cls(definition, overrides, planned)

    @property
    def benchmarks(self) -> list[Benchmark]:
        """The benchmarks of the parts that can be measured here."""
        return [benchmark for part in self.parts for benchmark in part.benchmarks]

    def run(self, folder: Path, show_progress: ShowProgress, executor: Executor | None = None) -> None:
        """Run all benchmarks. Records go to `folder/records`, the contest's files to `folder/submission`."""
        with show_progress(self.benchmarks) as listener:
            run_all(self.benchmarks, folder, listener, executor)
        if isinstance(self.definition, PaperTable) and self.definition.submission:
            for result in self.results():
                for path, record in result.submitted:
                    place = folder / "submission" / self.definition.name / stem_of(path)
                    write_submission(place, path, record, result.test_frames)

    def results(self) -> list[RowResult]:
        """Returns the result of each row of a table, in the definition's order; nothing for grids."""
        if not isinstance(self.definition, PaperTable):
            return []
        results = [_result(part, row) for row in self.definition.row for part in self.parts if row in part.rows]
        against = [result for result in results if result.row.name == self.definition.against]
        return [replace(result, gain=_gain(result, against[0])) for result in results] if against else results

    @property
    def has_failures(self) -> bool:
        """Whether a combination failed, or a grid has no record."""
        grids = [] if isinstance(self.definition, PaperTable) else self.parts
        empty = any(not any(benchmark.done for benchmark in part.benchmarks) for part in grids)
        return empty or any(benchmark.has_failures for benchmark in self.benchmarks)


def records_folder(definition: Definition, out: Path) -> Path:
    """Returns the folder for its `records/`: the leaderboard itself for grids, a subfolder for a paper's table."""
    return out / PAGES if isinstance(definition, PaperTable) else out


def _gain(result: RowResult, against: RowResult) -> PairedDifference | None:
    measured = [LeaderboardRow([record for _, record in each.records]) for each in (result, against)]
    if result is against or not all(row.good for row in measured):
        return None
    return mean_difference([(measured[0], measured[1])])


def _result(part: ExperimentPart, row: TableRow) -> RowResult:
    if not part.benchmarks:
        return RowResult(row, part, problem=part.absent)
    (benchmark,) = part.benchmarks  # a table's protocol has no folds
    settings = benchmark.settings[part.rows.index(row)]
    planned = [each for each in benchmark.plan.rows if each.settings is settings]
    records = [(done.path, done.record) for done in benchmark.done if done.row.settings is settings]
    problems = [each.problem[1] for each in planned if each.problem]
    return RowResult(row, part, records, problems[0] if problems else None)

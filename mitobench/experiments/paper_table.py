"""Formats a paper's table, with our results next to the published numbers, for the terminal and in markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mitobench import published
from mitobench.experiments.definition import PaperScores, PaperTable
from mitobench.experiments.experiment import Experiment, RowResult
from mitobench.report import markdown
from mitobench.report.markdown import escape, number
from mitobench.report.table import LeaderboardRow, sections

EXPLANATION = """\
`F1` is measured at the threshold chosen on validation: the mean over seeds, with its 95 % interval."""

PAPER_EXPLANATION = """\
`paper` shows the published numbers. The paper's F1 is the best over all thresholds on the frames that it reports;
compare it with `oracle F1`, which is the best over all thresholds on our test frames."""

GAIN_EXPLANATION = """\
`gain` is F1 minus that of "{against}", with its 95 % paired interval over the test slides or frames. ≈ means that the
interval contains 0."""

PUBLISHED_HERE = "paper P / R / F1"
GAIN = "gain [95 %]"
MEASURED = ("row", PUBLISHED_HERE, "oracle F1", "F1 [95 %]", GAIN, "P", "R", "AP")
TIMED = ("paper s/frame", "s/frame", "paper s/candidate", "s/candidate")
ENDING = ("seeds", "record")
PUBLISHED = ("method", "P / R / F1", "s/frame", "source", "note")


def body(experiment: Experiment, table: PaperTable, records: str) -> Iterator[str | list[str]]:
    """Yields what comes below the heading: paragraphs in markdown, and lists of notes.

    `records` is the folder of the records, relative to the page.
    """
    if table.row:
        yield EXPLANATION
    if PUBLISHED_HERE in header(table):
        yield PAPER_EXPLANATION
    if table.against is not None:
        yield GAIN_EXPLANATION.format(against=escape(table.against))
    yield notes(experiment, table)
    if table.row:
        columns = header(table)
        lines = [cells(result, columns, records) for result in experiment.results()]
        yield markdown.table(columns, [[*map(escape, texts), links] for *texts, links in lines])
    methods = [
        [method.name, reported(method), number(method.seconds_a_frame, 2), method.source, method.note]
        for method in others(table)
    ]
    if methods:
        yield "## Published, not measured here"
        yield markdown.table(PUBLISHED, [[escape(text) for text in texts] for texts in methods])


def header(table: PaperTable) -> tuple[str, ...]:
    """Returns the columns.

    Protocol and training sets appear if they vary, published numbers if there are any, gains if rows are compared.
    """
    rows = table.row
    hidden = {GAIN} if table.against is None else set()
    hidden |= set() if any(row.paper != PaperScores() for row in rows) or table.table else {PUBLISHED_HERE}
    first, *others = (column for column in MEASURED if column not in hidden)
    several = [("protocol", any(row.protocol for row in rows)), ("trained on", any(row.train_on for row in rows))]
    timed = any(row.paper.seconds_a_frame or row.paper.seconds_a_candidate for row in rows)
    return (first, *(name for name, shown in several if shown), *others, *(TIMED if timed else ()), *ENDING)


def cells(result: RowResult, columns: Sequence[str], records: str) -> list[str]:
    """Returns the cells of one row. The texts are not escaped; the last cell links to the records, in markdown.

    `records` is the folder of the records, relative to the page.
    """
    row, paper = LeaderboardRow([record for _, record in result.records]), result.row.paper
    measured = {
        "row": result.row.name,
        "protocol": result.part.protocol,
        "trained on": ", ".join(result.part.train_on),
        PUBLISHED_HERE: reported(paper),
        GAIN: markdown.gain(result.gain),
        "oracle F1": number(row.mean("oracle_f1")),
        "P": number(row.mean("precision")),
        "R": number(row.mean("recall")),
        "F1 [95 %]": markdown.f1(row) if row.good else "FAILED" if row.failed else "–",
        "AP": number(row.mean("average_precision")),
        "paper s/frame": number(paper.seconds_a_frame, 2),
        "s/frame": number(row.seconds_a_frame, 2),
        "paper s/candidate": number(paper.seconds_a_candidate, 3),
        "s/candidate": number(row.seconds_a_candidate, 3),
        "seeds": markdown.status(row) or "–",
        "record": " ".join(f"[s{r.combination['seed']}]({records}/{path.name})" for path, r in result.records) or "–",
    }
    return [measured[column] for column in columns]


def reported(paper: PaperScores | published.Method) -> str:
    """Returns published precision, recall and F1 as `P / R / F1`; F1 alone if only F1 was published."""
    if paper.precision is None and paper.recall is None:
        return number(paper.f1)
    return " / ".join(number(value) for value in (paper.precision, paper.recall, paper.f1))


def notes(experiment: Experiment, table: PaperTable) -> list[str]:
    """Returns notes on how the rows were measured, on single rows, and on what was not measured or failed."""
    results = experiment.results()
    lines = []
    for section in sections(record for result in results for _, record in result.records):
        lines.append(f"{section.dataset}, protocol {section.protocol}: {markdown.measured(section)}")
        lines += section.notes
    for profile in {part.profile for part in experiment.parts} - {table.profile}:
        lines.append(
            f"The rows use the paper's values for what the paper varies. Sizes in px differ between profile {profile}, "
            f"used here, and profile {table.profile}."
        )
    lines += table.notes
    lines += [f"{result.row.name}: not measured. {result.problem}" for result in results if result.problem]
    by_row = {result.row.name: _notes(result) for result in results}
    lines += [f"{name}: {note}" for name, own in by_row.items() for note in own if note not in lines]
    lines += _with_row_names([(result.row.name, info) for result in results for info in _training_info(result)])
    failed = [(result, record) for result in results for _, record in result.records if record.status != "ok"]
    return [*dict.fromkeys(lines), *(f"{result.row.name}: FAILED. {record.reason}" for result, record in failed)]


def _with_row_names(lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yields each line once, after the names of the rows that it applies to. `lines` holds (row, line)."""
    rows: dict[str, list[str]] = defaultdict(list)
    for name, line in lines:
        rows[line].append(name)
    for line, names in rows.items():
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        yield f"{', '.join(names[:2])}{more}: {line}"


def _notes(result: RowResult) -> list[str]:
    """Returns the notes of a row's records, each once."""
    return list(dict.fromkeys(note for _, record in result.records for note in record.notes))


def _training_info(result: RowResult) -> Iterator[str]:
    """Yields what the row's first record says about its fits, and its boxes' scores against those of masks."""
    record = result.records[0][1] if result.records else None
    for role, info in (record.training_info if record else {}).items():
        for name, value in info.items():
            yield f"the {role}'s {name}: {markdown.fact(value)}"
    if record and record.boxes and record.boxes.covered is not None:
        shares = (record.boxes.mean_iou, record.boxes.covered, record.boxes.fallback)
        iou, covered, fallback = map(number, shares)
        yield f"boxes against those of masks: mean IoU {iou}, {covered} from a blob, {fallback} fixed"


def others(table: PaperTable) -> list[published.Method]:
    """Returns the published methods of the paper's table that are not rows of this experiment."""
    numbers = published.read(table.dataset, table.protocol)
    own = {row.name for row in table.row}
    methods = numbers.method if numbers and table.table else ()
    return [method for method in methods if method.table == table.table and method.name not in own]

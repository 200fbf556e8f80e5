"""A paper's table: its numbers beside the measured ones, for the terminal and for markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mitobench import published
from mitobench.experiments.definition import PaperTable, Reported
from mitobench.experiments.experiment import Experiment, Result
from mitobench.report import markdown
from mitobench.report.markdown import escape, number
from mitobench.report.table import LeaderboardRow, sections

EXPLANATION = "`F1` is at the threshold chosen on validation, the mean over seeds, with its 95 % interval."

OF_PAPER = """\
`paper` is what was published; its F1 is the best over thresholds on the frames it reports, so it is to be set beside
`oracle F1`."""

COMPARED = """\
`gain` is F1 less that of "{against}", with its 95 % paired interval over the test slides or frames, and ≈ where
it holds 0."""

PUBLISHED_HERE = "paper P / R / F1"
GAIN = "gain [95 %]"
MEASURED = ("row", PUBLISHED_HERE, "oracle F1", "F1 [95 %]", GAIN, "P", "R", "AP")
TIMED = ("paper s/frame", "s/frame", "paper s/candidate", "s/candidate")
ENDING = ("seeds", "record")
PUBLISHED = ("method", "P / R / F1", "s/frame", "source", "note")


def body(experiment: Experiment, table: PaperTable, records: str) -> Iterator[str | list[str]]:
    """What stands below the heading: paragraphs in markdown and lists of notes.

    `records` is the records' folder as the page sees it.
    """
    if table.row:
        yield EXPLANATION
    if PUBLISHED_HERE in header(table):
        yield OF_PAPER
    if table.against is not None:
        yield COMPARED.format(against=escape(table.against))
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
    """The columns: protocol and training sets where there are several, what the paper has, gains where asked for."""
    rows = table.row
    hidden = {GAIN} if table.against is None else set()
    hidden |= set() if any(row.paper != Reported() for row in rows) or table.table else {PUBLISHED_HERE}
    first, *others = (column for column in MEASURED if column not in hidden)
    several = [("protocol", any(row.protocol for row in rows)), ("trained on", any(row.train_on for row in rows))]
    timed = any(row.paper.seconds_a_frame or row.paper.seconds_a_candidate for row in rows)
    return (first, *(name for name, shown in several if shown), *others, *(TIMED if timed else ()), *ENDING)


def cells(result: Result, columns: Sequence[str], records: str) -> list[str]:
    """One row, unescaped but for its links to the records; what could not be measured says why.

    `records` is the records' folder as the page sees it.
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


def reported(paper: Reported | published.Method) -> str:
    """Published precision, recall and F1, or F1 alone where it is all there is."""
    if paper.precision is None and paper.recall is None:
        return number(paper.f1)
    return " / ".join(number(value) for value in (paper.precision, paper.recall, paper.f1))


def notes(experiment: Experiment, table: PaperTable) -> list[str]:
    """How the rows were measured, what a reader should know, and what could not be done."""
    results = experiment.results()
    said = []
    for section in sections(record for result in results for _, record in result.records):
        said.append(f"{section.dataset}, protocol {section.protocol}: {markdown.measured(section)}")
        said += section.notes
    for profile in {part.profile for part in experiment.parts} - {table.profile}:
        said.append(
            f"The rows set what the paper varies, in its numbers: sizes in px are others under profile "
            f"{profile} than under {table.profile}."
        )
    said += table.notes
    said += [f"{result.row.name}: not measured. {result.problem}" for result in results if result.problem]
    alone = {result.row.name: _notes(result) for result in results}
    said += [f"{name}: {note}" for name, own in alone.items() for note in own if note not in said]
    said += _told_once([(result.row.name, fact) for result in results for fact in _facts(result)])
    failed = [(result, record) for result in results for _, record in result.records if record.status != "ok"]
    return [*dict.fromkeys(said), *(f"{result.row.name}: FAILED. {record.reason}" for result, record in failed)]


def _told_once(facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Each fact once, with the rows that it is true of."""
    rows: dict[str, list[str]] = defaultdict(list)
    for name, fact in facts:
        rows[fact].append(name)
    for fact, names in rows.items():
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        yield f"{', '.join(names[:2])}{more}: {fact}"


def _notes(result: Result) -> list[str]:
    """What must be said of a row's records."""
    return list(dict.fromkeys(note for _, record in result.records for note in record.notes))


def _facts(result: Result) -> Iterator[str]:
    """What the row's first record tells of its fits, and of its boxes against those of masks."""
    record = result.records[0][1] if result.records else None
    for role, facts in (record.training_info if record else {}).items():
        for name, value in facts.items():
            yield f"the {role}'s {name}: {markdown.fact(value)}"
    if record and record.boxes and record.boxes.covered is not None:
        shares = (record.boxes.mean_iou, record.boxes.covered, record.boxes.fallback)
        iou, covered, fallback = map(number, shares)
        yield f"boxes against those of masks: mean IoU {iou}, {covered} from a blob, {fallback} fixed"


def others(table: PaperTable) -> list[published.Method]:
    """The methods that the paper's table has beside its rows."""
    numbers = published.read(table.dataset, table.protocol)
    own = {row.name for row in table.row}
    methods = numbers.method if numbers and table.table else ()
    return [method for method in methods if method.table == table.table and method.name not in own]

"""An experiment's table: the paper's numbers beside the measured ones, for the terminal and for markdown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from mitobench import published, registry
from mitobench.experiments.definition import Reported
from mitobench.experiments.experiment import Experiment, Result
from mitobench.report import markdown
from mitobench.report.markdown import escape, number
from mitobench.report.table import Row, sections

EXPLANATION = """\
`paper` is what was published; its F1 is the best over thresholds on the frames it reports, so it is to be set beside
`oracle F1`. `F1` is at the threshold chosen on validation, the mean over seeds, with its 95 % interval."""

MEASURED = ("row", "paper P / R / F1", "oracle F1", "F1 [95 %]", "P", "R", "AP")
TIMED = ("paper s/frame", "s/frame", "paper s/candidate", "s/candidate")
ENDING = ("seeds", "record")
PUBLISHED = ("method", "P / R / F1", "s/frame", "source", "note")


def title(experiment: Experiment) -> str:
    """What was measured, and whether it is what the paper measured."""
    parts = [experiment.definition.title]
    if not experiment.definition.row:
        return parts[0]
    parts.append(f"profile {experiment.profile}")
    if experiment.sets:
        parts.append(f"with {', '.join(experiment.sets)}")
    if experiment.scale != 1:
        parts.append(f"schedules shortened to {experiment.scale:g}")
    if experiment.dataset != experiment.definition.dataset:
        parts.append(f"measured on {experiment.dataset}, not {experiment.definition.dataset}")
    return "; ".join(parts)


def header(experiment: Experiment) -> tuple[str, ...]:
    """The columns; the protocol only where there are several, times only where the paper has some."""
    rows = experiment.definition.row
    first, *others = MEASURED
    several = ("protocol",) if any(row.protocol for row in rows) else ()
    timed = any(row.paper.seconds_a_frame or row.paper.seconds_a_candidate for row in rows)
    return (first, *several, *others, *(TIMED if timed else ()), *ENDING)


def cells(result: Result, columns: Sequence[str], records: str) -> list[str]:
    """One row, unescaped but for its links to the records; what could not be measured says why.

    `records` is the records' folder as the page sees it.
    """
    row, paper = Row([record for _, record in result.records]), result.row.paper
    measured = {
        "row": result.row.name,
        "protocol": result.protocol,
        "paper P / R / F1": reported(paper),
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


def command(experiment: Experiment) -> str:
    """What repeats it, wherever data and store are."""
    definition = experiment.definition
    ours = definition.path == registry.ROOT / "experiments" / definition.path.name
    parts = ["mitobench", "experiment", definition.name if ours else definition.path.name]
    parts += ["--dataset", experiment.dataset] if experiment.dataset != definition.dataset else []
    parts += ["--scanner", ",".join(experiment.scanners)] if experiment.scanners else []
    parts += ["--profile", experiment.profile] if experiment.profile != definition.profile else []
    parts += ["--scale", f"{experiment.scale:g}"] if experiment.scale != 1 else []
    parts += ["--seeds", str(experiment.seeds)] if experiment.seeds != 1 else []
    return shlex.join([*parts, *(word for text in experiment.sets for word in ("--set", text))])


def page(experiment: Experiment, records: str = "records") -> str:
    """The whole page, in markdown."""
    parts = [f"# {escape(title(experiment))}"]
    parts.append(f"Made by `{command(experiment)}`; not to be edited.")
    if experiment.definition.row:
        parts.append(EXPLANATION)
    parts.append("\n".join(f"- {escape(note)}" for note in notes(experiment)))
    if experiment.definition.row:
        columns = header(experiment)
        lines = [markdown.line(columns), markdown.line(["---"] * len(columns))]
        for result in experiment.results():
            *texts, links = cells(result, columns, records)
            lines.append(markdown.line([*map(escape, texts), links]))
        parts.append("\n".join(lines))
    parts.append(_published(experiment))
    return "\n\n".join(part for part in parts if part) + "\n"


def notes(experiment: Experiment) -> list[str]:
    """How the rows were measured, what a reader should know, and what could not be done."""
    results = experiment.results()
    said = []
    for section in sections(record for result in results for _, record in result.records):
        said.append(f"{section.dataset}, protocol {section.protocol}: {markdown.measured(section)}")
        said += section.notes
    if experiment.definition.row and experiment.profile != experiment.definition.profile:
        said.append(
            f"The rows set what the paper varies, in its numbers: sizes in px are others under profile "
            f"{experiment.profile} than under {experiment.definition.profile}."
        )
    said += experiment.definition.notes
    said += [f"{result.row.name}: not measured. {result.problem}" for result in results if result.problem]
    alone = {result.row.name: _notes(result) for result in results}
    said += [f"{name}: {note}" for name, own in alone.items() for note in own if note not in said]
    said += [f"{result.row.name}: {fact}" for result in results for fact in _facts(result)]
    failed = [(result, record) for result in results for _, record in result.records if record.status != "ok"]
    return [*dict.fromkeys(said), *(f"{result.row.name}: FAILED. {record.reason}" for result, record in failed)]


def _notes(result: Result) -> list[str]:
    """What must be said of a row's records."""
    return list(dict.fromkeys(note for _, record in result.records for note in record.notes))


def _facts(result: Result) -> Iterator[str]:
    """What the row's first record tells of its fits, and of its boxes against those of masks."""
    record = result.records[0][1] if result.records else None
    for role, facts in (record.fitted if record else {}).items():
        for name, value in facts.items():
            yield f"the {role}'s {name}: {markdown.fact(value)}"
    if record and record.boxes and record.boxes.covered is not None:
        shares = (record.boxes.mean_iou, record.boxes.covered, record.boxes.fallback)
        iou, covered, fallback = map(number, shares)
        yield f"boxes against those of masks: mean IoU {iou}, {covered} from a blob, {fallback} fixed"


def others(experiment: Experiment) -> list[published.Method]:
    """The methods that the paper's table has beside its rows."""
    definition = experiment.definition
    numbers = published.read(definition.dataset, definition.protocol)
    own = {row.name for row in definition.row}
    methods = numbers.method if numbers and definition.table else ()
    return [method for method in methods if method.table == definition.table and method.name not in own]


def _published(experiment: Experiment) -> str:
    methods = others(experiment)
    if not methods:
        return ""
    lines = ["## Published, not measured here", "", markdown.line(PUBLISHED), markdown.line(["---"] * len(PUBLISHED))]
    for method in methods:
        texts = [method.name, reported(method), number(method.seconds_a_frame, 2), method.source, method.note]
        lines.append(markdown.line([escape(text) for text in texts]))
    return "\n".join(lines)

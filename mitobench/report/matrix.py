"""The matrix of a method: trained on each domain or data set, tested on each. One table and one figure a method."""

from __future__ import annotations

import io
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mitobench.atomic import write_atomic, write_text_atomic
from mitobench.report.figures import FORMATS, LOOK
from mitobench.report.markdown import SENTENCE, escape, number, table
from mitobench.report.row import ROLES, UNUSED
from mitobench.results.pooling import single_domain
from mitobench.results.schema import Record

FOLDER = "matrix"
DATASET = "data set"

EXPLANATION = """\
F1 on the test frames of each column, at the one threshold that validation of the row chose; mean over seeds. On the
diagonal a method is tested on other slides of what it learned from. **Loss** is the diagonal's F1 minus the mean of
the others in the row: what a change of {kind} costs."""


@dataclass(frozen=True)
class Matrix:
    """One method, trained on each value and tested on each.

    Attributes:
        title: names of its plugins.
        kind: what the values are of: a domain, or DATASET.
        names: the values, sorted.
        f1: by (trained on, tested on); a pair without a score is missing.
        failed: why pairs have no score, by the same.
    """

    title: str
    kind: str
    names: Sequence[str]
    f1: Mapping[tuple[str, str], float]
    failed: Mapping[tuple[str, str], str]

    def loss(self, trained: str) -> float | None:
        """F1 of a row on its own value minus its mean on all others; None where one is undefined."""
        own, others = self.f1.get((trained, trained)), [self.f1.get((trained, other)) for other in self.names]
        found = [value for other, value in zip(self.names, others, strict=True) if other != trained]
        known = [value for value in found if value is not None]
        return None if own is None or not known or len(known) < len(found) else own - statistics.fmean(known)


def of_records(records: Iterable[Record]) -> list[Matrix]:
    """Returns a matrix for each method, from records of `single-domain-KIND` folds or of pairs of data sets."""
    methods: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        methods[_title(record)].append(record)
    return [_matrix(title, found) for title, found in sorted(methods.items())]


def _title(record: Record) -> str:
    names = [str(record.combination[role]) for role in ROLES]
    return " + ".join(name for name in names if name != UNUSED)


def _matrix(title: str, records: Sequence[Record]) -> Matrix:
    kind = kind_of(records[0])
    f1: defaultdict[tuple[str, str], list[float | None]] = defaultdict(list)
    failed: dict[tuple[str, str], str] = {}
    for record in records:
        for pair, score in _scores(record, kind):
            f1[pair].append(score)
        if record.status != "ok":
            failed[_trained_on(record, kind), ""] = record.reason or "failed"
    trained = {_trained_on(record, kind) for record in records}
    names = sorted(trained | {name for pair in (*f1, *failed) for name in pair if name})
    means = {
        pair: statistics.fmean(v for v in values if v is not None) for pair, values in f1.items() if None not in values
    }
    return Matrix(title, kind, names, means, failed)


def kind_of(record: Record) -> str:
    """Returns the domain of a `single-domain-KIND` fold; DATASET for any other record."""
    return single_domain(record.combination["protocol"]) or DATASET


def _scores(record: Record, kind: str) -> Iterable[tuple[tuple[str, str], float | None]]:
    """Yields (trained on, tested on) and F1."""
    if record.test is None:
        return
    if kind == DATASET:
        yield (_trained_on(record, kind), record.combination["dataset"]), record.test.f1
    elif kind in record.test.domains:
        for value, scores in record.test.domains[kind].values.items():
            yield (_trained_on(record, kind), value), scores.f1


def _trained_on(record: Record, kind: str) -> str:
    """Returns what a record was trained on: its data sets, or the value of a domain that its validation frames have."""
    if kind == DATASET:
        return " + ".join(record.combination["train_on"])
    validation = record.frames.val if record.frames else []
    found = sorted({frame.domains.get(kind, "") for frame in validation})
    return found[0] if len(found) == 1 and found[0] else record.combination["protocol"]


# ---------------------------------------------------------------------------------------------------------- writing


def write(folder: Path, name: str, matrices: Sequence[Matrix], notes: Sequence[str]) -> list[Path]:
    """Write `matrix/NAME.md`, and a figure of each method next to it; returns the files, the page first."""
    pictures = [folder / FOLDER / f"{name}-{number}.svg" for number in range(1, len(matrices) + 1)]
    for matrix, picture in zip(matrices, pictures, strict=True):
        write_atomic(picture, figure(matrix))
    page = folder / FOLDER / f"{name}.md"
    write_text_atomic(page, text(matrices, [picture.name for picture in pictures], notes))
    return [page, *pictures]


def text(matrices: Sequence[Matrix], pictures: Sequence[str], notes: Sequence[str]) -> str:
    """Returns the page in markdown."""
    kind = matrices[0].kind
    parts = [f"# Trained on one {kind}, tested on each", EXPLANATION.format(kind=kind)]
    parts += ["\n".join(f"- {escape(note, SENTENCE)}" for note in notes)]
    for matrix, picture in zip(matrices, pictures, strict=True):
        parts += [f"## {escape(matrix.title, SENTENCE)}", _table(matrix)]
        parts += [
            f"FAILED, trained on {escape(where[0], SENTENCE)}: {escape(why, SENTENCE)}"
            for where, why in matrix.failed.items()
        ]
        parts += [f"![Trained on one {kind}, tested on each: F1]({picture})"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(matrix: Matrix) -> str:
    lines = [
        [
            escape(trained),
            *(number(matrix.f1.get((trained, tested))) for tested in matrix.names),
            number(matrix.loss(trained)),
        ]
        for trained in matrix.names
    ]
    return table(("trained on", *map(escape, matrix.names), "loss"), lines)


def figure(matrix: Matrix) -> bytes:
    """Returns the matrix as a picture (SVG): darker is a higher F1."""
    import matplotlib
    from matplotlib.figure import Figure

    values = np.array([[matrix.f1.get((row, column), np.nan) for column in matrix.names] for row in matrix.names])
    side = 1.6 + 0.5 * len(matrix.names)
    with matplotlib.rc_context(LOOK):
        drawn = Figure(figsize=(side + 0.8, side), layout="constrained")
        axes = drawn.add_subplot()
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            shown = "–" if np.isnan(value) else f"{value:.2f}".removeprefix("0")
            axes.text(column, row, shown, ha="center", va="center", color="white" if value > 0.6 else "black")
        axes.set_xticks(range(len(matrix.names)), matrix.names, rotation=40, ha="right")
        axes.set_yticks(range(len(matrix.names)), matrix.names)
        axes.set_xlabel("tested on")
        axes.set_ylabel("trained on")
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="svg", **FORMATS["svg"])
    return re.sub(rb"\n\s+(?=<)", b"\n", buffer.getvalue())

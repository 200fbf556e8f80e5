"""`mitobench compare`: compares two records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mitobench.cli.terminal import echo
from mitobench.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitobench.results.compare import Comparison
    from mitobench.results.schema import Record


def compare(
    a: Annotated[Path, typer.Argument(metavar="RECORD", help="A record (.json or .json.gz).")],
    b: Annotated[Path, typer.Argument(metavar="RECORD", help="Another record, measured on the same frames.")],
) -> None:
    """Compare two records: the paired differences in F1, precision and recall, and the frames where they differ.

    Differences are the first record minus the second, with 95 % intervals paired over the same slides (or frames). Both
    records must have the same data set, protocol, test frames, matcher and radius.

    Example: mitobench compare leaderboard/records/ONE.json leaderboard/records/OTHER.json
    """
    from mitobench.results import compare as comparing
    from mitobench.results.check import verified

    records = verified(a), verified(b)
    found = comparing.compare(*records, names=(a, b))
    for line in (
        *_scores(records, (a, b), found),
        *_rates(records),
        *_counts(records),
        *_domains(records),
        *_frames(found),
    ):
        echo(line)


def _scores(records: tuple[Record, Record], paths: tuple[Path, Path], found: Comparison) -> Iterator[str]:
    from mitobench.report.markdown import over

    yield f"A  {paths[0]}"
    yield f"B  {paths[1]}"
    yield ""
    yield f"{'':10} {'A':>6} {'B':>6} {'A - B':>7}"
    for name, difference in found.differences.items():
        values = [_number(getattr(record.test, name)) for record in records]
        shown = "undefined"
        if difference is not None:
            interval = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
            shown = f"{difference.delta:+7.3f}  {interval} 95 % {over(difference)}"
        yield f"{name:10} {values[0]:>6} {values[1]:>6} {shown}"
    if found.inside_noise is not None:
        yield f"The difference in F1 is {'inside' if found.inside_noise else 'outside'} the noise."


def _rates(records: tuple[Record, Record]) -> Iterator[str]:
    """False positives per mm2, F1 without contested figures, and false positives on imposters, as far as known."""
    tests = [record.test for record in records]
    annotators = _each(tests, "annotators")
    yield from _lines(
        [
            ("false positives per mm2", _each(tests, "fp_per_mm2"), 2),
            ("F1 without contested figures", _each(annotators, "f1"), 3),
            ("false positives on annotated imposters", _each(annotators, "fp_on_imposters"), 0),
            ("other false positives", _each(annotators, "fp_elsewhere"), 0),
        ]
    )


def _counts(records: tuple[Record, Record]) -> Iterator[str]:
    """How well both count, over cases; nothing if neither record has areas."""
    from mitobench.results.case_counts import case_counts_of

    found = [case_counts_of(record) for record in records]
    n_cases = next((str(counts.n_cases) for counts in found if counts), "")
    yield from _lines(
        [
            ("detected per mm2, mean", _each(found, "detected_per_mm2"), 2),
            ("annotated per mm2, mean", _each(found, "annotated_per_mm2"), 2),
            ("bias", _each(found, "bias"), 2),
            ("lower limit of agreement", _each(found, "lower_limit"), 2),
            ("upper limit of agreement", _each(found, "upper_limit"), 2),
            ("ICC(2,1)", _each(found, "icc"), 3),
            ("share on the same side of cut-offs", _each(found, "same_side"), 3),
        ],
        f"The count, mitoses per mm2 over {n_cases} cases:",
    )


def _each(parts: Sequence[object | None], name: str) -> list[Any]:
    """A value of both; None where there is nothing that has it."""
    return [None if part is None else getattr(part, name) for part in parts]


def _lines(named: Sequence[tuple[str, Sequence[float | None], int]], title: str = "") -> Iterator[str]:
    """A line for each number that one of the two records has, below a title; nothing if they have none."""
    known = [line for line in named if any(value is not None for value in line[1])]
    if not known:
        return
    width = max(len(name) for name, _, _ in known)
    yield ""
    if title:
        yield title
    yield f"{'':{width}} {'A':>9} {'B':>9} {'A - B':>9}"
    for name, (one, other), digits in known:
        difference = "" if one is None or other is None else f"{one - other:+9.{digits}f}"
        yield f"{name:{width}} {_number(one, digits):>9} {_number(other, digits):>9} {difference}".rstrip()


def _domains(records: tuple[Record, Record]) -> Iterator[str]:
    """F1 of both on each value of each domain that both have, the mean over values, and the worst."""
    of = [record.test.domains if record.test else {} for record in records]
    for kind in (kind for kind in of[0] if kind in of[1]):
        a, b = (domains[kind] for domains in of)
        rows = [(value, a.values[value].f1, b.values[value].f1) for value in a.values if value in b.values]
        rows += [("mean over these", a.macro_f1, b.macro_f1), ("worst", a.worst_f1, b.worst_f1)]
        width = max(len(name) for name, _, _ in rows)
        yield ""
        yield f"F1 by {kind}:"
        yield f"{'':{width}} {'A':>6} {'B':>6} {'A - B':>7}"
        for name, one, other in rows:
            difference = "" if one is None or other is None else f"{one - other:+7.3f}"
            yield f"{name:{width}} {_number(one):>6} {_number(other):>6} {difference}"


def _frames(found: Comparison) -> Iterator[str]:
    yield ""
    if not found.frames:
        yield "Both records have the same counts on every frame."
        return
    width = max(len("frame"), *(len(one.frame) for one, _ in found.frames))
    number = counted(len(found.frames), "frame")
    yield f"{number} with different counts, largest difference first (true positives, false positives, misses):"
    yield f"{'frame':{width}}  {'A tp':>5} {'fp':>4} {'fn':>4}  {'B tp':>5} {'fp':>4} {'fn':>4}"
    for one, other in found.frames:
        counts = [f"{c.tp:5} {c.fp:4} {c.fn:4}" for c in (one, other)]
        yield f"{one.frame:{width}}  {counts[0]}  {counts[1]}"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

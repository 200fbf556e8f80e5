"""The page of one section in markdown: all rows, failures, what each part adds, and published numbers with sources."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from mitobench.published import Method
from mitobench.report import case_counts
from mitobench.report.colours import distinguishing_facts
from mitobench.report.description import description
from mitobench.report.effects import MAX_COMPARED, Effect
from mitobench.report.footnotes import Footnotes
from mitobench.report.markdown import (
    SENTENCE,
    bullets,
    escape,
    gain,
    measured,
    number,
    rank_cell,
    score_cell,
    split_note,
    table,
    two_lines,
    worst_cell,
)
from mitobench.report.row import LeaderboardRow, seed_of
from mitobench.report.table import Section, domains_of
from mitobench.results.schema import Record

SECTIONS = "sections"
MADE_BY = "Made by `mitobench leaderboard build`; do not edit."

EXPLANATION = """\
- **F1** is measured at the threshold chosen on validation, and rows are ranked by it. With several seeds it is their
  mean. Below it is the 95 % interval of their summed counts over test slides (or frames).
- **Ranks**: those that the row could have on other slides, from comparing all rows in pairs on the same slides with
  Holm's correction. Rows marked ≈ cannot be distinguished from the best.
- **Detector alone**: F1 of the same run before verification and fusion, at its own threshold chosen on validation.
- **Oracle F1** uses the best threshold on the test frames themselves. It is shown because published numbers use it, and
  does not affect the ranking.
- **Seeds** are links to the records, above the lowest and highest F1 of a seed. `0 1 of 3`: other rows have seeds that
  this one lacks. FAILED: the run of that seed failed; it is not part of any mean."""

EFFECTS = """\
## What each part adds

Each line compares rows that differ in one part only, in pairs: same test frames, same seeds. The number is the mean
difference of F1 over the pairs, with its 95 % paired interval, which covers the noise of these test frames and not that
of other data; ≈ where the interval includes 0. A verifier compared with `none` includes the effect of its fuser."""

DOMAINS = """\
## By domain

F1 on the frames of each value, at the threshold of the row (of the fold, for a sum over folds); the mean counts each
value once. Mean over seeds."""

SLIDES = """\
## By slide

F1 on the frames of each test slide, at the threshold of the row (of the fold, for a sum over folds); below the slide's
name is the number of mitoses on its frames. The mean and the worst are over the slides with {many} mitoses or more:
fewer say little about a slide. Mean over seeds."""

ANNOTATORS = """\
## What the annotators say about the errors

A figure is contested if the data set gives it a confidence, or votes, that is neither 0 nor 1. Without contested
figures, they are neither found nor missed, and a detection on one is not a false positive. A false positive is on an
imposter if an annotated one is closer than the radius. Mean over seeds."""

CASE_COUNTS = """\
## The count

Grades of cancers depend on mitoses per mm2, which F1 does not describe: misses and false positives cancel. Each case is
one slide. Bias: mean of detected minus annotated mitoses per mm2; the limits of agreement (Bland and Altman) hold about
95 % of cases. ICC: intraclass correlation, ICC(2,1), 1 is perfect. Same side: cases whose two counts are on the same
side of the cut-offs of grading on the data set's card. Mean over seeds. `mitobench leaderboard build --bland-altman`
draws the count of the best row."""

MAX_ROWS = 10  # in these four tables
MAX_SLIDES = 16  # that have columns of their own
MANY = 20  # mitoses of a slide that counts for the mean over slides, and may be the worst

PUBLISHED = """\
## Published, not measured here

Unless a note says otherwise, published F1 uses the best threshold on the test frames, so compare it with oracle F1."""

HEADER = (
    "#<br><sub>ranks</sub>",
    "combination",
    "P",
    "R",
    "F1<br><sub>95 %</sub>",
    "detector<br>alone",
    "oracle<br>F1",
    "AP",
    "s/frame",
    "seeds<br><sub>F1</sub>",
    "notes",
)


def section_page(section: Section, records: str) -> str:
    """The whole page; `records` is the path of the folder of records, relative to the page."""
    parts = [
        f"# {escape(section.title, SENTENCE)}",
        f"[All sections](../LEADERBOARD.md). {MADE_BY}",
        measured(section),
        bullets([*section.notes, *split_note(section)]),
        _rows(section, records),
        _failures(section),
        _slides(section),
        _domains(section),
        _annotators(section),
        _case_counts(section),
        EXPLANATION,
        _effects(section.effects, section.references),
        _published(section.published, section.published_notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rows(section: Section, records: str) -> str:
    facts, notes = distinguishing_facts(section), Footnotes()
    lines = [
        [
            rank_cell(section, row, rank),
            two_lines(escape(row.title, SENTENCE), escape(description(section, row, facts[row]), SENTENCE)),
            number(row.mean("precision")),
            number(row.mean("recall")),
            score_cell(row),
            number(row.mean("f1", "detector_alone")),
            number(row.mean("oracle_f1")),
            number(row.mean("average_precision")),
            number(row.seconds_a_frame, 2),
            _seeds(section, row, records),
            notes.numbers(section.remarks(row)),
        ]
        for rank, row in section.ranked()
    ]
    parts = ["## All rows", table(HEADER, lines), notes.listed()]
    return "\n\n".join(part for part in parts if part)


def _seeds(section: Section, row: LeaderboardRow, records: str) -> str:
    """Links to the record of each seed, and the lowest and highest F1 of a seed."""
    links = [link for record in row.records for link in _links(section, row, record, records)]
    missing = [f"of {len(set(row.expected))}"] if row.missing else []
    spread = row.spread("f1")
    return two_lines(" ".join([*links, *missing]), f"{number(spread[0])}–{number(spread[1])}" if spread else "")


def _links(section: Section, row: LeaderboardRow, record: Record, records: str) -> Iterator[str]:
    """Yields links to a seed's record; under a protocol with folds to that of each fold: `0 fold 1`, `0 fold 2`."""
    failed = "" if record in row.good else " FAILED"
    for fold, file in section.files_of(record).items():
        named = f" fold {fold}" if fold else ""
        yield f"[{seed_of(record)}{named}{failed}]({records}/{quote(file)})"


def _failures(section: Section) -> str:
    failed = [(row, record) for row in section.rows for record in row.failed]
    if not failed:
        return ""
    return "FAILED:\n\n" + bullets(f"{row.title}, seed {seed_of(record)}: {record.reason}" for row, record in failed)


def _slides(section: Section) -> str:
    """A table of F1 on each slide, with the mean and the worst of the slides with many mitoses."""
    rows = [(rank, row) for rank, row in section.ranked() if row.good and row.mitoses_by_slide][:MAX_ROWS]
    mitoses = rows[0][1].mitoses_by_slide if rows else {}
    if len(mitoses) < 2:
        return ""
    shown = list(mitoses) if len(mitoses) <= MAX_SLIDES else []
    large = [slide for slide, count in mitoses.items() if count >= MANY]
    lines = [
        [
            str(rank or "–"),
            escape(row.title, SENTENCE),
            number(row.mean("f1")),
            *(number(row.f1_by_slide.get(slide)) for slide in shown),
            *_mean_and_worst(row.f1_by_slide, large),
        ]
        for rank, row in rows
    ]
    header = [two_lines(escape(slide), str(mitoses[slide])) for slide in shown]
    ends = (f"mean of {len(large)}", "worst") if len(large) > 1 else ()
    return "\n\n".join([SLIDES.format(many=MANY), table(("#", "combination", "F1", *header, *ends), lines)])


def _mean_and_worst(f1: Mapping[str, float | None], large: Sequence[str]) -> Iterator[str]:
    """Yields the mean F1 of some slides, and the lowest with its slide; nothing for fewer than two slides."""
    known = {slide: value for slide in large if (value := f1.get(slide)) is not None}
    if len(large) > 1:
        yield number(statistics.fmean(known.values()) if len(known) == len(large) else None)
        worst = min(known, key=lambda slide: (known[slide], slide), default=None)
        yield f"{number(known[worst])} ({escape(worst)})" if worst is not None else "–"


def _domains(section: Section) -> str:
    """A table for each domain with several values: F1 of the best rows on each value, their mean, and the worst."""
    parts = [DOMAINS]
    for kind, values in domains_of(section).items():
        lines = [
            [
                str(rank or "–"),
                escape(row.title, SENTENCE),
                number(row.mean("f1")),
                *(number(row.domain_mean(kind, value)) for value in values),
                number(row.macro_f1(kind)),
                worst_cell(row, kind),
                number(row.fp_per_mm2(kind, row.worst(kind)), 2),
            ]
            for rank, row in section.ranked()
            if row.good
        ][:MAX_ROWS]
        header = ("#", "combination", "F1", *map(escape, values), f"mean of {plural(kind)}", "worst", "its FP/mm2")
        parts += [f"### By {kind}", table(header, lines)]
    return "\n\n".join(parts) if len(parts) > 1 else ""


def _annotators(section: Section) -> str:
    """A table of what the annotations say about errors: false positives on imposters, and F1 without contested."""
    lines = [
        [
            str(rank or "–"),
            escape(row.title, SENTENCE),
            number(row.mean("f1")),
            number(row.annotators_mean("f1")),
            number(row.f1_off_imposters),
            number(row.annotators_mean("fp_on_imposters"), 1),
            number(row.annotators_mean("fp_elsewhere"), 1),
        ]
        for rank, row in section.ranked()
        if row.good and any(record.test and record.test.annotators for record in row.good)
    ][:MAX_ROWS]
    header = (
        "#",
        "combination",
        "F1",
        "F1 without contested",
        "F1 without FP on imposters",
        "FP on imposters",
        "other FP",
    )
    return "\n\n".join([ANNOTATORS, table(header, lines)]) if lines else ""


def _case_counts(section: Section) -> str:
    """A table of how well the best rows count, over cases, and what a reader must know of it."""
    found = [(rank, row, counts) for rank, row in section.ranked() if (counts := case_counts.of_row(row))][:MAX_ROWS]
    lines = [
        [
            str(rank or "–"),
            escape(row.title, SENTENCE),
            str(counts.n_cases),
            case_counts.per_mm2(counts.detected_per_mm2),
            case_counts.per_mm2(counts.annotated_per_mm2),
            case_counts.signed(counts.bias),
            case_counts.limits(counts),
            case_counts.icc(counts),
            case_counts.same_side(counts) or "–",
        ]
        for rank, row, counts in found
    ]
    header = ("#", "combination", "cases", "detected/mm2", "annotated/mm2", "bias", "limits of agreement", "ICC")
    parts = [CASE_COUNTS, table((*header, "same side"), lines), bullets(case_counts.caveats(section))]
    return "\n\n".join(part for part in parts if part) if lines else ""


def _effects(effects: Sequence[Effect], references: Mapping[str, str]) -> str:
    if not effects:
        return ""
    lines = [
        [effect.role, escape(effect.plugin), escape(effect.against), gain(effect), str(effect.n_pairs)]
        for effect in effects
    ]
    capped = [
        f"{role}: more than {MAX_COMPARED} plugins, so each is compared only with {name}, which is in most rows."
        for role, name in references.items()
    ]
    header = ("role", "plugin", "compared with", "F1 [95 %]", "pairs")
    return "\n\n".join(part for part in (EFFECTS, table(header, lines), bullets(capped)) if part)


def _published(methods: Sequence[Method], notes: Sequence[str]) -> str:
    if not methods:
        return ""
    sources = Footnotes()
    parts = (PUBLISHED, bullets(notes), published_table(methods, sources), "Sources:", sources.listed())
    return "\n\n".join(part for part in parts if part)


def published_table(methods: Sequence[Method], sources: Footnotes) -> str:
    """Returns a table of published numbers, by F1, and adds their sources to the footnotes."""
    lines = [_published_cells(method, sources) for method in sorted(methods, key=lambda method: -method.f1)]
    return table(("method", "P", "R", "F1", "s/frame", "hits", "note", "source"), lines)


def _published_cells(method: Method, sources: Footnotes) -> Iterator[str]:
    yield escape(method.name)
    yield from map(number, (method.precision, method.recall, method.f1))
    yield number(method.seconds_a_frame, 2)
    yield escape(method.hits)
    yield escape(method.note, SENTENCE)
    yield sources.numbers([method.source])


def plural(kind: str) -> str:
    """Returns the plural of a kind of domain; `species` is one."""
    return kind if kind.endswith("s") else f"{kind}s"

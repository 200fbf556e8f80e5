"""LEADERBOARD.md: the best combinations of each section beside published numbers, short enough for a screen.

All rows, with precision, recall and links to the records, are in the page of each section (`section_page.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from mitobench.errors import counted
from mitobench.published import Method
from mitobench.report.description import profile, trained_on
from mitobench.report.footnotes import Footnotes
from mitobench.report.markdown import (
    SENTENCE,
    bullets,
    escape,
    measured,
    number,
    rank_cell,
    score_cell,
    split_note,
    table,
    two_lines,
    worst_domain_cell,
)
from mitobench.report.published_page import PAGE as ELSEWHERE
from mitobench.report.published_page import elsewhere
from mitobench.report.row import LeaderboardRow
from mitobench.report.section_page import MADE_BY, SECTIONS
from mitobench.report.summary import answers
from mitobench.report.table import Section
from mitobench.results.current_names import current_overrides

MAX_COMBINATIONS = 10
MAX_PUBLISHED = 4
MAX_OPTIONS_TEXT = 100  # characters

INTRODUCTION = """\
How well combinations of detectors and verifiers find mitoses on test frames, at the threshold chosen on validation.
The [interactive page](index.html) has the same rows with plots (download it, and open it in a browser).

- **F1** is the mean over seeds, above its 95 % interval over test slides. **Detector alone**: F1 before verification.
- **Ranks**: those that the row could have on other slides. Rows marked ≈ cannot be distinguished from the best.
- Below a combination: its profile, its training data, and how many variants of it (other options, profile, training
  data or version of the code) there are, of which the best is shown.
- Rows in *italics* are published numbers, neither measured nor ranked here. Unless a note says otherwise, their F1 uses
  the best threshold on the test frames."""

WORST = "worst<br>domain"
HEADER = (
    "#<br><sub>ranks</sub>",
    "combination",
    "F1<br><sub>95 %</sub>",
    "detector<br>alone",
    "AP",
    WORST,
    "s/frame",
    "seeds",
    "notes",
)


def leaderboard(sections: Sequence[Section], records: str = "records") -> str:
    """The whole page; `records` is the path of the folder of records, relative to the page."""
    parts = ["# Leaderboard", INTRODUCTION if sections else "There are no records yet."]
    parts += [part for section in sections for part in _section(section)]
    if sections and elsewhere(sections):
        parts.append(f"[Published for other data sets and protocols]({SECTIONS}/{ELSEWHERE}), not measured here.")
    parts.append(f"{MADE_BY} Its numbers come from [the records]({quote(records)}).")
    return "\n\n".join(part for part in parts if part) + "\n"


@dataclass(frozen=True)
class _Combination:
    """The best row of a combination, with its rank and the number of other variants of it."""

    rank: int | None
    row: LeaderboardRow
    n_others: int


def _section(section: Section) -> Iterator[str]:
    combinations, notes = _combinations(section), Footnotes()
    shown, published = combinations[:MAX_COMBINATIONS], _best_published(section)
    yield f"## {escape(section.title, SENTENCE)}"
    answered = [f"**{answer.lead}** {escape(answer.text, SENTENCE)}" for answer in answers(section)]
    yield "".join(answered[:1])
    yield " ".join([measured(section), *answered[1:]])
    columns = [n for n, name in enumerate(HEADER) if name != WORST or any(row.worst_domain for row in section.rows)]
    lines = _lines(section, shown, published, notes)
    yield table([HEADER[n] for n in columns], ([line[n] for n in columns] for line in lines))
    yield _folded_notes(section, notes)
    yield _more(section, len(combinations), len(published))


def _combinations(section: Section) -> list[_Combination]:
    """The combinations of a section in the order of their best rows; the variants of one are folded."""
    folded: dict[str | int, list[tuple[int | None, LeaderboardRow]]] = {}
    for place, (rank, row) in enumerate(section.ranked()):  # rows without a rank stay apart
        folded.setdefault(row.title if row.ranks else place, []).append((rank, row))
    return [_Combination(*rows[0], len(rows) - 1) for rows in folded.values()]


def _best_published(section: Section) -> list[Method]:
    return sorted(section.published, key=lambda method: -method.f1)[:MAX_PUBLISHED]


def _lines(
    section: Section, combinations: Sequence[_Combination], published: Sequence[Method], notes: Footnotes
) -> list[list[str]]:
    """The lines of measured and published rows together, by F1; rows without a rank come last."""
    ranked = [shown for shown in combinations if shown.rank is not None]
    unranked = [shown for shown in combinations if shown.rank is None]
    ordered: list[_Combination | Method] = sorted([*ranked, *published], key=_lowest_f1_last)
    return [
        _published(entry, notes) if isinstance(entry, Method) else _measured(section, entry, notes)
        for entry in [*ordered, *unranked]
    ]


def _lowest_f1_last(entry: _Combination | Method) -> float:
    return -entry.f1 if isinstance(entry, Method) else -(entry.row.mean("f1") or 0.0)


def _measured(section: Section, shown: _Combination, notes: Footnotes) -> list[str]:
    row = shown.row
    return [
        rank_cell(section, row, shown.rank),
        two_lines(escape(row.title, SENTENCE), escape(_description(shown), SENTENCE)),
        score_cell(row),
        number(row.mean("f1", "detector_alone")),
        number(row.mean("average_precision")),
        worst_domain_cell(row),
        number(row.seconds_a_frame, 2),
        _seeds(row),
        notes.numbers(section.remarks(row)),
    ]


def _folded_notes(section: Section, notes: Footnotes) -> str:
    listed = "\n\n".join(filter(None, [bullets([*section.notes, *split_note(section)]), notes.listed()]))
    return f"<details><summary>Notes</summary>\n\n{listed}\n\n</details>" if listed else ""


def _seeds(row: LeaderboardRow) -> str:
    """The number of seeds with scores, and of how many: `3`, `1 of 3`, `2, 1 FAILED`."""
    expected = f" of {len(set(row.expected))}" if row.missing else ""
    failed = f", {len(row.failed)} FAILED" if row.failed else ""
    return f"{len(row.seeds)}{expected}{failed}"


def _description(shown: _Combination) -> str:
    """What a row is: `profile modern, MITOS 2012, 3 variants`. Many options are counted; its section lists them."""
    options = profile(shown.row)
    if len(options) > MAX_OPTIONS_TEXT:
        options = f"{shown.row.first.profile} with {counted(len(current_overrides(shown.row.first)), 'option')} set"
    parts = [f"profile {options}", trained_on(shown.row)]
    parts += [f"{shown.n_others + 1} variants"] if shown.n_others else []
    return ", ".join(parts)


def _published(method: Method, notes: Footnotes) -> list[str]:
    remarks = [*filter(None, [method.note]), f"hits: {method.hits}"]
    name = f"*{escape(method.name)}* (published)"
    seconds = number(method.seconds_a_frame, 2) if method.seconds_a_frame else ""
    return ["", name, number(method.f1), "", "", "", seconds, "", notes.numbers(remarks)]


def _more(section: Section, n_combinations: int, n_published: int) -> str:
    n_rows = len(section.rows)
    best = (
        f"The best {MAX_COMBINATIONS} of {n_combinations} combinations. " if n_combinations > MAX_COMBINATIONS else ""
    )
    n_failed = sum(len(row.failed) for row in section.rows)
    failed = f"{counted(n_failed, 'run')} FAILED. " if n_failed else ""
    rows = f"All {n_rows} rows" if n_rows > 1 else "The row"
    published = ", published numbers and sources" if n_published else ""
    target = f"{SECTIONS}/{quote(section.name)}.md"
    return f"{best}{failed}[{rows}, records, what each part adds{published}]({target})"

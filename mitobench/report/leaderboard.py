"""LEADERBOARD.md: of each section the rows that were measured, what each part adds, and what others have published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote

from mitobench.published import Method
from mitobench.report.effects import MOST, Effect
from mitobench.report.markdown import (
    MARK,
    SENTENCE,
    bullets,
    escape,
    f1,
    gain,
    measured,
    number,
    plugin,
    rank_range,
    status,
    table,
)
from mitobench.report.row import ROLES, Row, seed_of
from mitobench.report.table import Section
from mitobench.results.current_names import current_overrides

EXPLANATION = """\
`F1` is at the threshold chosen on validation and ranks the rows; its brackets are the 95 % interval over test slides or
frames. Of several seeds it is the mean, the brackets are those of their counts summed, and least and greatest
over seeds stand with the seeds. `oracle F1` is the best over thresholds on the test frames themselves, shown because
published numbers use it, and ranks nothing. `detector alone` is the same run before verification and fusion, at a
threshold of its own from validation.

`rank range` is the ranks that a row may have on other slides: all rows are compared in pairs on the same slides, with
Holm's correction for the number of rows. Rows with ≈ cannot be told from the best by it. `0 1 of 3`: this row lacks
seeds that others have. FAILED: a seed that came to nothing, and is in no mean."""

EFFECTS = """\
### What each part adds

Rows that are alike but for one part, in pairs, each pair on the same frames and the seeds that both have. The mean
difference of F1 over the pairs, with its 95 % paired interval: the noise of these test frames, not of other
data; ≈ where it holds 0. Against `none`, a verifier adds what it and its fuser add together."""

PUBLISHED = """\
### Published, not measured here

F1 is the best over thresholds on the frames it is of, unless the note says otherwise: it is to be read against
`oracle F1`."""

MEASURED = ("P", "R", "F1 [95 %]", "F1 detector alone", "oracle F1", "AP", "s/frame", "seeds (spread)", "record")

# What describes a row beside its parts: a column only where rows differ.
DESCRIBED: dict[str, Callable[[Section, Row], str]] = {
    "trained on": lambda _, row: ", ".join(row.first.combination["train_on"]),
    "profile": lambda _, row: ", ".join([row.first.profile, *current_overrides(row.first)]),
    "split": lambda section, row: "{0.name}: {0.note}".format(row.first.data[section.dataset].split),
    "note": lambda section, row: "; ".join(section.remarks(row)),
}


def leaderboard(sections: Sequence[Section], records: str = "records") -> str:
    """The whole page; `records` is the folder of records as the page sees it."""
    parts = ["# Leaderboard", "Made by `mitobench leaderboard build` from the records beside it; not to be edited."]
    parts.append(EXPLANATION if sections else "There is no record yet.")
    parts += [part for section in sections for part in _section(section, records)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section, records: str) -> Iterator[str]:
    described = {name: [cell(section, row) for row in section.rows] for name, cell in DESCRIBED.items()}
    shared = {name: cells[0] for name, cells in described.items() if len(set(cells)) == 1}
    yield f"## {escape(section.title, SENTENCE)}"
    yield measured(section)
    yield bullets([*section.notes, *(f"{name} {said}" for name, said in shared.items() if said)])
    yield _rows(section, [name for name in DESCRIBED if name not in shared], records)
    yield _failures(section)
    yield _effects(section.effects, section.references)
    yield _published(section.published, section.published_notes)


def _rows(section: Section, described: Sequence[str], records: str) -> str:
    lines = [
        [
            f"{rank or '–'}{f' {MARK}' if row in section.marked else ''}",
            rank_range(section.rank_range(row)),
            *(escape(plugin(row.first, role)) for role in ROLES),
            *(escape(DESCRIBED[name](section, row), SENTENCE) for name in described),
            *_measured(section, row, records),
        ]
        for rank, row in section.ranked()
    ]
    return table(["#", "rank range", *ROLES, *described, *MEASURED], lines)


def _measured(section: Section, row: Row, records: str) -> list[str]:
    links = [f"[s{seed_of(record)}]({records}/{quote(section.file(record))})" for record in row.records]
    return [
        number(row.mean("precision")),
        number(row.mean("recall")),
        f1(row) if row.good else "FAILED",
        number(row.mean("f1", "detector_alone")),
        number(row.mean("oracle_f1")),
        number(row.mean("average_precision")),
        number(row.seconds_a_frame, 2),
        status(row),
        " ".join(links),
    ]


def _failures(section: Section) -> str:
    failed = [(row, record) for row in section.rows for record in row.failed]
    if not failed:
        return ""
    return "FAILED:\n\n" + bullets(f"{row.title}, seed {seed_of(record)}: {record.reason}" for row, record in failed)


def _effects(effects: Sequence[Effect], references: Mapping[str, str]) -> str:
    if not effects:
        return ""
    lines = [
        [
            effect.role,
            escape(effect.plugin),
            escape(effect.against),
            gain(effect),
            str(effect.n_pairs),
        ]
        for effect in effects
    ]
    capped = [
        f"{role}: more than {MOST} plugins, so each is set against {name} only, which is in most rows."
        for role, name in references.items()
    ]
    header = ("role", "plugin", "against", "F1 [95 %]", "pairs")
    return "\n\n".join(part for part in (EFFECTS, table(header, lines), bullets(capped)) if part)


def _published(methods: Sequence[Method], notes: Sequence[str]) -> str:
    if not methods:
        return ""
    methods = sorted(methods, key=lambda method: -method.f1)
    sources = list(dict.fromkeys(method.source for method in methods))
    lines = [
        [
            escape(method.name),
            number(method.precision),
            number(method.recall),
            number(method.f1),
            number(method.seconds_a_frame, 2),
            escape(method.note, SENTENCE),
            str(sources.index(method.source) + 1),
        ]
        for method in methods
    ]
    header = ("published", "P", "R", "F1", "s/frame", "note", "source")
    cited = "\n".join(f"{place}. {escape(source, SENTENCE)}" for place, source in enumerate(sources, 1))
    return "\n\n".join(part for part in (PUBLISHED, bullets(notes), table(header, lines), "Sources:", cited) if part)

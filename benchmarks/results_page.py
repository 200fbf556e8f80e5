"""Writes the tables of results in README.md and docs/results.md from the records of the leaderboard.

    python benchmarks/results_page.py            writes both
    python benchmarks/results_page.py --check    exit code 1 if one of them is not up to date

A table is between `<!-- results: KIND SECTION ... -->` and `<!-- end of results -->`; the text around it is written by
hand. Kinds: `words SECTION`, the best row in sentences; `rows SECTION N`, the best row of each detector with each
verifier, N of them at most; `short SECTION N`, the same in fewer columns, with what `mitobench leaderboard recommend`
answers; `noise SECTION`, which parts are better beyond noise and which cannot be distinguished; `parts SECTION`, what
each part adds; `cost SECTION`, the rows that no faster row beats; `unknown SECTION`, what the rows cannot say;
`recommend SECTION`, the whole answer.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from mitobench.cli.recommend import lines
from mitobench.errors import counted
from mitobench.evaluate.case_counts import CaseCounts
from mitobench.report import case_counts
from mitobench.report.build import read_sections
from mitobench.report.description import profile, trained_on
from mitobench.report.effects import Effect
from mitobench.report.markdown import brackets, gain, number, rank_range, signed, table
from mitobench.report.pairs import holds_zero
from mitobench.report.recommend import recommend
from mitobench.report.row import LeaderboardRow
from mitobench.report.section_page import MANY
from mitobench.report.table import Section, title_of

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
RECORDS = ROOT / "leaderboard" / "records"
BLOCK = re.compile(r"(<!-- results: (?P<what>[^>]+?) -->\n).*?(<!-- end of results -->)", re.DOTALL)
MARGIN = 0.02  # of `mitobench leaderboard recommend`


def main() -> None:
    """Writes or checks both pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    sections = {section.name: section for section in read_sections(RECORDS)}
    old = []
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = with_results(before, sections)
        if after != before:
            old.append(page)
            if not arguments.check:
                page.write_text(after, encoding="utf-8")
    for page in old if arguments.check else ():
        print(f"{page}: its tables are not those of the records. Run python benchmarks/results_page.py")
    sys.exit(1 if old and arguments.check else 0)


def with_results(text: str, sections: Mapping[str, Section]) -> str:
    """Returns a page with its tables made again. Raises SystemExit for a kind or a section that does not exist."""

    def made(block: re.Match[str]) -> str:
        kind, name, *numbers = block["what"].split()
        if kind not in KINDS or name not in sections:
            raise SystemExit(f"results: {block['what']}: choose among {', '.join(KINDS)} and {', '.join(sections)}")
        return f"{block[1]}{KINDS[kind](sections[name], *map(int, numbers))}\n{block[3]}"

    return BLOCK.sub(made, text)


def words(section: Section) -> str:
    """The best row in sentences, for readers who do not know its measures."""
    return _listed(_sentences(section, section.best) if section.best else ["No row has a score."])


def _sentences(section: Section, row: LeaderboardRow) -> Iterator[str]:
    recall, precision = (round(100 * (row.mean(name) or 0)) for name in ("recall", "precision"))
    seeds = "one seed" if len(row.seeds) == 1 else f"mean of {len(row.seeds)} seeds"
    yield (
        f"The best row is {row.title}, trained on {trained_on(row)}: F1 {number(row.mean('f1'))} "
        f"{brackets(row.interval).strip()}, {seeds}."
    )
    yield (
        f"Of 100 mitoses that the annotators marked, it finds {recall}. Of 100 cells that it marks, {precision} "
        "are among theirs."
    )
    slides = {slide: f1 for slide, f1 in row.f1_by_slide.items() if f1 is not None}
    if len(slides) > 1:
        worst, best = (choose(slides, key=lambda slide: (slides[slide], slide)) for choose in (min, max))
        lowest, highest = (
            f"{number(slides[slide])} on slide {slide} ({counted(row.mitoses_by_slide[slide], 'mitosis', 'mitoses')})"
            for slide in (worst, best)
        )
        few = any(row.mitoses_by_slide[slide] < MANY for slide in (worst, best))
        little = f" A slide with fewer than {MANY} mitoses says little." if few else ""
        yield f"By slide, F1 is from {lowest} to {highest}.{little}"
    counts = case_counts.of_row(row)
    if counts:
        yield _count(counts, len(row.good) > 1)
    yield from _other_code(section, row)


def _count(counts: CaseCounts, means: bool) -> str:
    """How well a row counts; `means`: the numbers are means of several seeds."""
    detected, annotated = (case_counts.per_mm2(one) for one in (counts.detected_per_mm2, counts.annotated_per_mm2))
    cases = counted(counts.n_cases, "case")
    said = f"It counts {detected} mitoses per mm2 where the annotators counted {annotated} (mean of {cases})."
    low, high = counts.lower_limit, counts.upper_limit
    if low is not None and high is not None:
        said += (
            f" For 95 of 100 cases like these, its count would differ by {case_counts.limits(counts)} per mm2 (limits "
            "of agreement)."
        )
    same = case_counts.same_side(counts)
    of_seeds = " (mean of the seeds)" if means else ""
    return f"{said} On the annotators' side of the cut-offs of grading: {same} cases{of_seeds}." if same else said


def _other_code(section: Section, row: LeaderboardRow) -> Iterator[str]:
    """Yields that the same method has other rows, measured with other versions of its code."""
    others = [other for rank, other in section.ranked() if rank is not None and other is not row and _same(row, other)]
    for other in others:
        seeds = f"seed{'s' if len(other.seeds) > 1 else ''} {', '.join(map(str, other.seeds))}"
        f1 = number(other.mean("f1"))
        with_code = "measured with other versions of its code or packages, or on another device"
        yield f"The same method has another row, {with_code}: F1 {f1}, {seeds}."


def _same(row: LeaderboardRow, other: LeaderboardRow) -> bool:
    """Returns whether two rows are one method by all that a user chooses, but for the seed."""
    first, second = (
        one.first.model_copy(update={"combination": {**one.first.combination, "seed": None}}) for one in (row, other)
    )
    return first.identity == second.identity


def noise(section: Section) -> str:
    """Which parts are better beyond noise, and how many comparisons are undecided, by role."""
    lines = []
    for role, found in groupby(section.effects, key=lambda one: one.role):
        effects = list(found)
        clear = [one for one in effects if not one.in_noise]
        lines.append(
            f"**{role}s**: {'; '.join(_better(clear)) or 'none'}. Undecided: {len(effects) - len(clear)} of "
            f"{counted(len(effects), 'comparison')}."
        )
    if not lines:
        return "No two rows differ in one part only."
    by_chance = f"Of {counted(len(section.effects), 'comparison')}, one in twenty would be clear by chance alone."
    return _listed([*lines, by_chance])


def _better(clear: Sequence[Effect]) -> Iterator[str]:
    """Yields a clause for each plugin that is better than others, with the differences in F1."""
    for name, found in groupby(sorted(clear, key=lambda one: one.plugin), key=lambda one: one.plugin):
        others = ", ".join(
            f"{_short(one.against)} ({signed(one.delta)}, {counted(one.n_pairs, 'pair')})" for one in found
        )
        yield f"{_short(name)} is better than {others}"


def _short(name: str) -> str:
    """The name of a plugin without the options that make it a variant: the table of parts has them."""
    return name.partition(" (")[0]


def cost(section: Section) -> str:
    """The rows that no faster row beats: those that are worth their time, from the fastest on."""
    timed = [row for rank, row in section.ranked() if rank is not None and row.seconds_a_frame]
    best = 0.0
    cells = []
    for row in sorted(timed, key=lambda row: (row.seconds_a_frame or 0.0, -(row.mean("f1") or 0.0))):
        f1 = row.mean("f1") or 0.0
        if f1 > best:
            best = f1
            scores = _scores(row)
            cells.append(
                [number(row.seconds_a_frame, 2), f"{row.title}{_also(section, row)}", _profile(row), scores[2]]
            )
    return table(("s/frame", "row", "profile", "F1 [95 %]"), cells)


def unknown(section: Section) -> str:
    """What the rows of a section cannot say, in numbers."""
    rows = [row for rank, row in section.ranked() if rank is not None]
    others = [row for row in rows if row is not section.best]
    alone = [row for row in others if section.difference(row) is None]
    tied = sum(section.tied(row) for row in others)
    single = sum(len(row.seeds) == 1 for row in rows)
    spreads = [spread[1] - spread[0] for row in rows if (spread := row.spread("f1"))]
    metrics = section.metrics
    assert metrics is not None
    apart = (
        f" Where there are several seeds, F1 differs by up to {number(max(spreads))} between them." if spreads else ""
    )
    return _listed(
        [
            f"{counted(metrics.n_groups, 'slide')}, {counted(metrics.n_mitoses, 'mitosis', 'mitoses')}. Of the other "
            f"{counted(len(others), 'row')}, {tied} cannot be distinguished from the best, {len(alone)} cannot be "
            f"compared with it, and {len(others) - tied - len(alone)} are worse.",
            *([_alone(section, rows)] if len(others) > len(alone) else []),
            f"Rows with one seed: {single} of {len(rows)}.{apart}",
            *case_counts.caveats(section, table=False),
        ]
    )


def _alone(section: Section, rows: Sequence[LeaderboardRow]) -> str:
    """How many rows are worse than the best by one comparison each, and why that is not said of them."""
    compared = [difference for row in rows if (difference := section.difference(row))]
    worse = sum(one.high < 0 and not holds_zero(one) for one in compared)
    return (
        f"This allows for every row being compared with {counted(len(rows) - 1, 'other')}. By single comparisons with "
        f"the best, {worse} of {len(compared)} would count as worse: too many, as the best row was chosen by its F1. "
        "Rows that cannot be distinguished, marked ≈ on the leaderboard, need not be equally good."
    )


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def best_rows(section: Section, most: int) -> list[LeaderboardRow]:
    """Returns the best row of each detector with each verifier, the best first."""
    found: dict[tuple[str, str], LeaderboardRow] = {}
    for rank, row in section.ranked():
        names = row.first.combination
        if rank is not None:
            found.setdefault((names["detector"], names["verifier"]), row)
    return list(found.values())[:most]


def short(section: Section, most: int) -> str:
    """The table of README, and below it what is recommended, in a sentence."""
    header = ("estimator + detector + verifier + fuser", "seeds", "P", "R", "F1 [95 %]", "oracle F1")
    cells = [
        [f"{row.title}{_also(section, row)}", str(len(row.seeds)), *_scores(row)[:-1]]
        for row in best_rows(section, most)
    ]
    asked = f"`mitobench leaderboard recommend` (the fastest row at most {MARGIN:g} below the best)"
    answer = [line.strip() for line in lines(section, recommend(section, MARGIN), MARGIN)][:3][-1]
    return f"{table(header, cells)}\n\n{asked}: {answer}"


def _also(section: Section, row: LeaderboardRow) -> str:
    """Says which other data sets a row was trained on."""
    names = [title_of(row.first, name) for name in row.first.combination["train_on"] if name != section.dataset]
    return f", also trained on {' and '.join(names)}" if names else ""


def rows(section: Section, most: int) -> str:
    """The table of docs/results.md."""
    cells = [
        [
            f"{row.title}, trained on {trained_on(row)}",
            rank_range(section.rank_range(row)),
            _profile(row),
            _seeds(row),
            *_scores(row),
            number(row.seconds_a_frame, 2),
        ]
        for row in best_rows(section, most)
    ]
    header = ("row", "ranks", "profile", "seeds", "P", "R", "F1 [95 %]", "oracle F1", "AP", "s/frame")
    return table(header, cells)


def _profile(row: LeaderboardRow) -> str:
    """The profile of a row, with the option that was set by hand, or with their number."""
    number_set = len(row.first.overrides)
    return profile(row) if number_set < 2 else f"{row.first.profile} with {number_set} options set"


def _scores(row: LeaderboardRow) -> list[str]:
    f1 = f"**{number(row.mean('f1'))}** {brackets(row.interval).strip()}"
    means = (number(row.mean(name)) for name in ("oracle_f1", "average_precision"))
    return [number(row.mean("precision")), number(row.mean("recall")), f1, *means]


def _seeds(row: LeaderboardRow) -> str:
    spread = row.spread("f1")
    return f"{len(row.seeds)} ({number(spread[0])} to {number(spread[1])})" if spread else str(len(row.seeds))


def parts(section: Section) -> str:
    """What each part adds, with its interval."""
    cells = [[one.role, one.plugin, one.against, gain(one), str(one.n_pairs)] for one in section.effects]
    return table(("role", "plugin", "compared with", "F1 [95 %]", "pairs"), cells)


def recommended(section: Section) -> str:
    """The answer of `mitobench leaderboard recommend`, as text."""
    return "\n".join(["```text", *lines(section, recommend(section, MARGIN), MARGIN), "```"])


KINDS: Mapping[str, Callable[..., str]] = {
    "words": words,
    "noise": noise,
    "cost": cost,
    "unknown": unknown,
    "short": short,
    "rows": rows,
    "parts": parts,
    "recommend": recommended,
}


if __name__ == "__main__":
    main()

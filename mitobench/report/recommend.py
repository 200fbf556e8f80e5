"""The cheapest row of a section that is not worse than the best by more than a margin, or why that is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mitobench.report.pairs import Paired, paired
from mitobench.report.row import Row
from mitobench.report.table import Section

MARGIN = 0.02
ROUNDING = 1e-9

Verdict = Literal["not worse", "worse", "undecided"]


@dataclass(frozen=True)
class Candidate:
    """A ranked row beside the best.

    Attributes:
        row: the row.
        rank: of it, from 1.
        verdict: `not worse`: the best is ahead by the margin at most, by the upper end of the interval of their
            difference. `worse`: by more than the margin, by its lower end. `undecided`: neither is known.
        lead: F1 of the best less that of the row; None for the best itself, and where the two cannot be compared.
    """

    row: Row
    rank: int
    verdict: Verdict
    lead: Paired | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds a frame, mean over seeds."""
        return self.row.seconds_a_frame


@dataclass(frozen=True)
class Recommendation:
    """What the data say of a section.

    Attributes:
        chosen: the row to use; None where the data cannot decide.
        best: the row of rank 1; None where no row is ranked.
        undecided: cheaper rows than `chosen`, or than the best, that may be not worse: more slides would say.
        as_cheap: rows that are not worse and cost the same as `chosen`, of an F1 that is no higher.
        untimed: ranked rows without seconds a frame, which may be cheaper.
        devices: on which seconds were measured, where there are several.
    """

    chosen: Candidate | None
    best: Candidate | None
    undecided: Sequence[Candidate] = ()
    as_cheap: Sequence[Candidate] = ()
    untimed: Sequence[Candidate] = ()
    devices: Sequence[str] = ()


def recommend(section: Section, margin: float = MARGIN) -> Recommendation:
    """Choose a row by seconds a frame among those that are not worse than the best by more than `margin` of F1.

    The best may always be chosen, but where a cheaper row might do as well and no cheaper one is known to, the data
    cannot decide. Of rows that cost the same the one with the higher F1 is chosen.
    """
    if section.best is None:
        return Recommendation(None, None)
    ranked = [_candidate(section.best, row, rank, margin) for rank, row in section.ranked() if rank is not None]
    best, timed = ranked[0], [one for one in ranked if one.seconds is not None]
    chosen = min((one for one in timed if one.verdict == "not worse"), key=_cost, default=None)
    undecided = [
        one for one in timed if one.verdict == "undecided" and (chosen is None or _cost(one)[0] < _cost(chosen)[0])
    ]
    if chosen is best and undecided:
        chosen = None
    as_cheap = [one for one in timed if chosen and one.verdict == "not worse" and one.seconds == chosen.seconds]
    devices = sorted({record.device for one in timed for record in one.row.good})
    return Recommendation(
        chosen,
        best,
        undecided,
        [one for one in as_cheap if one is not chosen],
        [one for one in ranked if one.seconds is None],
        devices if len(devices) > 1 else (),
    )


def _candidate(best: Row, row: Row, rank: int, margin: float) -> Candidate:
    lead = None if row is best else paired([(best, row)])
    if row is best:
        return Candidate(row, rank, "not worse")
    if lead is None or lead.interval is None:
        return Candidate(row, rank, "undecided", lead)
    verdict: Verdict = "undecided"
    if lead.interval.high <= margin + ROUNDING:
        verdict = "not worse"
    elif lead.interval.low > margin + ROUNDING:
        verdict = "worse"
    return Candidate(row, rank, verdict, lead)


def _cost(candidate: Candidate) -> tuple[float, int]:
    return candidate.seconds or 0.0, candidate.rank

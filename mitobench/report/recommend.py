"""Finds the cheapest row of a section whose F1 is within a margin of the best, or why that cannot be decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mitobench.report.pairs import PairedDifference
from mitobench.report.row import LeaderboardRow
from mitobench.report.table import Section

MARGIN = 0.02
ROUNDING = 1e-9

Verdict = Literal["not worse", "worse", "undecided"]


@dataclass(frozen=True)
class Candidate:
    """A ranked row compared with the best.

    Attributes:
        row: the row.
        rank: its rank, from 1.
        verdict: `not worse`: the upper end of the interval of the lead is at most the margin. `worse`: its lower end is
            above the margin. `undecided`: neither.
        lead: F1 of the best minus that of the row; None for the best itself, and where the two cannot be compared.
    """

    row: LeaderboardRow
    rank: int
    verdict: Verdict
    lead: PairedDifference | None = None

    @property
    def seconds(self) -> float | None:
        """Seconds per frame, mean over seeds."""
        return self.row.seconds_a_frame


@dataclass(frozen=True)
class Recommendation:
    """The recommendation for a section.

    Attributes:
        chosen: the row to use; None where the data cannot decide.
        best: the row of rank 1; None where no row is ranked.
        undecided: rows cheaper than `chosen` (or than the best) that may be as good; more slides would decide.
        as_cheap: rows that are not worse, cost the same as `chosen`, and whose F1 is not higher.
        untimed: ranked rows without seconds per frame, which may be cheaper.
        devices: the devices on which seconds were measured, where there are several.
    """

    chosen: Candidate | None
    best: Candidate | None
    undecided: Sequence[Candidate] = ()
    as_cheap: Sequence[Candidate] = ()
    untimed: Sequence[Candidate] = ()
    devices: Sequence[str] = ()


def recommend(section: Section, margin: float = MARGIN) -> Recommendation:
    """Choose the cheapest row among those whose F1 is known to be within `margin` of the best.

    That may be the best row itself. The data cannot decide where a cheaper row might be within the margin and none is
    known to be. Of rows that cost the same, the one with the higher F1 is chosen.
    """
    if section.best is None:
        return Recommendation(None, None)
    ranked = [_candidate(section, row, rank, margin) for rank, row in section.ranked() if rank is not None]
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


def _candidate(section: Section, row: LeaderboardRow, rank: int, margin: float) -> Candidate:
    if row is section.best:
        return Candidate(row, rank, "not worse")
    lead = section.lead_of_best(row)
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

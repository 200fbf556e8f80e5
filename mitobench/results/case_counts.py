"""How well a record counts: with the cut-offs that it was made with, or those of the card for older records."""

from __future__ import annotations

from mitobench import registry
from mitobench.datasets.card import Card
from mitobench.datasets.dataset import POSITIVES_ONLY
from mitobench.errors import MitobenchError
from mitobench.evaluate import FrameEntry
from mitobench.evaluate.case_counts import CaseCount, CaseCounts, CutOffs, case_counts, cases
from mitobench.evaluate.metrics import FrameCounts
from mitobench.results.schema import Record


def recorded_cut_offs(record: Record) -> CutOffs | None:
    """Returns the cut-offs that the test frames were scored with, by tumour type; None in records from before them."""
    spec = record.specs.get(record.stages.get("evaluation", ""))
    return None if spec is None else spec["settings"].get("cut_offs")


def case_counts_of(record: Record) -> CaseCounts | None:
    """Returns the comparison of counts in a record; computed from its frames if it is from before this comparison.

    None if it has no counts, or if the area of a frame is unknown.
    """
    if record.test is None or record.frames is None:
        return None
    if record.test.cases is not None:
        return record.test.cases
    frames, counts = _described(record)
    if not all(frame.area_mm2 for frame in frames):
        return None
    return case_counts(frames, counts, _card_cut_offs(record.combination["dataset"]))


def cases_of(record: Record) -> list[CaseCount]:
    """Returns the detected and annotated mitoses per mm2 of each case of a record; none as in `case_counts_of`."""
    return cases(*_described(record))


def _described(record: Record) -> tuple[list[FrameEntry], list[FrameCounts]]:
    """Returns the scored test frames of a record and the counts of each."""
    if record.test is None or record.frames is None:
        return [], []
    entries = {frame.frame: frame for frame in record.frames.test}
    counts = [count for count in record.test.frames if count.frame in entries]
    return [entries[count.frame] for count in counts], counts


def lacks_frames_without_mitoses(record: Record) -> bool:
    """Whether the copy of the tested data set had only frames with mitoses, so that both counts are too high."""
    return POSITIVES_ONLY in (record.data[record.combination["dataset"]].coverage or "")


def _card_cut_offs(dataset: str) -> CutOffs:
    """Returns the cut-offs on the registry's card of a data set; none if it has no card there."""
    try:
        return Card.load(registry.entry("datasets", dataset)).cut_offs_by_tumour
    except MitobenchError:
        return {}

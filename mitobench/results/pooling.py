"""Pools the records of a protocol's folds: each slide was tested once, so their counts are summed.

Every fold keeps its own threshold, chosen on its own validation frames, so scores of different folds cannot be ranked
together: a pooled record has no curve, no average precision and no oracle F1.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mitobench.datasets import folds
from mitobench.evaluate import FrameCounts, FrameEntry, Metrics
from mitobench.evaluate.agreement import Agreement, summed
from mitobench.evaluate.case_counts import CaseCounts, case_counts
from mitobench.evaluate.domains import area_mm2, by_domain, per_mm2
from mitobench.evaluate.summary import of_counts
from mitobench.pipeline import canonical
from mitobench.results.case_counts import recorded_cut_offs
from mitobench.results.schema import DataEntry, Frames, Record

PARTS = ("train", "val", "test")


def single_domain(protocol: str) -> str | None:
    """Returns the domain of a fold that was trained on one of its values; None for any other protocol."""
    fold = folds.fold_of(protocol)
    return fold[0].removeprefix(folds.SINGLE) if fold and fold[0].startswith(folds.SINGLE) else None


class Pooled(NamedTuple):
    """A record of all folds, and the records that it sums; for any other record, the record itself."""

    record: Record
    members: Sequence[Record]


def pool(records: Iterable[Record]) -> list[Pooled]:
    """Returns the records, with those of folds that test every slide once replaced by one record of all folds.

    The pooled record failed if a fold did, or is missing.
    """
    single: list[Pooled] = []
    series: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        fold = folds.fold_of(record.combination["protocol"])
        if fold and folds.pools(fold[0]):
            series[_series(record)].append(record)
        else:
            single.append(Pooled(record, [record]))
    return [*single, *(pooled for found in series.values() for pooled in _pooled_all(found))]


def _series(record: Record) -> str:
    """Digest of what the folds of one row and seed have in common."""
    base, _, of = folds.fold_of(record.combination["protocol"]) or ("", 0, 0)
    anywhere = {name: record.data[name].model_copy(update={"digest": {}, "frames": {}}) for name in _folded(record)}
    alike = record.model_copy(
        update={
            "combination": {**record.combination, "protocol": f"{base}-of{of}"},
            "data": {**record.data, **anywhere},
        }
    )
    return canonical.digest([alike.series, record.combination["seed"]])


def _folded(record: Record) -> list[str]:
    """Returns the data sets that are split into the record's fold: the one tested on, and others of the same run."""
    return [name for name, entry in record.data.items() if entry.split.protocol == record.combination["protocol"]]


def _pooled_all(records: Sequence[Record]) -> list[Pooled]:
    """Returns a record for each repetition of all folds: usually one."""
    by_fold: defaultdict[int, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.digest):
        by_fold[fold_number(record)].append(record)
    repetitions = max(map(len, by_fold.values()))
    return [
        _pooled({number: found[min(repetition, len(found) - 1)] for number, found in sorted(by_fold.items())})
        for repetition in range(repetitions)
    ]


def fold_number(record: Record) -> int:
    """Returns the number of the fold that a record tests, from 1 on; 0 for any other protocol."""
    return (folds.fold_of(record.combination["protocol"]) or ("", 0, 0))[1]


def _pooled(of_fold: Mapping[int, Record]) -> Pooled:
    records = list(of_fold.values())
    first = records[0]
    base, _, of = folds.fold_of(first.combination["protocol"]) or ("", 0, 0)
    reason = _why_not(of_fold, of)
    pooled = first.model_copy(
        update={
            "status": "failed" if reason else "ok",
            "reason": reason,
            "combination": {**first.combination, "protocol": f"{base}-of{of}"},
            "data": {**first.data, **{name: _data(records, name, f"{base}-of{of}") for name in _folded(first)}},
            "notes": _notes(records, of),
            "frames": None if reason else Frames(val=[], test=[f for r in records if r.frames for f in r.frames.test]),
            "chosen": None,
            "boxes": None,
            "detections": None,
            "validation_detections": None,
            "stages": {},
            "specs": {},
            **{name: None if reason else _metrics(records, name) for name in ("validation", "test", "detector_alone")},
            "run": first.run.model_copy(
                update={
                    name: _mean([getattr(record.run, name) for record in records])
                    for name in ("seconds_a_frame", "seconds_a_candidate")
                }
            ),
            "digest": canonical.digest([record.digest for record in records]),
        }
    )
    return Pooled(pooled, records)


def _why_not(of_fold: Mapping[int, Record], of: int) -> str | None:
    missing = [str(number) for number in range(1, of + 1) if number not in of_fold]
    if missing:
        return f"fold {', '.join(missing)} of {of} has no record here: add it, or run the same command again"
    for number, record in of_fold.items():
        if record.status != "ok":
            return f"fold {number} of {of}: {record.reason}"
    frames = [frame.frame for record in of_fold.values() if record.frames for frame in record.frames.test]
    return "its folds test a frame twice" if len(frames) != len(set(frames)) else None


def _data(records: Sequence[Record], name: str, protocol: str) -> DataEntry:
    """Returns the entry of a data set: the digest of a part is that of its digests in all folds."""
    entries = [record.data[name] for record in records]
    first = entries[0]
    of_folds = [{frame.group for frame in record.test.frames} for record in records if record.test]
    again = len(set().union(*of_folds)) < sum(map(len, of_folds))
    once = (
        "Every frame is tested once at most, and some slides in several folds"
        if again
        else "Every slide is tested once"
    )
    note = f"{once}; counts are summed over folds, intervals are over slides."
    return first.model_copy(
        update={
            "digest": {part: canonical.digest([entry.digest.get(part) for entry in entries]) for part in PARTS},
            "frames": {"test": sum(entry.frames.get("test", 0) for entry in entries)},
            "split": first.split.model_copy(
                update={
                    "name": protocol,
                    "protocol": protocol,
                    "note": note,
                    "digest": canonical.digest([entry.split.digest for entry in entries]),
                    "content": None,
                }
            ),
        }
    )


def _notes(records: Sequence[Record], of: int) -> list[str]:
    notes = dict.fromkeys(note for record in records for note in record.notes)
    return [*notes, f"summed over {of} folds, each at its own threshold from its own validation frames"]


def _metrics(records: Sequence[Record], name: str) -> Metrics | None:
    """Returns the metrics of the summed counts; those over thresholds are undefined, except the recall ceiling."""
    found: list[Metrics] = [getattr(record, name) for record in records]
    if any(metrics is None for metrics in found):
        return None
    first = found[0]
    known = Metrics(
        matcher=first.matcher,
        radius_um=first.radius_um,
        threshold=None,
        unlabelled=all(metrics.unlabelled for metrics in found),
        n_frames=sum(metrics.n_frames for metrics in found),
        n_unlabelled=sum(metrics.n_unlabelled for metrics in found),
        n_groups=len({counts.group for metrics in found for counts in metrics.frames}),
        n_mitoses=sum(metrics.n_mitoses for metrics in found),
        n_detections=None,
        recall_ceiling=_ceiling(found),
    )
    counts = [counts for metrics in found for counts in metrics.frames]
    if any(metrics.threshold is None for metrics in found):  # a fold without a threshold has no counts
        return known
    more = {} if name == "validation" else {**_by_domain(records, counts), "annotators": _annotators(found)}
    if name == "test":
        more["cases"] = _cases(records, counts)
    return known.model_copy(update={**of_counts(counts), **more})


def _cases(records: Sequence[Record], counts: Sequence[FrameCounts]) -> CaseCounts | None:
    """Returns the counts of cases over all folds; None if a fold is from before they were recorded."""
    cut_offs = [recorded_cut_offs(record) for record in records]
    return None if None in cut_offs else case_counts(_frames_of(records, counts), counts, cut_offs[0])


def _by_domain(records: Sequence[Record], counts: Sequence[FrameCounts]) -> dict[str, object]:
    frames = _frames_of(records, counts)
    area = area_mm2(frames)
    return {
        "area_mm2": area,
        "fp_per_mm2": per_mm2(sum(one.fp for one in counts), area),
        "domains": by_domain(frames, counts),
    }


def _frames_of(records: Sequence[Record], counts: Sequence[FrameCounts]) -> list[FrameEntry]:
    """Returns the test frame that each count is of."""
    entries = {frame.frame: frame for record in records if record.frames for frame in record.frames.test}
    return [entries[one.frame] for one in counts]


def _annotators(found: Sequence[Metrics]) -> Agreement | None:
    return summed([metrics.annotators for metrics in found])


def _ceiling(found: Sequence[Metrics]) -> float | None:
    """Returns the share of all mitoses that some detection above the candidate threshold is near."""
    scored = [metrics for metrics in found if metrics.n_mitoses]
    if not scored or any(metrics.recall_ceiling is None for metrics in scored):
        return None
    total = sum(metrics.n_mitoses for metrics in scored)
    return sum((metrics.recall_ceiling or 0.0) * metrics.n_mitoses for metrics in scored) / total


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None

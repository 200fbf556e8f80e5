"""What the page shows, as JSON: the table at once, records and curves for when they are asked for."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench.evaluate import Curve
from mitobench.report import markdown
from mitobench.report.colours import PUBLISHED, labels, style_of
from mitobench.report.curves import counts_of
from mitobench.report.row import ROLES, Row, plugin, seed_of
from mitobench.report.table import Section
from mitobench.results.command import command_of
from mitobench.results.current_names import current_options, current_overrides
from mitobench.results.schema import Record

Json = dict[str, Any]

RECORDS = "records"
MOST_POINTS = 400  # of a curve: more than a plot has pixels to show
NO_CURVE = "it has no scores"


class Data(NamedTuple):
    """The page's three blocks of JSON.

    Attributes:
        page: what the table and the plots of all rows show; its rows name records by their number.
        records: what opens with each record.
        curves: of each record the counts over thresholds, or why there are none.
    """

    page: Json
    records: list[Json]
    curves: list[Json]


def of(folder: Path, sections: Sequence[Section]) -> Data:
    """The data of all sections; detections are read from `folder/records`. Raises RecordError."""
    every = [(section, record) for section in sections for row in section.rows for record in row.records]
    numbers = {id(record): number for number, (_, record) in enumerate(every)}
    return Data(
        {"sections": [_section(section, numbers) for section in sections], "star": asdict(PUBLISHED)},
        [_record(record, section.file(record)) for section, record in every],
        [_curve(folder / RECORDS / section.file(record), record) for section, record in every],
    )


# ----------------------------------------------------------------------------------------------------- the table


def _section(section: Section, numbers: Mapping[int, int]) -> Json:
    label = labels(section)
    return {
        "title": section.title,
        "measured": markdown.measured(section),
        "notes": section.notes,
        "rows": [
            {
                **_row(section, row),
                "rank": rank,
                "label": label[row],
                "style": asdict(style_of(place)),
                "records": [{"seed": seed_of(record), "number": numbers[id(record)]} for record in row.records],
            }
            for place, (rank, row) in enumerate(section.ranked())
        ],
        "published": [
            {
                "name": method.name,
                "precision": method.precision,
                "recall": method.recall,
                "f1": method.f1,
                "seconds": method.seconds_a_frame,
                "note": method.note,
                "source": method.source,
            }
            for method in section.published
        ],
        "publishedNotes": list(section.published_notes),
    }


def _row(section: Section, row: Row) -> Json:
    first, interval = row.first, row.interval
    return {
        "title": row.title,
        "parts": {role: plugin(first, role) for role in ROLES},
        "trained": ", ".join(first.combination["train_on"]),
        "profile": ", ".join([first.profile, *current_overrides(first)]),
        "remarks": section.remarks(row),
        "precision": row.mean("precision"),
        "recall": row.mean("recall"),
        "f1": row.mean("f1"),
        "f1Shown": markdown.f1(row) if row.good else "FAILED",
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "seedSpread": row.spread("f1"),
        "alone": row.mean("f1", "detector_alone"),
        "oracle": row.mean("oracle_f1"),
        "ap": row.mean("average_precision"),
        "seconds": row.seconds_a_frame,
        "seeds": row.seeds,
        "failed": [seed_of(record) for record in row.failed],
        "missing": row.missing,
        "tied": section.tied(row),
        "rankRange": markdown.rank_range(section.rank_range(row)),
    }


# --------------------------------------------------------------------------------------------------- one record


def _record(record: Record, file: str) -> Json:
    """What opens with a row: all that the record says, but for what only a program would read."""
    return {
        "status": record.status,
        "reason": record.reason,
        "notes": record.notes,
        "commands": _commands(record, file),
        "scores": _scores(record),
        "chosen": _chosen(record),
        "provenance": _provenance(record),
        "plugins": [
            {"role": role, "name": entry.name, "version": entry.version, "options": current_options(role, entry)}
            for role in ROLES
            if (entry := record.plugins.get(role))
        ],
        "pipeline": record.pipeline,
        "fitted": record.training_info,
        "frames": [[f.frame, f.group, f.tp, f.fp, f.fn] for f in record.test.frames] if record.test else [],
        "file": file,
    }


def _commands(record: Record, file: str) -> Json:
    """What makes the record again, what compares it with what is made again, and what shows its detections."""
    path = shlex.quote(f"{RECORDS}/{file}")
    of_scores = {"Its detections, drawn": f"mitobench gallery {path}"} if record.status == "ok" else {}
    return {
        "Its command": command_of(record),
        "Again, and compared": f"mitobench reproduce {path}",
        **of_scores,
    }


def _scores(record: Record) -> list[Json]:
    """The scores on validation and test, and of the detector alone."""
    named = {"validation": record.validation, "test": record.test, "test, detector alone": record.detector_alone}
    return [
        {
            "of": name,
            **m.model_dump(include={"precision", "recall", "f1", "oracle_f1", "average_precision", "recall_ceiling"}),
            "froc": m.froc,
        }
        for name, m in named.items()
        if m
    ]


def _chosen(record: Record) -> Json:
    """What validation chose; of the fuser its parameters, not the curve over them."""
    if record.chosen is None:
        return {}
    fuser = {name: value for name, value in record.chosen.fuser.items() if not isinstance(value, list)}
    return {
        "threshold": record.chosen.point.threshold,
        "candidate threshold": record.chosen.candidate_threshold,
        "detector's own threshold": record.chosen.detector_alone.threshold,
        **{f"fuser: {name}": value for name, value in fuser.items()},
    }


def _provenance(record: Record) -> Json:
    run = record.run
    return {
        "run": {
            "started": run.started,
            "git": run.git,
            "device": record.device,
            "seconds": run.seconds,
            "taken from the store": run.cached,
        },
        "host": run.host,
        "versions": record.versions,
        "data": {name: entry.model_dump(mode="json") for name, entry in record.data.items()},
        "source digests": {role: entry.source for role, entry in record.plugins.items()},
        "stages": record.stages,
        "digest of the record": record.digest,
    }


# --------------------------------------------------------------------------------------------------- its curves


def _curve(path: Path, record: Record) -> Json:
    """Counts over thresholds, or why the record tells none."""
    if record.test is None or record.test.oracle_f1 is None:
        return {"why": NO_CURVE}
    curve = counts_of(path, record)
    if curve is None:
        return {"why": NO_CURVE}
    kept = thinned(curve)
    return {
        "tp": curve.tp[kept].tolist(),
        "fp": curve.fp[kept].tolist(),
        "mitoses": curve.n_mitoses,
        "frames": curve.n_frames,
        "chosen": [record.test.tp, record.test.fp],
    }


def thinned(curve: Curve, most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Indices of the points to draw, ascending, at most `most` (>= 3): where the curve turns, its ends and best F1.

    Between two turns only hits or only false positives are added, so that nothing is lost by leaving those out.
    """
    if len(curve.threshold) < 3:
        return np.arange(len(curve.threshold))
    hits, false = np.diff(curve.tp) > 0, np.diff(curve.fp) > 0
    turns = np.flatnonzero((hits[1:] != hits[:-1]) | (false[1:] != false[:-1])) + 1
    ends_and_best = [0, len(curve.threshold) - 1, int(curve.ratio("f1").argmax())]
    step = max(1, math.ceil(len(turns) / (most - len(ends_and_best))))
    return np.unique([*turns[::step], *ends_and_best])

"""The data of `index.html` as JSON: what the table shows, and what is read on request (records, curves)."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mitobench import content_cache
from mitobench.content_cache import ContentCache
from mitobench.evaluate import Curve
from mitobench.pipeline import canonical
from mitobench.report import case_counts, markdown
from mitobench.report.colours import PUBLISHED, distinguishing_facts, labels, style_of
from mitobench.report.curves import counts_of
from mitobench.report.description import description_parts, shared_parts, trained_on
from mitobench.report.footnotes import Footnotes
from mitobench.report.row import ROLES, LeaderboardRow, plugin, seed_of
from mitobench.report.summary import answers
from mitobench.report.table import Section, domains_of
from mitobench.results.case_counts import case_counts_of
from mitobench.results.command import command_words, data_words
from mitobench.results.current_names import current_options, current_overrides
from mitobench.results.known import code_digest
from mitobench.results.schema import Record

Json = dict[str, Any]

RECORDS = "records"
CACHE = "pages"
JSON_STYLE: Json = {"allow_nan": False, "separators": (",", ":")}
MAX_POINTS = 400  # of a curve: more than a plot has pixels to show
ID_DIGITS = 10  # of a record's digest, by which the page's address names it
DIGITS = 5  # decimals of a number in the table and in plots, which show three
NO_CURVE = "it has no scores"


class PageData(NamedTuple):
    """The page's JSON.

    Attributes:
        page: the rows of the table; each names its records by their index in `details`.
        details: of each record, as JSON text.
    """

    page: Json
    details: list[Details]


class Details(NamedTuple):
    """What is read of a record on request, as JSON text.

    Attributes:
        record: its details.
        curve: its counts over thresholds, or why there are none.
    """

    record: str
    curve: str


def of(folder: Path, sections: Sequence[Section]) -> PageData:
    """The data of all sections; detections are read from `folder/records`. Raises RecordError.

    Details of records that were shown before are remembered.
    """
    shown = [(section, record) for section in sections for row in section.rows for record in row.records]
    numbers = {id(record): number for number, (_, record) in enumerate(shown)}
    with content_cache.opened(CACHE) as cache:
        details = [_details(cache, folder, section, record) for section, record in shown]
    page = {"sections": [_section(section, numbers) for section in sections], "star": asdict(PUBLISHED)}
    return PageData(page, details)


def _details(cache: ContentCache, folder: Path, section: Section, record: Record) -> Details:
    files = section.files_of(record)
    if record.detections is None:  # it failed, or sums folds: its digest does not cover all of it
        return _new_details(folder, record, files)
    key = canonical.digest([code_digest(__name__), record.digest, record.run_digest, list(files.values())])
    known = cache.get(key)
    if known is None:
        found = _new_details(folder, record, files)
        cache.add(key, zlib.compress("\n".join(found).encode()))
        return found
    return Details(*zlib.decompress(known).decode().split("\n"))


def _new_details(folder: Path, record: Record, files: Mapping[int, str]) -> Details:
    found = _record(record, files), _curve(folder / RECORDS / next(iter(files.values())), record)
    return Details(*(json.dumps(one, **JSON_STYLE) for one in found))


# ----------------------------------------------------------------------------------------------------- the table


def _section(section: Section, numbers: Mapping[int, int]) -> Json:
    label, facts, footnotes = labels(section), distinguishing_facts(section), Footnotes()
    described = {row: description_parts(section, row, facts[row]) for row in section.rows}
    shared, domains = shared_parts(described.values()), domains_of(section)
    trained = {trained_on(row) for row in section.rows}
    return {
        "name": section.name,
        "title": section.title,
        "answers": [list(answer) for answer in answers(section)],
        "measured": markdown.measured(section),
        "shared": "; ".join(f"trained on {part}" if part in trained else part for part in shared),
        "domains": domains,
        "notes": [*section.notes, *markdown.split_note(section)],
        "rows": [
            {
                **rounded(_row(section, row)),
                "rank": rank,
                "label": label[row],
                "description": "; ".join(part for part in described[row] if part not in shared),
                "domains": _domain_f1(row, domains),
                "notes": footnotes.numbered(section.remarks(row)),
                "style": asdict(style_of(place)),
                "records": [
                    {"id": record.digest[:ID_DIGITS], "seed": seed_of(record), "number": numbers[id(record)]}
                    for record in row.records
                ],
            }
            for place, (rank, row) in enumerate(section.ranked())
        ],
        "footnotes": footnotes.notes,
        "published": [
            {
                "name": method.name,
                "precision": method.precision,
                "recall": method.recall,
                "f1": method.f1,
                "seconds": method.seconds_a_frame,
                "hits": method.hits,
                "note": method.note,
                "source": method.source,
            }
            for method in section.published
        ],
        "publishedNotes": list(section.published_notes),
    }


def _domain_f1(row: LeaderboardRow, domains: Mapping[str, Sequence[str]]) -> dict[str, list[float | None]]:
    """F1 by each value of each domain, in their order."""
    return {kind: [_rounded(row.domain_mean(kind, value)) for value in values] for kind, values in domains.items()}


def _row(section: Section, row: LeaderboardRow) -> Json:
    first, interval, counts = row.first, row.interval, case_counts.of_row(row)
    return {
        "title": row.title,
        "parts": {role: plugin(first, role) for role in ROLES},
        "trained": ", ".join(first.combination["train_on"]),
        "profile": ", ".join([first.profile, *current_overrides(first)]),
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
        "worst": row.worst_domain,
        "bias": counts and counts.bias,
        "icc": counts and counts.icc,
    }


def rounded(content: Json) -> Json:
    """The same with its floats to `DIGITS` decimals."""
    return {name: _rounded(value) for name, value in content.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    return round(value, DIGITS) if isinstance(value, float) else value


# --------------------------------------------------------------------------------------------------- one record


def _record(record: Record, files: Mapping[int, str]) -> Json:
    """The details of a record that a reader may want: everything except what only a program reads."""
    return {
        "status": record.status,
        "reason": record.reason,
        "notes": record.notes,
        "commands": _commands(record, files),
        "scores": _scores(record),
        "count": case_counts.facts(counts) if (counts := case_counts_of(record)) else {},
        "domains": _domains(record),
        "annotators": _annotators(record),
        "chosen": _chosen(record),
        "provenance": _provenance(record),
        "plugins": [
            {"role": role, "name": entry.name, "version": entry.version, "options": current_options(role, entry)}
            for role in ROLES
            if (entry := record.plugins.get(role))
        ],
        "pipeline": record.pipeline,
        "trainingInfo": record.training_info,
        "frames": [[f.frame, f.group, f.tp, f.fp, f.fn] for f in record.test.frames] if record.test else [],
        "files": list(files.values()),
    }


def _commands(record: Record, files: Mapping[int, str]) -> list[tuple[str, list[str]]]:
    """The words of commands, each after what it does; those that read a record, for each of the folds that it sums."""
    folds = 0 not in files
    verbs = {"reproduce": "Make it again and compare"} | ({"gallery": "Draw its detections"} if record.test else {})
    return [("Make all folds" if folds else "Make this record", command_words(record))] + [
        (
            f"{title}, fold {fold}" if folds else title,
            ["mitobench", verb, f"{RECORDS}/{file}", *data_words(record)],
        )
        for verb, title in verbs.items()
        for fold, file in files.items()
    ]


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


def _domains(record: Record) -> list[Json]:
    """F1 and false positives per mm2 on the test frames by the values of each domain, their mean, and the worst."""
    return [
        {
            "kind": kind,
            "values": [[name, one.n_mitoses, one.f1, one.fp_per_mm2] for name, one in found.values.items()],
            "mean": found.macro_f1,
            "worst": found.worst,
        }
        for kind, found in (record.test.domains if record.test else {}).items()
    ]


def _annotators(record: Record) -> Json:
    """What the annotations say about the errors on test frames, as far as they say anything."""
    found = record.test.annotators if record.test else None
    if found is None:
        return {}
    named = {
        "F1 without contested figures": None if found.f1 is None else markdown.number(found.f1),
        "false positives on annotated imposters": found.fp_on_imposters,
        "other false positives": found.fp_elsewhere,
        "contested mitoses": found.contested_mitoses,
        "contested imposters": found.contested_imposters,
    }
    return {name: value for name, value in named.items() if value is not None}


def _chosen(record: Record) -> Json:
    """What was chosen on validation; the fuser's parameters without the curve over them."""
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
            "read from the store": run.cached,
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
    """Counts over thresholds, or why the record has none."""
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


def thinned(curve: Curve, max_points: int = MAX_POINTS) -> NDArray[np.int64]:
    """Indices of the points to draw, ascending, at most `max_points` (>= 3).

    They are the points where the curve turns, its ends, and its best F1. Between two turns only hits or only false
    positives are added, so leaving those points out does not change the line.
    """
    if len(curve.threshold) < 3:
        return np.arange(len(curve.threshold))
    hits, false = np.diff(curve.tp) > 0, np.diff(curve.fp) > 0
    turns = np.flatnonzero((hits[1:] != hits[:-1]) | (false[1:] != false[:-1])) + 1
    ends_and_best = [0, len(curve.threshold) - 1, int(curve.ratio("f1").argmax())]
    step = max(1, math.ceil(len(turns) / (max_points - len(ends_and_best))))
    return np.unique([*turns[::step], *ends_and_best])

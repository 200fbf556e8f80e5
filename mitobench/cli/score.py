"""`mitobench score`: scores the detections of any tool in the same way as a run's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.options import Matcher
from mitobench.cli.terminal import echo

if TYPE_CHECKING:
    from mitobench.evaluate import Interval
    from mitobench.scoring import ToolScore

Data = Annotated[Path, typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds the data set, at any depth.")]


def score(
    detections: Annotated[
        Path,
        typer.Argument(
            help="CSV with the columns frame,x,y,score or frame,x1,y1,x2,y2,score, in px. Or a record's .json file: "
            "scores its detections with its own protocol and threshold."
        ),
    ],
    data: Data,
    dataset: Annotated[
        str | None,
        typer.Option(help="Data set that the frames belong to. Required for a CSV; default for a record: its own."),
    ] = None,
    split: Annotated[str, typer.Option(help="Part of the split to score: test, val or train.")] = "test",
    protocol: Annotated[
        str | None, typer.Option(help="Split: a protocol's name or a .json file. Default: the data set's first.")
    ] = None,
    matcher: Matcher = "mitos",
    radius_um: Annotated[
        float | None,
        typer.Option(help="A detection closer than this to a mitosis is a hit, um. Default: the data set's."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="A detection counts if its score is at or above this.")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="CSV with the same tool's detections on the val part, on which the threshold is chosen."),
    ] = None,
    scanner: Annotated[
        str | None, typer.Option(help="Scanners to score, separated by commas: A or H. Default: all.")
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write all results to this JSON file.")] = None,
) -> None:
    """Score the detections of any tool on all frames of a part of a split, including frames without detections.

    Give the threshold with --threshold, or let --validation choose it. Without either, precision, recall and F1 are
    undefined and only scores over all thresholds are shown. `oracle` is the best F1 over all thresholds on the scored
    frames themselves.

    --json FILE writes canonical JSON: schema_version, the files with their SHA-256, dataset, protocol, split, scanners,
    data_digest, threshold_from and reason, validation (the choice of the threshold), metrics (as in a record: counts,
    precision, recall, f1 with intervals, average_precision, froc, counts per frame), oracle (threshold, f1, precision,
    recall, tp, fp, fn). Undefined values are null.

    Example: mitobench score mine.csv --dataset mitos2012 --data ~/mitos --validation mine_val.csv --json score.json

    Example: mitobench score leaderboard/records/RECORD.json --data ~/mitos
    """
    from mitobench.scoring import score_detections, score_record

    if dataset is None and detections.suffix == ".json":
        scored = score_record(detections, data)
    elif dataset is None:
        raise typer.BadParameter("--dataset is missing: name the data set that the frames belong to.")
    else:
        scored = score_detections(
            detections,
            dataset,
            data,
            part=split,
            protocol=protocol,
            scanners=[name.strip() for name in scanner.split(",")] if scanner else None,
            matcher=matcher,
            radius_um=radius_um,
            threshold=threshold,
            validation=validation,
        )
    if json is not None:
        scored.write(json)
    for line in (*_measured(scored), *_at_threshold(scored), *_over_thresholds(scored)):
        echo(line)
    if json is not None:
        echo(f"Written to {json}.")


def _measured(scored: ToolScore) -> Iterator[str]:
    """Describes what was scored, and how."""
    metrics = scored.metrics
    yield (
        f"{scored.dataset}, protocol {scored.protocol}, {scored.split} part, scanner {' and '.join(scored.scanners)}: "
        f"{metrics.n_frames} frames of {metrics.n_groups} slides, {metrics.n_mitoses} mitoses; "
        f"{metrics.n_detections} detections."
    )
    yield f"Matcher {metrics.matcher}; a detection closer than {metrics.radius_um:g} um to a mitosis is a hit."
    if scored.coverage:
        yield f"The data set is incomplete: {scored.coverage}."
    if scored.n_outside:
        yield f"{scored.n_outside} detections are on frames outside this part and are not scored."
    if metrics.n_unlabelled:
        yield f"{metrics.n_unlabelled} frames are unlabelled and are not scored."


def _at_threshold(scored: ToolScore) -> Iterator[str]:
    from mitobench.report.markdown import number

    metrics = scored.metrics
    if metrics.threshold is None:
        yield f"Precision, recall and F1 are undefined: {scored.reason}."
        return
    counts = f"TP {metrics.tp}, FP {metrics.fp}, FN {metrics.fn}"
    yield f"At threshold {metrics.threshold:g} ({scored.threshold_from}): {counts}"
    yield f"  precision          {number(metrics.precision)}{_interval(metrics.precision_interval)}"
    yield f"  recall             {number(metrics.recall)}{_interval(metrics.recall_interval)}"
    yield f"  F1                 {number(metrics.f1)}{_interval(metrics.f1_interval)}"
    if metrics.localisation_um is not None:
        yield f"  localisation       {metrics.localisation_um:.2f} um (median)"


def _interval(interval: Interval | None) -> str:
    from mitobench.report.markdown import number, over

    if interval is None:
        return ""
    return f" [{number(interval.low)}, {number(interval.high)}] 95 % {over(interval)}"


def _over_thresholds(scored: ToolScore) -> Iterator[str]:
    from mitobench.report.markdown import number

    metrics, oracle = scored.metrics, scored.oracle
    yield "Over all thresholds:"
    yield f"  oracle F1          {number(metrics.oracle_f1, 4)} (chosen on the scored frames: do not rank by it)"
    if oracle:
        counts = f"TP {oracle.tp}, FP {oracle.fp}, FN {oracle.fn}"
        yield f"  oracle counts      {counts} at oracle threshold {oracle.threshold:g}"
    yield f"  average precision  {number(metrics.average_precision)}"
    yield f"  recall ceiling     {number(metrics.recall_ceiling)}"
    if metrics.froc:
        froc = ", ".join(f"{number(value)} at {rate}" for rate, value in metrics.froc.items())
        yield f"  sensitivity        {froc} {metrics.froc_unit}"

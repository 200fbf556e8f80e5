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

Data = Annotated[
    Path | None, typer.Option(envvar="MITOBENCH_DATA", help="Folder that holds the data set, at any depth.")
]


def score(
    detections: Annotated[
        Path,
        typer.Argument(
            help="Detections: CSV, MIDOG JSON (a file or a folder for each image), GeoJSON, COCO results, SlideRunner "
            "sqlite, or a folder that `mitobench predict` wrote. Or a record (.json or .json.gz): its detections are "
            "scored with its own protocol and threshold."
        ),
    ],
    data: Data = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Data set that the frames belong to. Default for a record: its own."),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="Part of the split to score: test, val or train. all: every labelled frame, without a split."
        ),
    ] = "test",
    protocol: Annotated[
        str | None, typer.Option(help="Split: a protocol's name or a .json file. Default: the data set's first.")
    ] = None,
    matcher: Matcher = "mitos",
    radius_um: Annotated[
        float | None,
        typer.Option(
            help="A detection this close to a mitosis is a hit, um. Default: the data set's; for kdtree and "
            "midog25-guide 25 px."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="A detection counts if its score is at or above this.")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="The same tool's detections on the val part, on which the threshold is chosen."),
    ] = None,
    scanner: Annotated[
        str | None, typer.Option(help="Scanners to score, separated by commas: A or H. Default: all.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Format of the detections: csv, midog25, geojson, coco or sliderunner. Default: by name and content. "
            "midog25 without --dataset: the contest's own evaluation.",
        ),
    ] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option(
            "--class", help="Class of the detections that are mitoses, if the file has classes. May be repeated."
        ),
    ] = None,
    class_column: Annotated[
        str | None,
        typer.Option(
            "--class-column",
            help="Column, property or key that holds the classes, or none. Default: found by its name.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="For COCO results: a COCO file whose `images` say which file an image_id means. Its annotations are "
            "not read."
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Ground truth of MIDOG 2025 (JSON) for the contest's own evaluation; no data set is needed. "
            "Default: ground_truth.json in the folder."
        ),
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
    recall, tp, fp, fn), notes, and hint (a change of the reading that makes a bad score good). Undefined: null.

    With --format midog25 and no --dataset, PATH is a folder of container outputs or a predictions.json, and the numbers
    are those of the contest's metrics.json, which --json writes.

    Boxes count by their centres. A CSV says by its header what it holds: frame,x,y,score (points);
    frame,x1,y1,x2,y2,score or frame,xmin,ymin,xmax,ymax,score (corners); frame,x,y,width,height,score (upper left
    corner). x_mm and x_um are in these units, all others in px. `image` or `file_name` in place of `frame`, and
    `confidence` or `probability` in place of `score` are read, too.

    Example: mitobench score mine.csv --dataset mitos2012 --data ~/mitos --validation mine_val.csv --json score.json

    Example: mitobench score leaderboard/records/RECORD.json --data ~/mitos

    Example: mitobench score outputs/ --format midog25 --truth ground_truth.json --json metrics.json
    """
    from mitobench.results.record_files import is_record_name
    from mitobench.scoring import score_detections, score_record

    if images is not None and dataset is None:
        raise typer.BadParameter("--images is for COCO results, which need --dataset. Give it, or leave --images out.")
    if dataset is None and (truth is not None or format_ == "midog25"):
        _score_contest(detections, truth, json)
        return
    if truth is not None:
        raise typer.BadParameter("--truth is for the contest's own evaluation, which needs no --dataset. Give one.")
    if data is None:
        raise typer.BadParameter("--data is missing: give the folder that holds the data set, or set MITOBENCH_DATA.")
    if dataset is None and is_record_name(detections):
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
            format=format_,
            classes=class_ or (),
            class_column=class_column,
            images=images,
        )
    if json is not None:
        scored.write(json)
    for line in (*_measured(scored), *_at_threshold(scored), *_over_thresholds(scored), *_remarks(scored)):
        echo(line)
    if json is not None:
        echo(f"Written to {json}.")


def _score_contest(detections: Path, truth: Path | None, json: Path | None) -> None:
    """Shows, and writes if a file is given, the numbers of MIDOG 2025's own evaluation."""
    from mitobench.evaluate.midog25 import score_files
    from mitobench.report.markdown import number
    from mitobench.scoring import write_contest_metrics

    if truth is None:
        folder = detections if detections.is_dir() else detections.parent
        truth = folder / "ground_truth.json"
        if not truth.is_file():
            raise typer.BadParameter(f"--truth is missing, and there are no annotations in {truth}. Give the file.")
    metrics, notes = score_files(detections, truth)
    if json is not None:
        write_contest_metrics(json, metrics)
    all_of_it = metrics["aggregates"]
    echo(f"MIDOG 2025's own evaluation (evalutils, 7.5 um) of {len(metrics['results'])} images:")
    groups = {name.removesuffix("precision"): None for name in all_of_it if name.endswith("precision")}
    for prefix in groups:
        values = {name: all_of_it[f"{prefix}{name}"] for name in ("precision", "recall", "AP", "froc_auc")}
        values = {"F1": all_of_it.get(f"{prefix}f1", all_of_it.get("f1_score")), **values}
        shown = ", ".join(f"{name} {number(value, 4)}" for name, value in values.items())
        echo(f"  {(prefix or 'all_').rstrip('_').replace('_', ' '):<22} {shown}")
    for note in notes:
        echo(f"note: {note}")
    if json is not None:
        echo(f"Written to {json}.")


def _remarks(scored: ToolScore) -> Iterator[str]:
    """Says what is odd, and which other reading of the file makes a bad score good."""
    from mitobench.report.markdown import number

    for note in scored.notes:
        yield f"note: {note}" + ("" if note.endswith((".", "?")) else ".")
    if scored.hint is not None:
        now = number(scored.metrics.oracle_f1)
        yield (
            f"hint: the best F1 is {now}. If the file is read in another way it is {number(scored.hint.oracle_f1)}: "
            f"{scored.hint.change}."
        )


def _measured(scored: ToolScore) -> Iterator[str]:
    """Describes what was scored, and how."""
    from mitobench.evaluate.matching import hit_rule

    metrics = scored.metrics
    frames = f"protocol {scored.protocol}, {scored.split} part" if scored.protocol else "all labelled frames"
    yield (
        f"{scored.dataset}, {frames}, scanner {' and '.join(scored.scanners)}: "
        f"{metrics.n_frames} frames of {metrics.n_groups} slides, {metrics.n_mitoses} mitoses; "
        f"{metrics.n_detections} detections."
    )
    yield f"Read as {scored.detections.reading}."
    yield f"Matcher {metrics.matcher}; {hit_rule(metrics.matcher, metrics.radius_um)}."
    if scored.coverage:
        yield f"The data set is incomplete: {scored.coverage}."
    if scored.n_outside:
        yield f"{scored.n_outside} detections are on other frames and are not scored."
    if metrics.n_unlabelled:
        yield f"{metrics.n_unlabelled} frames are unlabelled and are not scored."


def _at_threshold(scored: ToolScore) -> Iterator[str]:
    from mitobench.report import case_counts
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
    if metrics.cases is not None:
        yield f"  the count          {case_counts.sentence(metrics.cases)}"


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

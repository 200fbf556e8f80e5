"""Records of real runs of the toy plugins, which are whole, and the ways to forge them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery
from mitobench.benchmark import Benchmark, Grid
from mitobench.evaluate import Metrics
from mitobench.evaluate.operating_point import best_point
from mitobench.pipeline import canonical
from mitobench.results import recount
from mitobench.results.bounds import bounds
from mitobench.results.record import Record, read, read_detections

TOYS = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["toy-mean"], "fuser": ["toy-sum"]}


def run(folder: Path, data: Path, roles: dict[str, list[str]] | None = None, **options: Any) -> list[Path]:
    """Run toys; gives the records' files, below `folder/records`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toys.toml").write_text('title = "toys"\n')
    given = {"datasets": ["synthetic"], "command": f"mitobench run --data {data}", **options}
    profile, store = str(folder / "toys.toml"), folder / "store"
    benchmark = Benchmark.prepare(
        [Grid({**TOYS, **(roles or {})})], data=data, profile=profile, device="cpu", store=store, **given
    )
    benchmark.run(folder)
    return [path for path, _ in benchmark.records]


def reseal(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what a record says and seal it again: right digests, canonical spelling."""
    content = json.loads(path.read_text())
    change(content)
    sealed = Record.model_validate(content).sealed()
    path.write_text(json.dumps(sealed.model_dump(mode="json"), sort_keys=True, indent=1) + "\n")


def renamed(path: Path) -> Path:
    """The record under the name that fits what it says now, its detections too."""
    target = path.rename(path.with_name(f"{read(path).stem}.json"))
    ending = ".detections.csv.gz"
    packed = path.with_name(path.stem + ending).rename(target.with_name(target.stem + ending))
    reseal(target, lambda content: content["detections"].update(file=packed.name))
    return target


def cheat(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    """Change the stored detections, row by row, and every score that follows from them; then seal it all again."""
    record = read(path)
    assert record.test is not None
    assert record.detections is not None
    rows = read_detections(path, record)
    for row in rows:
        change(row)
    metrics = _scores(record.test, recount.Rows.of(rows))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    packed = gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0)
    path.with_name(record.detections["file"]).write_bytes(packed)

    def seal(content: dict[str, Any]) -> None:
        content["test"] = metrics.model_dump(mode="json")
        content["detections"]["sha256"] = hashlib.sha256(text.getvalue().encode()).hexdigest()
        if "packed" in content["detections"]:
            content["detections"]["packed"] = hashlib.sha256(packed).hexdigest()

    reseal(path, seal)


def _scores(metrics: Metrics, rows: recount.Rows) -> Metrics:
    """The scores of changed detections, as someone would compute them who has them and the number of mitoses."""
    counted = rows.above_gate & (rows.score >= (metrics.threshold or 0))
    frames = []
    for frame in metrics.frames:
        here = counted & (rows.frame == frame.frame)
        tp = int((here & rows.hit).sum())
        frames.append(frame.model_copy(update={"tp": tp, "fp": int(here.sum()) - tp, "fn": frame.tp + frame.fn - tp}))
    changed = metrics.model_copy(update={"frames": frames})
    known = bounds(changed, rows)
    assert known is not None
    assert known.meet
    hits = sorted(rows.distance_um[counted & rows.hit].tolist())
    middle = [hits[(len(hits) - 1) // 2], hits[len(hits) // 2]]
    scores = {
        **recount.from_counts(changed),
        "localisation_um": sum(middle) / 2,
        "oracle_f1": known.low.best_f1(),
        "oracle_threshold": best_point(known.low).threshold,
        "average_precision": known.low.average_precision(),
        "recall_ceiling": known.low.recall_ceiling(),
        "froc": known.low.froc(),
    }
    return changed.model_copy(update=scores)


def without_false_positives(path: Path) -> None:
    """A forgery that agrees with itself and with the annotation: the false positives have got lower scores."""
    threshold = read(path).test.threshold  # type: ignore[union-attr]

    def lower(row: dict[str, str]) -> None:
        if row["hit"] == "0":
            row["score"], row["hit"] = canonical.dumps(float(row["score"]) - float(threshold or 0)), ""

    cheat(path, lower)


def with_a_found_miss(path: Path) -> None:
    """A forgery that agrees with itself: on a frame with a miss, a false positive is said to hit it."""
    metrics = read(path).test
    assert metrics is not None
    missed = {frame.frame for frame in metrics.frames if frame.fn and frame.fp}
    assert missed

    def hit(row: dict[str, str]) -> None:
        if row["hit"] == "0" and row["frame"] in missed:
            missed.remove(row["frame"])
            row["hit"], row["distance_um"] = "1", "1.0000"

    cheat(path, hit)


def board(small_data: Path, folder: Path, environment: Mapping[str, str]) -> list[Path]:
    """The records of two seeds, made where nothing but the toys is installed."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MITOBENCH_PACKAGES", "PYTHONPATH"):
            patch.setenv(name, environment[name])
        patch.syspath_prepend(str(Path(__file__).parent / "toys"))
        discovery.found.cache_clear()
        made = run(folder, small_data, seeds=[0, 1])
    discovery.found.cache_clear()
    return made

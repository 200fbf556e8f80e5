"""Runs the toy plugins to get real records, and forges these records in several ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench import discovery
from mitobench.benchmark import Benchmark, Grid
from mitobench.evaluate import StoredDetections
from mitobench.evaluate.stored import to_csv
from mitobench.pipeline import canonical
from mitobench.results.command import command_of
from mitobench.results.recompute import Recomputation
from mitobench.results.record import read, spelled, text_of, write
from mitobench.results.schema import EarlierVersion, Record

TOYS = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["toy-mean"], "fuser": ["toy-sum"]}


def run(folder: Path, data: Path, roles: dict[str, list[str]] | None = None, **options: Any) -> list[Path]:
    """Run toy plugins; returns the files of the records, below `folder/records`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toys.toml").write_text('title = "toys"\n')
    options = {"datasets": ["synthetic"], **options}
    profile, store = str(folder / "toys.toml"), folder / "store"
    benchmark = Benchmark.prepare(
        [Grid({**TOYS, **(roles or {})})], data=data, profile=profile, device="cpu", store=store, **options
    )
    benchmark.run(folder)
    return [path for path, _ in benchmark.records]


def reseal(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a record's content and write it with correct digests, as canonical JSON."""
    content = json.loads(path.read_text())
    change(content)
    path.write_bytes(spelled(Record.model_validate(content).sealed()))


def forge(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change a record's content and everything that depends on it: stage keys, command, digests and file name."""

    def change_all(content: dict[str, Any]) -> None:
        change(content)
        rekey(content)
        content["run"]["command"] = command_of(Record.model_validate(content))

    reseal(path, change_all)
    return renamed(path)


def of_detector(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns every entry of the detector in a record: the one among its plugins, and those in its stages' specs."""
    entry = content["plugins"]["detector"]
    plugins = (spec.get("plugin") or {} for spec in content["specs"].values())
    return [entry, *(plugin for plugin in plugins if plugin.get("name") == entry["name"])]


def rekey(content: dict[str, Any]) -> None:
    """Replace the keys of all stages with those of their changed specs."""
    specs, keys = content["specs"], dict[str, str]()

    def key_of(old: str) -> str:
        if old not in keys:
            upstream = specs[old].get("upstream", {})
            upstream.update({name: key_of(key) for name, key in upstream.items()})
            keys[old] = canonical.digest(specs[old])
        return keys[old]

    content["specs"] = {key_of(old): spec for old, spec in specs.items()}
    content["stages"] = {role: key_of(old) for role, old in content["stages"].items()}


def renamed(path: Path) -> Path:
    """Rename a changed record and its detections to the name that follows from its content; returns the new path."""
    record = read(path)
    entries = (record.detections, record.validation_detections)
    test, val = (text_of(path, entry) if entry else None for entry in entries)
    for file in path.parent.glob(f"{path.stem}.*"):
        file.unlink()
    return write(path.parent, record, test, val)


def downgrade(path: Path) -> None:
    """Make a record look like a migrated one: without specs, and without detections on validation frames."""
    over_thresholds = ("oracle_f1", "oracle_threshold", "average_precision", "recall_ceiling", "localisation_um")
    true = read(path)
    assert true.chosen is not None
    assert true.validation is not None
    assert true.test is not None
    unknown = dict.fromkeys(("f1", "precision", "recall"))
    alone = true.chosen.detector_alone.model_copy(update=unknown)
    counted = {"n_detections": None, "froc": {}, **dict.fromkeys(over_thresholds)}
    changed = true.model_copy(
        update={
            "specs": {},
            "test": true.test.model_copy(update={"cases": None}),  # migrated records are from before it
            "validation_detections": None,
            "migrated": [EarlierVersion(schema_version=1, digest="0" * 64)],
            "chosen": true.chosen.model_copy(update={"detector_alone": alone}),
            "validation": true.validation.model_copy(update=counted),
        }
    )
    write(path.parent, changed, to_csv(Recomputation.read(path, true).test))


def cheat_everywhere(path: Path, change: Callable[[StoredDetections], StoredDetections]) -> Path:
    """Change the stored detections on test and validation frames, and every number that follows; gives the record."""
    true = Recomputation.read(path, read(path))
    assert true.val is not None
    forged = replace(true, test=change(true.test), val=change(true.val))
    content, numbers = true.record.model_dump(), forged.numbers
    record = Record.model_validate({**content, **numbers, "chosen": content["chosen"] | numbers["chosen"]})
    return write(path.parent, record, to_csv(forged.test), to_csv(change(true.val)))


def cheat(path: Path, change: Callable[[Recomputation], StoredDetections]) -> None:
    """Change the stored test detections and every number that follows from them, with correct digests."""
    true = Recomputation.read(path, read(path))
    forged = replace(true, test=change(true))
    numbers = {name: value for name, value in forged.numbers.items() if name in ("test", "detector_alone")}
    record = Record.model_validate(true.record.model_dump() | numbers)
    write(path.parent, record, to_csv(forged.test), None if forged.val is None else to_csv(forged.val))


def without_false_positives(path: Path) -> None:
    """Forge a record that agrees with itself and with the annotation, by lowering the scores of false positives."""

    def lower(true: Recomputation) -> StoredDetections:
        score = true.test.score.copy()
        false = (true.found < 0) & (np.nan_to_num(score) >= _threshold(true))
        assert false.any()
        score[false] -= _threshold(true)
        return replace(true.test, score=score)

    cheat(path, lower)


def with_a_found_miss(path: Path) -> None:
    """Forge a record that agrees with itself, by listing a false positive as a detection near a missed mitosis."""

    def near(true: Recomputation) -> StoredDetections:
        row, mitosis = next(_misses(true))
        within = list(true.test.within)
        within[row] = ((mitosis, 1.0),)
        return replace(true.test, within=tuple(within))

    cheat(path, near)


def _misses(true: Recomputation) -> Iterator[tuple[int, int]]:
    """Yields (row of a false positive, index of a missed mitosis) for each frame that has both."""
    assert true.record.frames is not None
    for entry in true.record.frames.test:
        rows = true.test.rows_of(entry.frame)
        missed = set(range(entry.mitoses or 0)) - set(true.found[rows].tolist())
        false = [row for row in rows if true.found[row] < 0 and true.test.score[row] >= _threshold(true)]
        if missed and false:
            yield false[0], min(missed)


def _threshold(true: Recomputation) -> float:
    assert true.record.chosen is not None
    assert true.record.chosen.point.threshold is not None
    return true.record.chosen.point.threshold


def board(small_data: Path, folder: Path, environment: Mapping[str, str], **options: Any) -> list[Path]:
    """Run two seeds, unless `options` say otherwise, where only the toy plugins are installed; returns the records."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MITOBENCH_PACKAGES", "PYTHONPATH"):
            patch.setenv(name, environment[name])
        patch.syspath_prepend(str(Path(__file__).parent / "toys"))
        discovery.found.cache_clear()
        paths = run(folder, small_data, **{"seeds": [0, 1], **options})
    discovery.found.cache_clear()
    return paths

"""The command that makes a record's row again, from what the record itself says: it cannot say anything else."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from mitobench.results.schema import ROLES, UNUSED, Record

DATA = "DATA"  # stands for the folder of the data sets, which lies elsewhere on every machine
MADE_HERE = "synthetic"  # frames whose data set begins so are made where they are missing


def command_of(record: Record) -> str:
    """`mitobench run ...` with the record's request: names, data, options and device; no path of any machine."""
    return shlex.join(["mitobench", "run", *_words(record)])


def _words(record: Record) -> Iterator[str]:
    asked = record.combination
    if not all(name.startswith(MADE_HERE) for name in record.data):
        yield from ("--data", DATA)
    yield from ("--dataset", asked["dataset"], "--protocol", asked["protocol"])
    if asked["train_on"] != [asked["dataset"]]:
        yield from ("--train-on", ",".join(asked["train_on"]))
    if record.only_scanners:
        yield from ("--scanner", ",".join(record.only_scanners))
    for role in ROLES:
        if asked[role] != UNUSED:
            yield from (f"--{role}", asked[role])
    if asked["seed"]:
        yield from ("--first-seed", str(asked["seed"]))
    yield from ("--profile", record.profile)
    if record.scale != 1:
        yield from ("--scale", f"{record.scale:g}")
    for override in record.overrides:
        yield from ("--set", override)
    if record.pipeline["matcher"] != "mitos":
        yield from ("--matcher", record.pipeline["matcher"])
    yield from ("--device", record.device)
    if record.pipeline.get("processes", 1) != 1:
        yield from ("--gpus", str(record.pipeline["processes"]))

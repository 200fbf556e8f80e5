"""Builds the command that makes a record's row again. It follows from the rest of the record."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from mitobench.discovery import quoted
from mitobench.results.schema import ROLES, UNUSED, Record

DATA = "DATA"  # replaces the folder of the data sets, which differs between machines
MADE_HERE = "synthetic"  # data sets whose name starts with this are generated if they are missing


def command_of(record: Record) -> str:
    """Returns `mitobench run ...` with the record's names, data, options and device, without paths of a machine."""
    return shlex.join(command_words(record))


def command_words(record: Record) -> list[str]:
    """Returns the words of `command_of`, which a shell needs to have quoted."""
    return ["mitobench", "run", *_words(record)]


def data_words(record: Record) -> list[str]:
    """Returns the option for the folder of the record's data sets, which every command that reads its frames needs."""
    return [] if all(name.startswith(MADE_HERE) for name in record.data) else ["--data", DATA]


def _words(record: Record) -> Iterator[str]:
    combination = record.combination
    yield from data_words(record)
    yield from ("--dataset", combination["dataset"], "--protocol", combination["protocol"])
    if combination["train_on"] != [combination["dataset"]]:
        yield from ("--train-on", ",".join(combination["train_on"]))
    if record.only_scanners:
        yield from ("--scanner", ",".join(record.only_scanners))
    for role in ROLES:
        if combination[role] != UNUSED:
            yield from (f"--{role}", quoted(combination[role]))
    if combination["seed"]:
        yield from ("--first-seed", str(combination["seed"]))
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
    if "threads" in record.pipeline:
        yield from ("--threads", str(record.pipeline["threads"]))

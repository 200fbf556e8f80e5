"""Runs altered inputs of a kind, each with a time limit, and counts the results."""

from __future__ import annotations

import shutil
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kinds import Kind, SilentChangeError
from within import HungError, within

from mitobench.errors import MitobenchError

LIMIT_S = 20


@dataclass
class Counts:
    """Counts of the results of one kind; `faults` has the last lines of each input that failed, with its number."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    tracebacks: int = 0
    hangs: int = 0
    changed: int = 0
    faults: list[str] = field(default_factory=list)


def fuzz(name: str, kind: Kind, numbers: range, folder: Path) -> Counts:
    """Reads the inputs of these numbers. An input depends only on the name of its kind and its number."""
    counts = Counts()
    for number in numbers:
        here = folder / "input"
        here.mkdir(parents=True)
        counts.inputs += 1
        try:
            read = kind(here, Random(f"{name} {number}"))
            with within(LIMIT_S):
                read()
            counts.accepted += 1
        except MitobenchError:
            counts.refused += 1
        except HungError:
            counts.hangs += 1
            counts.faults.append(f"{name} {number}: hung")
        except SilentChangeError as reason:
            counts.changed += 1
            counts.faults.append(f"{name} {number}: {reason}")
        except BaseException:
            counts.tracebacks += 1
            counts.faults.append(f"{name} {number}: {traceback.format_exc()[-1500:]}")
        shutil.rmtree(here)
    return counts

"""Counts how altered files of every kind are handled: `python benchmarks/fuzz.py [--inputs 2000] [--first 0]`."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from dataclasses import astuple
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "fuzz")]

from common import machine, table  # noqa: E402
from fuzzing import fuzz  # noqa: E402
from kinds import KINDS  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2_000, help="of all kinds together")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each kind")
    parser.add_argument("--kind", choices=list(KINDS))
    args = parser.parse_args()
    kinds = {args.kind: KINDS[args.kind]} if args.kind else KINDS
    each = range(args.first, args.first - (-args.inputs // len(kinds)))
    rows, faults = [], []
    for name, kind in kinds.items():
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            counts = fuzz(name, kind, each, Path(folder))
        rows.append((name, *astuple(counts)[:-1]))
        faults += counts.faults
    rows.append(("all", *(sum(row[column] for row in rows) for column in range(1, 7))))
    print(machine())
    print(table(("kind", "inputs", "refused", "accepted", "tracebacks", "hangs", "numbers changed"), rows))
    print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

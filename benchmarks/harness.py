"""Measures the overhead of the harness: a grid against the sum of its stages, and a second run against the first."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine, table

MITOBENCH = [sys.executable, "-c", "from mitobench.cli import main; main()"]
GRID = {
    "estimator": "mask,fixed,fcn",
    "detector": "frcnn,rpn",
    "verifier": "resnet18,resnet50",
    "fuser": "linear,logit-linear,verifier-only",
}
MAX_OVER_STAGES = 1.10
MAX_OF_FIRST = 0.02


def main() -> None:
    """Runs the grid twice on synthetic frames and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, help="of every training; without it: those of the profile `smoke`")
    iterations = parser.parse_args().iterations
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mitobench("data", "synth", str(folder / "data"))
        command = grid(folder, iterations)
        start_up = mitobench(*command, "--dry-run")
        first = mitobench(*command)
        stages = stage_seconds(folder / "store")
        rows = len(list((folder / "out" / "records").glob("*.json")))
        second = mitobench(*command)
        if stage_seconds(folder / "store") != stages:
            sys.exit("The second run did stages anew: the code of mitobench or of a plugin was changed meanwhile.")
    length = f"{iterations} iterations a training" if iterations else "the iterations of the profile"
    print(f"{machine()}\n\n{rows} rows, {len(stages)} distinct stages, profile smoke, {length}\n")
    total = sum(stages.values())
    print(table(["", "seconds", "of", "ratio", "at most"], lines(total, start_up, first, second)))


def grid(folder: Path, iterations: int | None) -> list[str]:
    """Returns the command that runs the grid, with data, store and results below `folder`."""
    command = ["run", "--data", str(folder / "data"), "--dataset", "synthetic", "--profile", "smoke"]
    command += ["--store", str(folder / "store"), "--out", str(folder / "out")]
    for role, names in GRID.items():
        command += [f"--{role}", names]
    if iterations:
        fcn = [iterations] * 3
        sets = [f"estimator.iterations={fcn}", f"detector.iterations={iterations}", f"verifier.iterations={iterations}"]
        command += [word for text in sets for word in ("--set", text)]
    return command


def mitobench(*arguments: str) -> float:
    """Returns the wall-clock seconds of a command, from the start of its process to its end."""
    started = time.perf_counter()
    subprocess.run([*MITOBENCH, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def stage_seconds(store: Path) -> dict[str, float]:
    """Returns the seconds of every distinct stage by its key; stages that several rows share are counted once."""
    manifests = (store / "stages").glob("*/*/manifest.json")
    return {path.parent.name: json.loads(path.read_text())["seconds"] for path in manifests}


def lines(stages: float, start_up: float, first: float, second: float) -> list[list[str]]:
    """Returns the rows of the table. Both runs include the start-up of the command line."""
    return [
        ["sum of distinct stages", f"{stages:.1f}", "", "", ""],
        ["start-up and plan (`--dry-run`)", f"{start_up:.1f}", "first run", f"{start_up / first:.1%}", ""],
        ["first run", f"{first:.1f}", "stages", f"{first / stages:.3f}", f"{MAX_OVER_STAGES:.2f}"],
        ["second run, all cached", f"{second:.1f}", "first run", f"{second / first:.1%}", f"{MAX_OF_FIRST:.0%}"],
    ]


if __name__ == "__main__":
    main()

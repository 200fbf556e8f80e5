"""Measures the time of commands compared with a bare interpreter, and of a cached run compared with the first."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 7
MAIN = "from mitobench.cli import main; main()"


def seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def median(*command: str) -> float:
    seconds(*command)  # the first reads the disk
    return statistics.median(seconds(*command) for _ in range(REPEATS))


def main() -> None:
    bare = median("-c", "pass")
    print(f"{'bare interpreter':24} {bare:6.3f} s")
    for arguments in (["--help"], ["list"]):
        took = median("-c", MAIN, *arguments)
        print(f"{'mitobench ' + arguments[0]:24} {took:6.3f} s  {took / bare:5.1f} x the bare interpreter")
    with tempfile.TemporaryDirectory() as folder:
        data, store, out = (str(Path(folder) / name) for name in ("data", "store", "out"))
        seconds("-c", MAIN, "data", "synth", data)
        run = ["run", "--data", data, "--dataset", "synthetic", "--detector", "blobs", "--verifier", "resnet18"]
        run += ["--set", "verifier.iterations=100", "--store", store, "--out", out]
        first, second = seconds("-c", MAIN, *run), seconds("-c", MAIN, *run)
    print(f"{'first run':24} {first:6.1f} s")
    print(f"{'second run, all cached':24} {second:6.1f} s  {second / first:5.1%} of the first")


if __name__ == "__main__":
    main()

"""Measures planning time and peak memory on a data set that is larger than memory.

Writes synthetic frames (cheap to store: one compressed picture, with another number in each file) in the layout of the
data set `synthetic`, prepares a run twice, and then runs `blobs` on one frame of each slide. Planning is limited in CPU
seconds, which other programs on the machine do not change.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from common import machine, table

from mitobench.datasets.mitos2012 import write_masks

SLIDES, TEST = 14, range(9, 14)
MAX_PLAN_SECONDS, MAX_GIB = 10.0, 4.0
TEXT = "mitobench frame {:06d}"

PREPARE = """
import sys, time
from pathlib import Path
started = time.perf_counter()
from mitobench.benchmark import Benchmark, Grid
roles = {"estimator": ["fixed"], "detector": ["blobs"], "verifier": ["none"], "fuser": ["detector-only"]}
Benchmark.prepare([Grid(roles)], data=Path(sys.argv[1]), datasets=["synthetic"], device="cpu",
                  store=Path(sys.argv[2]), notify=lambda message: None)
print(time.perf_counter() - started, time.process_time())
"""


def write(root: Path, frames: int, width: int, height: int) -> None:
    """Writes `frames` frames of 14 slides, the last five of them for testing, with three mitoses each."""
    picture = np.full((height, width, 3), (232, 178, 214), np.uint8)
    y, x = np.mgrid[-18:19, -18:19]
    disc = np.argwhere(np.hypot(x, y) < 18) - 18
    centres = [np.array([height * part // 4, width * part // 4]) for part in (1, 2, 3)]
    for centre in centres:
        picture[tuple((centre + disc).T)] = 96, 60, 148
    masks = [(centre + disc)[:, ::-1] for centre in centres]
    template = root / "template.tif"
    text = TEXT.format(0)
    tifffile.imwrite(template, picture, photometric="rgb", compression="deflate", description=text, metadata=None)
    content = template.read_bytes()
    template.unlink()
    for number in range(frames):
        slide, frame = number % SLIDES, number // SLIDES
        part = "evaluation" if slide in TEST else "training"
        path = root / "synthetic" / f"{part}_aperio" / f"A{slide:02d}_v2" / f"A{slide:02d}_{frame:02d}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.replace(text.encode(), TEXT.format(number).encode()))
        write_masks(path.with_suffix(".csv"), masks)
    counts = {name: {"A": {"train": {}, "test": {}}} for name in ("synthetic", "synthetic-centroids")}
    (root / "synthetic.json").write_text(json.dumps({"sets": counts}))


def prepare(data: Path, scratch: Path) -> tuple[float, float]:
    """Returns the seconds that a process needs to import mitobench and plan a run, and its CPU seconds."""
    command = [sys.executable, "-c", PREPARE, str(data), str(scratch / "store")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(scratch))
    seconds, cpu = map(float, done.stdout.split())
    return seconds, cpu


def run(data: Path, scratch: Path) -> tuple[float, float, float]:
    """Returns seconds, CPU seconds and peak memory (GiB) of `mitobench run` with `blobs`."""
    command = [str(Path(sys.executable).with_name("mitobench")), "run", "--data", str(data), "--dataset", "synthetic"]
    command += ["--estimator", "fixed", "--detector", "blobs", "--verifier", "none", "--fuser", "detector-only"]
    command += ["--out", str(scratch / "board"), "--store", str(scratch / "store"), "--device", "cpu"]
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment(scratch))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, cpu, after.ru_maxrss / 2**20  # of the largest process; kB on Linux


def environment(scratch: Path) -> dict[str, str]:
    """The environment, with an empty cache of digests."""
    return {**os.environ, "MITOBENCH_CACHE": str(scratch / "cache")}


def main() -> int:
    """Prints the measurements; 1 if one is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=500, help="frames that a run is planned for; at least 14")
    parser.add_argument("--size", type=int, nargs=2, default=(7000, 5000), help="width and height, px")
    parser.add_argument("--folder", type=Path, help="where to make a temporary folder")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        scratch = Path(name)
        for data, frames in ((scratch / "large", options.frames), (scratch / "small", SLIDES)):
            data.mkdir()
            write(data, max(frames, SLIDES), *options.size)
        time.sleep(2.5)  # digests of files that changed within 2 s are not remembered
        first, again = prepare(scratch / "large", scratch), prepare(scratch / "large", scratch)
        seconds, cpu, peak = run(scratch / "small", scratch)
    frames = f"{options.frames} frames"
    rows = [
        ["plan, digests computed", frames, f"{first[0]:.1f} s", f"{first[1]:.1f} s", ""],
        [
            "plan, digests remembered",
            frames,
            f"{again[0]:.1f} s",
            f"{again[1]:.1f} s",
            f"{MAX_PLAN_SECONDS:g} s of CPU",
        ],
        ["run with blobs", f"{SLIDES} frames", f"{seconds:.1f} s", f"{cpu:.1f} s", ""],
        ["peak memory of the run", f"{SLIDES} frames", f"{peak:.2f} GiB", "", f"{MAX_GIB:g} GiB"],
    ]
    print(table(["what", "on", "measured", "CPU", "limit"], rows))
    return int(again[1] > MAX_PLAN_SECONDS or peak > MAX_GIB)


if __name__ == "__main__":
    sys.exit(main())

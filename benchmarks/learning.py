"""Trains one detector of each family on synthetic frames, alone, and reports whether it learned: F1 at least .60.

    python benchmarks/learning.py [--detector SPEC ...]

Profile `smoke`, one CPU thread, a store of its own. A training may take at most 4 minutes of CPU. The command ends with
exit code 1 if a detector does not learn, or takes longer.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from common import machine, table

from mitobench.results import record

DETECTORS = ("heatmap:tf_efficientnet_lite0", "mmdet:rtmdet_tiny", "torchvision:fcos_resnet50_fpn")
MIN_F1 = 0.6
MAX_SECONDS = 240  # of CPU, for training


def main() -> None:
    """Prints a row a detector. Exits with 1 if one is below MIN_F1 or above MAX_SECONDS."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", nargs="+", default=DETECTORS, metavar="SPEC")
    arguments = parser.parse_args()
    print(machine())
    results = {spec: trained(spec) for spec in arguments.detector}
    rows = [(f"`{spec}`", f"{f1:.3f}", f"{fit:.0f}", f"{cpu:.0f}") for spec, (f1, fit, cpu) in results.items()]
    print(table(["detector, alone", "F1", "s of training", "CPU s of the whole command"], rows))
    print(f"wanted: F1 of at least {MIN_F1}, at most {MAX_SECONDS} s of training")
    learned = all(f1 >= MIN_F1 and min(fit, cpu) <= MAX_SECONDS for f1, fit, cpu in results.values())
    sys.exit(0 if learned else 1)


def trained(spec: str) -> tuple[float, float, float]:
    """Returns test F1, seconds of training, and CPU seconds of the whole run, for a detector without verifier."""
    roles = ["--estimator", "fixed", "--detector", spec, "--verifier", "none", "--fuser", "detector-only"]
    with tempfile.TemporaryDirectory() as folder:
        places = ["--dataset", "synthetic", "--store", f"{folder}/store", "--out", f"{folder}/board"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(
            [Path(sys.executable).with_name("mitobench"), "run", *roles, *places, "--profile", "smoke"],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )
        cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        ((_, found),) = record.read_all(Path(folder, "board", "records"))
    assert found.test is not None, found.reason
    return found.test.f1 or 0.0, found.run.seconds.get("detector", 0.0), cpu


if __name__ == "__main__":
    main()

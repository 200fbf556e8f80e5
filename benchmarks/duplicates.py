"""Finds planted copies among unrelated frames: recall of each kind of copy, and false pairs.

    python benchmarks/duplicates.py                    # 200 copies of each kind among 1,000 synthetic frames
    python benchmarks/duplicates.py --data ~/mitos     # also all pairs, and copies, among real frames

A copy is turned or mirrored, saved as JPEG of quality 50, rescaled by .5 to 2, or cropped to at least half of its area.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from frame_copies import KINDS, Pixels

from mitobench.datasets import available, load, synthetic
from mitobench.datasets.contamination import in_data
from mitobench.datasets.duplicates import Fingerprint, find, fingerprint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000, help="unrelated synthetic frames")
    parser.add_argument("--copies", type=int, default=200, help="copies of each kind")
    parser.add_argument("--side", type=int, default=256, help="px of a synthetic frame")
    parser.add_argument("--data", type=Path, help="folder of real data sets")
    args = parser.parse_args()
    frames = unrelated(args.frames, args.side)
    started = time.process_time()
    known = {key: fingerprint(pixels) for key, pixels in frames.items()}
    print(f"{1000 * (time.process_time() - started) / len(known):.0f} ms of CPU to describe a frame")
    started = time.process_time()
    print(f"unrelated: {len(find(known))} of {len(known)} x {len(known)} pairs, {time.process_time() - started:.0f} s")
    for name, copied in KINDS.items():
        report(name, copied, frames, known, args.copies)
    if args.data:
        for name in available(args.data):
            real(name, args.data, args.copies)


def unrelated(number: int, side: int) -> dict[str, Pixels]:
    """Returns synthetic frames, by their keys."""
    with tempfile.TemporaryDirectory() as folder:
        synthetic.write(Path(folder, "synthetic"), seed=11, frames=-(-number // 14), size=side)
        items = list(load("synthetic", Path(folder)).items.values())[:number]
        return {item.frame.key: item.frame.read() for item in items}


def report(
    name: str,
    copied: Callable[[Pixels, Generator], Pixels],
    frames: dict[str, Pixels],
    known: dict[str, Fingerprint],
    copies: int,
) -> None:
    rng = np.random.default_rng(0)
    chosen = rng.permutation(sorted(frames))[:copies]
    planted = {f"copy of {key}": fingerprint(copied(frames[key], rng)) for key in chosen}
    found = {frozenset((pair.one, pair.other)) for pair in find({**known, **planted})}
    wanted = {frozenset((key, key.removeprefix("copy of "))) for key in planted}
    print(f"{name}: {len(found & wanted)} of {len(wanted)} found, {len(found - wanted)} false")


def real(name: str, data: Path, copies: int) -> None:
    started, dataset = time.process_time(), load(name, data)
    pairs = in_data({name: dataset})
    print(f"{name}: {len(pairs)} pairs of frames of different slides, {time.process_time() - started:.0f} s")
    for pair in pairs[:20]:
        print(f"  {pair.one} {pair.other}{' (exact)' if pair.exact else ''}")
    items = list(dataset.items.values())
    chosen = items[:: max(len(items) // copies, 1)]
    frames = {item.frame.key: item.frame.read() for item in chosen}
    known = {key: fingerprint(pixels) for key, pixels in frames.items()}
    for kind, copied in KINDS.items():
        report(f"{name}, {kind}", copied, frames, known, copies)


if __name__ == "__main__":
    main()

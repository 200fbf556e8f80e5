"""Measures whether the input pipeline keeps the device busy: patches per second made and needed."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import machine, table
from mmengine.dataset import pseudo_collate
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from numpy.typing import NDArray

from mitobench import datasets, discovery
from mitobench.api import Context, Frame, Mitoses, Sample
from mitobench.datasets.synthesis import MPP, make_frame
from mitobench.pipeline.settings import Settings
from mitobench.training.runner import _loader
from mitobench_mmdet.engine.patch_stream import PatchStream
from mitobench_mmdet.paper.models import faster_rcnn

SIDE = 2084  # px, of a MITOS 2012 frame
TILE = SIDE // 4
SYNTHETIC_FRAMES = 4
MEASURED_SECONDS = 10.0
ENDLESS = 10**9  # iterations
WARM_UP = {"cpu": 1, "cuda": 10}
STEPS = {"cpu": 2, "cuda": 50}


def main() -> None:
    """Prints the table."""
    args = arguments()
    options: Any = Settings.load(args.profile).options("detector", discovery.load("detector", "frcnn"))
    samples = real(args.data) if args.data else synthetic()
    stream = PatchStream(samples, options)
    for sample in samples:
        stream.cache.get(sample.frame)  # reading is paid once in a training of 120,000 steps
    made = {workers: patches_a_second(stream, options, args.device, workers) for workers in args.workers}
    step = step_seconds(stream, options, args.device)
    needed = options.batch_size / step
    frames = "real" if args.data else "synthetic"
    print(
        f"{machine()}\n\n{len(samples)} {frames} frames, profile {args.profile}, {step:.3g} s a step, {args.device}\n"
    )
    rows = [(n, f"{rate:.1f}", f"{needed:.2f}", f"{rate / needed:.1f}") for n, rate in made.items()]
    print(table(["workers", "patches/s made", "patches/s needed", "made / needed"], rows))


def arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with MITOS 2012; without it: synthetic frames")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    return parser.parse_args()


def real(data: Path) -> list[Sample]:
    """Returns the training frames of MITOS 2012, with the boxes of their masks."""
    items = datasets.load("mitos2012", data).items.values()
    return [boxed(item.frame, item.mitoses) for item in items if item.part == "train"]


def synthetic() -> list[Sample]:
    """Returns tiled synthetic frames of real size. One inner tile is annotated, for a real number of mitoses."""
    return [tiled(number) for number in range(SYNTHETIC_FRAMES)]


def tiled(number: int) -> Sample:
    """Returns one such frame, with the boxes of its masks."""
    picture = make_frame(0, number, number, TILE)
    reader = partial(same, np.tile(picture.image, (SIDE // TILE, SIDE // TILE, 1)))
    masks = tuple(mask + TILE for mask in picture.mitoses.masks or ())
    frame = Frame(str(number), "synthetic", str(number), "A", (MPP, MPP), (SIDE, SIDE), reader)
    return boxed(frame, Mitoses(picture.mitoses.xy + TILE, masks))


def same(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a frame that is in memory."""
    return image


def boxed(frame: Frame, mitoses: Mitoses) -> Sample:
    """Returns a training sample with the boxes of the estimator `mask`."""
    boxes = [[*mask.min(axis=0), *(mask.max(axis=0) + 1)] for mask in mitoses.masks or ()]
    return Sample(frame, mitoses, np.array(boxes, dtype=np.float64).reshape(-1, 4))


def patches_a_second(stream: PatchStream, options: Any, device: str, workers: int) -> float:
    """Returns the patches per second from the loader of the training, if using them takes no time."""
    context = Context(seed=0, device=device, work=Path())
    batches = iter(_loader(stream, context, ENDLESS, options.batch_size, pseudo_collate, workers, 0))
    for _ in range(1 + 2 * workers):  # the workers have started, and what they fetched ahead is gone
        next(batches)
    started = time.perf_counter()
    drawn = 0
    while (took := time.perf_counter() - started) < MEASURED_SECONDS:
        next(batches)
        drawn += options.batch_size
    return drawn / took


def step_seconds(stream: PatchStream, options: Any, device: str) -> float:
    """Returns the mean seconds of a training step on a prepared batch; with mixed precision on CUDA."""
    network = faster_rcnn(options).to(device).train()
    sgd = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=options.momentum)
    optimizer = AmpOptimWrapper(optimizer=sgd) if device == "cuda" else OptimWrapper(sgd)
    rng = np.random.default_rng(0)
    batch = pseudo_collate([stream.draw(rng) for _ in range(options.batch_size)])
    for _ in range(WARM_UP[device]):
        network.train_step(batch, optimizer)
    settle(device)
    started = time.perf_counter()
    for _ in range(STEPS[device]):
        network.train_step(batch, optimizer)
    settle(device)
    return (time.perf_counter() - started) / STEPS[device]


def settle(device: str) -> None:
    """Waits until the device has finished."""
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()

"""Measures the seconds per frame of every network: of the plugin, of a bare forward pass of the same network on
prepared input, and, for the detector, of MMDetection's `inference_detector`. They alternate within one run, and the
least of the repeats counts. It also measures the memory of a whole frame in one pass and in tiles, and on a GPU the
iterations per second of the training.

A bare forward pass of the detector is `network.predict` on the enlarged, normalised tensor: backbone, proposals and
their suppression, region pooling, region head and the last suppression. The plugin's `predict` also resamples,
enlarges, normalises, and maps boxes back to frame pixels. The decoded frame is in memory for all of them.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import machine, table

from mitobench import datasets, discovery
from mitobench.api import Detections, Detector, Frame, Mitoses, Sample
from mitobench.pipeline.settings import Settings

HPF = 2084  # px, the side of a MITOS 2012 frame; twice that is searched
TILE = 1024
PATCHES = 64
PAPER_SECONDS = 0.72  # DeepDet on an HPF, TITAN X
TARGETS = {"a bare forward": "at most 1.15", "MMDetection's inference_detector": "below 1"}
TRAINING_STEPS = {"warm-up": 20, "measured": 100}


@dataclass(frozen=True)
class Pixels:
    """Returns a frame that is in memory."""

    pixels: np.ndarray[Any, Any]

    def __call__(self) -> np.ndarray[Any, Any]:
        return self.pixels


def main() -> None:
    args = arguments()
    print(machine() + "\n")
    for part in args.parts:
        PARTS[part](args)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--frame", type=int, default=HPF, help="side of the frame, px (memory: always a whole HPF)")
    parser.add_argument("--profile", choices=["paper", "cpu"], default="paper")
    parser.add_argument("--data", type=Path, help="folder with MITOS 2012; without it: synthetic noise")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    unknown = sorted(set(args.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}, but {', '.join(PARTS)}")
    return args


# ----------------------------------------------------------------------------------------- frames and networks


def frame_of(data: Path | None, side: int) -> Frame:
    """Returns a frame of `side` px: noise, or the corner of a real one."""
    if data is None:
        pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    else:
        items = datasets.load("mitos2012", data).items
        pixels = np.ascontiguousarray(next(iter(items.values())).frame.read()[:side, :side])
    return Frame("benchmark", "none", "none", "A", (0.2456, 0.2456), pixels.shape[1::-1], Pixels(pixels))


def options_of(role: str, name: str, profile: str, **changes: Any) -> Any:
    return Settings.load(profile).options(role, discovery.load(role, name)).model_copy(update=changes)


def detector_of(options: Any, device: str) -> Any:
    """Sets random weights with scores far apart, so that rounding does not change the order of candidates."""
    detector: Any = discovery.load("detector", "frcnn")(options, device)
    from mitobench_mmdet.engine.build import initialise

    torch.manual_seed(0)
    network = detector.build()
    initialise(network)
    for layer in (network.rpn_head.rpn_cls, network.roi_head.bbox_head.fc_cls):
        torch.nn.init.normal_(layer.weight, std=5.0)
    detector._network = network.to(device).eval()
    return detector


def least(device: str, repeats: int, **calls: Callable[[], Any]) -> dict[str, float]:
    """Returns the least seconds of each call over several rounds; the first round is not counted.

    On a CPU it is process time, which other processes disturb least; on a GPU it is wall-clock time.
    """
    clock = time.perf_counter if device == "cuda" else time.process_time
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            _finish(device)
            started = clock()
            call()
            _finish(device)
            times[name].append(clock() - started)
    return {name: min(taken[1:]) for name, taken in times.items()}


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


# ------------------------------------------------------------------------------------------------------ parts


def memory(args: argparse.Namespace) -> None:
    """Measures the peak memory of a whole frame, each way in its own process, and checks that both find the same."""
    results = {}
    for tile in (None, TILE):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            results[tile] = pool.submit(_searched, args.profile, args.device, args.data, tile).result()
    rows = [
        ("in one pass" if tile is None else f"in tiles of {tile} px", f"{peak / 2**30:.2f}", f"{took:.1f}", len(found))
        for tile, (peak, took, found) in results.items()
    ]
    print(table([f"an HPF, {HPF} x {HPF} px, {args.profile}", "peak GiB", "s", "candidates"], rows))
    one, tiled = (found for _, _, found in results.values())
    print(f"\nLargest difference: {_difference(one, tiled)}. Memory is beyond that of the loaded network and frame.\n")


def _searched(profile: str, device: str, data: Path | None, tile: int | None) -> tuple[int, float, Detections]:
    """Returns the additional peak memory in bytes, the seconds, and the candidates. Runs in its own process."""
    frame, detector = frame_of(data, HPF), detector_of(options_of("detector", "frcnn", profile, tile=tile), device)
    before = _peak(device)
    started = time.perf_counter()
    found = detector.predict(frame)
    return _peak(device) - before, time.perf_counter() - started, found


def _peak(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _difference(a: Detections, b: Detections) -> str:
    if len(a) != len(b):
        return f"{len(a)} candidates against {len(b)}"
    return f"{np.abs(a.boxes - b.boxes).max(initial=0):.1e} px, {np.abs(a.score - b.score).max(initial=0):.1e} of score"


def detector(args: argparse.Namespace) -> None:
    """Measures the seconds per frame of `frcnn`, of a bare forward pass and of MMDetection."""
    found = detector_of(options_of("detector", "frcnn", args.profile), args.device)
    from mmdet.apis import inference_detector

    from mitobench_mmdet.paper.search import forward, prepare

    frame, scale = frame_of(args.data, args.frame), found.options.scale
    pixels = frame.read()
    prepared, pipeline = prepare(pixels, scale, args.device), _pipeline(pixels.shape, scale)
    found.network.cfg = None  # inference_detector reads it, and needs it only without a pipeline
    with torch.inference_mode():
        seconds = least(
            args.device,
            args.repeats,
            ours=lambda: found.predict(frame),
            bare=lambda: forward(found.network, prepared),
            theirs=lambda: inference_detector(found.network, pixels, pipeline),
        )
    _print(
        f"a frame of {args.frame} px, x {scale:g}, {args.profile}",
        [("frcnn, predict", seconds["ours"]), ("a bare forward", seconds["bare"]),
         ("MMDetection's inference_detector", seconds["theirs"])],
    )  # fmt: skip
    if (args.frame, args.profile) == (HPF, "paper"):
        print(f"The paper: {PAPER_SECONDS} s an HPF on a TITAN X.\n")


def _pipeline(shape: tuple[int, ...], scale: float) -> Any:
    """Returns MMDetection's usual test pipeline, with the same scale."""
    from mmcv.transforms import Compose

    size = round(shape[1] * scale), round(shape[0] * scale)
    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    return Compose(
        [
            {"type": "mmdet.LoadImageFromNDArray"},
            {"type": "mmdet.Resize", "scale": size, "keep_ratio": True},
            {"type": "mmdet.PackDetInputs", "meta_keys": keys},
        ]
    )


def estimator(args: argparse.Namespace) -> None:
    """Measures the seconds per frame of `fcn`, and of a bare forward pass of its tiles."""
    fcn: Any = discovery.load("estimator", "fcn")(options_of("estimator", "fcn", args.profile), args.device)
    from mitobench_networks.fcn.mask_patches import tile_edges
    from mitobench_networks.fcn.network import normalised

    torch.manual_seed(0)
    fcn._use(fcn._new().to(args.device).eval())
    frame = frame_of(args.data, args.frame)
    pixels = torch.from_numpy(frame.read()[None]).to(args.device)
    edges = list(itertools.pairwise(tile_edges(args.frame, fcn.options.tiles)))
    tiles = [normalised(pixels[:, top:bottom, left:right]) for top, bottom in edges for left, right in edges]
    one, number = Mitoses(np.array([[args.frame / 2] * 2])), itertools.count()
    with torch.inference_mode():
        seconds = least(
            args.device,
            args.repeats,
            ours=lambda: fcn.boxes(replace(frame, id=f"frame {next(number)}"), one),  # a known frame costs nothing
            bare=lambda: [fcn._network(tile) for tile in tiles],
        )
    _print(f"a frame of {args.frame} px, {args.profile}",
           [("fcn, boxes", seconds["ours"]), ("a bare forward", seconds["bare"])])  # fmt: skip


def verifier(args: argparse.Namespace) -> None:
    """Measures the seconds per patch of `resnet50`, and of a bare forward pass of the same batch."""
    resnet: Any = discovery.load("verifier", "resnet50")
    resnet = resnet(options_of("verifier", "resnet50", args.profile, tta_views=1), args.device)
    from mitobench.training import cut

    torch.manual_seed(0)
    resnet._network = resnet.untrained().to(args.device).eval()
    frame = frame_of(args.data, args.frame)
    xy = np.random.default_rng(0).uniform(0, args.frame, (PATCHES, 2))
    patches = torch.from_numpy(cut(frame, xy, resnet.options.patch, resnet.options.mpp)).to(args.device)
    candidates = Detections.from_points(xy, np.ones(PATCHES))
    with torch.inference_mode():
        batch = resnet.prepare(patches)
        seconds = least(
            args.device,
            args.repeats,
            ours=lambda: resnet.score(frame, candidates),
            bare=lambda: resnet._network(batch),
        )
    _print(f"a patch of {resnet.options.patch} px, {PATCHES} at once, {args.profile}",
           [("resnet50, score", seconds["ours"] / PATCHES), ("a bare forward", seconds["bare"] / PATCHES)])  # fmt: skip


def _print(title: str, rows: Sequence[tuple[str, float]]) -> None:
    """Returns the seconds of each row, and the ratio of the first row to it."""
    ours = rows[0][1]
    lines = [(name, f"{took:.4g}", f"{ours / took:.3f}", TARGETS.get(name, "")) for name, took in rows]
    print(table([title, "s", "ours / it", "target"], lines) + "\n")


def training(args: argparse.Namespace) -> None:
    """Measures iterations per second of the training of `frcnn`, with and without mixed precision and channels last."""
    if args.device != "cuda":
        print("Training is measured on a GPU alone.")
        return
    options = options_of("detector", "frcnn", args.profile)
    rows = [
        ("on" if amp else "off", "on" if channels_last else "off", f"{_iterations(options, amp, channels_last):.1f}")
        for amp, channels_last in itertools.product((False, True), repeat=2)
    ]
    print(table([f"training, {args.profile}: mixed precision", "channels last", "iterations/s"], rows) + "\n")


def _iterations(options: Any, amp: bool, channels_last: bool) -> float:
    detector: type[Detector] = discovery.load("detector", "frcnn")
    network: Any = detector(options).build().cuda().train()
    from mmengine.dataset import pseudo_collate
    from mmengine.optim import AmpOptimWrapper, OptimWrapper
    from mmengine.registry import OPTIMIZERS

    from mitobench_mmdet.engine.build import initialise
    from mitobench_mmdet.engine.fitting import optimizer
    from mitobench_mmdet.engine.patch_stream import PatchStream

    initialise(network)
    if channels_last:
        network.to(memory_format=torch.channels_last)
    sgd = OPTIMIZERS.build({**optimizer(options), "params": network.parameters()})
    wrapper = (AmpOptimWrapper if amp else OptimWrapper)(optimizer=sgd, clip_grad={"max_norm": 10.0})
    middle = np.array([[HPF / 2, HPF / 2]])
    sample = Sample(frame_of(None, HPF), Mitoses(middle), np.hstack([middle - 15, middle + 15]))
    stream, rng = PatchStream([sample], options), np.random.default_rng(0)
    batches = [pseudo_collate([stream.draw(rng) for _ in range(options.batch_size)]) for _ in range(8)]
    for step in range(TRAINING_STEPS["warm-up"] + TRAINING_STEPS["measured"]):
        if step == TRAINING_STEPS["warm-up"]:
            torch.cuda.synchronize()
            started = time.perf_counter()
        network.train_step(batches[step % len(batches)], wrapper)
    torch.cuda.synchronize()
    return TRAINING_STEPS["measured"] / (time.perf_counter() - started)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "memory": memory,  # first: a child's peak begins with its parent's
    "detector": detector,
    "estimator": estimator,
    "verifier": verifier,
    "training": training,
}


if __name__ == "__main__":
    main()

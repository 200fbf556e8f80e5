"""`heatmap:ENCODER`: a point map on an encoder of timm with a U-Net decoder; its peaks are the detections.

It learns from points alone and needs no boxes. Zhou et al., "Objects as Points" (2019), without its size branch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.feature import peak_local_max
from torch import Tensor

from mitobench import api
from mitobench.api import Context, Detections, Floats, Frame, Sample
from mitobench.training import (
    Exportable,
    OneInput,
    copy_own_weights,
    copy_trained,
    copy_weights,
    cosine,
    crop,
    find_weights,
    load_weights,
    number_of_parameters,
    part_of,
    resample,
    save_weights,
    scaled,
)
from mitobench.training.tiles import batches, grid, seen, tiles_at_once
from mitobench.training.timm_models import check_model, config_of
from mitobench_networks.dense_detection import hard_negatives, most_kept
from mitobench_networks.heatmap.network import STEPS, HeatmapNet, check_network, focal_loss
from mitobench_networks.heatmap.options import HeatmapOptions
from mitobench_networks.heatmap.point_patches import HeatmapStream

HALO = 96  # px of the image around a tile that the network sees but does not answer for


class Heatmap(api.Detector):
    """A map of the probability that a mitosis is centred here."""

    name = "heatmap"
    version = "1"
    Options = HeatmapOptions
    argument = "encoder"
    example = "tf_efficientnet_lite0"
    uses_boxes = False
    schedule = ("iterations",)
    inference_options = ("tta_views", "score_floor", "distance_um", "max_per_mm2", "tile", "box_um")
    limits: ClassVar[Mapping[str, float]] = {"max_per_mm2": 25}
    _exported: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def resolve(cls, argument: str) -> str:
        """The encoder's name. Raises MitobenchError, with similar names, where timm has none of it."""
        check_model(argument)
        return argument

    @classmethod
    def pretrained(cls, options: HeatmapOptions) -> Path | None:
        """ImageNet weights of the encoder.

        Raises MitobenchError, when a run is planned, for an encoder that no map can be built on.
        """
        check_network(options.encoder, options.decoder_channels, options.stride)
        return find_weights(options.pretrained, options.encoder)

    @classmethod
    def describe(cls, options: HeatmapOptions) -> dict[str, Any]:
        """Number of parameters, um/px, and what timm says about the encoder's published weights."""
        network = HeatmapNet(options.encoder, options.decoder_channels, options.stride)
        weights = config_of(options.encoder)
        return {
            "parameters": number_of_parameters(network),
            "um/px": options.mpp,
            "licence of code": "Apache-2.0 (timm), MIT (segmentation-models-pytorch)",
            "licence of weights": weights.get("license") or "not stated by timm",
            "published weights": weights.get("hf_hub_id") or weights.get("url") or "none",
        }

    @classmethod
    def takes_over(cls, options: Any) -> bool:
        """Whether there are no steps."""
        return not options.iterations

    def untrained(self) -> HeatmapNet:
        """The network with random weights."""
        return HeatmapNet(self.options.encoder, self.options.decoder_channels, self.options.stride)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learn the map, in rounds: after each but the last, the training frames are searched for hard negatives.

        With `iterations = 0` it takes over the network of an earlier fit.

        Raises PluginError where no training frame holds a mitosis, or the weights to start from do not fit.
        """
        options, self.device = self.options, context.device
        torch.manual_seed(context.seed)
        self._network = self.untrained()
        if self.takes_over(options):
            copy_trained(context.pretrained, self._network)
            self._network.to(self.device).eval()
            return
        if context.pretrained:
            self._start(context.pretrained)
        stream = HeatmapStream(train, options)
        ends = np.linspace(0, options.iterations, options.hard_negative_rounds + 2).round().astype(int)
        for number, (before, end) in enumerate(itertools.pairwise(ends)):
            if number:
                stream = replace(stream, hard=[self._hard_negatives(sample) for sample in train])
                context.log.info("hard negatives: %d", sum(len(xy) for xy, _ in stream.hard))
            self._train(stream, part_of(context, int(before), options.iterations), int(end - before), f"round-{number}")
        context.training_info["hard negatives"] = sum(len(xy) for xy, _ in stream.hard)

    def _start(self, weights: Path) -> None:
        """Copy the encoder's tensors; the classifier's and the last layers that an encoder lacks stay behind.

        The weights that another fit stored are copied as a whole.
        """
        if copy_own_weights(weights, self._network):
            return
        into = dict(self._network.encoder.model.state_dict())
        copy_weights(weights, into, unused=["classifier.", "conv_head.", "bn2.", "fc.", "head."])

    def _train(self, stream: HeatmapStream, context: Context, iterations: int, name: str) -> None:
        from mitobench.training import Supervised, train

        options = self.options
        train(
            Supervised(self._network, focal_loss),
            stream,
            context,
            iterations=iterations,
            batch_size=options.batch_size,
            optimizer={"type": "AdamW", "lr": options.lr, "weight_decay": options.weight_decay},
            schedule=cosine(iterations),
            clip_norm=options.clip_norm,
            ema=options.ema,
            evaluate=(lambda: context.validation_f1(self.predict)) if options.evaluate_every else None,
            evaluate_every=options.evaluate_every or iterations,
            patience=options.patience,
            name=name,
        )

    def _hard_negatives(self, sample: Sample) -> tuple[Floats, Floats]:
        """Peaks away from every mitosis, [N, 2] px, and their scores, [N]."""
        kept = hard_negatives(self.predict(sample.frame), sample)
        return kept.xy, kept.score

    # ---------------------------------------------------------------------------------------------- prediction

    def predict(self, frame: Frame) -> Detections:
        """The peaks of the map above `score_floor`, best first."""
        options = self.options
        image, factors = resample(frame.read(), frame.mpp, options.mpp)
        heat = self._map(
            image, _searched(image, frame.context * np.tile(factors, 2) - options.distance_um / options.mpp)
        )
        rows, columns = peak_local_max(
            heat,
            min_distance=max(1, round(options.distance_um / options.mpp / options.stride)),
            threshold_abs=options.score_floor,
            exclude_border=False,
        ).T
        score = heat[rows, columns].astype(np.float64)
        best = np.argsort(-score, kind="stable")[: most_kept(frame, options.max_per_mm2)]
        on_map = _refined(heat, np.stack([columns, rows], axis=1)[best])
        xy = scaled((on_map + 0.5) * options.stride - 0.5, 1 / factors)
        xy = np.clip(xy, -0.5, np.array(frame.size) - 0.5 - 1e-6)
        return Detections.from_points(xy, score[best], side=options.box_um / float(np.mean(frame.mpp)))

    @torch.inference_mode()
    def _map(
        self,
        image: NDArray[np.uint8],
        searched: tuple[int, int, int, int] | None = None,
        at_once: int | None = None,
    ) -> NDArray[np.float32]:
        """Probabilities at the map's pixels, [ceil(H / stride), ceil(W / stride)], tile by tile.

        Outside `searched` (x1, y1, x2, y2; px) they are 0; None: everything is searched. `at_once` tiles are seen at
        once; None: as many as suit the device.
        """
        tile, stride = self.options.tile, self.options.stride
        height, width = image.shape[:2]
        x1, y1, x2, y2 = searched or (0, 0, width, height)
        heat = np.zeros((-(-height // stride), -(-width // stride)), np.float32)
        tiles = grid((x1, y1, x2, y2), tile)
        for numbers in batches([seen(one, HALO, STEPS) for one in tiles], at_once or tiles_at_once(self.device)):
            several = [tiles[number] for number in numbers]
            for (left, top, right, bottom), part in zip(several, self._answers(image, several), strict=True):
                heat[top // stride : -(-bottom // stride), left // stride : -(-right // stride)] = part
        return heat

    def _answers(
        self, image: NDArray[np.uint8], tiles: Sequence[tuple[int, int, int, int]]
    ) -> Iterator[NDArray[np.float32]]:
        """The maps of tiles of one size (x1, y1, x2, y2), from each tile and what lies around it.

        Outside the image it is mirrored.
        """
        stride = self.options.stride
        pixels = np.stack([crop(image, one[0] - HALO, one[1] - HALO, *seen(one, HALO, STEPS)[::-1]) for one in tiles])
        run = self._exported or self._probabilities
        found = run(torch.from_numpy(pixels).to(self.device)).cpu().numpy()
        first = HALO // stride
        for (left, top, right, bottom), own in zip(tiles, found, strict=True):
            rows, columns = (-(-length // stride) for length in (bottom - top, right - left))
            yield own[first : first + rows, first : first + columns]

    def _probabilities(self, images: Tensor) -> Tensor:
        """The map of uint8 images [B, H, W, 3], from the mean of the logits over the views."""
        logits = []
        for k in range(self.options.tta_views):
            view = torch.rot90(images.flip(2) if k & 4 else images, k & 3, (1, 2))
            back = torch.rot90(self._network(view.contiguous()), -(k & 3), (1, 2))
            logits.append((back.flip(2) if k & 4 else back).float())
        mean = logits[0] if len(logits) == 1 else torch.stack(logits).mean(dim=0)
        return mean.sigmoid()

    def use_exported(self, run: Callable[[Tensor], Tensor]) -> None:
        """Computes maps by `run`."""
        self._exported = run

    def exportable(self) -> Exportable:
        """The network with its views and the sigmoid: a map of probabilities. Resampling, tiles, peaks are left out."""
        return Exportable(
            OneInput(self._probabilities, [self._network]),
            torch.randint(0, 256, (2, 2 * STEPS, 3 * STEPS, 3), dtype=torch.uint8),
            sizes={0: 1, 1: STEPS, 2: STEPS},
            takes=f"uint8 RGB [B, H, W, 3] at {self.options.mpp:g} um/px, H and W multiples of {STEPS}",
            returns=f"probability [B, H / {self.options.stride}, W / {self.options.stride}]",
        )

    def save(self, folder: Path) -> None:
        """Write the weights."""
        save_weights(self._network, folder)

    def load(self, folder: Path) -> None:
        """Read the weights."""
        self._network = self.untrained()
        load_weights(self._network, folder)
        self._network.to(self.device).eval()


def _searched(image: NDArray[np.uint8], context: Floats) -> tuple[int, int, int, int]:
    """The part (x1, y1, x2, y2) of an image without strips of context, [4] px, on the grid of the network's steps.

    The network sees its tiles at the same steps as without context, so that it finds the same.
    """
    size = np.array(image.shape[1::-1])
    first = np.maximum(context[:2] // STEPS * STEPS, 0)
    sides = np.ceil((size - np.maximum(context[2:], 0) - first) / STEPS) * STEPS  # so that the network pads nothing
    if (sides <= 0).any():
        return 0, 0, int(size[0]), int(size[1])
    x1, y1, x2, y2 = np.concatenate([first, np.minimum(first + sides, size)]).astype(int).tolist()
    return x1, y1, x2, y2


def _refined(heat: NDArray[np.float32], peaks: NDArray[np.int64]) -> Floats:
    """Peaks (x, y) [N, 2] moved to the centre of mass of the 3 x 3 pixels around each."""
    around = np.pad(heat, 1)
    offsets = np.arange(-1, 2)
    windows = np.stack([around[y : y + 3, x : x + 3] for x, y in peaks]) if len(peaks) else np.zeros((0, 3, 3))
    mass = windows.sum(axis=(1, 2)) + 1e-12
    x = (windows.sum(axis=1) * offsets).sum(axis=1) / mass
    y = (windows.sum(axis=2) * offsets).sum(axis=1) / mass
    refined: Floats = peaks + np.stack([x, y], axis=1)
    return refined

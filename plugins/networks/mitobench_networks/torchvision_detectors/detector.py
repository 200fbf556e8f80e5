"""`torchvision:NAME`: a box detector of torchvision, for one class."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from mitobench import api
from mitobench.api import Context, Detections, Floats, Frame, Sample, clip_boxes
from mitobench.training import (
    EDGE,
    copy_trained,
    find_weights,
    load_weights,
    number_of_parameters,
    part_of,
    resample,
    save_weights,
    scaled,
)
from mitobench.training.timm_models import check_built
from mitobench_networks.dense_detection import hard_negatives, most_kept
from mitobench_networks.torchvision_detectors.names import check_network
from mitobench_networks.torchvision_detectors.networks import BoxNetwork
from mitobench_networks.torchvision_detectors.options import TorchvisionOptions
from mitobench_networks.torchvision_detectors.patches import patch_stream
from mitobench_networks.torchvision_detectors.search import search
from mitobench_networks.torchvision_detectors.weights import backbone_name, start_from


class TorchvisionDetector(api.Detector):
    """Faster R-CNN, RetinaNet, FCOS or SSD, as torchvision builds it."""

    name = "torchvision"
    version = "1"
    Options = TorchvisionOptions
    argument = "model"
    example = "fcos_resnet50_fpn"
    schedule = ("iterations", "warmup")
    inference_options = ("score_floor", "nms", "distance_um", "detections_per_tile", "max_per_mm2", "tile")
    limits: ClassVar[Mapping[str, float]] = {"detections_per_tile": 25, "max_per_mm2": 25}

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the name. Raises MitobenchError, with the reason or similar names, for what is not a box detector."""
        check_network(argument)
        return argument

    @classmethod
    def pretrained(cls, options: TorchvisionOptions) -> Path | None:
        """Returns weights of the backbone, or those of the FILE.

        Raises MitobenchError, when a run is planned, for a backbone without the feature maps that the detector needs.
        """
        if options.backbone:
            check_built(lambda: BoxNetwork(options))
        return find_weights(options.pretrained, backbone_name(options))

    @classmethod
    def describe(cls, options: TorchvisionOptions) -> dict[str, Any]:
        """Number of parameters, um/px, and the backbone's published weights."""
        network = BoxNetwork(options)
        return {
            "parameters": number_of_parameters(network),
            "um/px": options.mpp,
            "published weights of the backbone": backbone_name(options),
        }

    @classmethod
    def takes_over(cls, options: Any) -> bool:
        """Whether there are no steps."""
        return not options.iterations

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learns from boxes, in rounds: after each but the last, the training frames are searched for hard negatives.

        With `iterations = 0` it takes over the network of an earlier fit.

        Raises PluginError if no training frame has a mitosis, or the weights to start from do not fit.
        """
        from mitobench_networks.torchvision_detectors.training import fit

        options, self.device = self.options, context.device
        torch.manual_seed(context.seed)
        self._network = BoxNetwork(options)
        if self.takes_over(options):
            copy_trained(context.pretrained, self._network)
            self._network.to(self.device).eval()
            return
        stream = patch_stream(train, options)
        if context.pretrained:
            start_from(context.pretrained, self._network, options)
        ends = np.linspace(0, options.iterations, options.hard_negative_rounds + 2).round().astype(int)
        for number, (before, end) in enumerate(itertools.pairwise(ends)):
            if number:
                hard = [self._hard_negatives(sample) for sample in train]
                stream.set_false_positives(hard)
                context.training_info["hard negatives"] = sum(map(len, hard))
            if end > before:
                own = part_of(context, int(before), options.iterations)
                fit(self._network, stream, options, int(end - before), own, f"round-{number}")

    def _hard_negatives(self, sample: Sample) -> Floats:
        """Returns the centres of the best detections away from every mitosis, [N, 2] px."""
        return hard_negatives(self.predict(sample.frame), sample).xy

    def predict(self, frame: Frame) -> Detections:
        """Returns the detections above `score_floor`, best first."""
        options = self.options
        pixels, factors = resample(frame.read(), frame.mpp, options.mpp)
        size = np.array([round(side * options.scale) for side in pixels.shape[1::-1]])
        if options.scale != 1:
            factors = factors * size / pixels.shape[1::-1]
            pixels = np.asarray(Image.fromarray(pixels).resize(tuple(size), Image.Resampling.BILINEAR))
        boxes, scores = search(self._network, pixels, options.tile, options.nms, self.device)
        boxes = clip_boxes(scaled(boxes - EDGE, 1 / factors), frame.size)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        found = Detections.from_boxes(boxes[inside], scores[inside]).apart(frame.mpp, options.distance_um)
        return found[: most_kept(frame, options.max_per_mm2)]

    def exportable(self) -> Any:
        """Raises PluginError: nothing of the network is exported."""
        raise api.PluginError(
            f"{self.name} searches a frame by tiles, and decodes boxes with non-maximum suppression: shapes depend on "
            "the content of the image, so it is a program of PyTorch and not one network"
        )

    def save(self, folder: Path) -> None:
        """Writes the weights."""
        save_weights(self._network, folder)

    def load(self, folder: Path) -> None:
        """Reads the weights."""
        self._network = BoxNetwork(self.options)
        load_weights(self._network, folder)
        self._network.to(self.device).eval()

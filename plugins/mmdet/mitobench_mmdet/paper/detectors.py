"""The detectors `frcnn` (DeepDet), `rpn` and `rpn-extracted` of Li et al. 2018."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mitobench import api
from mitobench_mmdet.paper.options import FasterRCNNOptions, RPNExtractedOptions, RPNOptions, Search

if TYPE_CHECKING:  # torch and mmdet take seconds to import and are not needed to list or plan
    from mmengine.model import BaseModel

UPSTREAM_OPTIONS = "frcnn.json"
WEIGHTS = "vgg_cnn_m_1024"


class NetworkDetector(api.Detector):
    """Base class of detectors with a network of `mitobench_mmdet.paper.models`."""

    version = "0.1.0"  # of the method, not of the package; stored in records
    inference_options = tuple(Search.model_fields)
    limits: ClassVar[Mapping[str, float]] = {"proposals_before": 4, "proposals_after": 4, "max_per_image": 100}
    _network: BaseModel | None = None

    @property
    def network(self) -> BaseModel:
        """The trained network. Raises PluginError if there is none yet."""
        if self._network is None:
            raise api.PluginError(f"The detector {self.name!r} has no weights yet. Call fit or load first.")
        return self._network

    @property
    def network_options(self) -> Any:
        """The options that the network was built with."""
        return self.options

    def build(self) -> BaseModel:
        """Builds the network, untrained."""
        raise NotImplementedError

    def predict(self, frame: api.Frame) -> api.Detections:
        """Returns candidates above `score_floor`, best first."""
        from mitobench_mmdet.paper.search import search

        return search(self.network, frame, self.network_options, self.options, self.device)

    def exportable(self) -> Any:
        """Raises PluginError: nothing of the network is exported."""
        raise api.PluginError(
            f"{self.name} searches a frame by feature tiles, proposals and non-maximum suppression. Shapes depend "
            "on the image: they are programs of PyTorch and not one network"
        )

    def save(self, folder: Path) -> None:
        """Writes the weights."""
        from mitobench.training import save_weights

        save_weights(self.network, folder)

    def load(self, folder: Path) -> None:
        """Reads the weights."""
        from mitobench.training import load_weights

        network = self.build()
        load_weights(network, folder)
        self._network = network.to(self.device).eval()


class PatchTrainedDetector(NetworkDetector):
    """Base class of detectors that train their network on patches."""

    schedule = ("iterations", "lr_steps", "warmup")

    @classmethod
    def pretrained(cls, options: Any) -> Path | None:
        """Returns ImageNet weights of VGG_CNN_M_1024, if the network has its layers."""
        from mitobench.training import find_weights

        return find_weights(options.pretrained, WEIGHTS, cls.is_published(options))

    @classmethod
    def is_published(cls, o: Any) -> bool:
        """Returns whether the pretrained weights of VGG_CNN_M_1024 fit the backbone."""
        return bool((o.width, o.norm, o.stride) == (1, "lrn", 16))

    @classmethod
    def takes_over(cls, options: Any) -> bool:
        """Whether there are no steps."""
        return not options.iterations

    def fit(self, train: Sequence[api.Sample], val: Sequence[api.Sample], context: api.Context) -> None:
        """Trains on patches of `train`, starting from `context.pretrained` if it is given.

        With `iterations = 0` it takes over the network of an earlier fit.
        """
        import torch

        from mitobench.training import copy_own_weights, copy_trained
        from mitobench_mmdet.engine.build import initialise
        from mitobench_mmdet.engine.fitting import fit
        from mitobench_mmdet.paper.pretrained import start_from

        torch.manual_seed(context.seed)
        self._network, self.device = self.build(), context.device
        if self.takes_over(self.options):
            copy_trained(context.pretrained, self._network)
            self._network.to(self.device).eval()
            return
        if context.pretrained is not None:
            initialise(self._network)  # training would do it later, and overwrite the copied weights
            if not copy_own_weights(context.pretrained, self._network):
                start_from(self._network, context.pretrained)
            self._network.backbone.freeze(self.options.frozen_stages)
        fit(self._network, train, self.options, context, self.predict)


class FasterRCNN(PatchTrainedDetector):
    """Faster R-CNN on VGG_CNN_M: DeepDet."""

    name = "frcnn"
    Options = FasterRCNNOptions

    @classmethod
    def is_published(cls, o: Any) -> bool:
        """Returns whether they fit the backbone and the fully connected layers."""
        return super().is_published(o) and (o.roi_size, o.fc) == (6, (4096, 1024))

    def build(self) -> BaseModel:
        """Builds Faster R-CNN, untrained."""
        from mitobench_mmdet.paper.models import faster_rcnn

        return faster_rcnn(self.options)


class RPN(PatchTrainedDetector):
    """The region proposal network of DeepDet, trained alone. Its objectness is the score."""

    name = "rpn"
    Options = RPNOptions

    def build(self) -> BaseModel:
        """Builds the region proposal network, untrained."""
        from mitobench_mmdet.paper.models import rpn

        return rpn(self.options, self.options)


class RPNExtracted(NetworkDetector):
    """The region proposal network taken out of a trained `frcnn`, with no training of its own."""

    name = "rpn-extracted"
    Options = RPNExtractedOptions
    upstream: FasterRCNNOptions

    @classmethod
    def requires(cls, options: Any) -> Mapping[str, api.Requirement]:
        """Requires a fitted `frcnn`."""
        return {"detector": api.Requirement(FasterRCNN.name)}

    @property
    def network_options(self) -> FasterRCNNOptions:
        """The options of the `frcnn` that the network was taken from."""
        return self.upstream

    def build(self) -> BaseModel:
        """Builds the region proposal network, untrained."""
        from mitobench_mmdet.paper.models import rpn

        return rpn(self.upstream, self.options)

    def fit(self, train: Sequence[api.Sample], val: Sequence[api.Sample], context: api.Context) -> None:
        """Takes the network out of the fitted `frcnn`."""
        from mitobench_mmdet.paper.models import copy_rpn

        detector = context.upstream["detector"]
        assert isinstance(detector, FasterRCNN)
        self.upstream, self.device = detector.options, context.device
        self._network = copy_rpn(detector.network, self.build()).to(self.device).eval()

    def save(self, folder: Path) -> None:
        """Writes the weights, and the options of the `frcnn`, from which the network is built again."""
        super().save(folder)
        options = self.upstream.model_dump_json(indent=2, exclude=set(Search.model_fields))
        (folder / UPSTREAM_OPTIONS).write_text(options, encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads the options and the weights of the network."""
        self.upstream = FasterRCNNOptions.model_validate_json((folder / UPSTREAM_OPTIONS).read_text(encoding="utf-8"))
        super().load(folder)

"""`mmdet:CONFIG`: any box detector of MMDetection by the name of its config."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mitobench import api
from mitobench_mmdet.zoo import configs
from mitobench_mmdet.zoo.options import SEARCH, MMDetOptions

if TYPE_CHECKING:  # torch and mmdet take seconds to import and are not needed to list or plan
    from mmengine.model import BaseModel

MODEL = "model.json"
MAX_MODEL_BYTES = 1 << 20
TIMM = "timm:"


class MMDet(api.Detector):
    """A network of MMDetection, found by the name of its config."""

    name = "mmdet"
    version = "1"
    Options = MMDetOptions
    argument = "config"
    example = "rtmdet_tiny_8xb32-300e_coco"
    schedule = ("iterations", "lr_steps", "warmup")
    inference_options = SEARCH
    limits: ClassVar[Mapping[str, float]] = {"max_per_mm2": 25}
    _network: BaseModel | None = None
    _model: dict[str, Any]

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the config's full name. Raises MitobenchError for one that is unknown or cannot be fitted."""
        return configs.resolve(argument)

    @classmethod
    def pretrained(cls, options: MMDetOptions) -> Path | None:
        """Returns ImageNet weights of the backbone, or the file that the user gave.

        Raises MitobenchError, when a run is planned, for a backbone that timm does not have (with similar names), or
        that this config cannot have.
        """
        from mitobench.training import find_weights

        cls(options).model()
        if options.backbone.startswith(TIMM):
            return find_weights(options.pretrained, options.backbone.removeprefix(TIMM))
        published = configs.published_backbone(options.config)
        if published is None and options.pretrained == "auto":
            return None  # the config starts from random weights
        return find_weights(options.pretrained, published or options.config)

    @classmethod
    def describe(cls, options: MMDetOptions) -> dict[str, Any]:
        """Number of parameters, um/px, and the backbone's published weights."""
        from mitobench.training import number_of_parameters
        from mitobench_mmdet.zoo.network import built

        network = built(cls(options).model(), options)
        replaced = options.backbone.removeprefix(TIMM) if options.backbone.startswith(TIMM) else None
        return {
            "parameters": number_of_parameters(network),
            "um/px": options.mpp,
            "published weights of the backbone": replaced or configs.published_backbone(options.config) or "none",
        }

    def model(self) -> dict[str, Any]:
        """Returns the model that the options describe: plain data, under the harness's settings.

        Raises MitobenchError if there is none, or its backbone cannot be replaced.
        """
        o = self.options
        found = configs.file_model(o.config, o.resolved) if "@" in o.config else configs.shipped_model(o.config)
        if not o.backbone.startswith(TIMM):
            return dict(found)
        from mitobench_mmdet.zoo.replacement import with_backbone

        return with_backbone(dict(found), o.backbone.removeprefix(TIMM))

    @classmethod
    def takes_over(cls, options: Any) -> bool:
        """Whether there are no steps."""
        return not options.iterations

    def fit(self, train: Sequence[api.Sample], val: Sequence[api.Sample], context: api.Context) -> None:
        """Trains on patches of `train`, starting from `context.pretrained` if it is given.

        With `iterations = 0` it takes over the network of an earlier fit.

        Raises PluginError with MMDetection's reason if the network cannot be built or trained.
        """
        import torch

        from mitobench.training import copy_trained, number_of_parameters
        from mitobench_mmdet.engine.build import initialise
        from mitobench_mmdet.engine.fitting import fit
        from mitobench_mmdet.zoo.network import built
        from mitobench_mmdet.zoo.start import start_from

        torch.manual_seed(context.seed)
        self._model, self.device = self.model(), context.device
        self._network = built(self._model, self.options)
        context.training_info["parameters"] = number_of_parameters(self._network)
        if self.takes_over(self.options):
            copy_trained(context.pretrained, self._network)
            self._network.to(self.device).eval()
            return
        initialise(self._network)
        if context.pretrained is not None:
            start_from(self._network, context.pretrained, self.options.backbone.removeprefix(TIMM), context)
        with self._naming_missing_operators():
            fit(self._network, train, self.options, context, self.predict)

    def predict(self, frame: api.Frame) -> api.Detections:
        """Returns candidates above `score_floor`, best first."""
        from mitobench_mmdet.zoo.network import find_in

        if self._network is None:
            raise api.PluginError(f"The detector {self.name!r} has no weights yet. Call fit or load first.")
        with self._naming_missing_operators():
            return find_in(self._network, frame, self.options, self.device)

    @contextmanager
    def _naming_missing_operators(self) -> Iterator[None]:
        """Raises PluginError, with the operator's name, where MMDetection calls one that is missing."""
        try:
            yield
        except NotImplementedError as reason:
            raise api.PluginError(f"{self.name}: {reason}") from reason

    def exportable(self) -> Any:
        """Raises PluginError: nothing of the network is exported."""
        raise api.PluginError(
            f"{self.name} searches a frame by tiles, and decodes boxes with non-maximum suppression: shapes depend on "
            "the content of the image, so it is a program of PyTorch and not one network"
        )

    def save(self, folder: Path) -> None:
        """Writes the model, as data, and the weights."""
        from mitobench.training import save_weights

        assert self._network is not None
        (folder / MODEL).write_text(json.dumps(self._model, indent=1, sort_keys=True), encoding="utf-8")
        save_weights(self._network, folder)

    def load(self, folder: Path) -> None:
        """Builds the network of the stored model, after checking it, and reads its weights. No config is read."""
        from mitobench.training import load_weights, read_bytes
        from mitobench_mmdet.zoo.network import built
        from mitobench_mmdet.zoo.validation import check

        text = read_bytes(folder / MODEL, MAX_MODEL_BYTES, "stored model", api.PluginError).decode(errors="replace")
        self._model = check(configs.loaded(text, str(folder / MODEL)))
        network = built(self._model, self.options)
        load_weights(network, folder)
        self._network = network.to(self.device).eval()

"""`probe:MODEL`: a frozen encoder describes each candidate; a logistic regression says whether it is a mitosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitobench import api
from mitobench.api import Context, Detections, Floats, Frame, PluginError, Sample
from mitobench.training import crop_around, number_of_parameters, resample, scaled
from mitobench_networks.probe import encoder, head, source
from mitobench_networks.probe.config import EncoderConfig
from mitobench_networks.probe.options import ProbeOptions

BATCH = 32  # patches in memory at once

Embedded = NDArray[np.float32]


class Probe(api.EmbeddingVerifier):
    """Embeds a patch around every candidate."""

    name = "probe"
    version = "1"
    Options = ProbeOptions
    argument = "model"
    example = "resnet18"
    encoder_options = ("model", "pretrained", "model_args")
    embedding_options = ("patch", "mpp", "enlarged", "views")

    _encoder: encoder.Encoder | None = None

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the full spelling. Raises MitobenchError, with similar names, for a network that timm lacks."""
        return source.spelled(argument)

    @classmethod
    def is_path(cls, argument: str) -> bool:
        """Returns whether the encoder is a folder."""
        return source.is_folder(argument)

    @classmethod
    def trusts(cls, options: ProbeOptions) -> Sequence[api.Need]:
        """Returns the needs of `pretrained`. The encoder's repository is read from the cache, and a model packs it.

        Its hub is contacted only if a download is allowed; without that, the message names repository and files.
        """
        return [need for need in super().trusts(options) if not need[1].startswith("model=")]

    @classmethod
    def pretrained(cls, options: ProbeOptions) -> Path | None:
        """Returns the encoder's weights."""
        return source.weights(options.model, options.pretrained)

    @classmethod
    def describe(cls, options: ProbeOptions) -> dict[str, Any]:
        """Number of the encoder's parameters, and um/px of its patches."""
        network = encoder.Encoder(source.config(options.model, options.model_args))
        return {"parameters": number_of_parameters(network), "um/px": options.mpp}

    @classmethod
    def describe_encoder(cls, options: ProbeOptions) -> dict[str, Any]:
        """Returns the encoder's architecture and input, as JSON values."""
        return source.config(options.model, options.model_args).model_dump(mode="json")

    def write_encoder(self, folder: Path, description: Mapping[str, Any], weights: Path | None) -> None:
        """Writes config.json and model.safetensors, as timm names them, so that `probe:FOLDER` can read them too."""
        encoder.write(folder, EncoderConfig.model_validate(dict(description)), weights)

    def read_encoder(self, folder: Path) -> None:
        """Reads the encoder."""
        self._encoder = encoder.read(folder).to(self.device)

    # ------------------------------------------------------------------------------------------------- embeddings

    def embed(self, frame: Frame, xy: Floats) -> Embedded:
        """Returns the embeddings of the patches around points, averaged over the views: [N, D]."""
        if self._encoder is None:
            raise PluginError(f"{self.name} has no encoder. Pack the model again.")
        embedded = [np.zeros((0, self._encoder.config.width), np.float32)]
        if len(xy):
            image, factors = resample(frame.read(), frame.mpp, self.options.mpp)
            points = scaled(xy, factors)
            for first in range(0, len(points), BATCH):
                some = points[first : first + BATCH]
                patches = np.stack([crop_around(image, point, self.options.patch) for point in some])
                embedded.append(self._views(torch.from_numpy(patches).to(self.device), self._encoder))
        return np.concatenate(embedded)

    def _views(self, patches: Tensor, network: encoder.Encoder) -> Embedded:
        side = self._side(network.config)
        total = torch.zeros(())
        for k in range(self.options.views):
            view = torch.rot90(patches.flip(2) if k & 4 else patches, k & 3, (1, 2))
            total = total + network(view, side).double().cpu()
        mean: Embedded = (total / self.options.views).float().numpy()
        return mean

    def _side(self, config: EncoderConfig) -> int:
        """Returns the side of the encoder's input, px. Raises PluginError if it accepts no side but its own."""
        wanted = self.options.enlarged
        if config.fixed and wanted not in (None, config.side):
            raise PluginError(
                f"{self.name} needs images of {config.side} px, not of enlarged={wanted}. Leave `enlarged` out: "
                "patches are resized to them."
            )
        return config.side if config.fixed else int(wanted or self.options.patch)

    # ------------------------------------------------------------------------------------------------------- head

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Fits the logistic regression on mitoses, as annotated and as detected, imposters and false detections.

        Raises PluginError if one of the two classes has no patch.
        """
        options = self.options
        mitoses, others = _classes(train, options.candidates_floor)
        if not (len(mitoses) and len(others)):
            raise PluginError(
                f"{self.name} needs patches of mitoses and of other things to learn from; it has {len(mitoses)} and "
                f"{len(others)}. Lower candidates_floor."
            )
        labels = np.arange(len(mitoses) + len(others)) < len(mitoses)
        self._head, info = head.fit(
            np.concatenate([mitoses, others]),
            labels,
            C=options.C,
            class_weight=options.class_weight,
            max_iter=options.max_iter,
        )
        context.training_info["patches"] = {"mitoses": len(mitoses), "others": len(others)}
        context.training_info["regression"] = info
        if not info["converged"]:
            context.log.warning("The logistic regression did not converge in %d steps. Raise max_iter.", info["steps"])

    def score_embedded(self, detections: Detections, embeddings: Embedded) -> Floats:
        """Returns the probability of mitosis of each detection, [N]."""
        return self._head.probability(embeddings)

    def exportable(self) -> Any:
        """Raises PluginError: the classifier is not a network."""
        raise PluginError(
            f"{self.name} is a frozen encoder, which has published weights of its own, and a logistic regression of "
            "scikit-learn: there is no fitted network to export"
        )

    def save(self, folder: Path) -> None:
        """Writes the numbers of the logistic regression."""
        self._head.save(folder)

    def load(self, folder: Path) -> None:
        """Reads the numbers of the logistic regression."""
        self._head = head.Head.load(folder)


def _classes(samples: Sequence[Sample], floor: float) -> tuple[Embedded, Embedded]:
    """Returns the embeddings of mitoses and of everything else; candidates with a score above `floor` count."""
    mitoses, others = [], []
    for sample in samples:
        assert sample.embeddings is not None
        mitoses.append(sample.embeddings.mitoses)
        others.append(sample.embeddings.imposters)
        if sample.candidates is not None:
            used = sample.candidates.score > floor
            mitoses.append(sample.embeddings.candidates[used & sample.candidates.is_mitosis])
            others.append(sample.embeddings.candidates[used & ~sample.candidates.is_mitosis])
    return np.concatenate(mitoses), np.concatenate(others)

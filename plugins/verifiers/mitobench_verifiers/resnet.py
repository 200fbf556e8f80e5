"""`resnet50` and `resnet18`: a residual network looks at a patch around every candidate (paper: DeepVer)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mitobench import api
from mitobench.api import Context, Detections, Field, Floats, Frame, PluginError, Sample
from mitobench.training import (
    Supervised,
    copy_weights,
    dihedral,
    find_weights,
    load_weights,
    save_weights,
    stain_jitter,
    train,
)
from mitobench_verifiers.network import UNUSED, Normalise, ScaledResNet, normalised
from mitobench_verifiers.patches import PatchStream, Pixels, cut, gather, recompressed

SCORING_BATCH = 64


class ResNetOptions(api.Options):
    """The defaults are the paper's."""

    pretrained: str = Field(
        "auto",
        description="Weights to start from: a .safetensors or .npz FILE of the network's tensors as torchvision names "
        "them, `none` for random ones, or `auto`: torchvision's ImageNet weights where they can be had and fit.",
    )
    patch: int = Field(96, ge=32, description="Side of a patch, px at `mpp`.")
    mpp: float | None = Field(0.2456, gt=0, description="Resolution of the patches, um/px; null: the frame's own.")
    normalise: Normalise = Field(
        "imagenet",
        description="What is taken out of a patch: the mean and deviation of ImageNet, or of the `patch` itself.",
    )
    width: float = Field(1.0, gt=0, description="Factor on all channel counts.")
    iterations: int = Field(12_000, ge=1, description="Optimizer steps.")
    batch_size: int = Field(64, ge=2, description="Patches a step.")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="Optimizer.")
    lr: float = Field(1e-2, gt=0, description="Learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    schedule: Literal["fixed", "cosine"] = Field("fixed", description="Course of the learning rate; cosine ends at 0.")
    positive_share: float | None = Field(
        None, gt=0, lt=1, description="Share of mitoses among the patches drawn; null: as they come."
    )
    turns: Literal["none", "mitoses", "all"] = Field(
        "mitoses",
        description="Which patches are turned by quarters at random; `mitoses` counts each of them four times, as the "
        "paper's turned copies do.",
    )
    mirror: bool = Field(True, description="Whether patches are mirrored at random.")
    shift: int = Field(0, ge=0, description="Greatest random shift of a patch along x and y, px at `mpp`.")
    stain_jitter: float = Field(0.0, ge=0, description="Standard deviation of the factor on optical density.")
    blur: float = Field(
        0.0,
        ge=0,
        description="Deviation of a Gaussian blur of every patch, px at `mpp`, against traces of compression.",
    )
    jpeg: tuple[int, int] | None = Field(
        None, description="Least and greatest JPEG quality at which training patches are compressed anew, at random."
    )
    candidates_floor: float = Field(0.0, description="Candidates at or below this detector score are not learned from.")
    random_negatives: int = Field(0, ge=0, description="Random background patches a frame, away from mitoses.")
    test_turns: Literal[1, 4, 8] = Field(
        1, description="Views whose logits are averaged: 1, the 4 quarter turns, or all 8 symmetries of the square."
    )


class ResNetVerifier(api.Verifier):
    """What both depths share."""

    version = "1"
    Options = ResNetOptions
    schedule = ("iterations",)
    at_prediction = ("test_turns",)
    depth: ClassVar[int]

    @classmethod
    def pretrained(cls, options: ResNetOptions) -> Path | None:
        """The network's weights on ImageNet; one of other channels has none of its own."""
        return find_weights(options.pretrained, f"ResNet{cls.depth}_Weights.IMAGENET1K_V1", options.width == 1)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learn from mitoses, candidates, imposters and background of the training frames.

        Raises PluginError when there is no mitosis or nothing else to tell it from, or the weights to start from do
        not fit.
        """
        stream = self._stream(train, context)
        torch.manual_seed(context.seed)
        self._network = ScaledResNet(self.depth, self.options.width)
        if context.pretrained:
            copy_weights(context.pretrained, self._network.imagenet(), UNUSED)
        self._train(stream, context)

    def _stream(self, samples: Sequence[Sample], context: Context) -> PatchStream:
        options = self.options
        mitoses, others, counts = gather(
            samples,
            options.patch + 2 * options.shift,
            options.mpp,
            options.candidates_floor,
            options.random_negatives,
            np.random.default_rng(context.seed),
        )
        if not (len(mitoses) and len(others)):
            raise PluginError(
                f"{self.name} needs patches of mitoses and of others to learn from and has {len(mitoses)} and "
                f"{len(others)}. Lower candidates_floor, or set random_negatives."
            )
        rotations = 4 if options.turns == "mitoses" else 1
        total = len(mitoses) * rotations + len(others)
        context.facts["patches"] = {**counts, "rotations of a mitosis": rotations, "total": total}
        context.log.info("patches: %s", ", ".join(f"{kind} {n}" for kind, n in context.facts["patches"].items()))
        share = options.positive_share or len(mitoses) * rotations / total
        return PatchStream(mitoses, others, options.shift, share, self._augment)

    def _augment(self, patch: Pixels, positive: bool, rng: np.random.Generator) -> Pixels:
        turn = self.options.turns == "all" or (positive and self.options.turns == "mitoses")
        k = (int(rng.integers(4)) if turn else 0) + (4 * int(rng.integers(2)) if self.options.mirror else 0)
        patch = stain_jitter(dihedral(patch, k), rng, self.options.stain_jitter)
        if self.options.jpeg is None:
            return patch
        least, greatest = self.options.jpeg
        return recompressed(patch, int(rng.integers(least, greatest, endpoint=True)))

    def _prepared(self, patches: Tensor) -> Tensor:
        return normalised(patches, self.options.normalise, self.options.blur)

    def _train(self, stream: PatchStream, context: Context) -> None:
        options = self.options
        optimizer: dict[str, Any] = {"lr": options.lr, "weight_decay": options.weight_decay}
        if options.optimizer == "sgd":
            optimizer |= {"type": "SGD", "momentum": options.momentum}
        else:
            optimizer |= {"type": "AdamW"}
        cosine = {"type": "CosineAnnealingLR", "T_max": options.iterations, "by_epoch": False}
        train(
            Supervised(self._network, _loss, self._prepared),
            stream,
            context,
            iterations=options.iterations,
            batch_size=options.batch_size,
            optimizer=optimizer,
            schedule=[cosine] if options.schedule == "cosine" else [],
        )

    @torch.inference_mode()
    def score(self, frame: Frame, detections: Detections) -> Floats:
        """The network's probability of mitosis of each detection, [N]."""
        patches = torch.from_numpy(cut(frame, detections.xy, self.options.patch, self.options.mpp))
        logits = [self._logits(batch.to(self.device)) for batch in patches.split(SCORING_BATCH) if len(batch)]
        return torch.cat([torch.zeros(0, dtype=torch.float64), *logits]).sigmoid().numpy()

    def _logits(self, patches: Tensor) -> Tensor:
        views = self._prepared(patches)
        turned = (torch.rot90(views.flip(3) if k & 4 else views, k & 3, (2, 3)) for k in range(self.options.test_turns))
        fast = (view.contiguous(memory_format=torch.channels_last) for view in turned)  # rot90 loses the layout
        return torch.stack([self._network(view)[:, 0].double().cpu() for view in fast]).mean(dim=0)

    def save(self, folder: Path) -> None:
        """Write the weights."""
        save_weights(self._network, folder)

    def load(self, folder: Path) -> None:
        """Read the weights."""
        self._network = ScaledResNet(self.depth, self.options.width)
        load_weights(self._network, folder)
        self._network.to(self.device).eval()


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits[:, 0], targets)


class ResNet50(ResNetVerifier):
    """The paper's verifier: ResNet-50."""

    name = "resnet50"
    depth = 50


class ResNet18(ResNetVerifier):
    """A smaller network, for fewer data and no GPU: ResNet-18."""

    name = "resnet18"
    depth = 18

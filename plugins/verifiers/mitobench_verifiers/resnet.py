"""`resnet50` and `resnet18`: a residual network looks at a patch around every candidate (paper: DeepVer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mitobench import api
from mitobench.api import Context, Detections, Floats, Frame, PluginError, Sample
from mitobench.training import (
    copy_weights,
    dihedral,
    find_weights,
    hed_jitter,
    load_weights,
    part_of,
    save_weights,
    stain_jitter,
)
from mitobench_verifiers.fitting import SCORING_BATCH, fit
from mitobench_verifiers.network import UNUSED, ScaledResNet, joined, seen
from mitobench_verifiers.options import ResNetOptions
from mitobench_verifiers.patches import PatchStream, Pixels, cut, gather, recompressed


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
        count, steps = self.options.members, self.options.iterations
        networks = []
        for number, seed in enumerate(_seeds(context.seed, count)):
            own = replace(context, seed=seed, work=context.work / f"member-{number}")
            networks.append(self._trained(stream, part_of(own, number * steps, count * steps)))
        self._network = joined(networks).to(context.device).eval()

    def _trained(self, stream: PatchStream, context: Context) -> ScaledResNet:
        torch.manual_seed(context.seed)
        network = self._untrained()
        if context.pretrained:
            copy_weights(context.pretrained, network.imagenet(), UNUSED)
        fit(network, stream, self.options, self._seen, context)
        return network

    def _untrained(self) -> ScaledResNet:
        return ScaledResNet(self.depth, self.options.width, len(self.options.fields))

    def _stream(self, samples: Sequence[Sample], context: Context) -> PatchStream:
        options = self.options
        mitoses, others, counts = gather(
            samples,
            self._side + 2 * options.shift,
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
        if options.even_datasets:
            mitoses, others = mitoses.even(), others.even()
        return PatchStream(mitoses, others, options.shift, share, self._augment)

    @property
    def _side(self) -> int:
        """Of the widest field of view, px at `mpp`."""
        return int(self.options.patch * max(self.options.fields))

    def _augment(self, patch: Pixels, positive: bool, rng: np.random.Generator) -> Pixels:
        turn = self.options.turns == "all" or (positive and self.options.turns == "mitoses")
        k = (int(rng.integers(4)) if turn else 0) + (4 * int(rng.integers(2)) if self.options.mirror else 0)
        patch = stain_jitter(dihedral(patch, k), rng, self.options.stain_jitter)
        patch = hed_jitter(patch, rng, self.options.hed_jitter)
        if self.options.jpeg is None:
            return patch
        least, greatest = self.options.jpeg
        return recompressed(patch, int(rng.integers(least, greatest, endpoint=True)))

    def _seen(self, patches: Tensor) -> Tensor:
        return seen(patches, self.options.patch, self.options.fields, self.options.normalise, self.options.blur)

    @torch.inference_mode()
    def score(self, frame: Frame, detections: Detections) -> Floats:
        """The network's probability of mitosis of each detection, [N]."""
        patches = torch.from_numpy(cut(frame, detections.xy, self._side, self.options.mpp))
        logits = [self._logits(batch.to(self.device)) for batch in patches.split(SCORING_BATCH) if len(batch)]
        return torch.cat([torch.zeros(0, dtype=torch.float64), *logits]).sigmoid().numpy()

    def _logits(self, patches: Tensor) -> Tensor:
        views = self._seen(patches)
        turned = (torch.rot90(views.flip(3) if k & 4 else views, k & 3, (2, 3)) for k in range(self.options.test_turns))
        fast = (view.contiguous(memory_format=torch.channels_last) for view in turned)  # rot90 loses the layout
        return torch.stack([self._network(view)[:, 0].double().cpu() for view in fast]).mean(dim=0)

    def save(self, folder: Path) -> None:
        """Write the weights."""
        save_weights(self._network, folder)

    def load(self, folder: Path) -> None:
        """Read the weights."""
        self._network = joined([self._untrained() for _ in range(self.options.members)])
        load_weights(self._network, folder)
        self._network.to(self.device).eval()


def _seeds(seed: int, count: int) -> list[int]:
    """A network's own seed each; the first one's is the run's, so that it is the same whatever follows."""
    return [seed, *map(int, np.random.SeedSequence(seed).generate_state(count - 1))]


class ResNet50(ResNetVerifier):
    """The paper's verifier: ResNet-50."""

    name = "resnet50"
    depth = 50


class ResNet18(ResNetVerifier):
    """A smaller network, for fewer data and no GPU: ResNet-18."""

    name = "resnet18"
    depth = 18

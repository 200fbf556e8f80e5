"""Base class of learned verifiers: a network classifies a patch around every candidate (DeepVer in the paper)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from mitobench import api
from mitobench.api import Context, Detections, Floats, Frame, PluginError, Sample
from mitobench.training.augment import dihedral, hed_jitter, recompressed, stain_jitter
from mitobench.training.candidate_patches import CandidatePatchStream, cut, gather
from mitobench.training.export import Exportable, OneInput
from mitobench.training.patch_fitting import SCORING_BATCH, fit
from mitobench.training.patch_network import joined
from mitobench.training.patch_options import PatchOptions
from mitobench.training.patches import Pixels
from mitobench.training.pretrained import copy_own_weights, copy_trained, copy_weights
from mitobench.training.stream import part_of
from mitobench.training.weights import load_weights, number_of_parameters, save_weights


class PatchVerifier(api.Verifier):
    """Cuts patches, trains a network on them, and averages its scores over several views.

    A subclass defines its network (`untrained`) and the network's input (`prepare`); if it starts from pretrained
    weights, also `pretrained` and `start`.
    """

    version = "1"
    Options: ClassVar[type[PatchOptions]] = PatchOptions
    schedule = ("iterations",)
    inference_options = ("tta_views",)
    _exported: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def describe(cls, options: Any) -> dict[str, Any]:
        """Number of parameters of all its networks, and um/px."""
        network = cls(options).untrained()
        return {"parameters": options.ensemble_size * number_of_parameters(network), "um/px": options.mpp}

    @classmethod
    def takes_over(cls, options: Any) -> bool:
        """Whether there are no steps."""
        return not options.iterations

    @abstractmethod
    def untrained(self) -> nn.Module:
        """Creates the network, with one logit and random weights."""

    def start(self, network: Any, weights: Path) -> None:
        """Copies the file's tensors into the network. Raises PluginError, with a list, if some do not fit.

        A subclass overrides it if the file has other tensors than the network.
        """
        copy_weights(weights, network.state_dict())

    @abstractmethod
    def prepare(self, patches: Tensor) -> Tensor:
        """Turns uint8 patches, [B, H, H, 3] of side `side`, into the network's input: float [B, C, h, h]."""

    @property
    def side(self) -> int:
        """Side of a patch, px at `mpp`."""
        return int(self.options.patch)

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Learns from mitoses, candidates, imposters and background of the training frames.

        With `iterations = 0` it takes over the network of an earlier fit.

        Raises:
            PluginError: if there are no patches of mitoses, or none of anything else, or if the pretrained weights do
                not fit.
        """
        count, steps = self.options.ensemble_size, self.options.iterations
        if self.takes_over(self.options):
            self._network = joined([self.untrained() for _ in range(count)])
            copy_trained(context.pretrained, self._network)
            self._network.to(context.device).eval()
            return
        stream = self._stream(train, context)
        networks = []
        for number, seed in enumerate(_seeds(context.seed, count)):
            own = replace(context, seed=seed, work=context.work / f"network-{number}")
            networks.append(self._trained(stream, part_of(own, number * steps, count * steps)))
        self._network = joined(networks).to(context.device).eval()

    def _trained(self, stream: CandidatePatchStream, context: Context) -> nn.Module:
        torch.manual_seed(context.seed)
        network = self.untrained()
        if context.pretrained and not copy_own_weights(context.pretrained, network):
            self.start(network, context.pretrained)
        fit(network, stream, self.options, self.prepare, context)
        return network

    def _stream(self, samples: Sequence[Sample], context: Context) -> CandidatePatchStream:
        options = self.options
        mitoses, others, counts = gather(
            samples,
            self.side + 2 * options.shift,
            options.mpp,
            options.candidates_floor,
            options.random_negatives,
            np.random.default_rng(context.seed),
            options.soft_targets,
        )
        if not (len(mitoses) and len(others)):
            raise PluginError(
                f"{self.name} needs patches of mitoses and of other things to learn from; it has {len(mitoses)} and "
                f"{len(others)}. Lower candidates_floor, or set random_negatives."
            )
        rotations = 4 if options.train_rotations == "mitoses" else 1
        total = len(mitoses) * rotations + len(others)
        context.training_info["patches"] = {**counts, "rotations of a mitosis": rotations, "total": total}
        context.log.info(
            "patches: %s", ", ".join(f"{kind} {n}" for kind, n in context.training_info["patches"].items())
        )
        share = options.positive_share or len(mitoses) * rotations / total
        if options.even_datasets:
            mitoses, others = mitoses.even(), others.even()
        return CandidatePatchStream(mitoses, others, options.shift, share, self._augment)

    def _augment(self, patch: Pixels, positive: bool, rng: np.random.Generator) -> Pixels:
        turn = self.options.train_rotations == "all" or (positive and self.options.train_rotations == "mitoses")
        k = (int(rng.integers(4)) if turn else 0) + (4 * int(rng.integers(2)) if self.options.mirror else 0)
        patch = stain_jitter(dihedral(patch, k), rng, self.options.stain_jitter)
        patch = hed_jitter(patch, rng, self.options.hed_jitter)
        if self.options.jpeg is None:
            return patch
        least, greatest = self.options.jpeg
        return recompressed(patch, int(rng.integers(least, greatest, endpoint=True)))

    @torch.inference_mode()
    def score(self, frame: Frame, detections: Detections) -> Floats:
        """Returns the network's probability of mitosis of each detection, [N]."""
        patches = torch.from_numpy(cut(frame, detections.xy, self.side, self.options.mpp))
        run = self._exported or self._probabilities
        at_once = SCORING_BATCH // self.options.tta_views if self._exported else SCORING_BATCH
        scores = [run(batch).double() for batch in patches.split(at_once) if len(batch)]
        return torch.cat([torch.zeros(0, dtype=torch.float64), *scores]).numpy()

    def _probabilities(self, patches: Tensor) -> Tensor:
        # rot90 changes the memory layout
        views = self._views(patches.to(self.device))
        fast = (view.contiguous(memory_format=torch.channels_last) for view in views)
        return torch.stack([self._network(view)[:, 0].double().cpu() for view in fast]).mean(dim=0).sigmoid()

    def exportable(self) -> Exportable:
        """The network with its preparation of patches, its views and the sigmoid."""
        resolution = "the frame's um/px" if self.options.mpp is None else f"{self.options.mpp:g} um/px"
        return Exportable(
            OneInput(lambda patches: self._mean_of_views(patches).sigmoid(), [self._network]),
            torch.randint(0, 256, (2, self.side, self.side, 3), dtype=torch.uint8),
            sizes={0: 1},
            takes=f"uint8 RGB [B, {self.side}, {self.side}, 3], patches around candidates at {resolution}",
            returns="probability [B]",
        )

    def use_exported(self, run: Callable[[Tensor], Tensor]) -> None:
        """Scores patches by `run`."""
        self._exported = run

    def _mean_of_views(self, patches: Tensor) -> Tensor:
        views = torch.cat(list(self._views(patches)))  # one pass, so that an exported network is not as many networks
        logits: Tensor = self._network(views)[:, 0]
        views_last: Tensor = logits.unflatten(0, (self.options.tta_views, -1))
        return views_last.mean(dim=0)

    def _views(self, patches: Tensor) -> Iterator[Tensor]:
        """Yields the network's input, rotated and mirrored for each view of the test-time augmentation."""
        images = self.prepare(patches)
        for k in range(self.options.tta_views):
            yield torch.rot90(images.flip(3) if k & 4 else images, k & 3, (2, 3))

    def save(self, folder: Path) -> None:
        """Writes the weights."""
        save_weights(self._network, folder)

    def load(self, folder: Path) -> None:
        """Reads the weights."""
        self._network = joined([self.untrained() for _ in range(self.options.ensemble_size)])
        load_weights(self._network, folder)
        self._network.to(self.device).eval()


def _seeds(seed: int, count: int) -> list[int]:
    """Returns a seed for each network. The first is that of the run, so it does not depend on the ensemble size."""
    return [seed, *map(int, np.random.SeedSequence(seed).generate_state(count - 1))]

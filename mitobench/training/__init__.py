"""Tools for learned plugins: the training loop, patches, augmentation and weights files.

This is the only part of mitobench that a plugin may import besides `mitobench.api`. A plugin describes its training
items as a `Stream` and calls `train`, which handles randomness, resuming, mixed precision, several processes and
progress.

`train`, `Supervised` and `LossModule` import mmengine on first use, so a fitted network can predict without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitobench.atomic import write_atomic
from mitobench.errors import PluginError
from mitobench.foreign import read_bytes
from mitobench.training.augment import dihedral, dihedral_boxes, dihedral_points, hed_jitter, recompressed, stain_jitter
from mitobench.training.box_patches import BoxPatchOptions, BoxPatchStream
from mitobench.training.candidate_patches import CandidatePatchStream, cut
from mitobench.training.export import Exportable, OneInput
from mitobench.training.patch_network import IMAGENET, Ensemble, Moments, joined, network_input
from mitobench.training.patch_options import PatchOptions
from mitobench.training.patch_verifier import PatchVerifier
from mitobench.training.patches import FrameCache, crop, crop_around, resample, scaled
from mitobench.training.point_patches import PointPatchOptions, PointPatchStream, target_map
from mitobench.training.pretrained import copy_own_weights, copy_trained, copy_weights, find_weights, weights_folder
from mitobench.training.schedules import cosine, steps, warmup
from mitobench.training.stream import Stream, part_of
from mitobench.training.tensor_files import read_state_dict, read_tensors, write_tensors
from mitobench.training.view import EDGE
from mitobench.training.weights import load_weights, number_of_parameters, save_weights
from mitobench.training.without_memory import without_memory

if TYPE_CHECKING:
    from mitobench.training.runner import LossModule, Supervised, as_lists, train

__all__ = [
    "EDGE",
    "IMAGENET",
    "BoxPatchOptions",
    "BoxPatchStream",
    "CandidatePatchStream",
    "Ensemble",
    "Exportable",
    "FrameCache",
    "LossModule",
    "Moments",
    "OneInput",
    "PatchOptions",
    "PatchVerifier",
    "PointPatchOptions",
    "PointPatchStream",
    "Stream",
    "Supervised",
    "as_lists",
    "copy_own_weights",
    "copy_trained",
    "copy_weights",
    "cosine",
    "crop",
    "crop_around",
    "cut",
    "dihedral",
    "dihedral_boxes",
    "dihedral_points",
    "find_weights",
    "hed_jitter",
    "joined",
    "load_weights",
    "network_input",
    "number_of_parameters",
    "part_of",
    "read_bytes",
    "read_state_dict",
    "read_tensors",
    "recompressed",
    "resample",
    "save_weights",
    "scaled",
    "stain_jitter",
    "steps",
    "target_map",
    "train",
    "warmup",
    "weights_folder",
    "without_memory",
    "write_atomic",
    "write_tensors",
]


def __getattr__(name: str) -> Any:
    """Imports what needs mmengine on first use. Raises PluginError if a package that it needs is not installed."""
    if name not in ("LossModule", "Supervised", "as_lists", "train"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from mitobench.training import runner
    except ModuleNotFoundError as reason:
        raise PluginError(
            f"Training needs {reason.name}, which is not installed: pip install 'mitobench[training]'."
        ) from reason
    return getattr(runner, name)

"""How learned plugins train: mmengine's Runner behind one function, patches, augmentation and weights files.

Beside `mitobench.api` the only part of mitobench that a plugin imports. A plugin describes its training items as a
`Stream` and calls `train`; randomness, resuming, mixed precision, several processes and progress come with it.
"""

from mitobench.training.augment import dihedral, dihedral_boxes, dihedral_points, hed_jitter, stain_jitter
from mitobench.training.patches import FrameCache, crop, crop_around, resample, scaled
from mitobench.training.pretrained import copy_weights, find_weights
from mitobench.training.runner import Stream, Supervised, part_of, train
from mitobench.training.weights import load_weights, save_weights

__all__ = [
    "FrameCache",
    "Stream",
    "Supervised",
    "copy_weights",
    "crop",
    "crop_around",
    "dihedral",
    "dihedral_boxes",
    "dihedral_points",
    "find_weights",
    "hed_jitter",
    "load_weights",
    "part_of",
    "resample",
    "save_weights",
    "scaled",
    "stain_jitter",
    "train",
]

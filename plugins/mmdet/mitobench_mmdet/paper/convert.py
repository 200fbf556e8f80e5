"""The format `.caffemodel` of `mitobench weights convert`."""

from __future__ import annotations

from pathlib import Path

from mitobench.training import weights_folder
from mitobench_mmdet.paper.caffemodel import Array, read_caffemodel

VGG_M = "vgg_cnn_m_1024"  # the file that `pretrained = auto` of frcnn and rpn looks for


def read(path: Path) -> tuple[dict[str, Array], str]:
    """Returns the tensors of a .caffemodel, and where `frcnn` and `rpn` look for them.

    Raises MitobenchError if the file is damaged or not a .caffemodel.
    """
    return read_caffemodel(
        path
    ), f"`pretrained = auto` of frcnn and rpn looks for {weights_folder() / VGG_M}.safetensors"

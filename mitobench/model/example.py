"""The example of `mitobench predict --example`: one synthetic high-power field, made when it is first needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mitobench import file_cache
from mitobench.atomic import atomic_file
from mitobench.datasets.synthesis import Slide, draw_frame
from mitobench.errors import MitobenchError

NAME = "example-hpf-1.tif"  # the number changes with the image
SIZE = 2048  # px: 512 um at 0.25 um/px, a high-power field
MPP = 0.25
FIGURES = 0.16  # expected number of mitoses, and of figures that look like mitoses, per 64 x 64 um
_SEED = 12


def example(folder: Path | None = None) -> Path:
    """Returns the example, a TIFF with um/px. Makes it if it is not in the folder.

    `folder` defaults to the environment variable MITOBENCH_CACHE, otherwise to the user's cache folder. Raises
    MitobenchError if it cannot be written.
    """
    folder = folder or file_cache.folder()
    path = folder / NAME
    if not path.is_file():
        from PIL import Image

        slide = replace(Slide.draw(_SEED, 0), mitoses=FIGURES, imposters=FIGURES)
        picture = draw_frame(slide, np.random.default_rng(_SEED), SIZE)
        dots_per_cm = 10_000 / MPP
        try:
            with atomic_file(path) as tmp:
                tags = {282: dots_per_cm, 283: dots_per_cm, 296: 3}  # um/px
                Image.fromarray(picture.image).save(tmp, format="TIFF", compression="tiff_deflate", tiffinfo=tags)
        except OSError as reason:
            raise MitobenchError(
                f"{folder}: cannot be written: {reason.strerror or reason}. Set MITOBENCH_CACHE to a writable folder."
            ) from reason
    return path

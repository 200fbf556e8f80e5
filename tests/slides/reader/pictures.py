"""A picture in H&E colours, other than those of any data set, and the folder of public cases."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CASES = Path(os.environ.get("MITOBENCH_CASES") or Path(__file__).parents[4] / "shared" / "cases")
SLIDES = Path(__file__).parents[4] / "shared" / "data" / "slides"


def picture(height: int = 37, width: int = 53, seed: int = 3) -> NDArray[np.uint8]:
    """Pink ground, purple discs and noise, uint8 RGB; no two channels are alike, no row or column is another's."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = np.empty((height, width, 3))
    image[:] = 232, 178, 214
    for _ in range(4):
        row, column, radius = rng.integers(height), rng.integers(width), rng.integers(3, 9)
        image[(y - row) ** 2 + (x - column) ** 2 < radius**2] = 96, 60, 148
    image += rng.integers(-14, 15, image.shape) + x[..., None] % 7
    return image.clip(0, 255).astype(np.uint8)

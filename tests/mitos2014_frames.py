"""Small frames in the layout of MITOS 2014."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def mitos2014(folder: Path, *ids: str) -> Path:
    """Frames in the layout of MITOS 2014, of noise with cells, one for each id."""
    for number, id in enumerate(ids):
        rng = np.random.default_rng(number)
        slide = folder / id[:3]
        for kind in ("frames/x40", "mitosis"):
            (slide / kind).mkdir(parents=True, exist_ok=True)
        pixels = np.full((300, 300, 3), 230, dtype=np.uint8)
        for x, y in rng.integers(10, 290, (60, 2)):
            pixels[y - 4 : y + rng.integers(2, 8), x - rng.integers(2, 8) : x + 4] = rng.integers(60, 200, 3)
        Image.fromarray(pixels).save(slide / "frames" / "x40" / f"{id}.png")
        (slide / "mitosis" / f"{id}_mitosis.csv").write_text("100,100,1\n")
    return folder

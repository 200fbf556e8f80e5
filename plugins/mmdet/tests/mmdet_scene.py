"""Small frames made of arrays: bright ground with dark squares as mitoses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mitobench.api import Frame, Mitoses, Sample

SQUARE = 24


@dataclass(frozen=True)
class Array:
    """A picklable reader."""

    pixels: np.ndarray[Any, Any]

    def __call__(self) -> np.ndarray[Any, Any]:
        return self.pixels


def make_sample(centres: list[tuple[int, int]], size: int = 160, masks: bool = False, name: str = "f") -> Sample:
    """A frame with a dark square of 24 px around each centre, which is a corner of four pixels: half a px before it."""
    pixels = np.full((size, size, 3), 230, np.uint8)
    half = SQUARE // 2
    for x, y in centres:
        pixels[y - half : y + half, x - half : x + half] = (60, 30, 90)
    xy = np.array(centres, dtype=float).reshape(-1, 2) - 0.5
    boxes = np.concatenate([xy - half, xy + half], axis=1)
    grid = np.stack(np.meshgrid(*[np.arange(-half, half)] * 2), axis=-1).reshape(-1, 2)
    pixel_lists = tuple(grid + centre for centre in np.array(centres, dtype=int)) if masks else None
    frame = Frame(name, "toy", "g", "A", (0.2456, 0.2456), (size, size), Array(pixels))
    return Sample(frame, Mitoses(xy, pixel_lists), boxes)

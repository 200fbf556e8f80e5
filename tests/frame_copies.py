"""Copies of a frame that show the same tissue, for the test and the benchmark that find them again."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def turned(pixels: Pixels, rng: Generator) -> Pixels:
    number = int(rng.integers(1, 8))
    rotated = np.rot90(pixels, number % 4)
    return np.ascontiguousarray(rotated[:, ::-1] if number >= 4 else rotated)


def recompressed(pixels: Pixels, rng: Generator) -> Pixels:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=50)
    return np.asarray(Image.open(content))


def rescaled(pixels: Pixels, rng: Generator) -> Pixels:
    factor = 2 ** rng.uniform(-1, 1)
    size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def cropped(pixels: Pixels, rng: Generator) -> Pixels:
    height, width = pixels.shape[:2]
    area = rng.uniform(0.5, 1)
    across = rng.uniform(area, 1)
    w, h = round(across * width), round(area / across * height)
    x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
    return np.ascontiguousarray(pixels[y : y + h, x : x + w])


def everything(pixels: Pixels, rng: Generator) -> Pixels:
    return recompressed(rescaled(cropped(turned(pixels, rng), rng), rng), rng)


KINDS: dict[str, Callable[[Pixels, Generator], Pixels]] = {
    "turned or mirrored": turned,
    "JPEG quality 50": recompressed,
    "rescaled by .5 to 2": rescaled,
    "cropped to half or more": cropped,
    "all of these": everything,
}

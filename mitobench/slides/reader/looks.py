"""Finds pixels that do not look like tissue stained with H&E, whatever the file says about them."""

from __future__ import annotations

import numpy as np

from mitobench.slides.reader.pixels import Pixels

_SAMPLED = 1 << 18  # px that are looked at, spread over the image
_FLAT = 4  # greatest difference of values within an image of one colour
_DARK = 24
_COLOURED, _GREY = 25, 3  # differences between channels
_VALUES_OF_A_MASK = 2
_GREEN_SHARE, _MIN_COLOURED = 0.6, 0.02


def oddities(pixels: Pixels) -> list[str]:
    """Returns what is odd about an image, uint8 RGB [h, w, 3]: one colour, black, grey, or inverted colours."""
    step = max(1, int(np.sqrt(pixels.shape[0] * pixels.shape[1] / _SAMPLED)))
    sample = pixels[::step, ::step].reshape(-1, 3).astype(np.int16)
    spread = sample.max(axis=0) - sample.min(axis=0)
    if (spread <= _FLAT).all():
        red, green, blue = sample[0].tolist()
        return [f"the whole image has one colour (red {red}, green {green}, blue {blue})"]
    if sample.max() < _DARK:
        return ["the image is black"]
    difference = sample.max(axis=1) - sample.min(axis=1)
    if difference.max() <= _GREY and len(np.unique(sample[:, 0])) > _VALUES_OF_A_MASK:
        return ["the image has no colour, so it is not stained with H&E as models expect"]
    coloured = sample[difference >= _COLOURED]
    if len(coloured) >= _MIN_COLOURED * len(sample):
        green = (coloured[:, 1] >= coloured[:, 0]) & (coloured[:, 1] >= coloured[:, 2])
        if green.mean() >= _GREEN_SHARE:
            return ["the image is green where it is coloured: its colours may be inverted, as H&E is pink and purple"]
    return []

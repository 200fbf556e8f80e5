"""Converts decoded samples to uint8 RGB: bit depth, inverted grey, CMYK, transparency, and orientation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mitobench.foreign.limits import MAX_PIXELS

Pixels = NDArray[np.uint8]
Samples = NDArray[np.integer]
Box = tuple[int, int, int, int]

_DEPTHS = (8, 10, 12, 14, 16)  # of cameras and scanners that write 16-bit files
_BAND = 1 << 20  # px that are composited at once
MAX_DECODED = MAX_PIXELS  # of an image that is decoded as a whole


def true_bits(greatest: int) -> int:
    """Returns how many bits 16-bit samples use, from the greatest of the whole image: 8, 10, 12, 14 or 16.

    An image of a microscope has bright pixels, so that its greatest value nearly fills its range. Black images: 16.
    """
    return next((bits for bits in _DEPTHS if 0 < greatest < 1 << bits), 16)


def to_bytes(samples: Samples, bits: int) -> Pixels:
    """Returns the eight highest of `bits` bits, as uint8; samples of fewer bits are stretched to 0 to 255."""
    if bits < 8:
        return (samples.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    return (samples if bits == 8 else samples >> (bits - 8)).astype(np.uint8)


def grey_to_rgb(grey: Pixels) -> Pixels:
    """Repeats grey, [h, w], in three channels: [h, w, 3]."""
    return np.repeat(grey[..., None], 3, axis=2)


def on_white(rgba: Pixels, premultiplied: bool = False) -> Pixels:
    """Composites RGBA, [h, w, 4], on white: [h, w, 3]. `premultiplied`: the colours are multiplied by the alpha."""
    rgb = np.empty((*rgba.shape[:2], 3), dtype=np.uint8)
    rows = max(1, _BAND // max(1, rgba.shape[1]))
    for top in range(0, len(rgba), rows):
        rgb[top : top + rows] = _on_white(np.ascontiguousarray(rgba[top : top + rows]), premultiplied)
    return rgb


def _on_white(rgba: Pixels, premultiplied: bool) -> Pixels:
    from PIL import Image

    image = Image.fromarray(rgba)
    if premultiplied:
        image = Image.frombytes("RGBa", image.size, rgba.tobytes()).convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def cmyk_to_rgb(cmyk: Pixels) -> Pixels:
    """Converts CMYK, [h, w, 4], to RGB, [h, w, 3], without a colour profile."""
    from PIL import Image

    return np.array(Image.frombytes("CMYK", (cmyk.shape[1], cmyk.shape[0]), cmyk.tobytes()).convert("RGB"))


def ycbcr_to_rgb(ycbcr: Pixels) -> Pixels:
    """Converts YCbCr of the range of JPEG, [h, w, 3], to RGB, [h, w, 3]."""
    from PIL import Image

    return np.array(Image.frombytes("YCbCr", (ycbcr.shape[1], ycbcr.shape[0]), ycbcr.tobytes()).convert("RGB"))


def palette_to_rgb(indices: Samples, colours: Samples, bits: int) -> Pixels:
    """Looks up colours of `bits` bits, [3, n], by their indices, [h, w]: [h, w, 3]."""
    return to_bytes(colours, bits).T[indices.astype(np.intp)]  # indices of one bit are bool


# ------------------------------------------------------------------------------------------------- orientation

# The Orientation tag of EXIF and TIFF: rows and columns are exchanged first, then columns and rows reversed.
_STEPS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


def orientation(value: object) -> int:
    """Returns a valid value of the tag, 1 to 8; 1 (upright) for anything else."""
    return value if isinstance(value, int) and value in _STEPS else 1


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Returns (width, height) of the upright image from those of the stored one, or the other way round."""
    return (size[1], size[0]) if _STEPS[orientation][0] else size


def upright(image: Pixels, orientation: int) -> Pixels:
    """Turns and mirrors a stored image, [h, w, 3], as its tag says."""
    exchanged, across, down = _STEPS[orientation]
    if exchanged:
        image = image.swapaxes(0, 1)
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])


def stored_box(box: Box, size: tuple[int, int], orientation: int) -> Box:
    """Returns where a box (x, y, width, height) of an upright image of `size` lies in the stored image."""
    exchanged, across, down = _STEPS[orientation]
    x, y, width, height = box
    x = size[0] - x - width if across else x
    y = size[1] - y - height if down else y
    return (y, x, height, width) if exchanged else (x, y, width, height)

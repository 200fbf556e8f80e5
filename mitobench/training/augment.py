"""Augmentation for mitoses: the eight symmetries of a square, and variation of the stains."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import hed_from_rgb, rgb_from_hed


def dihedral(image: NDArray[np.uint8], k: int) -> NDArray[np.uint8]:
    """Returns the k-th of the eight symmetries of `image`, [H, W, ...].

    `k` is the number of counter-clockwise quarter turns, plus 4 if the image is mirrored left to right first; 0 leaves
    the image as it is.
    """
    return np.rot90(image[:, ::-1] if k & 4 else image, k & 3)


def dihedral_points(xy: NDArray[np.float64], k: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """Maps points, [N, 2] px, of an image of `size` (width, height) px to `dihedral(image, k)`."""
    width, height = size
    x, y = np.asarray(xy, dtype=np.float64).reshape(-1, 2).T
    if k & 4:
        x = width - 1 - x
    for _ in range(k & 3):
        x, y, width, height = y, width - 1 - x, height, width
    return np.stack([x, y], axis=1)


def dihedral_boxes(boxes: NDArray[np.float64], k: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """Maps boxes, [N, 4] px, of an image of `size` (width, height) px to `dihedral(image, k)`."""
    a, b = dihedral_points(boxes[:, :2], k, size), dihedral_points(boxes[:, 2:], k, size)
    return np.concatenate([np.minimum(a, b), np.maximum(a, b)], axis=1)


def stain_jitter(image: NDArray[np.uint8], rng: np.random.Generator, strength: float = 0.1) -> NDArray[np.uint8]:
    """Scales and shifts the optical density of each channel at random, as stains and scanners vary.

    Args:
        image: uint8 [H, W, 3].
        rng: source of randomness.
        strength: standard deviation of the factor on the optical density; 0 changes nothing.
    """
    if strength == 0:
        return image
    scale = 1 + strength * rng.standard_normal(3)
    shift = 0.3 * strength * rng.standard_normal(3)
    light = (np.arange(256) + 1) / 256
    tables = np.exp(np.log(light)[:, None] * scale + shift) * 256 - 1
    tables = np.clip(np.rint(tables), 0, 255).astype(np.uint8)
    return np.stack([tables[image[..., c], c] for c in range(3)], axis=-1)


def hed_jitter(image: NDArray[np.uint8], rng: np.random.Generator, strength: float = 0.05) -> NDArray[np.uint8]:
    """Scales and shifts the amounts of haematoxylin, eosin and residual at random (Tellez et al. 2018, section II-C).

    Args:
        image: uint8 [H, W, 3].
        rng: source of randomness.
        strength: greatest change of the factor on a stain, and greatest optical density added to it; 0 changes nothing.
    """
    if strength == 0:
        return image
    density = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)[image]
    scale, shift = 1 + rng.uniform(-strength, strength, 3), rng.uniform(-strength, strength, 3)
    # To stains, each times its factor, and back to R, G, B: one linear map of the optical densities.
    turned = hed_from_rgb @ np.diag(scale) @ rgb_from_hed
    changed = density @ turned.astype(np.float32) + (shift @ rgb_from_hed).astype(np.float32)
    pixels: NDArray[np.uint8] = np.clip(np.rint(np.exp(-changed) * 256 - 1), 0, 255).astype(np.uint8)
    return pixels


def recompressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return `image` [H, W, 3] after JPEG compression at a quality from 1 to 95."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file))

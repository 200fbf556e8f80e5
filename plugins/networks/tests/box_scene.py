"""Small frames whose mitoses are dark discs with masks."""

from __future__ import annotations

from functools import partial

import numpy as np

from mitobench.api import Frame, Mitoses, Sample

SIZE = 128
CENTRES = ((40.0, 50.0), (96.0, 88.0))
RADIUS = 12


def disc(centre: tuple[float, float]) -> np.ndarray:
    """Pixels (x, y) of a disc, int [P, 2]."""
    y, x = np.mgrid[:SIZE, :SIZE]
    inside = np.hypot(x - centre[0], y - centre[1]) < RADIUS
    return np.stack([x[inside], y[inside]], axis=1)


def pixels(seed: int) -> np.ndarray:
    """uint8 [SIZE, SIZE, 3]."""
    image = np.random.default_rng(seed).normal(200, 10, (SIZE, SIZE, 3))
    for centre in CENTRES:
        x, y = disc(centre).T
        image[y, x] -= 120
    return image.clip(0, 255).astype(np.uint8)


def sample(seed: int, mpp: float = 0.25) -> Sample:
    """A frame with two mitoses and their masks."""
    frame = Frame(f"f{seed}", "toy", f"{seed}", "A", (mpp, mpp), (SIZE, SIZE), partial(pixels, seed))
    return Sample(frame, Mitoses(np.array(CENTRES), tuple(disc(centre) for centre in CENTRES)))

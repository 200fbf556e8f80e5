"""Small frames: a mitosis is a dark disc, an imposter a dark square, a candidate is near either or anywhere."""

from __future__ import annotations

from functools import partial

import numpy as np

from mitobench.api import Candidates, Detections, Frame, Mitoses, Sample

SIZE = 160
MITOSES = np.array([[40.0, 50.0], [110.0, 100.0]])
IMPOSTERS = np.array([[120.0, 30.0], [30.0, 120.0]])


def pixels(seed: int) -> np.ndarray:
    """uint8 [SIZE, SIZE, 3]: two discs at MITOSES, two squares at IMPOSTERS."""
    image = np.random.default_rng(seed).normal(200, 12, (SIZE, SIZE, 3))
    y, x = np.mgrid[:SIZE, :SIZE]
    for cx, cy in MITOSES:
        image[np.hypot(x - cx, y - cy) < 8] -= 120
    for cx, cy in IMPOSTERS:
        image[(abs(x - cx) < 6) & (abs(y - cy) < 6), 0] -= 120
    return image.clip(0, 255).astype(np.uint8)


def sample(seed: int, mpp: float = 0.25) -> Sample:
    """A frame with two mitoses, two imposters, and a candidate on each, one more in the background."""
    frame = Frame(f"f{seed}", "toy", f"{seed}", "A", (mpp, mpp), (SIZE, SIZE), partial(pixels, seed))
    xy = np.concatenate([MITOSES + 2, IMPOSTERS, [[75.0, 140.0]]])
    found = Detections.from_points(xy, [0.9, 0.8, 0.7, 0.6, 0.1])
    labels = np.array([True, True, False, False, False])
    candidates = Candidates(found.xy, found.boxes, found.score, labels)
    return Sample(frame, Mitoses(MITOSES, imposters=IMPOSTERS), candidates=candidates)

"""Small frames that look like H&E, made in memory, for the checks of `mitobench.contract`.

They are not square and have two resolutions, which reveals plugins that swap x and y or ignore um/px.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections, Frame, Mitoses, Sample, Validation, mask_box
from mitobench.pipeline.stages.fitting import label

Floats = NDArray[np.float64]

SIZE = (176, 144)
RADIUS_UM = 5.0
CELL = 56  # px; a 3 x 2 grid with at most one nucleus per cell, so that none touch

# Optical density of red, green and blue for one unit of stain (Ruifrok and Johnston 2001).
HAEMATOXYLIN, EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])

# (number of mitoses, number of imposters, um/px) of each frame.
TRAIN = ((2, 2, 0.2456), (3, 1, 0.2456), (1, 2, 0.2275), (0, 3, 0.2456))
VAL = ((2, 1, 0.2275), (0, 2, 0.2456))


def train(masks: bool = False, boxes: bool = False, candidates: bool = False) -> list[Sample]:
    """Returns labelled frames to learn from; one has no mitosis. Parts that are not requested are None, as in a run."""
    return [_sample(number, masks, boxes, candidates) for number in range(len(TRAIN))]


def val(masks: bool = False, boxes: bool = False, candidates: bool = False) -> list[Sample]:
    """Returns labelled frames for validation, as `train` does."""
    numbers = range(len(TRAIN), len(TRAIN) + len(VAL))
    return [_sample(number, masks, boxes, candidates) for number in numbers]


def blank() -> Frame:
    """Returns a frame of bare glass, without tissue."""
    return _frame("blank", 0.2456, np.full((SIZE[1], SIZE[0], 3), 243, dtype=np.uint8))


def validation() -> Validation:
    """Returns candidates on which both scores carry information, the verifier's more than the detector's.

    There are 20 on each of three frames, which are of three slides.
    """
    rng = np.random.default_rng(11)
    is_mitosis = rng.random(60) < 0.3
    detector = (0.35 * is_mitosis + rng.uniform(0.05, 0.6, 60)).clip(0, 1)
    verifier = (0.5 * is_mitosis + rng.uniform(0.0, 0.5, 60)).clip(0, 1)
    xy = rng.uniform((0, 0), SIZE, (60, 2)).round(2)
    boxes = np.concatenate([xy - rng.uniform(9, 21, (60, 2)), xy + rng.uniform(9, 21, (60, 2))], axis=1)
    frames = [sample.frame for sample in train()[:3]]
    parts = [slice(first, first + 20) for first in (0, 20, 40)]
    detections = [Detections(xy[part], boxes[part], detector[part]) for part in parts]
    return Validation(detector, verifier, is_mitosis, partial(_best_f1, is_mitosis), frames, detections)


def edge_case_validations() -> dict[str, Validation]:
    """Returns validation data that a fuser must handle too: no candidates, only mitoses, no mitoses."""
    full = validation()
    kept = {"no candidates": full.is_mitosis < 0, "mitoses only": full.is_mitosis, "no mitoses": ~full.is_mitosis}
    return {name: _only(full, keep) for name, keep in kept.items()}


def _only(full: Validation, keep: NDArray[np.bool_]) -> Validation:
    """Returns only the candidates in `keep`, bool [N], on the same frames."""
    ends = np.cumsum([len(found) for found in full.detections])[:-1]
    detections = [found[part] for found, part in zip(full.detections, np.split(keep, ends), strict=True)]
    labels = full.is_mitosis[keep]
    return Validation(
        full.detector[keep], full.verifier[keep], labels, partial(_best_f1, labels), full.frames, detections
    )


def _best_f1(is_mitosis: NDArray[np.bool_], scores: Floats) -> float:
    hits = np.cumsum(is_mitosis[np.argsort(-scores, kind="stable")])
    return float((2 * hits / (np.arange(len(hits)) + 1 + is_mitosis.sum())).max(initial=0.0))


def _sample(number: int, masks: bool, boxes: bool, candidates: bool) -> Sample:
    mitoses, imposters, mpp = (*TRAIN, *VAL)[number]
    rng = np.random.default_rng(number)
    cells = rng.permutation(6)[: mitoses + imposters]
    centres = np.stack([cells % 3, cells // 3], axis=1) * CELL + CELL / 2 + rng.uniform(-6, 6, (len(cells), 2))
    pixels, nuclei = _paint(rng, centres, mitoses)
    frame = _frame(f"F{number:02}", mpp, pixels)
    xy, rest = centres[:mitoses].copy(), centres[mitoses:].copy()
    annotation = Mitoses(xy, tuple(nuclei[:mitoses]) if masks else None, rest)
    around = np.array([mask_box(nucleus) for nucleus in nuclei[:mitoses]])
    return Sample(
        frame,
        annotation,
        around.reshape(-1, 4) if boxes else None,
        label(_detections(rng, centres), frame, annotation, RADIUS_UM) if candidates else None,
    )


def _paint(
    rng: np.random.Generator, centres: Floats, mitoses: int
) -> tuple[NDArray[np.uint8], list[NDArray[np.int64]]]:
    """Returns an image, and the pixels (x, y) of each nucleus: dark mitoses first, then paler imposters."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    stain = rng.normal(0.08, 0.02, x.shape)
    nuclei = []
    for number, (cx, cy) in enumerate(centres):
        width, height = rng.uniform(11, 17, 2)
        inside = ((x - cx) / width) ** 2 + ((y - cy) / height) ** 2 < 1
        stain[inside] += 1.5 if number < mitoses else 0.7
        nuclei.append(np.argwhere(inside)[:, ::-1].copy())
    density = stain[..., None] * HAEMATOXYLIN + rng.normal(0.25, 0.03, (*x.shape, 1)) * EOSIN
    return (245 * 10**-density).clip(0, 255).astype(np.uint8), nuclei


def _detections(rng: np.random.Generator, centres: Floats) -> Detections:
    """Returns detections of every nucleus and of two random points."""
    xy = np.concatenate([centres + rng.uniform(-2, 2, centres.shape), rng.uniform(10, 130, (2, 2))])
    return Detections.from_points(xy, rng.uniform(0.1, 0.9, len(xy)))


def _frame(id: str, mpp: float, pixels: NDArray[np.uint8]) -> Frame:
    return Frame(id, "contract", id, "A", (mpp, mpp), SIZE, partial(_unchanged, pixels))


def _unchanged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels

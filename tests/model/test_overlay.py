"""The overlay: rings around mitoses, thin rings of another colour around near misses, no marks on others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mitobench.api import Detections
from mitobench.gallery.drawing import PAPER
from mitobench.model import Prediction
from mitobench.model.overlay import MITOSIS_COLOUR, NEAR_MISS_COLOUR, overlay
from mitobench.slides.overview import fitting
from model.toy_models import findings

GREY = 128


def drawn(
    scores: list[float], centres: list[tuple[int, int]], mpp: float = 0.25, longest: int = 400
) -> NDArray[np.uint8]:
    score = np.array(scores)
    found = Prediction(Detections.from_points(centres, score), None, score, score >= 0.6)
    width, height = fitting((400, 300), longest)
    return overlay(np.full((height, width, 3), GREY, dtype=np.uint8), findings(found, mpp=mpp))


def pixels_of(image: NDArray[np.uint8], colour: str) -> NDArray[np.int64]:
    """The (x, y) of a colour, [N, 2]."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.argwhere((image == rgb).all(axis=2))[:, ::-1]


def test_a_mitosis_has_a_ring_around_it() -> None:
    ring = pixels_of(drawn([0.9], [(100, 150)]), MITOSIS_COLOUR)
    distance = np.hypot(*(ring - (100, 150)).T)
    assert 26 < distance.min() < distance.max() < 36, "8 um at .25 um/px are 32 px"
    assert len(ring) > 200


def test_a_near_miss_has_a_thinner_ring_and_other_candidates_none() -> None:
    image = drawn([0.9, 0.4, 0.3], [(100, 100), (250, 100), (250, 220)])
    called, close = pixels_of(image, MITOSIS_COLOUR), pixels_of(image, NEAR_MISS_COLOUR)
    assert len(called) > 1.5 * len(close) > 0
    assert np.hypot(*(close - (250, 100)).T).max() < 36


def test_an_image_without_candidates_is_unchanged() -> None:
    assert (drawn([], []) == GREY).all()


def test_a_legend_is_in_the_corner_with_the_fewest_rings() -> None:
    grey = np.full((900, 1200, 3), GREY, dtype=np.uint8)
    for centre, corner in (((350, 30), (0, 900)), ((40, 290), (1200, 900))):
        score = np.array([0.9])
        found = Prediction(Detections.from_points([centre], score), None, score, score >= 0.6)
        legend = pixels_of(overlay(grey, findings(found, mpp=0.25)), PAPER)
        assert len(legend) > 2000
        assert np.abs(legend - corner).max(axis=0).tolist() < [400, 60]


def test_a_small_image_has_no_legend() -> None:
    assert not len(pixels_of(drawn([0.9], [(200, 150)], longest=200), PAPER))


@pytest.mark.parametrize("longest", [100, 10])
def test_a_large_image_is_reduced_with_its_rings_in_place(longest: int) -> None:
    image = drawn([0.9], [(200, 150)], longest=longest)
    assert image.shape == (longest * 3 // 4 + longest % 4 // 2, longest, 3)
    ring = pixels_of(image, MITOSIS_COLOUR)
    if longest == 100:
        np.testing.assert_allclose(ring.mean(axis=0), (50, 37.5), atol=1)

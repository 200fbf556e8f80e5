"""Augmentation moves boxes and points together with the pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from skimage.color import hed_from_rgb, rgb_from_hed

from mitobench.api import mask_box
from mitobench.training import dihedral, dihedral_boxes, dihedral_points, hed_jitter, stain_jitter

WIDTH, HEIGHT = 20, 12


@pytest.mark.parametrize("k", range(8))
def test_boxes_and_points_follow_the_pixels(k: int) -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[3:5, 7:11] = 255  # the pixels x 7 to 10, y 3 to 4
    turned = dihedral(image, k)
    rows, columns = np.nonzero(turned[..., 0])
    (box,) = dihedral_boxes(np.array([[6.5, 2.5, 10.5, 4.5]]), k, (WIDTH, HEIGHT))
    np.testing.assert_array_equal(box, mask_box(np.stack([columns, rows], axis=1)))
    (point,) = dihedral_points(np.array([[8.5, 3.5]]), k, (WIDTH, HEIGHT))
    np.testing.assert_array_equal(point, [columns.mean(), rows.mean()])


def test_the_eight_symmetries_are_all_different() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert len({dihedral(image, k).tobytes() for k in range(8)}) == 8
    assert np.array_equal(dihedral(image, 0), image)


@pytest.mark.parametrize("jitter", [stain_jitter, hed_jitter])
def test_jitter_comes_from_the_generator_alone_and_zero_changes_nothing(jitter: Callable[..., Any]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    one, two = (jitter(image, np.random.default_rng(5), 0.2) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, image)
    assert np.array_equal(jitter(image, np.random.default_rng(5), 0.0), image)


def test_stain_jitter_keeps_the_order_of_densities() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for seed in range(20):
        jittered = stain_jitter(ramp, np.random.default_rng(seed), 0.1).astype(int)
        assert (np.diff(jittered, axis=1) >= 0).all()


def test_hed_jitter_varies_stains_and_nothing_else() -> None:
    """The residual of the optical density, after haematoxylin and eosin, does not change."""
    amounts = np.stack(np.meshgrid(np.linspace(0.2, 1, 8), np.linspace(0.2, 1, 8), [0.0]), axis=-1).reshape(8, 8, 3)
    image = (np.exp(-amounts @ rgb_from_hed) * 256 - 1).round().astype(np.uint8)
    jittered = hed_jitter(image, np.random.default_rng(3), 0.2)
    before, after = (-np.log((pixels + 1.0) / 256) @ hed_from_rgb for pixels in (image, jittered))
    for stain in range(2):
        factor, offset = np.polyfit(before[..., stain].ravel(), after[..., stain].ravel(), 1)
        assert factor != pytest.approx(1, abs=0.01)
        assert np.allclose(after[..., stain], factor * before[..., stain] + offset, atol=0.05)
    assert np.ptp(after[..., 2]) < 0.1

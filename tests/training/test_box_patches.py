"""`BoxPatchStream`: what it gives to any detector. plugins/mmdet tests the geometry of its patches, with `frcnn`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mitobench.api import Frame, Mitoses, Sample
from mitobench.training import BoxPatchStream, recompressed

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Settings:
    patch: int = 64
    patch_stride: int | None = None
    area_threshold: float = 0.0
    positive_share: float = 1.0
    rotation: int = 0
    mirror: bool = False
    stain_jitter: float = 0.0
    hed_jitter: float = 0.0


def sample(dataset: str, *centres: tuple[float, float]) -> Sample:
    """A frame of noise, 160 x 160 px; the box of a mitosis is 20 px wide and high."""
    pixels = np.random.default_rng(len(dataset)).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    xy = np.array(centres, dtype=float).reshape(-1, 2)
    boxes = np.concatenate([xy - 10, xy + 10], axis=1)
    frame = Frame(f"f-{dataset}", dataset, "g", "A", (0.25, 0.25), (160, 160), lambda: pixels)
    return Sample(frame, Mitoses(xy), boxes)


def draws(stream: BoxPatchStream, count: int) -> list[dict[str, Any]]:
    return [stream.draw(np.random.default_rng(seed)) for seed in range(count)]


def test_an_item_is_a_patch_with_its_boxes_from_the_edge_of_the_first_pixel() -> None:
    stream = BoxPatchStream([sample("a", (80, 80))], Settings(patch=160), mpp=0.25, scale=2)
    (item,) = draws(stream, 1)
    assert item["inputs"].shape == (320, 320, 3)
    assert item["inputs"].dtype == np.uint8
    np.testing.assert_allclose(item["boxes"], [[141, 141, 181, 181]])


def test_patches_without_a_mitosis_have_no_boxes() -> None:
    boxes = [item["boxes"] for item in draws(BoxPatchStream([sample("a")], Settings(positive_share=0)), 5)]
    assert all(of.shape == (0, 4) for of in boxes)


def test_data_sets_are_drawn_as_they_come_or_equally_often() -> None:
    samples = [sample("a", *[(40 + 8 * i, 80) for i in range(9)]), sample("b", (80, 80))]
    share = {}
    for even in (False, True):
        stream = BoxPatchStream(samples, Settings(), even_datasets=even)
        frames = [stream._target(np.random.default_rng(seed), True)[0] for seed in range(400)]
        share[even] = np.mean(frames)
    assert share[False] == pytest.approx(0.1, abs=0.05)
    assert share[True] == pytest.approx(0.5, abs=0.08)


def test_a_data_set_without_mitoses_gives_patches_without_one() -> None:
    stream = BoxPatchStream([sample("a", (80, 80)), sample("b")], Settings(positive_share=0.5), even_datasets=True)
    for seed in range(20):
        assert stream._target(np.random.default_rng(seed), True)[0] == 0
    assert {stream._target(np.random.default_rng(seed), False)[0] for seed in range(20)} == {0, 1}


def test_patches_are_compressed_again_at_the_qualities_given() -> None:
    plain = BoxPatchStream([sample("a", (80, 80))], Settings(patch=160))
    again = BoxPatchStream([sample("a", (80, 80))], Settings(patch=160), jpeg=(50, 50))
    (before,), (after,) = draws(plain, 1), draws(again, 1)
    np.testing.assert_array_equal(after["inputs"], recompressed(before["inputs"], 50))

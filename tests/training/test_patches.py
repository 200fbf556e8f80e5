"""Patches that leave the frame are mirrored; resampling keeps positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.api import Frame
from mitobench.training import FrameCache, crop, resample

IMAGE = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)


def frame(id: str, pixels: np.ndarray, reads: list[str]) -> Frame:
    def read() -> np.ndarray:
        reads.append(id)
        return pixels

    return Frame(id, "set", "00", "A", (0.25, 0.25), (pixels.shape[1], pixels.shape[0]), read)


@given(st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 12), st.integers(1, 12))
def test_a_crop_is_that_of_the_mirrored_image(left: int, top: int, width: int, height: int) -> None:
    padded = np.pad(IMAGE, ((60, 60), (60, 60), (0, 0)), mode="reflect")
    expected = padded[60 + top : 60 + top + height, 60 + left : 60 + left + width]
    assert np.array_equal(crop(IMAGE, left, top, width, height), expected)


def test_a_crop_inside_copies_nothing() -> None:
    assert np.shares_memory(crop(IMAGE, 2, 3, 4, 5), IMAGE)


@pytest.mark.parametrize("mpp", [(0.25, 0.25), (0.25, 0.2)])
def test_resampling_keeps_positions(mpp: tuple[float, float]) -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    image[60:70, 30:40] = 255
    resampled, factors = resample(image, mpp, 0.5)
    y, x = (values.mean() + 0.5 for values in np.nonzero(resampled[..., 0] > 127))
    assert np.abs(np.array([35, 65]) * factors - [x, y]).max() < 0.6
    assert resampled.shape[:2] == (round(100 * mpp[1] / 0.5), round(120 * mpp[0] / 0.5))


def test_frames_at_the_right_resolution_are_not_resampled() -> None:
    for target in (None, 0.252):
        same, factors = resample(IMAGE, (0.25, 0.25), target)
        assert same is IMAGE
        assert factors.tolist() == [1, 1]


def test_the_cache_reads_once_and_forgets_the_oldest_beyond_its_limit() -> None:
    reads: list[str] = []
    frames = [frame(id, IMAGE, reads) for id in "abc"]
    cache = FrameCache(limit=2 * IMAGE.nbytes)
    for of in (frames[0], frames[1], frames[0], frames[2], frames[0], frames[1]):
        assert np.array_equal(cache.get(of)[0], IMAGE)
    assert reads == ["a", "b", "c", "b"]

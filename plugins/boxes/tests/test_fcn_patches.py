from dataclasses import replace

import numpy as np
import pytest
from box_scene import RADIUS, sample

from mitobench.api import Mitoses, PluginError
from mitobench_boxes.patches import PatchStream


def stream(**options):
    return PatchStream([sample(0)], **{"side": 48, "mpp": None, "positive_share": 1.0, "jitter": 0.0, **options})


def test_the_target_marks_the_pixels_of_the_mitosis():
    for seed in range(16):
        item = stream().draw(np.random.default_rng(seed))
        assert item["inputs"].shape == (48, 48, 3)
        np.testing.assert_array_equal(item["targets"] == 1, item["inputs"].mean(axis=2) < 140)


def test_positive_patches_hold_a_mitosis():
    assert all(stream().draw(np.random.default_rng(seed))["targets"].any() for seed in range(64))


def test_other_patches_come_from_anywhere():
    found = [stream(positive_share=0.0).draw(np.random.default_rng(seed))["targets"].any() for seed in range(64)]
    assert 0 < sum(found) < 64


def test_masks_follow_the_frame_to_the_resolution_of_the_model():
    item = stream(mpp=0.5, side=64).draw(np.random.default_rng(0))
    assert item["targets"].sum() == pytest.approx(2 * np.pi * (RADIUS / 2) ** 2, rel=0.1)


def test_a_patch_wider_than_the_frame_is_mirrored():
    assert stream(side=160).draw(np.random.default_rng(0))["inputs"].shape == (160, 160, 3)


def test_an_item_depends_on_its_generator_alone():
    one = stream(jitter=0.1)
    first, again, other = (one.draw(np.random.default_rng(seed))["inputs"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_frame_without_masks_is_told():
    blind = replace(sample(0), mitoses=Mitoses(np.array([[40.0, 50.0]])))
    with pytest.raises(PluginError, match="toy/f0 has none"):
        PatchStream([blind], 48, None, 1.0, 0.0)


def test_frames_without_any_mitosis_are_told():
    empty = replace(sample(0), mitoses=Mitoses(np.zeros((0, 2)), ()))
    with pytest.raises(PluginError, match="no training frame has a mitosis"):
        PatchStream([empty], 48, None, 1.0, 0.0)

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from box_scene import CENTRES, RADIUS, sample

from mitobench.api import Mitoses
from mitobench.training import runner
from mitobench_boxes.fcn import FCN
from mitobench_boxes.fixed import Fixed

TINY = {
    "width": 1 / 16,
    "mpp": None,
    "patch": 64,
    "tiles": 2,
    "norm": "batch",
    "dropout": 0.0,
    "batch_size": 4,
    "optimizer": "adamw",
    "lrs": (3e-3, 3e-3, 3e-3),
    "reduction": "mean",
}


def tiny(**options):
    return FCN(FCN.Options(**{**TINY, "iterations": (2, 2, 2), **options}))


def with_probability(probability, **options):
    """An FCN whose network says `probability`, and how often it was asked."""
    fcn, asked = tiny(**options), []

    def answer(frame):
        asked.append(frame.key)
        return probability, np.array(probability.shape[::-1]) / frame.size

    fcn.probability = answer
    fcn._last = None
    return fcn, asked


def blobs(*spans, size=128):
    """A probability map, high in the given (x1, y1, x2, y2)."""
    probability = np.full((size, size), 0.1)
    for x1, y1, x2, y2 in spans:
        probability[y1:y2, x1:x2] = 0.9
    return probability


FRAME, MITOSES = sample(0).frame, Mitoses(np.array(CENTRES))


def test_the_box_is_that_of_the_blob_under_the_centroid_else_fixed():
    fcn, _ = with_probability(blobs((30, 45, 55, 60), (100, 10, 120, 30)))
    np.testing.assert_array_equal(fcn.boxes(FRAME, MITOSES), [[30, 45, 55, 60], [81, 73, 111, 103]])
    np.testing.assert_array_equal(fcn.covered(FRAME, MITOSES), [True, False])


def test_blobs_at_another_resolution_give_boxes_in_frame_pixels():
    fcn, _ = with_probability(blobs((15, 22, 28, 30), size=64))
    np.testing.assert_array_equal(fcn.boxes(FRAME, MITOSES)[0], [30, 44, 56, 60])


def test_a_blob_too_large_for_a_mitosis_gives_no_box():
    fcn, _ = with_probability(blobs((0, 40, 128, 60)), max_side=100)
    np.testing.assert_array_equal(fcn.boxes(FRAME, MITOSES), Fixed().boxes(FRAME, MITOSES))
    assert not fcn.covered(FRAME, MITOSES).any()


def test_a_network_that_says_the_same_everywhere_gives_fixed_boxes():
    fcn, _ = with_probability(np.full((128, 128), 0.3))
    np.testing.assert_array_equal(fcn.boxes(FRAME, MITOSES), Fixed().boxes(FRAME, MITOSES))


def test_a_centroid_on_the_frames_edge_is_looked_up_inside():
    fcn, _ = with_probability(blobs((110, 110, 128, 128)))
    np.testing.assert_array_equal(fcn.boxes(FRAME, Mitoses(np.array([[128.0, 128.0]]))), [[110, 110, 128, 128]])


def test_a_frame_is_segmented_once_for_boxes_and_covered():
    fcn, asked = with_probability(blobs((30, 45, 55, 60)))
    fcn.boxes(FRAME, MITOSES), fcn.covered(FRAME, MITOSES)
    fcn.boxes(replace(FRAME, id="other"), MITOSES)
    assert asked == ["toy/f0", "toy/other"]


def test_a_frame_without_mitoses_is_not_segmented():
    fcn, asked = with_probability(blobs())
    nothing = Mitoses(np.zeros((0, 2)))
    assert fcn.boxes(FRAME, nothing).shape == (0, 4)
    assert fcn.covered(FRAME, nothing).shape == (0,)
    assert not asked


def test_it_learns_boxes_from_masks(context):
    fcn = tiny(iterations=(10, 10, 40), batch_size=2)
    fcn.fit([sample(seed) for seed in range(3)], [], context)
    unseen = sample(99)
    assert fcn.covered(unseen.frame, unseen.mitoses).all()
    truth = [[x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS] for x, y in CENTRES]
    np.testing.assert_allclose(fcn.boxes(unseen.frame, unseen.mitoses), truth, atol=8)


@pytest.mark.parametrize("tiles", [1, 3])
def test_tiles_cover_the_frame_that_they_do_not_divide(context, tiles):
    fcn = tiny(tiles=tiles)
    fcn.fit([sample(0)], [], context)
    probability, factors = fcn.probability(FRAME)
    assert probability.shape == (128, 128)
    assert (probability > 0).all()
    np.testing.assert_array_equal(factors, [1, 1])


def test_an_interrupted_training_ends_with_the_same_weights(context, tmp_path, monkeypatch):
    through, resumed, samples = tiny(), tiny(), [sample(0)]
    through.fit(samples, [], replace(context, work=tmp_path / "through"))
    left = iter(range(3))

    def killed(done, total):
        if next(left, None) is None:  # in the second step at stride 16
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        resumed.fit(samples, [], replace(context, progress=killed))
    resumed.fit(samples, [], context)
    assert _weights(resumed, tmp_path / "a") == _weights(through, tmp_path / "b")


def test_a_loaded_estimator_gives_the_boxes_of_the_saved_one(context, tmp_path):
    fcn, again = tiny(), tiny()
    fcn.fit([sample(0)], [], context)
    fcn.save(tmp_path)
    again.load(tmp_path)
    np.testing.assert_array_equal(again.probability(FRAME)[0], fcn.probability(FRAME)[0])
    np.testing.assert_array_equal(again.boxes(FRAME, MITOSES), fcn.boxes(FRAME, MITOSES))


def _weights(fcn, folder: Path) -> bytes:
    folder.mkdir()
    fcn.save(folder)
    return (folder / "weights.safetensors").read_bytes()


def test_the_defaults_are_the_papers():
    options = FCN.Options()
    assert (options.side, options.patch, options.tiles, options.batch_size) == (30, 521, 4, 1)
    assert (options.lrs, options.reduction) == ((1e-10, 1e-13, 1e-14), "sum")
    assert (options.optimizer, options.momentum, options.weight_decay) == ("sgd", 0.99, 5e-4)

from dataclasses import replace

import numpy as np
import pytest
from verifier_scene import IMPOSTERS, MITOSES, SIZE, sample

from mitobench.training import recompressed
from mitobench.training.candidate_patches import MITOSES as MITOSIS_KINDS
from mitobench.training.candidate_patches import (
    OTHERS,
    CandidatePatchStream,
    Pool,
    centres,
    cut,
    gather,
)


def found(one=None, floor=0.0, background=0):
    return centres(one or sample(0), floor, background, np.random.default_rng(0))


def test_mitoses_are_learned_as_annotated_and_as_detected():
    np.testing.assert_array_equal(found()["annotated mitoses"], MITOSES)
    np.testing.assert_array_equal(found()["detected mitoses"], MITOSES + 2)


def test_imposters_and_false_detections_are_the_others():
    np.testing.assert_array_equal(found()["imposters"], IMPOSTERS)
    np.testing.assert_array_equal(found()["false detections"], np.concatenate([IMPOSTERS, [[75, 140]]]))
    assert len(found()["background"]) == 0


def test_every_kind_is_of_mitoses_or_of_others():
    assert set(found()) == {*MITOSIS_KINDS, *OTHERS}


def test_candidates_at_or_below_the_floor_are_left_out():
    counts = {kind: len(xy) for kind, xy in found(floor=0.8).items()}
    assert counts["detected mitoses"] == 1  # the one of .9
    assert counts["false detections"] == 0
    assert (counts["annotated mitoses"], counts["imposters"]) == (2, 2)


def test_a_frame_without_candidates_gives_what_is_annotated():
    counts = {kind: len(xy) for kind, xy in found(replace(sample(0), candidates=None)).items()}
    assert {kind for kind, n in counts.items() if n} == {"annotated mitoses", "imposters"}


def test_background_keeps_clear_of_every_mitosis():
    background = found(sample(0, mpp=0.25), background=500)["background"]
    nearest = np.linalg.norm(background[:, None] - MITOSES, axis=2).min(axis=1)
    assert len(background) > 100
    assert nearest.min() > 16 / 0.25  # 16 um


def test_patches_of_all_frames_are_gathered_and_counted():
    frames = [sample(0), sample(1), replace(sample(2), candidates=None)]
    frames[1] = replace(frames[1], frame=replace(frames[1].frame, dataset="other"))
    mitoses, others, counts = gather(frames, 32, None, 0.0, 0, np.random.default_rng(0))
    assert counts == {
        "annotated mitoses": 6,
        "detected mitoses": 4,
        "imposters": 6,
        "false detections": 6,
        "background": 0,
    }
    assert (len(mitoses), len(others)) == (10, 12)
    first = cut(frames[0].frame, np.concatenate([MITOSES, MITOSES + 2]), 32, None)
    np.testing.assert_array_equal(mitoses.pixels[:4], first)
    np.testing.assert_array_equal(others.pixels[-2:], cut(frames[2].frame, IMPOSTERS, 32, None))
    assert list(mitoses.datasets) == ["toy"] * 4 + ["other"] * 4 + ["toy"] * 2
    assert list(others.datasets) == ["toy"] * 5 + ["other"] * 5 + ["toy"] * 2


def test_a_patch_is_centred_on_its_point_and_mirrored_at_the_frames_edge():
    one = sample(0)
    image = one.frame.read()
    inside, edge = cut(one.frame, np.array([[39.5, 49.5], [-0.5, 49.5]]), 32, None)
    np.testing.assert_array_equal(inside, image[34:66, 24:56])
    np.testing.assert_array_equal(edge[:, 16:], image[34:66, :16])
    np.testing.assert_array_equal(edge[:, 15], image[34:66, 1])


@pytest.mark.parametrize("side", [31, 32, 96, 97])
@pytest.mark.parametrize("mpp", [None, 0.25, 0.5, 0.125])
def test_a_patch_is_centred_on_its_point_to_half_a_px(side, mpp):
    """A dot in the frame is in the middle of its patch; an even patch has no middle pixel, and both sides are right."""
    dots = np.array([[40, 50], [81, 97], [102, 63]])
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[dots[:, 1], dots[:, 0]] = 255
    frame = replace(sample(0).frame, reader=lambda: image)
    offsets = []
    for patch in cut(frame, dots.astype(float), side, mpp):
        weights = patch[..., 0].astype(float)
        y, x = np.mgrid[:side, :side]
        near = np.hypot(x - (side - 1) / 2, y - (side - 1) / 2) < 6
        weights = np.where(near, weights, 0)
        offsets.append([(weights * along).sum() / weights.sum() - (side - 1) / 2 for along in (x, y)])
    assert np.abs(offsets).max() <= 0.5 + 0.05


def test_patches_are_cut_at_the_resolution_of_the_model():
    fine = cut(sample(0, mpp=0.25).frame, MITOSES, 32, 0.5)
    disc = (fine[0].mean(axis=2) < 140).sum()
    assert disc == pytest.approx(np.pi * 4**2, rel=0.25)  # a radius of 8 px at .25 um/px is 4 px at .5


def test_no_centres_give_no_patches():
    assert cut(sample(0).frame, np.zeros((0, 2)), 32, None).shape == (0, 32, 32, 3)


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_mitoses_are_drawn_with_their_share(share):
    ones, zeros = np.full((3, 40, 40, 3), 1, np.uint8), np.zeros((9, 40, 40, 3), np.uint8)
    stream = CandidatePatchStream(pool(ones), pool(zeros), 4, share, lambda patch, *_: patch)
    items = [stream.draw(np.random.default_rng(i)) for i in range(400)]
    assert all(item["inputs"].shape == (32, 32, 3) for item in items)
    assert all(item["inputs"].max() == item["targets"] for item in items)
    assert np.mean([item["targets"] for item in items]) == pytest.approx(share, abs=0.08)


def test_an_item_depends_on_its_generator_alone():
    patches = np.random.default_rng(0).integers(0, 255, (5, 40, 40, 3), dtype=np.uint8)
    stream = CandidatePatchStream(pool(patches), pool(patches), 4, 0.5, lambda patch, *_: patch)
    first, again, other = (stream.draw(np.random.default_rng(i))["inputs"] for i in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def disputed():
    """A frame whose annotators were sure of the first mitosis and imposter, and not of the second."""
    one = sample(0)
    votes = {"confidence": np.array([1.0, 0.65]), "imposter_confidence": np.array([0.0, 0.2])}
    return replace(one, mitoses=replace(one.mitoses, **votes))


def test_soft_targets_are_the_confidence_of_the_nearest_figure():
    mitoses, others, _ = gather([disputed()], 32, None, 0.0, 50, np.random.default_rng(0), soft=True)
    assert list(mitoses.targets) == [1, 0.65, 1, 0.65]  # as annotated, then as detected 2 px beside
    assert list(others.targets[:5]) == [0, 0.2, 0, 0.2, 0]  # imposters, detections on them, and one elsewhere
    assert len(others) > 10
    assert not others.targets[5:].any(), "background"


def test_without_confidences_soft_targets_are_the_hard_ones():
    mitoses, others, _ = gather([sample(0), sample(1)], 32, None, 0.0, 50, np.random.default_rng(0), soft=True)
    assert set(mitoses.targets) == {1.0}
    assert set(others.targets) == {0.0}
    hard = gather([disputed()], 32, None, 0.0, 0, np.random.default_rng(0))
    assert hard[0].targets is None
    assert hard[1].targets is None


def test_a_training_item_has_the_target_of_its_patch():
    soft = replace(numbered(4), targets=np.array([0.0, 0.1, 0.2, 0.3]))
    stream = CandidatePatchStream(numbered(1), soft, 0, 0.5, lambda patch, *_: patch)
    items = [stream.draw(np.random.default_rng(i)) for i in range(40)]
    assert {round(float(item["targets"]), 3) for item in items} == {1.0, 0.0, 0.1, 0.2, 0.3}
    soft_items = [item for item in items if item["targets"] != 1]
    assert all(float(item["targets"]) == pytest.approx(item["inputs"][0, 0, 0] / 10) for item in soft_items)


def test_recompression_hides_how_often_a_patch_was_compressed_before():
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    smooth = noisy // 8 + 100
    twice = recompressed(smooth, 75)
    before = np.abs(twice.astype(int) - smooth).mean()
    after = np.abs(recompressed(twice, 30).astype(int) - recompressed(smooth, 30)).mean()
    assert before > 0
    assert after < before
    assert recompressed(smooth, 30).shape == smooth.shape


def test_harder_negatives_are_drawn_in_proportion_to_their_score():
    stream = CandidatePatchStream(numbered(1), numbered(4), 0, 1e-9, lambda patch, *_: patch)
    harder = stream.harder(np.array([0.0, 0.0, 0.0, 1.0]))
    drawn = [int(harder.draw(np.random.default_rng(i))["inputs"][0, 0, 0]) for i in range(400)]
    assert np.bincount(drawn, minlength=4) / 400 == pytest.approx([0.125, 0.125, 0.125, 0.625], abs=0.08)


def test_even_data_sets_are_drawn_equally_often_however_many_patches_each_has():
    even = replace(numbered(4), datasets=np.array(["a", "a", "a", "b"])).even()
    assert even.probabilities == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    drawn = [even.draw(np.random.default_rng(i)) for i in range(400)]
    assert np.mean(np.array(drawn) == 3) == pytest.approx(0.5, abs=0.08)


def test_hard_ones_of_even_data_sets_are_still_drawn_evenly_half_of_the_time():
    even = replace(numbered(4), datasets=np.array(["a", "a", "a", "b"])).even()
    harder = even.harder(np.array([1.0, 0.0, 0.0, 0.0]))
    assert harder.probabilities == pytest.approx([1 / 12 + 1 / 2, 1 / 12, 1 / 12, 1 / 4])


def pool(pixels):
    return Pool(pixels, np.repeat("toy", len(pixels)))


def numbered(count):
    """Patches of one value each: their number."""
    return pool(np.repeat(np.arange(count, dtype=np.uint8), 8 * 8 * 3).reshape(count, 8, 8, 3))

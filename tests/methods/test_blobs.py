"""`blobs` finds dark, round spots of haematoxylin, of the right size in um, wherever they are."""

from functools import partial

import numpy as np
import pytest
from pydantic import ValidationError
from skimage.color import hed2rgb

from mitobench.api import Frame
from mitobench.methods.blobs import Blobs, BlobsOptions


def frame(spots, size=(200, 160), mpp=(0.25, 0.25)):
    """Returns a frame with a pink background and a disc of haematoxylin at each (x, y, radius in um, strength)."""
    y, x = np.mgrid[: size[1], : size[0]]
    stain = np.zeros((size[1], size[0], 3))
    stain[..., 1] = 0.1
    for cx, cy, radius, strength in spots:
        inside = np.hypot((x - cx) * mpp[0], (y - cy) * mpp[1]) < radius
        stain[inside, 0] = strength
    pixels = (hed2rgb(stain) * 255).round().astype(np.uint8)
    return Frame("f", "toy", "f", "A", mpp, size, partial(np.copy, pixels))


def test_a_blob_is_found_where_it_is():
    found = Blobs().predict(frame([(150, 40, 4.5, 0.3)]))
    np.testing.assert_allclose(found.xy[0], [150, 40], atol=2)


def test_its_box_has_its_diameter():
    found = Blobs().predict(frame([(100, 80, 5.5, 0.3)]))
    np.testing.assert_allclose(found.boxes[0, 2:] - found.boxes[0, :2], 2 * 5.5 / 0.25)


@pytest.mark.parametrize("mpp", [(0.25, 0.25), (0.4, 0.25), (0.5, 0.5), (0.2, 0.2)])
def test_lengths_are_in_um_whatever_the_scanner(mpp):
    found = Blobs().predict(frame([(60, 90, 4.5, 0.3)], mpp=mpp))
    distance_um = np.hypot(*((found.xy[0] - [60, 90]) * mpp))
    assert distance_um < 0.5
    np.testing.assert_allclose(found.boxes[0, 2:] - found.boxes[0, :2], 9 / np.array(mpp))


def test_the_darker_of_two_scores_higher():
    found = Blobs().predict(frame([(50, 80, 4.5, 0.1), (150, 80, 4.5, 0.3)]))
    assert found.xy[0, 0] == pytest.approx(150, abs=2)
    assert found.xy[1, 0] == pytest.approx(50, abs=2)
    assert 0 < found.score[1] < found.score[0] < 1


def test_a_larger_region_of_the_same_stain_scores_lower():
    found = Blobs().predict(frame([(50, 80, 4.5, 0.3), (140, 80, 12.0, 0.3)]))
    assert found.xy[0, 0] == pytest.approx(50, abs=2)


def test_eosin_alone_gives_no_detections():
    assert len(Blobs().predict(frame([]))) == 0


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_even_areas_have_no_peaks(floor):
    found = Blobs(BlobsOptions(floor=floor)).predict(frame([(300, 200, 4.5, 0.3)], size=(1200, 1200)))
    assert found.xy[0] == pytest.approx([300, 200], abs=2)
    assert len(found) < 20


def test_candidates_are_the_best_and_best_first():
    spots = [(30 + 70 * i, 30 + 50 * j, 4.5, 0.1 + 0.03 * (i + 3 * j)) for i in range(3) for j in range(3)]
    every = Blobs().predict(frame(spots))
    best = Blobs(BlobsOptions(max_candidates=4)).predict(frame(spots))
    assert len(every) == 9
    assert (np.diff(every.score) <= 0).all()
    np.testing.assert_array_equal(best.score, every.score[:4])


def test_detections_at_or_below_the_score_floor_are_dropped():
    shown = frame([(50, 80, 4.5, 0.1), (150, 80, 4.5, 0.3)])
    scores = Blobs().predict(shown).score
    assert len(Blobs(BlobsOptions(floor=scores[1])).predict(shown)) == 1


def test_it_learns_nothing_and_needs_no_boxes():
    assert not Blobs.learns()
    assert not Blobs.uses_boxes


@pytest.mark.parametrize("option", [{"mpp": 0.01}, {"radius_min": 0}, {"floor": 1}, {"radius": 3}])
def test_an_invalid_option_is_rejected(option):
    with pytest.raises(ValidationError):
        BlobsOptions(**option)

"""`dark-spots` finds dark spots of the right size in um, and passes the checks for plugins."""

from functools import partial

import numpy as np
import pytest

from mitobench import contract
from mitobench.api import Frame
from mitobench_example import DarkSpots, DarkSpotsOptions


def frame(spots, size=(200, 160), mpp=(0.25, 0.25)):
    """A bright frame with a disc at each (x, y, radius in um, darkness)."""
    y, x = np.mgrid[: size[1], : size[0]]
    light = np.full((size[1], size[0]), 240.0)
    for cx, cy, radius, darkness in spots:
        light[np.hypot((x - cx) * mpp[0], (y - cy) * mpp[1]) < radius] -= darkness
    pixels = np.repeat(light[..., None], 3, axis=2).astype(np.uint8)
    return Frame("f", "toy", "f", "A", mpp, size, partial(np.copy, pixels))


@pytest.mark.parametrize("mpp", [(0.25, 0.25), (0.4, 0.25), (0.5, 0.5)])
def test_a_spot_is_found_where_it_is_whatever_the_scanner(mpp):
    found = DarkSpots().predict(frame([(60, 90, 5, 200)], mpp=mpp))
    assert len(found) == 1
    assert found.xy[0].tolist() == [60, 90]
    assert found.boxes[0, 2] - found.boxes[0, 0] == pytest.approx(8 / mpp[0])


def test_the_darker_of_two_scores_higher():
    found = DarkSpots().predict(frame([(50, 80, 5, 120), (150, 80, 5, 200)]))
    lighter, darker = found.score[np.argsort(found.xy[:, 0])]
    assert 0 < lighter < darker < 1


def test_detections_at_or_below_the_score_floor_are_dropped():
    assert len(DarkSpots().predict(frame([]))) == 0
    assert len(DarkSpots(DarkSpotsOptions(floor=0.9)).predict(frame([(50, 80, 5, 200)]))) == 0


@pytest.mark.parametrize("check", contract.checks("detector", "dark-spots"), ids=str)
def test_contract(check):
    check()

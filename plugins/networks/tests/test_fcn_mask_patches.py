from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from box_scene import RADIUS, SIZE, disc, pixels, sample

from mitobench.api import Frame, Mitoses, PluginError, Sample
from mitobench.training import dihedral
from mitobench_networks.fcn.mask_patches import AnywhereStream, MaskPatches, TileStream, tile_edges


def patches(*samples, side=48, mpp=None, jitter=0.0):
    return MaskPatches(samples or [sample(0)], side, mpp, jitter)


def anywhere(positive_share=1.0, **options):
    return AnywhereStream(patches(**options), positive_share)


def by_tiles(*samples, tiles=4, positive_share=None, side=SIZE // 4):
    return TileStream(patches(*samples, side=side), tiles, positive_share)


def drawn(stream, count=64):
    return [stream.draw(np.random.default_rng(seed)) for seed in range(count)]


def cornered(seed: int) -> Sample:
    """A frame with one mitosis, whole within the first of 4 x 4 tiles."""
    centre = (14.0, 16.0)
    frame = Frame(f"c{seed}", "toy", f"{seed}", "A", (0.25, 0.25), (SIZE, SIZE), partial(pixels, seed))
    return Sample(frame, Mitoses(np.array([centre]), (disc(centre),)))


# -------------------------------------------------------------------------------------------------------- tiles


def test_a_frame_of_mitos_2012_gives_the_papers_sixteen_patches_of_521_px():
    assert tile_edges(2084, 4).tolist() == [0, 521, 1042, 1563, 2084]


def test_the_edges_of_a_frame_that_four_does_not_divide_are_rounded():
    assert tile_edges(1539, 4).tolist() == [0, 385, 770, 1154, 1539]


def test_tiles_begin_at_the_corners_of_the_pieces_and_any_pixel_of_a_mitosis_makes_them_positive():
    stream = by_tiles(cornered(0), side=36)  # wider than the pieces of 32 px, so neighbours share a margin
    every = {(0, left, top) for left in (0, 32, 64, 96) for top in (0, 32, 64, 96)}
    assert {*stream.positive, *stream.negative} == every
    assert len(stream.positive) + len(stream.negative) == 16
    assert stream.positive == [(0, 0, 0)]
    for index, left, top in every:
        label = patches(cornered(0), side=36).label(index, left, top)
        assert label.any() == ((index, left, top) in stream.positive)


def test_a_mitosis_across_an_edge_makes_both_tiles_positive():
    assert set(by_tiles().positive) == {  # of the discs of radius 12 at (40, 50) and (96, 88)
        *((0, left, top) for left in (0, 32) for top in (32,)),
        *((0, left, top) for left in (64, 96) for top in (64, 96)),
    }


def test_positive_tiles_come_in_all_eight_rotations_and_mirrors_and_negative_ones_as_they_are():
    one, stream = cornered(0), by_tiles(cornered(0))
    tile = one.frame.read()[:32, :32]
    turned = {dihedral(tile, k).tobytes() for k in range(8)}
    others = {one.frame.read()[y : y + 32, x : x + 32].tobytes() for _, x, y in stream.negative}
    items = drawn(stream, 400)
    assert {item["inputs"].tobytes() for item in items if item["targets"].any()} == turned
    assert {item["inputs"].tobytes() for item in items if not item["targets"].any()} == others


def test_without_a_share_every_positive_tile_counts_eight_times():
    assert by_tiles(cornered(0)).share == 8 / (8 + 15)
    assert by_tiles(cornered(0), cornered(1)).share == 16 / (16 + 30)
    assert by_tiles().share == 48 / (48 + 10)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_positive_tiles_are_drawn_with_the_requested_share(share):
    assert {bool(item["targets"].any()) for item in drawn(by_tiles(positive_share=share))} == {bool(share)}


def test_where_every_tile_holds_a_mitosis_all_are_positive():
    assert by_tiles(tiles=1, positive_share=0.5, side=SIZE).share == 1


def test_no_tile_with_a_mitosis_is_reported():
    with pytest.raises(PluginError, match=r"No tile .* patches=anywhere"):
        by_tiles(cornered(0), side=2)  # smaller than the pieces, and the mitosis is in what they leave out


# ----------------------------------------------------------------------------------------------------- anywhere


def test_random_patches_contain_a_mitosis_if_requested():
    assert all(item["targets"].any() for item in drawn(anywhere()))


@pytest.mark.parametrize("share", [0.0, None])
def test_other_patches_come_from_anywhere(share):
    assert 0 < sum(item["targets"].any() for item in drawn(anywhere(share))) < 64


# --------------------------------------------------------------------------------------------------------- both


@pytest.fixture(params=["tiles", "anywhere"])
def stream(request):
    """Either kind of stream, from `Patches`."""
    return (lambda of: TileStream(of, 4, None)) if request.param == "tiles" else (lambda of: AnywhereStream(of, 0.8))


def test_the_target_marks_the_pixels_of_the_mitosis(stream):
    for item in drawn(stream(patches()), 16):
        assert item["inputs"].shape == (48, 48, 3)
        np.testing.assert_array_equal(item["targets"] == 1, item["inputs"].mean(axis=2) < 140)


def test_a_patch_wider_than_the_frame_is_mirrored(stream):
    assert stream(patches(side=160)).draw(np.random.default_rng(0))["inputs"].shape == (160, 160, 3)


def test_an_item_depends_on_its_generator_alone(stream):
    one = stream(patches(jitter=0.1))
    first, again, other = (one.draw(np.random.default_rng(seed))["inputs"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_masks_follow_the_frame_to_the_resolution_of_the_model():
    item = anywhere(mpp=0.5, side=64).draw(np.random.default_rng(0))
    assert item["targets"].sum() == pytest.approx(2 * np.pi * (RADIUS / 2) ** 2, rel=0.1)


def test_a_frame_without_masks_is_reported():
    blind = replace(sample(0), mitoses=Mitoses(np.array([[40.0, 50.0]])))
    with pytest.raises(PluginError, match="toy/f0 has none"):
        patches(blind)


def test_frames_without_any_mitosis_are_reported():
    empty = replace(sample(0), mitoses=Mitoses(np.zeros((0, 2)), ()))
    with pytest.raises(PluginError, match="no training frame has a mitosis"):
        patches(empty)

"""What each part adds: worked out by hand on frames that are all alike."""

from __future__ import annotations

import pytest

from mitobench.evaluate import Interval
from mitobench.report.effects import Effect
from mitobench.report.pairs import Paired
from mitobench.report.table import sections
from mitobench.results.record import Record
from report.counted import F1_0, F1_4, F1_5, F1_8, F1_10, counted


def effects(*records: Record) -> dict[str, Effect]:
    """By role and the two plugins: `estimator: mask - fixed`."""
    (section,) = sections(records)
    return {f"{effect.role}: {effect.plugin} - {effect.against}": effect for effect in section.effects}


def test_an_effect_is_the_mean_over_pairs_that_differ_in_that_part_alone() -> None:
    """F1 of the four: fixed .5 and .4, mask .8 and .5; so mask adds (.3 + .1) / 2, and va adds (.1 + .3) / 2."""
    found = effects(
        counted(F1_5, estimator="fixed", verifier="va"),
        counted(F1_4, estimator="fixed", verifier="vb"),
        counted(F1_8, estimator="mask", verifier="va"),
        counted(F1_5, estimator="mask", verifier="vb"),
    )
    assert list(found) == ["estimator: mask - fixed", "verifier: va - vb"]
    for effect in found.values():
        assert effect.delta == pytest.approx(0.2)
        assert effect.n_pairs == 2
        assert effect.interval is not None
        assert (effect.interval.low + effect.interval.high) / 2 == pytest.approx(0.2)


def test_rows_that_differ_in_two_parts_are_no_pair() -> None:
    assert not effects(counted(F1_5, estimator="fixed", verifier="va"), counted(F1_8, estimator="mask", verifier="vb"))


def test_the_plugin_that_is_ahead_is_named_first_and_the_greatest_effect_too() -> None:
    found = effects(*(counted(c, detector=name) for c, name in ((F1_5, "a"), (F1_8, "b"), (F1_10, "c"))))
    deltas = [(name, round(effect.delta, 3)) for name, effect in found.items()]
    assert deltas == [("detector: c - a", 0.5), ("detector: b - a", 0.3), ("detector: c - b", 0.2)]


def test_a_difference_that_comes_and_goes_with_the_frames_is_in_the_noise() -> None:
    """`a` is ahead on one slide of six, by .1 there: without that slide there is no difference."""
    found = effects(counted([F1_5, *[F1_4] * 5], detector="a"), counted([F1_4] * 6, detector="b"))
    effect = found["detector: a - b"]
    assert effect.delta == pytest.approx(12 / (12 + 6 + 11) - 12 / 30)
    assert effect.interval is not None
    assert effect.interval.low < 0
    assert effect.in_noise


def test_an_end_that_is_zero_but_for_rounding_is_zero() -> None:
    ends = Interval(low=1e-17, high=0.1, unit="group", n_units=10, method="jackknife-wilson", version=1)
    assert Paired(2, 0.05, ends).in_noise
    assert not Paired(2, 0.05, ends.model_copy(update={"low": 1e-3})).in_noise


def test_seeds_are_compared_with_their_like_and_others_left_out() -> None:
    """Seed 1 is there for `a` alone; on seed 0 both are .5."""
    found = effects(counted(F1_5, detector="a"), counted(F1_10, detector="a", seed=1), counted(F1_5, detector="b"))
    assert found["detector: a - b"].delta == 0


def test_rows_without_a_seed_in_common_are_no_pair() -> None:
    assert not effects(counted(F1_5, detector="a"), counted(F1_10, detector="b", seed=1))


def test_against_no_verifier_the_fuser_comes_with_it_and_is_not_counted_again() -> None:
    """Alone .4; verified and fused by `linear` .8, by `product` .5: (.4 + .1) / 2, all of it the verifier's."""
    found = effects(
        counted(F1_4, verifier="none", fuser="detector-only"),
        counted(F1_8, verifier="resnet50", fuser="linear"),
        counted(F1_5, verifier="resnet50", fuser="product"),
    )
    found_effects = {name: (round(effect.delta, 3), effect.n_pairs) for name, effect in found.items()}
    assert found_effects == {
        "verifier: resnet50 - none": (0.25, 2),
        "fuser: linear - product": (0.3, 1),
    }


def test_of_many_plugins_each_is_set_against_that_of_most_rows_only() -> None:
    """Thirteen detectors: `d7` is under two verifiers; of twelve every two are compared."""
    many = [counted(F1_5, detector=f"d{i}") for i in range(13)]
    found = effects(*many, counted(F1_4, detector="d7", verifier="none"))
    named = [set(name.removeprefix("detector: ").split(" - ")) for name in found if name.startswith("detector")]
    assert len(named) == 12
    assert all("d7" in names for names in named)
    assert len(effects(*many[:12])) == 12 * 11 / 2


def test_a_detector_without_boxes_is_set_against_others_under_every_estimator() -> None:
    alone = counted(F1_4, estimator="-", detector="blobs")
    alone = alone.model_copy(update={"plugins": {r: p for r, p in alone.plugins.items() if r != "estimator"}})
    found = effects(alone, counted(F1_5, estimator="fixed"), counted(F1_8, estimator="mask"))
    assert found["detector: frcnn - blobs"].n_pairs == 2
    assert found["detector: frcnn - blobs"].delta == pytest.approx((0.1 + 0.4) / 2)
    assert "estimator: fixed - -" not in found


def test_rows_of_other_options_code_or_device_are_no_pair() -> None:
    one, other = counted(F1_5, estimator="fixed"), counted(F1_8, estimator="mask")
    assert effects(one, other)
    assert not effects(one, other.model_copy(update={"device": "cuda"}))
    detector = other.plugins["detector"].model_copy(update={"options": {"lr": 0.1}})
    assert not effects(one, other.model_copy(update={"plugins": {**other.plugins, "detector": detector}}))


def test_an_undefined_f1_is_in_no_pair() -> None:
    empty = counted([(0, 0, 0)] * 6, detector="a")
    assert not effects(empty, counted([(0, 1, 0)] * 6, detector="b"))
    assert effects(counted(F1_0, detector="a"), counted(F1_5, detector="b"))

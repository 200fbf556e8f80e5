"""What each part adds, compared with values worked out by hand on frames with equal counts."""

from __future__ import annotations

import pytest

from mitobench.evaluate import Interval
from mitobench.pipeline.pipeline_options import PipelineOptions
from mitobench.report.effects import VERIFICATION, Effect
from mitobench.report.pairs import PairedDifference
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


def test_rows_that_differ_in_two_parts_are_not_a_pair() -> None:
    assert not effects(counted(F1_5, estimator="fixed", verifier="va"), counted(F1_8, estimator="mask", verifier="vb"))


def test_the_better_plugin_and_the_largest_effect_come_first() -> None:
    found = effects(*(counted(c, detector=name) for c, name in ((F1_5, "a"), (F1_8, "b"), (F1_10, "c"))))
    deltas = [(name, round(effect.delta, 3)) for name, effect in found.items()]
    assert deltas == [("detector: c - a", 0.5), ("detector: b - a", 0.3), ("detector: c - b", 0.2)]


def test_a_difference_that_depends_on_one_slide_is_in_the_noise() -> None:
    """`a` is ahead on one slide of six, by .1 there: without that slide there is no difference."""
    found = effects(counted([F1_5, *[F1_4] * 5], detector="a"), counted([F1_4] * 6, detector="b"))
    effect = found["detector: a - b"]
    assert effect.delta == pytest.approx(12 / (12 + 6 + 11) - 12 / 30)
    assert effect.interval is not None
    assert effect.interval.low < 0
    assert effect.in_noise


def test_an_end_of_an_interval_that_rounds_to_zero_is_zero() -> None:
    ends = Interval(low=1e-17, high=0.1, unit="group", n_units=10, method="jackknife-wilson", version=1)
    assert PairedDifference(2, 0.05, ends).in_noise
    assert not PairedDifference(2, 0.05, ends.model_copy(update={"low": 1e-3})).in_noise


def test_only_seeds_that_both_rows_have_are_compared() -> None:
    """Seed 1 is there for `a` alone; on seed 0 both are .5."""
    found = effects(counted(F1_5, detector="a"), counted(F1_10, detector="a", seed=1), counted(F1_5, detector="b"))
    assert found["detector: a - b"].delta == 0


def test_rows_without_a_common_seed_are_not_a_pair() -> None:
    assert not effects(counted(F1_5, detector="a"), counted(F1_10, detector="b", seed=1))


def test_a_verifier_compared_with_none_includes_its_fuser() -> None:
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


def test_many_plugins_are_compared_only_with_the_one_in_most_rows() -> None:
    """Thirteen detectors: `d7` has two verifiers; of twelve detectors all pairs are compared."""
    many = [counted(F1_5, detector=f"d{i}") for i in range(13)]
    found = effects(*many, counted(F1_4, detector="d7", verifier="none"))
    named = [set(name.removeprefix("detector: ").split(" - ")) for name in found if name.startswith("detector")]
    assert len(named) == 12
    assert all("d7" in names for names in named)
    assert len(effects(*many[:12])) == 12 * 11 / 2


def test_a_detector_without_boxes_is_compared_under_every_estimator() -> None:
    alone = counted(F1_4, estimator="-", detector="blobs")
    alone = alone.model_copy(update={"plugins": {r: p for r, p in alone.plugins.items() if r != "estimator"}})
    found = effects(alone, counted(F1_5, estimator="fixed"), counted(F1_8, estimator="mask"))
    assert found["detector: frcnn - blobs"].n_pairs == 2
    assert found["detector: frcnn - blobs"].delta == pytest.approx((0.1 + 0.4) / 2)
    assert "estimator: fixed - -" not in found


def test_rows_of_other_options_code_or_device_are_not_a_pair() -> None:
    one, other = counted(F1_5, estimator="fixed"), counted(F1_8, estimator="mask")
    assert effects(one, other)
    assert not effects(one, other.model_copy(update={"device": "cuda"}))
    detector = other.plugins["detector"].model_copy(update={"options": {"lr": 0.1}})
    assert not effects(one, other.model_copy(update={"plugins": {**other.plugins, "detector": detector}}))


def test_an_undefined_f1_is_in_no_pair() -> None:
    empty = counted([(0, 0, 0)] * 6, detector="a")
    assert not effects(empty, counted([(0, 1, 0)] * 6, detector="b"))
    assert effects(counted(F1_0, detector="a"), counted(F1_5, detector="b"))


def test_all_options_of_verification_are_known() -> None:
    assert set(PipelineOptions.model_fields) == VERIFICATION


def verified(record: Record, **options: str) -> Record:
    return record.model_copy(update={"pipeline": {**record.pipeline, **options}})


def test_options_of_verification_do_not_keep_a_verifier_from_being_compared_with_none() -> None:
    found = effects(
        counted(F1_5, verifier="none", fuser="detector-only"),
        verified(counted(F1_8, verifier="va", fuser="linear"), choose_by="average-precision"),
    )
    assert found["verifier: va - none"].delta == pytest.approx(0.3)


@pytest.mark.parametrize("role", ["detector", "verifier", "fuser"])
def test_rows_that_were_verified_with_other_options_are_not_a_pair(role: str) -> None:
    one = verified(counted(F1_5, **{role: "a"}), choose_by="average-precision")
    assert not effects(one, counted(F1_8, **{role: "b"}))


def test_other_options_of_the_pipeline_keep_rows_apart() -> None:
    one = counted(F1_5, verifier="none", fuser="detector-only")
    assert not effects(one, verified(counted(F1_8, verifier="va"), processes="2"))

"""Scores by domain: counts of the frames of each value, their mean, and the worst."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitobench.evaluate import FramePrediction, evaluate
from mitobench.evaluate.domains import UNKNOWN, by_domain
from mitobench.evaluate.metrics import FrameCounts, total


def frame(name: str, found: int, false: int, missed: int, area: float | None = 0.25, **domains: str) -> FramePrediction:
    """A frame with as many hits, false positives and misses, all with the score 1."""
    mitoses = [(100.0 * at, 0.0) for at in range(found + missed)]
    detections = mitoses[:found] + [(100.0 * at, 500.0) for at in range(false)]
    truth, xy = np.array(mitoses).reshape(-1, 2), np.array(detections).reshape(-1, 2)
    made = FramePrediction(name, name[0], (0.25, 0.25), truth, xy, np.ones(len(xy)))
    return replace(made, domains=domains, area_mm2=area)


FRAMES = [
    frame("a1", 3, 1, 0, scanner="A", tumour="x"),
    frame("a2", 1, 0, 2, scanner="A", tumour="x"),
    frame("b1", 1, 4, 1, scanner="B", tumour="x"),
    frame("c1", 0, 2, 0, scanner="C", tumour="x"),
]


def test_each_value_has_the_sums_of_its_frames() -> None:
    found = evaluate(FRAMES, 0.5, "mitos", 5.0)
    scanners = found.domains["scanner"]
    a, b, c = (scanners.values[name] for name in "ABC")
    assert (a.tp, a.fp, a.fn, a.n_frames, a.n_mitoses) == (4, 1, 2, 2, 6)
    assert a.f1 == pytest.approx(8 / 11)
    assert b.f1 == pytest.approx(2 / 7)
    assert c.f1 == 0
    assert (a.area_mm2, a.fp_per_mm2) == (0.5, 2)
    assert scanners.macro_f1 == pytest.approx((8 / 11 + 2 / 7) / 3)
    assert (scanners.worst, scanners.worst_f1) == ("C", 0)
    assert found.fp_per_mm2 == pytest.approx(7)


def test_a_domain_with_one_value_is_left_out() -> None:
    assert list(evaluate(FRAMES, 0.5, "mitos", 5.0).domains) == ["scanner"]
    assert evaluate(FRAMES[:2], 0.5, "mitos", 5.0).domains == {}


def test_a_frame_without_the_domain_is_unknown() -> None:
    found = evaluate([*FRAMES, frame("d1", 1, 0, 0)], 0.5, "mitos", 5.0)
    assert found.domains["scanner"].values[UNKNOWN].f1 == 1


def test_a_value_without_f1_does_not_count_in_the_mean() -> None:
    nothing = frame("d1", 0, 0, 0, scanner="D")
    scanners = evaluate([*FRAMES[:3], nothing], 0.5, "mitos", 5.0).domains["scanner"]
    assert scanners.values["D"].f1 is None
    assert scanners.macro_f1 == pytest.approx((8 / 11 + 2 / 7) / 2)
    assert scanners.worst == "B"


def test_without_an_area_nothing_is_per_mm2() -> None:
    found = evaluate([*FRAMES, frame("d1", 1, 0, 0, None, scanner="D")], 0.5, "mitos", 5.0)
    assert found.fp_per_mm2 is None
    assert found.domains["scanner"].values["A"].fp_per_mm2 == 2
    assert found.domains["scanner"].values["D"].fp_per_mm2 is None


def test_without_domains_the_metrics_have_the_fields_that_they_always_had() -> None:
    bare = [replace(one, domains={}, area_mm2=None) for one in FRAMES]
    dumped = evaluate(bare, 0.5, "mitos", 5.0).model_dump()
    assert not {"domains", "area_mm2", "fp_per_mm2", "annotators"} & dumped.keys()


counts = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.sampled_from("ABC"))


@given(st.lists(counts, min_size=1, max_size=12))
def test_the_counts_of_all_values_are_the_counts_of_all_frames(rows: list[tuple[int, int, int, str]]) -> None:
    frames = [frame(f"f{at}", 0, 0, 0, scanner=value) for at, (*_, value) in enumerate(rows)]
    counted = [FrameCounts(frame=f"f{at}", group="f", tp=tp, fp=fp, fn=fn) for at, (tp, fp, fn, _) in enumerate(rows)]
    for scores in by_domain(frames, counted).values():
        summed = [sum(getattr(value, name) for value in scores.values.values()) for name in ("tp", "fp", "fn")]
        assert summed == [getattr(total(counted), name) for name in ("tp", "fp", "fn")]

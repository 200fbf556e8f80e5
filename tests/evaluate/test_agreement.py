"""Figures that annotators disagreed on, and false positives on annotated imposters; counts worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mitobench.errors import RecordError
from mitobench.evaluate import FramePrediction, evaluate
from mitobench.evaluate.agreement import summed
from mitobench.evaluate.stored import FrameEntry, from_csv, of_frames, to_csv

# 1 um/px, radius 5 um. Mitoses at x = 0 (agreed), 100 (contested, found), 200 (contested, missed), 300 (missed).
MITOSES = np.array([(0, 0), (100, 0), (200, 0), (300, 0)], dtype=float)
CONTESTED = np.array([False, True, True, False])
# Imposters at x = 0 (agreed) and 100 (contested), y = 50.
IMPOSTERS = np.array([(0, 50), (100, 50)], dtype=float)
# Hits on the first two mitoses; a second one on the contested mitosis; one on each imposter; one on nothing.
FOUND = np.array([(0, 1), (100, 1), (100, 3), (1, 50), (102, 50), (500, 500)], dtype=float)


def frame() -> FramePrediction:
    made = FramePrediction("F", "0", (1.0, 1.0), MITOSES, FOUND, np.linspace(0.9, 0.8, len(FOUND)))
    return replace(
        made, contested=CONTESTED, contested_imposters=np.array([False, True]), imposter_xy=IMPOSTERS, area_mm2=1.0
    )


def test_contested_figures_are_neither_errors_nor_hits() -> None:
    found = evaluate([frame()], 0.5, "mitos", 5.0)
    assert (found.tp, found.fp, found.fn) == (2, 4, 2)
    agreed = found.annotators
    assert agreed is not None
    assert (agreed.contested_mitoses, agreed.contested_imposters) == (2, 1)
    assert (agreed.tp, agreed.fp, agreed.fn) == (1, 2, 1), "hit, agreed imposter and nothing, the last mitosis"
    assert agreed.f1 == pytest.approx(2 / 5)


def test_false_positives_are_on_imposters_or_elsewhere() -> None:
    agreed = evaluate([frame()], 0.5, "mitos", 5.0).annotators
    assert agreed is not None
    assert (agreed.fp_on_imposters, agreed.fp_elsewhere) == (2, 2)


def test_a_hit_on_a_mitosis_next_to_an_imposter_is_no_false_positive() -> None:
    near = replace(frame(), imposter_xy=MITOSES[:1] + 1, contested_imposters=np.zeros(1, dtype=bool))
    agreed = evaluate([near], 0.5, "mitos", 5.0).annotators
    assert agreed is not None
    assert agreed.fp_on_imposters == 0


def test_without_imposters_and_confidences_there_is_nothing_to_say() -> None:
    bare = replace(frame(), contested=None, contested_imposters=np.zeros(0, dtype=bool), imposter_xy=None)
    assert evaluate([bare], 0.5, "mitos", 5.0).annotators is None


def test_with_imposters_alone_only_false_positives_are_split() -> None:
    plain = replace(frame(), contested=None, contested_imposters=np.zeros(2, dtype=bool))
    agreed = evaluate([plain], 0.5, "mitos", 5.0).annotators
    assert agreed is not None
    assert (agreed.fp_on_imposters, agreed.fp_elsewhere, agreed.f1) == (2, 2, None)


@pytest.mark.parametrize("matcher", ["mitos", "hungarian", "evalutils", "kdtree"])
def test_a_record_gives_the_same(matcher: str) -> None:
    whole = frame()
    score = whole.score
    stored = from_csv(to_csv(of_frames([whole], [np.zeros((len(FOUND), 4))], score, score, matcher, 5.0)))
    (again,) = stored.frames([FrameEntry.of(whole)], stored.score, matcher)
    assert evaluate([again], 0.5, matcher, 5.0) == evaluate([whole], 0.5, matcher, 5.0)


def test_an_imposter_that_the_frame_does_not_have_is_an_error() -> None:
    whole = frame()
    stored = of_frames([whole], [np.zeros((len(FOUND), 4))], whole.score, whole.score, "mitos", 5.0)
    entry = FrameEntry.of(whole).model_copy(update={"imposters": 1, "contested_imposters": []})
    with pytest.raises(RecordError, match="imposter 1 of frame 'F', which has 1"):
        stored.frames([entry], stored.score, "mitos")


@pytest.mark.parametrize("wrong", [{"contested": [4]}, {"contested": [1, 1]}, {"contested_imposters": [-1]}])
def test_indices_of_contested_figures_exist(wrong: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match="must be indices below"):
        FrameEntry.model_validate({**FrameEntry.of(frame()).model_dump(), **wrong})


def test_sums_over_folds() -> None:
    one = evaluate([frame()], 0.5, "mitos", 5.0).annotators
    both = summed([one, one])
    assert both is not None
    assert one is not None
    assert (both.tp, both.fp, both.fn, both.fp_on_imposters) == (2, 4, 2, 4)
    assert both.f1 == one.f1
    assert summed([one, None]) is None

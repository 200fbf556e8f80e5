"""`evaluate` gives all scores of a record, and the published score of DeepMitosis for its published detections."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from mitobench.errors import MitobenchError
from mitobench.evaluate import MATCHERS, FramePrediction, Metrics, choose_threshold, evaluate

from .cases import RADIUS_UM, frame, splits

SPLIT = [
    frame([(50, 50), (150, 50)], [(54, 50, 0.9), (300, 300, 0.8), (150, 50, 0.2)], id="A00_00", group="00"),
    frame([(50, 50)], [], id="A01_00", group="01"),
    frame([], [(50, 50, 0.7)], id="A02_00", group="02"),
    frame([(50, 50)], [(50, 58, 0.6)], id="A03_00", group="03"),
]


def test_all_scores_of_a_hand_computed_case() -> None:
    found = evaluate(SPLIT, 0.5, "mitos", RADIUS_UM)
    assert (found.n_frames, found.n_unlabelled, found.n_groups) == (4, 0, 4)
    assert (found.n_mitoses, found.n_detections) == (4, 5)
    assert (found.tp, found.fp, found.fn) == (2, 2, 2)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert found.oracle_f1 == pytest.approx(6 / 9)  # everything kept: TP 3, FP 2, FN 1
    assert found.oracle_threshold == 0.2
    assert found.recall_ceiling == 0.75
    assert found.localisation_um == 1.5  # 4 px and 8 px off: 1 um and 2 um
    assert [(f.frame, f.tp, f.fp, f.fn) for f in found.frames] == [
        ("A00_00", 1, 1, 1),
        ("A01_00", 0, 0, 1),
        ("A02_00", 0, 1, 0),
        ("A03_00", 1, 0, 0),
    ]
    assert found.f1_interval is not None
    assert (found.f1_interval.unit, found.f1_interval.method) == ("frame", "jackknife-wilson")


def test_it_survives_json_with_null_for_undefined_scores() -> None:
    found = evaluate([frame([], [], id="A00_00")], 0.5, "mitos", RADIUS_UM)
    text = found.model_dump_json()
    assert Metrics.model_validate_json(text) == found
    assert json.loads(text)["f1"] is None
    assert "NaN" not in text


def test_without_labels_all_scores_are_none() -> None:
    found = evaluate([frame([], [(50, 50, 0.9)], labelled=False)], 0.5, "mitos", RADIUS_UM)
    assert found.unlabelled
    assert (found.n_frames, found.n_unlabelled) == (0, 1)
    scores = ("tp", "fp", "fn", "precision", "recall", "f1", "f1_interval", "oracle_f1", "average_precision")
    assert {getattr(found, name) for name in scores} == {None}
    assert (found.recall_ceiling, found.localisation_um, found.froc, found.frames) == (None, None, {}, [])


def test_frames_without_labels_are_counted_but_not_scored() -> None:
    mixed = evaluate([*SPLIT, frame([], [(50, 50, 0.9)], id="A04_00", labelled=False)], 0.5, "mitos", RADIUS_UM)
    assert not mixed.unlabelled
    assert mixed == evaluate(SPLIT, 0.5, "mitos", RADIUS_UM).model_copy(update={"n_unlabelled": 1})


def test_without_a_threshold_only_scores_that_need_none_are_defined() -> None:
    found = evaluate(SPLIT, None, "mitos", RADIUS_UM)
    assert (found.tp, found.f1, found.f1_interval, found.frames) == (None, None, None, [])
    assert found.oracle_f1 == pytest.approx(6 / 9)
    assert found.average_precision is not None


def test_an_empty_split_is_an_error() -> None:
    with pytest.raises(MitobenchError, match="this part of the split is empty"):
        evaluate([], 0.5, "mitos", RADIUS_UM)


def test_an_unknown_matcher_is_an_error_without_labels_too() -> None:
    with pytest.raises(MitobenchError, match="Unknown matcher 'mitosis'"):
        evaluate([frame(labelled=False)], 0.5, "mitosis", RADIUS_UM)


@pytest.mark.parametrize("matcher", MATCHERS)
@given(frames=splits())
def test_the_oracle_is_never_beaten_and_is_attained(matcher: str, frames: list[FramePrediction]) -> None:
    chosen = evaluate(frames, 0.5, matcher, RADIUS_UM)
    assert (chosen.f1 or 0.0) <= (chosen.oracle_f1 or 0.0)
    if chosen.oracle_threshold is not None:
        assert evaluate(frames, chosen.oracle_threshold, matcher, RADIUS_UM).f1 == chosen.oracle_f1


# ----------------------------------------------------------------------------------- the published detections


def _authors() -> Path | None:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("MITOBENCH_DATA", beside)) / "deepmitosis_authors"
    return folder if folder.is_dir() else None


def _by_frame(path: Path) -> dict[str, np.ndarray]:
    rows: dict[str, list[list[str]]] = {}
    for name, *numbers in (line.split() for line in path.read_text().splitlines() if line.strip()):
        rows.setdefault(name, []).append(numbers)
    return {name: np.array(values, dtype=float) for name, values in rows.items()}


@pytest.fixture(scope="module")
def deepdet() -> list[FramePrediction]:
    """The authors' DeepDet detections (score x1 y1 x2 y2) on the 15 test HPFs, with the authors' centroids."""
    folder = _authors()
    if folder is None:
        pytest.skip("deepmitosis_authors is neither in MITOBENCH_DATA nor in ../shared/data")
    found, truth = _by_frame(folder / "deepdet_detections.txt"), _by_frame(folder / "ground_truth.txt")
    return [
        FramePrediction(name, name[1:3], (0.2456, 0.2456), xy, (boxes[:, 1:3] + boxes[:, 3:5]) / 2, boxes[:, 0])
        for name, xy in truth.items()
        for boxes in [found.get(name, np.zeros((0, 5)))]
    ]


@pytest.mark.real
@pytest.mark.parametrize("radius_um", [20 * 0.2456, 5.0])
def test_deepdet_as_published(deepdet: list[FramePrediction], radius_um: float) -> None:
    best = choose_threshold(deepdet, "mitos", radius_um)
    found = evaluate(deepdet, best.threshold, "mitos", radius_um)
    assert (found.tp, found.fp, found.fn) == (82, 14, 19)
    assert found.oracle_f1 == pytest.approx(0.8325, abs=5e-5)
    assert (found.n_frames, found.n_mitoses, found.n_detections) == (15, 101, 213)
    assert best.upper == pytest.approx(0.979)  # the threshold in the authors' files

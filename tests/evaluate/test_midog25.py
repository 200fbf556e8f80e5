"""MIDOG 2025: every number of the contest's example, hand-computed cases, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench.errors import MitobenchError
from mitobench.evaluate import midog25
from mitobench.evaluate.coco_ap import average_precision
from mitobench.evaluate.midog25 import Point, Result, contest_metrics
from mitobench.evaluate.midog25.metrics import froc_auc


def result(
    points: list[tuple[float, float, bool, float]], truth: list[tuple[float, float]], image: str = "1"
) -> Result:
    made = tuple(Point((x, y, 0), mitosis, probability) for x, y, mitosis, probability in points)
    return Result(image, made, np.array(truth, dtype=float).reshape(-1, 2), 0, "hotspot")


# -------------------------------------------------------------------------------------------- the contest's example


@pytest.mark.real
@pytest.mark.parametrize("by", ["folder", "predictions.json", "folders by image"])
def test_every_number_of_the_contest(real_data: Path, tmp_path: Path, by: str) -> None:
    source = real_data / "midog25_eval"
    expected = json.loads((source / "metrics.json").read_text())
    path = source if by == "folder" else source / "predictions.json"
    if by == "folders by image":
        path = tmp_path
        for job in json.loads((source / "predictions.json").read_text()):
            name = job["inputs"][0]["image"]["name"]
            (tmp_path / name).mkdir()
            content = (source / job["pk"] / "mitotic-figures.json").read_bytes()
            (tmp_path / name / "mitotic-figures.json").write_bytes(content)
    found, notes = midog25.score_files(path, source / "ground_truth.json")
    assert {name: found["aggregates"][name] for name in expected["aggregates"]} == expected["aggregates"]
    further = found["aggregates"].keys() - expected["aggregates"].keys()
    assert {name.rpartition("froc_auc")[1] for name in further} == {"froc_auc"}, "the example is older than froc_auc"
    assert len(further) == 6
    assert sorted(found["results"], key=lambda r: r["image"]) == sorted(expected["results"], key=lambda r: r["image"])
    assert notes == [
        "007.tiff: 1 points that the contest's evaluator refuses: a coordinate is above 10 mm: are they px?"
    ]


# ------------------------------------------------------------------------------------------------- worked out by hand


def test_counts_use_mitotic_figures_and_ap_uses_all_points() -> None:
    found = contest_metrics([result([(0.1, 0.1, True, 0.9), (0.5, 0.5, False, 0.2)], [(0.1, 0.1075), (0.5, 0.5)])])
    assert found["results"][0]["metrics"] == {"true_positives": 1, "false_negatives": 1, "false_positives": 0}
    aggregates = found["aggregates"]
    assert aggregates["f1_score"] == pytest.approx((2 + 1e-6) / (3 + 1e-6), abs=1e-15)
    assert aggregates["recall"] == pytest.approx(1 / (2 + 1e-6), abs=1e-15)
    assert aggregates["AP"] == 1.0


def test_the_area_is_not_normalised() -> None:
    # All thresholds find the mitosis without a false positive: recall 1 from 0 to 8.
    assert froc_auc([result([(0.1, 0.1, True, 0.9)], [(0.1, 0.1)])]) == pytest.approx(8 / (1 + 1e-6), abs=1e-9)
    # Two images; at the highest score recall is 1/2 with 0 false positives an image, at all lower ones 1 with 1/2.
    two = [
        result([(0.1, 0.1, True, 1.0), (0.2, 0.2, False, 0.0), (0.3, 0.3, False, 0.0)], [(0.1, 0.1), (0.2, 0.2)]),
        result([], [], "2"),
    ]
    x = np.linspace(0, 8, 50)
    y = np.interp(x, [0, 0.5], [1 / (2 + 1e-6), 2 / (2 + 1e-6)])
    assert froc_auc(two) == pytest.approx(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2), abs=1e-12)


def test_nothing_is_what_the_contest_makes_of_it() -> None:
    aggregates = contest_metrics([result([], [])])["aggregates"]
    assert (aggregates["precision"], aggregates["f1_score"], aggregates["AP"]) == (0.0, 1.0, -1.0)
    assert aggregates["froc_auc"] is None


def test_ap_of_squares_that_overlap_too_little() -> None:
    square = np.array([[0, 0, 2, 2]], dtype=np.float32)
    near, far = square + np.float32([0.6, 0, 0.6, 0]), square + np.float32([0.7, 0, 0.7, 0])  # IoU .54 and .48
    one = np.ones(1, dtype=np.float32)
    assert average_precision([(near, one, square)]) == 1.0
    assert average_precision([(far, one, square)]) == 0.0
    assert average_precision([(near, one, square[:0])]) is None


# ------------------------------------------------------------------------------------------------------- bad input

TRUTH = {"7.tiff": {"annotations": [[0.1, 0.1, 0]], "tumor domain": 0, "roi type": "hotspot"}}
POINT = {"name": "mitotic figure", "point": [0.1, 0.1, 0], "probability": 0.9}


def files(folder: Path, truth: Any = None, points: Any = None, name: str = "7") -> tuple[Path, Path]:
    (folder / "out" / name).mkdir(parents=True)
    (folder / "truth.json").write_text(json.dumps(TRUTH if truth is None else truth))
    content = {"points": [POINT] if points is None else points}
    (folder / "out" / name / "mitotic-figures.json").write_text(json.dumps(content))
    return folder / "out", folder / "truth.json"


def test_an_image_without_a_result_counts_as_missed(tmp_path: Path) -> None:
    truth = {**TRUTH, "8.tiff": {**TRUTH["7.tiff"]}}
    found, notes = midog25.score_files(*files(tmp_path, truth))
    assert [r["metrics"]["false_negatives"] for r in found["results"]] == [0, 1]
    assert notes == ["1 images without a result count as missed: 8.tiff"]


@pytest.mark.parametrize("key", ["name", "probability", "point"])
def test_every_point_needs_name_probability_and_point(tmp_path: Path, key: str) -> None:
    points = [POINT, {name: value for name, value in POINT.items() if name != key}]
    with pytest.raises(MitobenchError, match=f"mitotic-figures.json: point 1: '{key}' is missing"):
        midog25.score_files(*files(tmp_path, points=points))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "mitosis"}, "point 0: the name must be 'mitotic figure' or 'non-mitotic figure', not 'mitosis'"),
        ({"probability": "high"}, "point 0: probability must be a number"),
        ({"point": [1]}, r"point 0: must have coordinates \[x, y, z\] in mm"),
        ({"point": ["1", 2, 0]}, r"point 0: must have coordinates"),
    ],
)
def test_a_wrong_point_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(MitobenchError, match=message):
        midog25.score_files(*files(tmp_path, points=[{**POINT, **change}]))


@pytest.mark.parametrize(
    ("truth", "name", "message"),
    [
        ([], "7", "must be an object with an entry for each image"),
        ({"7.tiff": {"annotations": [], "tumor domain": 0}}, "7", "7.tiff: 'roi type' is missing"),
        ({"7.tiff": {**TRUTH["7.tiff"], "roi type": "cold"}}, "7", "roi type 'cold' is unknown"),
        ({"7.tiff": {**TRUTH["7.tiff"], "annotations": [[1]]}}, "7", "annotation 0: must have coordinates"),
        (TRUTH, "0cb7", "none of its folders has the name of an image of the ground truth"),
    ],
)
def test_wrong_ground_truth_is_named(tmp_path: Path, truth: Any, name: str, message: str) -> None:
    with pytest.raises(MitobenchError, match=message):
        midog25.score_files(*files(tmp_path, truth, name=name))


@pytest.mark.parametrize("pk", ["../elsewhere", "/etc"])
def test_jobs_cannot_name_files_elsewhere(tmp_path: Path, pk: str) -> None:
    interface = {"slug": "mitotic-figures", "relative_path": "mitotic-figures.json"}
    image = {"interface": {"slug": "histopathology-region-of-interest-cropout"}, "image": {"name": "7.tiff"}}
    out, truth = files(tmp_path)
    jobs = [{"pk": pk, "inputs": [image], "outputs": [{"interface": interface}]}]
    (out / "predictions.json").write_text(json.dumps(jobs))
    with pytest.raises(MitobenchError, match="its files lie outside"):
        midog25.score_files(out, truth)


@pytest.mark.parametrize(
    ("xyz", "refused"), [((10.0, 1), False), ((10.1, 1), True), ((1, -0.0075), False), ((1, -0.0076), True)]
)
def test_points_that_the_contest_refuses(xyz: tuple[float, float], refused: bool) -> None:
    content = midog25.contest_json([Point((*xyz, 0), True, 0.5)])
    if not refused:
        assert midog25.accepted(content, "x") == content
        return
    with pytest.raises(MitobenchError, match=r"x: point 0 .* the contest refuses it"):
        midog25.accepted(content, "x")

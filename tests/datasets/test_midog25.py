"""Cases in the form of MIDOG 2025's evaluator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench.api import DataError
from mitobench.datasets import load
from mitobench.datasets.images import write_rgb

CASE = {"annotations": [[0.01, 0.005, 0]], "tumor domain": 3, "roi type": "random"}


def put(root: Path, truth: dict[str, Any], *images: str) -> None:
    (root / "ground_truth.json").write_text(json.dumps(truth))
    for image in images:
        write_rgb(root / image, np.full((80, 100, 3), 200, dtype=np.uint8))


def test_points_are_mm(tmp_path: Path) -> None:
    put(tmp_path, {"7.tiff": CASE, "version": {"major": 1, "minor": 0}}, "7.tiff", "8.tiff")
    dataset = load("midog25", tmp_path)
    assert dataset.items["7"].mitoses.xy.tolist() == [[40, 20]]
    assert dataset.items["7"].frame.domains == {"scanner": "unknown", "tumour": "domain 3", "region": "random"}
    assert not dataset.items["8"].mitoses.labelled
    assert dataset.coverage is None


def test_missing_images_are_counted(tmp_path: Path) -> None:
    put(tmp_path, {"7.tiff": CASE, "9.tiff": CASE}, "7.tiff")
    assert load("midog25", tmp_path).coverage == "1 of the annotated images are missing"


@pytest.mark.parametrize(
    ("truth", "complaint"),
    [
        ({"7.tiff": {**CASE, "annotations": None}}, "7.tiff: annotations must be a list"),
        ({"7.tiff": {key: CASE[key] for key in ("tumor domain", "roi type")}}, "7.tiff: 'annotations' is missing"),
        ({"7.tiff": {**CASE, "roi type": "hotspt"}}, "roi type 'hotspt' is unknown. Did you mean hotspot"),
        ({"7.tiff": {**CASE, "roi type": ["hotspot"]}}, r"roi type \['hotspot'\] is unknown"),
        ({"7.tiff": {**CASE, "tumor domain": True}}, "tumor domain must be a number or a text"),
        ({"7.tiff": {**CASE, "annotations": [[1, "2", 0]]}}, "annotation 0: must have coordinates"),
        ({"7.tiff": {**CASE, "annotations": [[300, 200, 0]]}}, "cannot be mm. Are these pixels"),
        ({"7.tiff": CASE, "version": {"major": 2}}, "Update mitobench"),
        ({"7.tiff": CASE, "version": 2.5}, "Update mitobench"),
        ({"7.tiff": CASE, "a": [1]}, "a: must be an object with annotations"),
        ({"7.tiff": CASE, "x/7.tiff": CASE}, r"7\.tiff and x/7\.tiff are the same image"),
        ({"7.tiff": CASE, "x\\7.TIFF": CASE}, "are the same image"),
        ({}, "must be an object with an entry for each image"),
    ],
)
def test_wrong_ground_truth_is_refused_with_its_key(tmp_path: Path, truth: dict[str, Any], complaint: str) -> None:
    put(tmp_path, truth, "7.tiff")
    with pytest.raises(DataError, match=rf"ground_truth\.json: .*{complaint}"):
        load("midog25", tmp_path)

"""The examples of docs/training.md run, in their order."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitobench import training
from mitobench.api import Context, Detections, Frame, Mitoses, Sample

pytestmark = pytest.mark.slow

DOC = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    frame = Frame("f", "toy", "f", "A", (0.25, 0.25), (80, 80), lambda: pixels)
    answers = iter([0.5, 0.75, 0.25, 0.25, 0.25])
    detected: list[Detections] = []

    def validation_f1(detect: Callable[[Frame], Detections]) -> float:
        detected.append(detect(frame))
        return next(answers)

    context = Context(seed=0, device="cpu", work=tmp_path, log=logging.Logger("docs"), validation_f1=validation_f1)
    mitosis = np.array([[40.0, 40.0]])
    samples = [Sample(frame, Mitoses(mitosis), boxes=np.hstack([mitosis - 8, mitosis + 8]))]
    names: dict[str, Any] = {"context": context, "image": pixels, "samples": samples}
    for block in re.findall(r"```python\n(.*?)```", DOC, re.DOTALL):
        exec(compile(block, "docs/training.md", "exec"), names)
    assert names["item"]["inputs"].shape == (32, 32, 3)
    assert names["item"]["targets"].shape == (16, 16)
    assert names["with_boxes"]["inputs"].shape == (80, 80, 3), "a smaller frame is used whole: 40 px at .5 um/px, twice"
    assert names["with_boxes"]["boxes"].shape == (1, 4)
    assert names["report"]["best F1"] == 0.75
    assert names["report"]["at step"] == 4
    assert [len(found) for found in detected] == [1, 1, 1]
    assert [entry["type"] for entry in names["schedule"]] == ["LinearLR", "CosineAnnealingLR"]


def test_the_table_names_what_the_package_exports() -> None:
    table = DOC.partition("## A stream")[0]
    named = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named <= set(training.__all__)
    assert {"train", "LossModule", "cosine", "find_weights", "Exportable", "PointPatchStream", "PatchVerifier"} <= named

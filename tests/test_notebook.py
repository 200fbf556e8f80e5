"""The cells of docs/notebook.ipynb run, and are the code of docs/python.md."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def cells() -> list[str]:
    """The code of the notebook's cells."""
    notebook = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_they_are_the_code_of_the_page() -> None:
    blocks = re.findall(r"```python\n(.*?)\n```", (DOCS / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    assert cells() == blocks


@pytest.mark.thorough
@pytest.mark.slow
def test_they_run(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mitobench_networks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MITOBENCH_CACHE", str(own_cache))
    monkeypatch.setattr("mitobench.benchmark.benchmark.default_store", lambda: tmp_path / "store")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("mitobench.model.example.SIZE", 400)  # to save time
    names: dict[str, object] = {}
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        for number, cell in enumerate(cells()):
            exec(compile(cell, f"cell {number}", "exec"), names)
    text = shown.getvalue()
    assert "heatmap:tf_efficientnet_lite0 + efficientnet-lite0 + logit-linear" in text
    assert re.search(r"^\d+ mitoses; \(", text, re.MULTILINE)
    assert re.search(r"^\d+ mitoses, 95 % interval \(", text, re.MULTILINE)
    assert "blobs" in text
    assert len(list((tmp_path / "leaderboard" / "records").glob("*.json"))) == 1

"""`mitobench.load` of a packed model."""

from __future__ import annotations

from pathlib import Path

import pytest
from slides.reader.pictures import picture

import mitobench


@pytest.mark.slow
@pytest.mark.usefixtures("toys")
def test_a_packed_model_is_loaded_and_finds_mitoses(folder: Path) -> None:
    model = mitobench.load(folder, device="cpu")
    assert model.card.title.startswith("toy-dark + toy-mean + toy-sum")
    assert model.predict(picture(128, 128), mpp=0.25).count is not None

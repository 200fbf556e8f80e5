"""The container of MIDOG 2025: its files, and what its command writes for an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mitobench.api import Detections
from mitobench.errors import MitobenchError
from mitobench.evaluate import midog25 as contest
from mitobench.model import midog25
from mitobench.model.card import find, read
from mitobench.model.model import Model, Prediction


def image(folder: Path, mpp: float | None, size: tuple[int, int] = (64, 48)) -> Path:
    path = folder / midog25.IMAGES / "case.tiff"
    path.parent.mkdir(parents=True, exist_ok=True)
    resolution = {} if mpp is None else {"tiffinfo": {282: 10_000 / mpp, 283: 10_000 / mpp, 296: 3}}
    Image.fromarray(np.full((*size[::-1], 3), 200, dtype=np.uint8)).save(path, **resolution)
    return path


@pytest.mark.parametrize(("mpp", "expected"), [(0.25, 0.25), (None, None), (5.0, None)])
def test_the_resolution_is_that_of_the_tags(tmp_path: Path, mpp: float | None, expected: float | None) -> None:
    found = midog25.resolution(image(tmp_path, mpp))
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_command_writes_what_the_contest_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = read(find(None))
    detections = Detections.from_points([[8.0, 4.0], [16.0, 12.0]], [0.9, 0.2])
    found = Prediction(detections, None, np.array([0.9, 0.2]), np.array([True, False]))

    class Fake:
        card = model

        def predict(self, frame: object) -> Prediction:
            return found

    monkeypatch.setattr(Model, "load", lambda folder: Fake())
    image(tmp_path, 0.25)
    midog25.process(tmp_path / "model", tmp_path, tmp_path / "out")
    points = contest.read_points(tmp_path / "out" / "mitotic-figures.json")
    assert [(p.is_mitosis, p.probability) for p in points] == [(True, 0.9), (False, 0.2)]
    assert points[0].xyz == (pytest.approx(0.002), pytest.approx(0.001), 0)


def test_one_image_is_needed(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="holds 0 images"):
        midog25.process(tmp_path, tmp_path, tmp_path / "out")


def test_the_container_has_the_model_and_its_packages(tmp_path: Path) -> None:
    midog25.write_container(find(None), tmp_path / "c")
    text = (tmp_path / "c" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "mitobench.model.midog25", "/opt/model"]' in text
    assert "mitobench==" in text
    assert read(tmp_path / "c" / "model") == read(find(None))
    with pytest.raises(MitobenchError, match="holds files"):
        midog25.write_container(find(None), tmp_path / "c")


def test_a_card_cannot_write_commands_into_the_dockerfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = read(find(None))
    evil = card.plugins.detector.model_copy(update={"package": "x; rm -rf /"})
    changed = card.model_copy(update={"plugins": card.plugins.model_copy(update={"detector": evil})})
    monkeypatch.setattr("mitobench.model.card.read", lambda folder: changed)
    with pytest.raises(MitobenchError, match="not a package name"):
        midog25.write_container(find(None), tmp_path / "c")
    assert not (tmp_path / "c").exists()

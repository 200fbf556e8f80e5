"""The bundled model: small, complete, described by its card; its predictions agree with its record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mitobench import datasets, registry
from mitobench.model import Model
from mitobench.model import card as cards
from mitobench.model.deviation import Judgement, judge, judge_image
from mitobench.results import record as records
from mitobench.results.record_files import forms_of, stem_of
from mitobench.slides import tissue
from mitobench.slides.appearance import MEASURES, patches_of
from mitobench.slides.reader import open_image

pytestmark = pytest.mark.slow

NAME = "lite"
BOARD = registry.ROOT.parent / "leaderboard" / "records"


def test_it_is_the_default_and_every_file_has_its_digest() -> None:
    folder = cards.find(None)
    assert folder.name == NAME
    assert cards.read(folder).threshold > 0


def test_it_is_small_and_holds_tensors_and_json_only() -> None:
    files = [path for path in cards.find(NAME).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 20_000_000
    assert {path.suffix for path in files} == {".safetensors", ".json"}


def test_its_card_agrees_with_the_model() -> None:
    card, model = registry.read_toml(registry.ROOT / "methods" / f"{NAME}.toml"), cards.read(cards.find(NAME))
    assert card["f1"] == round(model.measured.f1 or 0, 3)
    assert card["seed"] == model.measured.seed
    assert card["threshold"] == round(model.threshold, 4)
    assert card["mpp"] == model.mpp
    assert card["record"] == model.record
    assert "MITOS 2012" in card["training_data"]
    assert {"licence", "title", "notes"} <= card.keys()


def test_its_record_is_on_the_leaderboard() -> None:
    model = cards.read(cards.find(NAME))
    path = next(filter(Path.is_file, forms_of(BOARD, stem_of(Path(model.record)))), BOARD / model.record)
    if not path.is_file():
        pytest.skip("no leaderboard beside this installation")
    assert records.read(path).digest == model.record_digest


def test_it_knows_what_its_training_frames_look_like() -> None:
    ranges = cards.read(cards.find(NAME)).ranges
    assert ranges is not None
    assert ranges.frames == 235
    assert (ranges.mpp.low, ranges.mpp.high) == (0.2274, 0.2456)
    assert set(ranges.values) == set(MEASURES)


@pytest.mark.real
def test_it_warns_of_a_coarser_slide_and_not_of_contest_frames(real_data: Path) -> None:
    pytest.importorskip("openslide")
    card = cards.read(cards.find(NAME))
    with open_image(real_data / "slides" / "CMU-1-Small-Region.svs") as image:
        assert image.mpp is not None
        notes = judge_image(card, image, image.mpp, tissue.find(image, image.mpp)).notes
    assert any(note.startswith("coarser um/px than the training frames: 0.499") for note in notes)
    items = datasets.load("mitos2012", real_data).items.values()
    for frame in [item.frame for item in items if item.frame.id in ("A00_00", "A02_05", "A04_01")]:
        pixels = frame.read()
        assert judge(card, pixels, patches_of(pixels, frame.mpp, card.mpp), frame.mpp) == Judgement()


@pytest.mark.real
@pytest.mark.parametrize("id", ["A01_04", "A04_03"])
def test_on_a_contest_frame_its_predictions_agree_with_its_record(id: str, real_data: Path) -> None:
    """16-bit weights change scores slightly, so candidates near the two thresholds may be called differently."""
    model = Model.load(cards.find(NAME))
    path = next(filter(Path.is_file, forms_of(BOARD, stem_of(Path(model.card.record)))))
    record = records.read(path)
    stored = records.read_detections(path, record)
    frame = datasets.load(model.card.measured.dataset, real_data).items[id].frame
    recorded = np.flatnonzero(stored.is_candidate & (stored.frame == frame.id))
    predicted = model.predict(frame)
    distance, nearest = cKDTree(predicted.detections.xy).query(stored.xy[recorded])
    same = distance < 1  # px
    assert same.mean() > 0.95
    scores = stored.score[recorded[same]]
    difference = np.abs(predicted.score[nearest[same]] - scores)
    assert np.median(difference) < 0.001
    assert difference.max() < 0.05
    calls = scores >= model.card.threshold
    near = np.abs(scores - model.card.threshold) < 0.02
    assert (predicted.is_mitosis[nearest[same]] == calls)[~near].all()
    assert predicted.is_mitosis.sum() == pytest.approx((stored.score[recorded] >= model.card.threshold).sum(), abs=1)
    assert calls.any()

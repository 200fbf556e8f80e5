"""`model.json`: a model is refused unless every file is the one that was packed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mitobench import registry
from mitobench.errors import MitobenchError
from mitobench.model import card as cards
from model.toy_models import PackedRun

CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "missing": (r"w\.json: is missing", lambda folder: (folder / "fuser" / "w.json").unlink()),
    "additional": (r"more\.json: is not part", lambda folder: (folder / "more.json").write_text("1")),
    "altered": (r"side\.json: was altered", lambda folder: (folder / "detector" / "side.json").write_text("19")),
    "dangling link": (r"gone: is a link", lambda folder: (folder / "gone").symlink_to("nowhere")),
    "no card": (
        r"is not a model folder: it has no model\.json\. `mitobench pack",
        lambda folder: (folder / "model.json").unlink(),
    ),
    "no JSON": (r"model\.json:1: is not valid JSON", lambda folder: (folder / "model.json").write_text("{")),
    "a list": (r"model\.json: is not a valid model card", lambda folder: (folder / "model.json").write_text("[]")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_folder_is_refused_and_the_file_named(folder: Path, change: str) -> None:
    message, do = CHANGES[change]
    do(folder)
    with pytest.raises(MitobenchError, match=message):
        cards.read(folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("threshold", 0.1, "was changed after it was written"),
        ("format", 2, "has format 2, but this version of mitobench reads 1"),
        ("gate", "low", "is not a valid model card: gate"),
        ("more", 1, "is not a valid model card: more"),
    ],
)
def test_a_changed_card_is_refused(folder: Path, field: str, value: object, message: str) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(MitobenchError, match=message):
        cards.read(folder)


def test_an_untouched_folder_is_read(packed_run: PackedRun) -> None:
    card = cards.read(packed_run.model)
    assert sorted(card.files) == ["detector/side.json", "fuser/w.json", "verifier/middle.json"]
    assert card.size_mb * 1e6 == sum((packed_run.model / name).stat().st_size for name in card.files)


def test_the_stored_names_are_those_of_earlier_versions(packed_run: PackedRun) -> None:
    card, stored = cards.read(packed_run.model), json.loads((packed_run.model / "model.json").read_text())
    assert {"parts", "gate"} <= stored.keys()
    assert not {"plugins", "candidate_threshold"} & stored.keys()
    assert (stored["gate"], stored["parts"]["fuser"]["name"]) == (card.candidate_threshold, card.plugins.fuser.name)


class TestFind:
    @pytest.fixture
    def models_dir(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An empty registry; the working directory is another folder."""
        monkeypatch.setattr(registry, "ROOT", tmp_path / "registry")
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        return tmp_path / "registry" / "models"

    @staticmethod
    def put(folder: Path) -> Path:
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        return folder

    def test_the_only_one_is_the_default(self, models_dir: Path) -> None:
        small = self.put(models_dir / "small")
        assert cards.find(None) == small

    def test_with_several_models_one_must_be_chosen(self, models_dir: Path) -> None:
        small, large = self.put(models_dir / "small"), self.put(models_dir / "large")
        with pytest.raises(MitobenchError, match="large, small"):
            cards.find(None)
        assert (cards.find("small"), cards.find("large")) == (small, large)

    def test_without_a_model_the_error_says_how_to_make_one(self, models_dir: Path) -> None:
        with pytest.raises(MitobenchError, match="mitobench pack"):
            cards.find(None)

    def test_a_folder_is_found_by_its_path_and_names_have_priority(self, models_dir: Path) -> None:
        shipped = self.put(models_dir / "small")
        self.put(Path("small"))
        self.put(Path("own"))
        assert (cards.find("own"), cards.find("small"), cards.find("./small")) == (Path("own"), shipped, Path("small"))

    def test_an_unknown_name_is_an_error_with_the_closest_names(self, models_dir: Path) -> None:
        self.put(models_dir / "small")
        with pytest.raises(MitobenchError, match="Did you mean small"):
            cards.find("smal")

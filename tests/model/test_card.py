"""`model.json`: every file is the one that was packed, or the model is refused."""

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
    "additional": (r"more\.json: is no part", lambda folder: (folder / "more.json").write_text("1")),
    "altered": (r"side\.json: was altered", lambda folder: (folder / "detector" / "side.json").write_text("19")),
    "dangling link": (r"gone: is a link", lambda folder: (folder / "gone").symlink_to("nowhere")),
    "no card": (r"model\.json: cannot be read", lambda folder: (folder / "model.json").unlink()),
    "no JSON": (r"model\.json:1: is not valid JSON", lambda folder: (folder / "model.json").write_text("{")),
    "a list": (r"model\.json: is no model's card", lambda folder: (folder / "model.json").write_text("[]")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_folder_is_refused_and_the_file_named(folder: Path, change: str) -> None:
    told, do = CHANGES[change]
    do(folder)
    with pytest.raises(MitobenchError, match=told):
        cards.read(folder)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("threshold", 0.1, "was changed after it was written"),
        ("format", 2, "has format 2, this mitobench reads 1"),
        ("gate", "low", "is no model's card: gate"),
        ("more", 1, "is no model's card: more"),
    ],
)
def test_a_changed_card_is_refused(folder: Path, field: str, value: object, told: str) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(MitobenchError, match=told):
        cards.read(folder)


def test_an_untouched_folder_is_read(packed_run: PackedRun) -> None:
    card = cards.read(packed_run.model)
    assert sorted(card.files) == ["detector/side.json", "fuser/w.json", "verifier/middle.json"]
    assert card.size_mb * 1e6 == sum((packed_run.model / name).stat().st_size for name in card.files)


class TestFind:
    @pytest.fixture
    def models_dir(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A registry that nothing lies in; the working folder is another."""
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

    def test_of_several_one_is_to_be_chosen(self, models_dir: Path) -> None:
        small, large = self.put(models_dir / "small"), self.put(models_dir / "large")
        with pytest.raises(MitobenchError, match="large, small"):
            cards.find(None)
        assert (cards.find("small"), cards.find("large")) == (small, large)

    def test_where_there_is_none_it_says_how_to_make_one(self, models_dir: Path) -> None:
        with pytest.raises(MitobenchError, match="mitobench pack"):
            cards.find(None)

    def test_a_folder_is_found_by_its_path_and_a_name_goes_first(self, models_dir: Path) -> None:
        shipped = self.put(models_dir / "small")
        self.put(Path("small"))
        self.put(Path("own"))
        assert (cards.find("own"), cards.find("small"), cards.find("./small")) == (Path("own"), shipped, Path("small"))

    def test_an_unknown_name_is_told_with_the_nearest(self, models_dir: Path) -> None:
        self.put(models_dir / "small")
        with pytest.raises(MitobenchError, match="Did you mean small"):
            cards.find("smal")

"""`mitobench list` and `mitobench info` show the models that have a name: bundled, known, and the user's own."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model.toy_models import blobs_model

from mitobench.errors import MitobenchError
from mitobench.model import card as cards
from mitobench.model import fetching
from mitobench.model.known import FOLDER, Origin, known_models

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENTRY = f"""\
title = "Ours, trained on canine tumours"
source = "hf-hub:org/model@{COMMIT}"
licence = "CC-BY-4.0"
size_mb = 42.0
mpp = 0.25
trained_on = "120 fields of canine mast cell tumours"
f1 = "F1 .71 on 30 fields of our own"
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of models, with an entry."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "canine.toml").write_text(ENTRY)
    monkeypatch.setenv(FOLDER, str(folder))
    monkeypatch.setenv("MITOBENCH_CACHE", str(tmp_path / "cache"))
    return folder


def test_list_shows_the_bundled_model_and_the_users_own(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("list", "--role", "model")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert any(line.startswith("  lite    bundled: ") and "MB; 0.5 um/px; F1 ." in line for line in lines)
    (canine,) = (line for line in lines if line.startswith("  canine"))
    assert "your own: Ours, trained on canine tumours; 42.0 MB; 0.25 um/px; F1 .71 on 30 fields" in canine
    assert f"hf-hub:org/model@{COMMIT}" in canine
    assert "models (for" in mitobench("list").out


def test_info_says_what_the_bundled_model_is_and_how_to_use_it(mitobench: Callable[..., Any]) -> None:
    text = " ".join(mitobench("info", "lite").out.split())
    assert "model lite entry bundled: " in text
    assert "trained on mitos2012: 29 frames for training, 6 frames for choosing the threshold" in text
    assert "as its record says" in text
    assert "detector heatmap:tf_efficientnet_lite0 of mitobench-networks" in text
    assert "use it mitobench predict IMAGE --out FOLDER --model lite" in text
    assert 'mitobench.load("lite")' in text
    assert " ".join(mitobench("info", "bundled").out.split()) == text


def test_info_of_a_model_that_is_elsewhere_says_how_to_get_it(mitobench: Callable[..., Any]) -> None:
    text = " ".join(mitobench("info", "canine").out.split())
    assert "licence CC-BY-4.0" in text
    assert "on this machine no; --allow-download gets it" in text
    assert "--model canine --allow-download" in text
    assert 'mitobench.load("canine", allow=["download"])' in text


def test_info_of_a_models_folder(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    model = blobs_model(tmp_path / "my model")
    text = " ".join(mitobench("info", model).out.split())
    assert f"model {model} entry a folder: {model}" in text
    assert "detector blobs of mitobench" in text
    assert f"--model '{model}'" in text
    (tmp_path / "data").mkdir()
    answer = mitobench("info", tmp_path / "data")
    assert answer.code == 2
    assert "data: is not a model folder: it has no model.json" in answer.err


def test_an_own_entry_names_a_model_that_was_downloaded_before(
    mitobench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        MitobenchError, match=r"hf-hub:org/model@0123.*: org/model at .* is not in the local .*Pass --allow-download"
    ):
        cards.find("canine")
    model = blobs_model(tmp_path / "blobs")
    kept = Path(shutil.copytree(model, fetching.models_dir() / f"org--model@{COMMIT}"))
    assert cards.find("canine") == kept
    assert "detector blobs of mitobench" in " ".join(mitobench("info", "canine").out.split())


def test_an_own_entry_may_name_a_folder_or_an_archive_or_be_a_folder(own: Path, tmp_path: Path) -> None:
    model = blobs_model(tmp_path / "blobs")
    (own / "near.toml").write_text('title = "near"\nsource = "../blobs"\n')
    assert cards.find("near").resolve() == model
    shutil.copytree(model, own / "inside")
    assert cards.find("inside") == own / "inside"
    digest = hashlib.sha256(b"").hexdigest()
    (own / "packed.toml").write_text(f'title = "packed"\nsource = "https://host/m.zip#sha256={digest}"\n')
    assert known_models()["packed"].here() is None
    kept = Path(shutil.copytree(model, fetching.models_dir() / f"sha256-{digest}"))
    assert known_models()["packed"].here() == cards.find("packed") == kept


def test_an_own_entry_does_not_replace_a_bundled_model(own: Path) -> None:
    (own / "lite.toml").write_text('title = "mine"\nsource = "nowhere"\n')
    assert known_models()["lite"].origin == Origin.BUNDLED


def test_a_wrong_entry_is_shown_with_its_file_and_the_others_too(mitobench: Callable[..., Any], own: Path) -> None:
    (own / "wrong.toml").write_text('title = "wrong"\n')
    (own / "gone.toml").write_text('title = "gone"\nsource = "nowhere"\n')
    answer = mitobench("list", "--role", "model")
    text = " ".join(answer.out.split())
    assert answer.code == 0
    assert f"BROKEN: {own / 'wrong.toml'}: source: Field required. Correct it." in text
    assert "gone.toml: its source nowhere is neither a model folder nor an address" in text
    assert "lite" in text
    assert mitobench("list", "--role", "model", "--check").code == 1


def test_an_unknown_name_is_an_error(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("info", "canin")
    assert answer.code == 2
    assert "Unknown plugin, data set or model 'canin'. Did you mean canine" in answer.err

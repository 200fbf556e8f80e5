"""Options that name files are compared by content, not by path."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from mitobench.api import Field, File, Options, PluginError
from mitobench.content import TEXT_LIMIT, files_of, with_files


class Made(Options):
    """Options with files."""

    config: File | None = Field(None, description="one")
    more: tuple[File, ...] = Field((), description="several")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("a = 1\n")
    return path


def test_it_is_given_as_a_path_and_goes_back_to_one(file: Path) -> None:
    options = Made.model_validate_json(json.dumps({"config": str(file)}), strict=True)
    assert isinstance(options.config, File)
    assert options.model_dump(mode="json") == {"config": str(file), "more": []}
    assert Made.model_validate(options.model_dump(mode="json")) == options
    assert Made.model_validate({"config": None}).config is None


def test_options_are_equal_where_contents_are(file: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.toml").write_bytes(file.read_bytes())
    assert Made(config=File(file)) == Made(config=File(tmp_path / "copy.toml"))
    one = File(file)
    file.write_text("a = 2\n")
    assert File(file) != one


def test_it_knows_its_name_and_digest_and_content(file: Path) -> None:
    found = File(file)
    assert (found.name, found.sha256) == ("config.toml", hashlib.sha256(b"a = 1\n").hexdigest())
    assert (found.read_text(), found.read_bytes(), found.text()) == ("a = 1\n", b"a = 1\n", "a = 1\n")


def test_what_is_not_a_readable_regular_file_is_refused_with_its_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, problem in {
        tmp_path: "is not a regular file",
        tmp_path / "pipe": "is not a regular file",
        Path("/dev/zero"): "is not a regular file",
        tmp_path / "none": "cannot be read: No such file",
    }.items():
        with pytest.raises(ValidationError, match=f"{path} {problem}"):
            Made.model_validate({"config": str(path)})
    with pytest.raises(ValidationError, match="give the path of a file"):
        Made.model_validate({"config": 3})


def test_a_small_file_is_read_once_and_stays_what_it_was(file: Path) -> None:
    found = pickle.loads(pickle.dumps(File(file)))
    file.unlink()
    assert found.read_text() == "a = 1\n"
    with pytest.raises(PluginError, match="cannot be read"):
        found.check()


def test_a_large_file_that_changed_is_not_read(file: Path) -> None:
    file.write_bytes(b"0" * (TEXT_LIMIT + 1))
    found = File(file)
    assert found.text() is None
    assert len(found.read_bytes()) == TEXT_LIMIT + 1
    file.write_bytes(b"1" * (TEXT_LIMIT + 1))
    with pytest.raises(PluginError, match="was changed during the run"):
        found.read_bytes()


def test_what_is_not_text_is_not_held_as_text(file: Path) -> None:
    file.write_bytes(b"\xff\x00")
    assert File(file).text() is None
    with pytest.raises(PluginError, match="not UTF-8"):
        File(file).read_text()


def test_files_are_found_and_replaced_at_their_places(file: Path) -> None:
    options = Made(config=File(file), more=(File(file), File(file)))
    assert sorted(files_of(options)) == ["config", "more.0", "more.1"]
    replaced = with_files(options.model_dump(mode="json"), {"config": "x", "more.1": "y"})
    assert replaced == {"config": "x", "more": [str(file), "y"]}

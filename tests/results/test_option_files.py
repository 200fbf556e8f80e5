"""Files of options in a record: texts are kept unchanged, and no path leads out of their folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from mitobench.content import File
from mitobench.errors import MitobenchError
from mitobench.results import option_files
from mitobench.results.option_files import FileEntry
from mitobench.results.schema import PluginEntry

TEXT = "a = 1\r\n"
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()


def test_a_text_is_kept_unchanged(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(TEXT.encode())
    entry = option_files.entry(File(tmp_path / "config.toml"))
    assert entry == FileEntry(name="config.toml", sha256=DIGEST, text=TEXT)
    option_files.write(tmp_path / "out", {"more.0": entry}, lambda _: None)
    assert (tmp_path / "out" / "more.0" / "config.toml").read_bytes() == TEXT.encode()
    options = option_files.options_with({"more": [f"sha256 {DIGEST}"], "n": 1}, tmp_path / "out")
    assert options == {"more": [str(tmp_path / "out" / "more.0" / "config.toml")], "n": 1}


def test_other_content_is_looked_for_elsewhere_and_must_have_the_digest(tmp_path: Path) -> None:
    entry = FileEntry(name="w.bin", sha256=DIGEST)
    (tmp_path / "kept").write_bytes(TEXT.encode())
    option_files.write(tmp_path / "out", {"weights": entry}, lambda _: tmp_path / "kept")
    assert (tmp_path / "out" / "weights" / "w.bin").read_bytes() == TEXT.encode()
    (tmp_path / "kept").write_bytes(b"other")
    for path in (tmp_path / "kept", tmp_path / "nothing", None):
        with pytest.raises(MitobenchError, match=rf"w\.bin \(SHA-256 {DIGEST}\) is missing"):
            option_files.write(tmp_path / "again", {"weights": entry}, lambda _, path=path: path)  # type: ignore[misc]


@pytest.mark.parametrize("name", ["..", ".", "../x", "/etc/x", "a/b", "a\\b", "", "x" * 256])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        FileEntry(name=name, sha256=DIGEST, text=TEXT)


@pytest.mark.parametrize("place", ["..", "a/b", "", "config/../..", "a."])
def test_a_place_that_leads_elsewhere_is_refused(place: str) -> None:
    entry = FileEntry(name="x", sha256=DIGEST, text=TEXT)
    with pytest.raises(ValidationError):
        PluginEntry(name="x", version="1", source="", options={}, files={place: entry})


def test_a_text_of_another_digest_is_refused() -> None:
    with pytest.raises(ValidationError, match="another SHA-256"):
        FileEntry(name="x", sha256=DIGEST, text="b = 1\n")

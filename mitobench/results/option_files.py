"""Files among a plugin's options. A record holds short texts completely, and other content by its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mitobench.content import TEXT_LIMIT, File, with_files
from mitobench.errors import MitobenchError

# These become names of folders and files below a folder of ours.
Place = Annotated[str, Field(pattern=r"^\w+(\.\w+)*$", max_length=200)]
Name = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", max_length=255)]


class FileEntry(BaseModel):
    """A file that an option named; `text` is its content where that is UTF-8 text of at most 100 kB."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    text: Annotated[str, Field(max_length=TEXT_LIMIT)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> FileEntry:
        if self.name in (".", ".."):
            raise ValueError(f"{self.name!r} is not the name of a file")
        if self.text is not None and hashlib.sha256(self.text.encode()).hexdigest() != self.sha256:
            raise ValueError(f"the text of {self.name} has another SHA-256")
        return self


def entry(file: File) -> FileEntry:
    """Returns the entry of a file in a record."""
    return FileEntry(name=file.name, sha256=file.sha256, text=file.text())


def write(folder: Path, entries: Mapping[str, FileEntry], elsewhere: Callable[[FileEntry], Path | None]) -> None:
    """Write files below a folder, each as PLACE/NAME.

    Args:
        folder: is created if there is anything to write.
        entries: by the place of their option.
        elsewhere: finds a file whose content the record does not hold; returns None if it cannot.

    Raises MitobenchError for a file that cannot be found, or has other content now.
    """
    for place, wanted in entries.items():
        content = wanted.text.encode() if wanted.text is not None else _content(wanted, elsewhere(wanted))
        path = folder / place / wanted.name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)


def _content(wanted: FileEntry, path: Path | None) -> bytes:
    content = path.read_bytes() if path and path.is_file() else None
    if content is None or hashlib.sha256(content).hexdigest() != wanted.sha256:
        raise MitobenchError(
            f"The option's file {wanted.name} (SHA-256 {wanted.sha256}) is missing. Put it into the current directory."
        )
    return content


def options_with(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Returns recorded options with the paths of the files that `write` wrote below a folder."""
    return with_files(options, places(folder))


def places(folder: Path) -> dict[str, str]:
    """Returns the paths of the files that `write` wrote below a folder, by the place of their option."""
    return {path.parent.name: str(path.absolute()) for path in sorted(folder.glob("*/*"))}

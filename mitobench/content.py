"""Options that name files: two files with the same content are equal, wherever they are."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import core_schema

from mitobench.errors import PluginError

TEXT_LIMIT = 100_000  # bytes; records store the content of text files up to this size


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class File:
    """The value of an option that names a file: `config: api.File | None = api.Field(None, description=...)`.

    The value is given as a path, and the file is read when the options are created. Cache keys and records contain the
    SHA-256 of the content, never the path: changing the content changes the option, moving the file does not.

    Attributes:
        path: absolute path of the file.
        sha256: SHA-256 of the content when the options were created.

    Raises:
        ValueError: if the path is not a readable regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path).expanduser().absolute()
        try:
            status = self.path.stat()
            if not stat.S_ISREG(status.st_mode):  # reading a pipe might never end
                raise ValueError(f"{self.path} is not a regular file")
            self._content = self.path.read_bytes() if status.st_size <= TEXT_LIMIT else None
            self.sha256 = file_digest(self.path) if self._content is None else _digest(self._content)
        except OSError as reason:
            raise ValueError(f"{self.path} cannot be read: {reason.strerror}") from reason

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"File({str(self.path)!r})"

    @property
    def name(self) -> str:
        """Name of the file, without the folder."""
        return self.path.name

    def check(self) -> None:
        """Raises PluginError if the content has changed since the options were created."""
        try:
            now = File(self.path)
        except ValueError as reason:
            raise PluginError(f"{reason}. Put the file back.") from reason
        if now != self:
            raise PluginError(f"{self.path} was changed during the run. Run the same command again.")

    def read_bytes(self) -> bytes:
        """Returns the content. Raises PluginError if it has changed since the options were created."""
        if self._content is not None:
            return self._content
        self.check()
        return self.path.read_bytes()

    def read_text(self) -> str:
        """Returns the content as UTF-8 text. Raises PluginError if it is not UTF-8, or has changed."""
        try:
            return self.read_bytes().decode()
        except UnicodeDecodeError as reason:
            raise PluginError(f"{self.path}: is not UTF-8 text: {reason}. Save it as UTF-8.") from reason

    def text(self) -> str | None:
        """Returns the content if it is UTF-8 text of at most 100 kB, which records store; otherwise None."""
        if self._content is None:
            return None
        try:
            return self._content.decode()
        except UnicodeDecodeError:
            return None

    @classmethod
    def _of(cls, value: Any) -> File:
        if isinstance(value, File):
            return value
        if not isinstance(value, str | Path):
            raise ValueError("give the path of a file")
        return cls(Path(value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Lets pydantic read a path as a File, and write a File as its path in JSON."""
        return core_schema.no_info_plain_validator_function(
            cls._of,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda file: str(file.path), when_used="json"
            ),
        )


def files_of(options: BaseModel) -> dict[str, File]:
    """Returns the files among options by place: the option's name, or `name.0` for the first item of a list."""
    return dict(_files("", options.model_dump()))


def _files(place: str, value: Any) -> Iterator[tuple[str, File]]:
    if isinstance(value, File):
        yield place, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, inner in items:
        yield from _files(f"{place}.{key}" if place else str(key), inner)


def check_brought(options: BaseModel, brought: Collection[str]) -> None:
    """Raises ValueError if options from a stranger name a file at another place than those that came with them.

    Such a file would be one of this machine.
    """
    for place, file in files_of(options).items():
        if place not in brought:
            raise ValueError(f"option {place} names {file.path}, a file of this machine and not one that it brings")


def with_files(options: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options (JSON values) with the values at some places, as `files_of` names them, replaced."""
    return {name: _replaced(name, value, files) for name, value in options.items()}


def _replaced(place: str, value: Any, files: Mapping[str, Any]) -> Any:
    if place in files:
        return files[place]
    if isinstance(value, Mapping):
        return {key: _replaced(f"{place}.{key}", inner, files) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_replaced(f"{place}.{number}", inner, files) for number, inner in enumerate(value)]
    return value

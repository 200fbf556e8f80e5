"""Finds which frame of a data set a name in a file means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mitobench.errors import MitobenchError, listed, nearest
from mitobench.foreign.image_names import path_tails

_FOLDER = "__"  # in the id of a frame of a folder in place of /


@dataclass(frozen=True)
class FrameInfo:
    """What is needed of a frame to read detections on it: width and height in px, and um/px along x and y."""

    size: tuple[int, int] | None = None
    mpp: tuple[float, float] | None = None
    stem: str = ""  # the name of its image without folders and suffix

    def is_in_folder(self, id: str) -> bool:
        """Whether the `__` of an id stand for folders: they do not if the image's own name has them."""
        return _FOLDER in id and id != self.stem


@dataclass(frozen=True)
class FrameNames:
    """The frames of a data set by id."""

    frames: Mapping[str, FrameInfo]

    @classmethod
    def of(cls, known: Mapping[str, FrameInfo] | Iterable[str]) -> FrameNames:
        """Makes them from frames by id, or from ids alone."""
        return cls(known if isinstance(known, Mapping) else {id: FrameInfo() for id in known})

    def find(self, where: str, text: str) -> str:
        """Returns the id that a name means: the id, with folders before it or suffixes after it, in any case.

        Numbers without their leading zeros are taken, too. If frames lie in folders (`s1__tile_0`), a name with folders
        must have those of the frame (`s1/tile_0.png`); one without may be that of the only such frame in any folder.
        Raises MitobenchError, beginning with `where`, for an unknown name and for one of several frames.
        """
        if text in self.frames:
            return text
        tails = path_tails(text, self._in_folders)
        for name in (name for tail in tails for name in _shortened(tail)):
            if name in self.frames:
                return name
            alike = self._by_key.get(_key(name), [])
            if len(alike) == 1:
                return alike[0]
        of_name = [self._by_name[key] for name in _shortened(tails[0]) if (key := _key(name)) in self._by_name]
        if of_name and len(of_name[0]) == 1:
            return of_name[0][0]
        if of_name:
            raise MitobenchError(
                f"{where}: {text!r} may be {listed(of_name[0], 4, ' or ')}. Write the folders in the file too."
            )
        last = text.replace("\\", "/").rsplit("/", 1)[-1]
        raise MitobenchError(f"{where}: unknown frame {text!r}. {nearest(last, self.frames)}")

    @cached_property
    def _in_folders(self) -> bool:
        return any(info.is_in_folder(id) for id, info in self.frames.items())

    @cached_property
    def _by_key(self) -> dict[str, list[str]]:
        return _grouped(self.frames, _key)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """The frames in folders and others, by their name without folders."""
        names = {id: id.rpartition(_FOLDER)[2] if info.is_in_folder(id) else id for id, info in self.frames.items()}
        return _grouped(self.frames, lambda id: _key(names[id]))


def _grouped(ids: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for id in ids:
        found[key(id)].append(id)
    return dict(found)


def _shortened(path: str) -> list[str]:
    """A path in the form of an id, and the same without its last suffixes."""
    folder, slash, name = path.rpartition("/")
    names = [name]
    while "." in names[-1]:
        names.append(names[-1].rpartition(".")[0])
    return [f"{folder}{slash}{name}".replace("/", _FOLDER) for name in names]


def _key(name: str) -> str:
    """The same for names that differ in letter case, or in the zeros before a number."""
    parts = name.split(_FOLDER)
    return _FOLDER.join(
        part.lstrip("0") or "0" if part.isascii() and part.isdigit() else part.casefold() for part in parts
    )


def name_in(root: Path, path: Path) -> str:
    """The name of a file or folder with the folders below `root` that it lies in; its own name if it is not below."""
    return path.relative_to(root).as_posix() if root in path.parents else path.name

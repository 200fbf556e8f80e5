"""Finds which frame of a data set a name in a file means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mitobench.errors import MitobenchError, nearest


@dataclass(frozen=True)
class FrameInfo:
    """What is needed of a frame to read detections on it: width and height in px, and um/px along x and y."""

    size: tuple[int, int] | None = None
    mpp: tuple[float, float] | None = None


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

        A number without its leading zeros is taken, too. Raises MitobenchError, beginning with `where`, for an unknown
        name.
        """
        name = text.replace("\\", "/").rsplit("/", 1)[-1]
        shortened = [name]
        while "." in shortened[-1]:
            shortened.append(shortened[-1].rpartition(".")[0])
        for candidate in (text, *shortened):
            if candidate in self.frames:
                return candidate
        for candidate in (text, *shortened):
            alike = self._by_key.get(_key(candidate), [])
            if len(alike) == 1:
                return alike[0]
        raise MitobenchError(f"{where}: unknown frame {text!r}. {nearest(name, self.frames)}")

    @cached_property
    def _by_key(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for id in self.frames:
            found[_key(id)].append(id)
        return found


def _key(name: str) -> str:
    return name.lstrip("0") or "0" if name.isascii() and name.isdigit() else name.casefold()

"""Which image of a folder a name in an annotation file means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mitobench.errors import DataError, listed
from mitobench.foreign.image_names import path_tails


class FolderNames:
    """Finds images by their path in the folder, or by their file name; with or without suffix, in any letter case."""

    def __init__(self, folder: Path, paths: Mapping[str, Path]) -> None:
        """`paths`: the images below `folder` by frame id."""
        self._folder, self._paths = folder, paths
        self._by_path: dict[str, set[str]] = defaultdict(set)
        self._by_name: dict[str, set[str]] = defaultdict(set)
        self._folders = {self._within(path.parent) for path in paths.values()}
        self._before: dict[str, tuple[str, str]] = {}
        for id, path in paths.items():
            within = path.relative_to(folder)
            alone = (path.name, path.stem) if len(self._folders) == 1 else ()
            for name in (within.as_posix(), within.with_suffix("").as_posix(), id, *alone):
                self._by_path[name.lower()].add(id)
            for name in (path.name, path.stem):
                self._by_name[name.lower()].add(id)

    def find(self, file: Path, text: str) -> str | None:
        """Returns the frame that a name in an annotation file means; None if its image is not here.

        A path counts from the folder of the file, else from that of the data set. If all images are in one folder, a
        path may have any folders before it. A file name alone is that of the only image of this name, in any folder,
        but beside the images of one folder it is not that of an image in another.

        Raises DataError for the name of two images, and if two paths with different folders would be one image.
        """
        name = text.replace("\\", "/").removeprefix("./").lower()
        near = self._within(file.parent)
        beside = self._by_path.get(f"{near}/{name}") if near else None
        if beside:
            return self._one(file, text, beside)
        for tail in path_tails(name, len(self._folders) > 1):
            if tail in self._by_path:
                id = self._one(file, text, self._by_path[tail])
                self._check_before(file, text, name.removesuffix(tail), id)
                return id
        if "/" in name or (near and near in self._folders):
            return None
        return self._one(file, text, self._by_name[name]) if name in self._by_name else None

    def _within(self, folder: Path) -> str:
        """The path of a folder below that of the data set, in lower case; empty for this one."""
        return folder.relative_to(self._folder).as_posix().lower().removeprefix(".")

    def _one(self, file: Path, text: str, ids: set[str]) -> str:
        if len(ids) > 1:
            names = listed(sorted(self._paths[id].relative_to(self._folder).as_posix() for id in ids), 4, " and ")
            raise DataError(f"{file}: two images are called {text}: {names}. Write their folders in the file too.")
        return next(iter(ids))

    def _check_before(self, file: Path, text: str, before: str, id: str) -> None:
        """Raises DataError if another name of this image had other folders before it."""
        other, folders = self._before.setdefault(id, (text, before))
        if folders != before:
            raise DataError(
                f"{file}: {other} and {text} would both be {self._paths[id]}. Put the images into their folders, or "
                "correct the names in the file."
            )

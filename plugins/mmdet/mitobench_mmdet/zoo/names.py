"""The names of the configs that MMDetection's wheel ships. Imports neither torch nor mmdet."""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from mitobench.api import MitobenchError

CONFIGS = ".mim/configs"
NOT_MODELS = ("_base_", "common")  # folders of parts of configs
MAX_NEAREST = 5  # names in a message
MAX_TRIED = 30  # similar names, each of which is read to see whether it can be fitted
OF_FILE = re.compile(r"[\w.+-]{1,100}@[0-9a-f]{16}")


@functools.cache
def shipped() -> dict[str, Path]:
    """Returns the files of all shipped configs by name: without folder, unless two folders have the same name.

    Raises MitobenchError if mmdet is not installed, or without its configs.
    """
    spec = find_spec("mmdet")
    folder = Path(spec.submodule_search_locations[0], CONFIGS) if spec and spec.submodule_search_locations else None
    if folder is None or not folder.is_dir():
        raise MitobenchError("mmdet is not installed, or without its configs: pip install mmdet==3.3.0.")
    places = [
        path.relative_to(folder)
        for path in sorted(folder.glob("**/*.py"))
        if not set(NOT_MODELS) & set(path.relative_to(folder).parts)
    ]
    count = Counter(place.stem for place in places)
    return {_name(place, count[place.stem] == 1): folder / place for place in places}


def _name(place: Path, is_unique: bool) -> str:
    return place.stem if is_unique else place.with_suffix("").as_posix()


def exact(argument: str) -> str | None:
    """Returns the name of the shipped config that an argument spells, with or without folder and `.py`; or None."""
    text = argument.removesuffix(".py")
    if text in shipped():
        return text
    name = text.rpartition("/")[2]
    path = shipped().get(name)
    return name if path is not None and path.with_suffix("").as_posix().endswith(f"/{text}") else None


def beginning_with(prefix: str) -> list[str]:
    """Returns the names that continue after the prefix with a `_`; a folder may be left out."""
    start = prefix.removesuffix(".py").rstrip("_") + "_"
    return [name for name in shipped() if name.startswith(start) or f"/{start}" in f"/{name}"]


def unknown(argument: str, can_be_fitted: Callable[[str], bool]) -> MitobenchError:
    """Returns the error for an argument that is neither a shipped config nor a file, with the nearest names.

    Of these, only the ones that can be fitted are listed: the others would be refused next.
    """
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in shipped()}
    similar = get_close_matches(argument.removesuffix(".py").lower(), by_lower, n=MAX_TRIED, cutoff=0.4)
    close = list(itertools.islice(filter(can_be_fitted, map(by_lower.__getitem__, similar)), MAX_NEAREST))
    meant = f" Did you mean {', '.join(close)}?" if close else ""
    what = f"File {argument!r} does not exist" if argument.endswith(".py") else f"Unknown config {argument!r}"
    return MitobenchError(
        f"{what}.{meant} MMDetection ships {len(shipped())}. A file of your own is given by its path."
    )

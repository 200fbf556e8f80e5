"""The models that have a name: bundled ones, others that the registry knows, and the user's own.

In `registry/models`, and in the user's own folder, a model folder `NAME/` or a file `NAME.toml` is a model's entry. The
file says where the model is: at an address (`fetching.FORM`), or in a folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from pydantic import ValidationError

from mitobench import foreign, registry
from mitobench.errors import MitobenchError, wrong_fields
from mitobench.foreign.limits import MAX_CONFIG_BYTES
from mitobench.foreign.strict import Strict
from mitobench.model import CARD

if TYPE_CHECKING:
    from mitobench.model.card import ModelCard

FOLDER = "MITOBENCH_MODELS"  # environment variable with the user's own folder of models
MODELS = "models"  # folder in the registry, and in the user's configuration folder


class Origin(str, Enum):
    """Where a model's entry comes from."""

    BUNDLED = "bundled"
    REGISTRY = "known, not bundled"
    OWN = "your own"
    FOLDER = "a folder"  # without a name


class KnownModel(Strict):
    """The content of an entry `NAME.toml`.

    Attributes:
        title: shown to users.
        source: the model's address, `fetching.FORM`, or a folder. Of a hub, give the commit as the revision.
        licence: of its weights.
        size_mb: of its files.
        mpp: um/px at which it works.
        trained_on: the data that it learned from.
        f1: its measured F1, and on what.
    """

    title: str
    source: str
    licence: str = ""
    size_mb: float | None = None
    mpp: float | None = None
    trained_on: str = ""
    f1: str = ""


@dataclass(frozen=True)
class Entry:
    """A model that has a name.

    Attributes:
        name: what `--model` accepts.
        origin: where its entry comes from.
        path: the model folder, or the file `NAME.toml`.
    """

    name: str
    origin: Origin
    path: Path

    @property
    def is_folder(self) -> bool:
        """Whether the entry is a model folder."""
        return self.path.is_dir()

    def find(self) -> Path:
        """Returns the model folder. Raises MitobenchError if it is not here and may not be downloaded."""
        return self.path if self.is_folder else _folder(self.path, self.described().source)

    def here(self) -> Path | None:
        """Returns the model folder if it is on this machine; None if it would have to be downloaded."""
        from mitobench.model import fetching

        if self.is_folder:
            return self.path
        source = self.described().source
        return fetching.stored(source) if fetching.is_remote(source) else _folder(self.path, source)

    def described(self) -> KnownModel:
        """Reads the entry of a model that is not a folder. Raises MitobenchError if it is not valid."""
        content = foreign.read_toml(self.path, MAX_CONFIG_BYTES, "model's entry")
        try:
            return KnownModel.model_validate(content)
        except ValidationError as reason:
            raise MitobenchError(f"{self.path}: {wrong_fields(reason)}. Correct it.") from reason

    def card(self) -> ModelCard | None:
        """Returns the model's card, without verifying its files; None if the model is not on this machine."""
        from mitobench.model import card as cards  # it takes long to import

        folder = self.here()
        return None if folder is None else cards.read_unverified(folder)


def known_models() -> dict[str, Entry]:
    """Returns all models that have a name, sorted by origin and name. A user's own does not replace another one."""
    found: dict[str, Entry] = {}
    places = [(registry.ROOT / MODELS, Origin.BUNDLED, Origin.REGISTRY), (user_folder(), Origin.OWN, Origin.OWN)]
    for folder, of_folder, of_file in places:
        for path in sorted(folder.glob(f"*/{CARD}")):
            found.setdefault(path.parent.name, Entry(path.parent.name, of_folder, path.parent))
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, Entry(path.stem, of_file, path))
    return found


def known_model(name: str) -> Entry | None:
    """Returns the model of a name, of which `bundled` is one where a single model is bundled; None: there is none."""
    models = known_models()
    bundled = [entry for entry in models.values() if entry.origin == Origin.BUNDLED]
    if name == Origin.BUNDLED.value and len(bundled) == 1:
        return bundled[0]
    return models.get(name)


def model_folder(path: str) -> Entry | None:
    """Returns the model in a folder that `mitobench pack` wrote, by its path; None if it is not a folder."""
    return Entry(path, Origin.FOLDER, Path(path)) if Path(path).is_dir() else None


def user_folder() -> Path:
    """Returns the folder of the user's own models: `MITOBENCH_MODELS`, or `models` in the configuration folder."""
    return Path(os.environ.get(FOLDER) or platformdirs.user_config_path("mitobench") / MODELS)


def _folder(entry: Path, source: str) -> Path:
    """Returns the model folder of a source. A folder's path counts from the entry's own folder."""
    from mitobench.model import fetching

    if fetching.is_remote(source):
        return fetching.fetch(source)
    folder = entry.parent / Path(source).expanduser()
    if not (folder / CARD).is_file():
        raise MitobenchError(f"{entry}: its source {source} is neither a model folder nor an address. Correct it.")
    return folder

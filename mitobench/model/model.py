"""Loads a packed model and predicts mitoses on frames, in the same way as the harness does on test frames."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mitobench import discovery
from mitobench.api import Detections, Detector, EmbeddingVerifier, Floats, Frame, Fuser, Verifier
from mitobench.errors import MitobenchError, PluginError, wrong_fields
from mitobench.foreign.specs import foreign_specs
from mitobench.model import card as cards
from mitobench.model.card import ModelCard, PackedPlugin
from mitobench.model.tiles import Tile, tiled, unrepeated
from mitobench.pipeline import checks
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.pipeline.stages.embedding import ENCODER
from mitobench.pipeline.trust import check, only, requests_of
from mitobench.results import option_files

FILES = "files"  # folder with the files that options refer to, as ROLE/OPTION/NAME


@dataclass(frozen=True)
class Prediction:
    """A model's prediction on a frame: all detections above its candidate threshold.

    Attributes:
        detections: in whole-frame px; `detections.score` is the detector's score.
        verifier: the verifier's scores, [N]; None for a model without a verifier.
        score: the fused scores, [N].
        is_mitosis: whether each score is at or above the threshold, bool [N].
    """

    detections: Detections
    verifier: Floats | None
    score: Floats
    is_mitosis: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Model:
    """A fitted detector, verifier (None: no verifier) and fuser, with the card that describes them."""

    card: ModelCard
    detector: Detector
    verifier: Verifier | None
    fuser: Fuser

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", allow: Collection[str] = ()) -> Model:
        """Loads the model from a folder written by `pack`, after verifying every file.

        Args:
            folder: the model folder.
            device: `cpu` or `cuda`; fusers always run on the CPU.
            allow: what its plugins may do beyond computing: `external` (run the programs that the model names),
                `download` (contact the hubs that it names, if MITOBENCH_ALLOW_DOWNLOAD is set).

        Raises MitobenchError if the folder is not a model or was altered, if a plugin is not installed or its options
        have changed, and if a plugin would do something that is not allowed.
        """
        card = cards.read(folder)
        parts = {role: _class_and_options(folder, card, role) for role in ("detector", "verifier", "fuser")}
        requests = (one for role, (plugin, options) in parts.items() for one in requests_of(role, plugin, options))
        check(requests, allow, f"The model {folder}")
        with only(allow):
            detector, verifier, fuser = (
                _loaded(folder, plugin(options, "cpu" if role == "fuser" else device), role)
                for role, (plugin, options) in parts.items()
            )
        return cls(card, detector, verifier if verifier.verifies else None, fuser)

    def predict(self, frame: Frame, threshold: float | None = None) -> Prediction:
        """Returns all candidates on a frame, and which of them are mitoses.

        Processes a frame larger than `tiles.LIMIT` px (at the model's um/px) tile by tile.

        Args:
            frame: a frame of 0.1 to 1 um/px.
            threshold: a score at or above it is a mitosis; None: the model's threshold, chosen on validation frames.

        Raises PluginError if a plugin returns something that its interface does not allow.
        """
        found, verifier_scores, of_tile = [Detections.none()], [np.zeros(0)], [np.zeros(0, dtype=int)]
        for number, tile in enumerate(tiled(frame, self.card.mpp)):
            detections, verifier_score = self._in(tile)
            found.append(tile.moved(detections))
            verifier_scores.append(verifier_score)
            of_tile.append(np.full(len(detections), number))
        joined = Detections.joined(found)
        keep = unrepeated(joined, np.concatenate(of_tile), frame.mpp)
        kept, verifier_score = joined[keep], np.concatenate(verifier_scores)[keep]
        score = checks.fused(self.fuser, frame, kept.score, verifier_score, [frame], [kept])
        is_mitosis = score >= (self.card.threshold if threshold is None else threshold)
        return Prediction(kept, verifier_score if self.verifier else None, score, is_mitosis)

    def _in(self, tile: Tile) -> tuple[Detections, Floats]:
        """Returns the candidates in the core of a tile, in px of the tile, and the verifier's scores.

        Without a verifier, returns the detector's scores for the fuser, as the harness does.
        """
        found = checks.detections(self.detector, tile.frame, self.detector.predict(tile.frame))
        found = found[above(found.score, self.card.candidate_threshold) & tile.holds(found.xy)]
        if self.verifier is None or not len(found):
            return found, found.score
        return found, checks.scores(self.verifier, tile.frame, self.verifier.score(tile.frame, found), len(found))


def _class_and_options(folder: Path, card: ModelCard, role: str) -> tuple[Any, Any]:
    """Returns the class of the plugin of a role, and the options that it was packed with."""
    part: PackedPlugin = getattr(card.plugins, role)
    here = _installed(role, part)
    with foreign_specs():
        cls: Any = discovery.load(role, part.name)
    try:
        options = cls.Options.model_validate(option_files.options_with(part.options, folder / FILES / role))
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise PluginError(
            f"{role} {part.name!r} was packed with version {part.version}, but version {cls.version} "
            f"({here.package} {here.version}) is installed, which has other options: {wrong}. "
            f"Install the version of {part.package} that it was packed with, or pack the model again."
        ) from reason
    return cls, options


def _loaded(folder: Path, plugin: Any, role: str) -> Any:
    """Returns a plugin with what it, and its encoder if it has one, wrote when it was packed."""
    readers = {role: plugin.load}
    if isinstance(plugin, EmbeddingVerifier):
        readers[ENCODER] = plugin.read_encoder
    for name, read in readers.items():
        _read(folder / name, read, role, plugin.name)
    return plugin


def _read(folder: Path, read: Callable[[Path], None], role: str, plugin: str) -> None:
    """Lets a plugin read what it wrote when it was packed, if anything."""
    if folder.is_dir():
        try:
            read(folder)
        except MitobenchError:
            raise
        except Exception as reason:  # plugins may trust their own files, but these may come from anywhere
            raise PluginError(
                f"{folder}: {role} {plugin!r} cannot load these files: {type(reason).__name__}: {reason}. "
                "Pack the model again."
            ) from reason


def _installed(role: str, part: PackedPlugin) -> discovery.InstalledPlugin:
    if not discovery.is_installed(role, part.name):
        raise MitobenchError(
            f"The model's {role} {part.name!r} is not installed. Install the package {part.package}. "
            f"The model was packed with version {part.version}."
        )
    return discovery.find(role, part.name)

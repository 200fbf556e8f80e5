"""A packed model, loaded: asked for mitoses on a frame as the harness asks on a test frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mitobench import discovery
from mitobench.api import Detections, Detector, Floats, Frame, Fuser, Verifier
from mitobench.errors import MitobenchError, PluginError, wrong_fields
from mitobench.model import card as cards
from mitobench.model.card import ModelCard, PackedPlugin
from mitobench.model.tiles import Tile, tiled, unrepeated
from mitobench.pipeline import checks
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.results import option_files

FILES = "files"  # folder of the files that options name, as ROLE/OPTION/NAME


@dataclass(frozen=True)
class Prediction:
    """What a model says of a frame: all detections above its candidate threshold.

    Attributes:
        detections: of the detector, whole-frame px; `detections.score` is its own score.
        verifier: the verifier's scores, [N]; None for a model without one.
        score: the fused scores, [N].
        is_mitosis: bool [N], True where the score is at or above the threshold.
    """

    detections: Detections
    verifier: Floats | None
    score: Floats
    is_mitosis: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Model:
    """A fitted detector, verifier (None: there is none) and fuser, with the card that says what they are."""

    card: ModelCard
    detector: Detector
    verifier: Verifier | None
    fuser: Fuser

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Model:
        """The model of a folder that `pack` wrote, verified file by file.

        Args:
            folder: it.
            device: `cpu` or `cuda`; fusers compute on the CPU.

        Raises MitobenchError for a folder that is no model or was altered, and for a plugin that is not installed or
        has other options now.
        """
        card = cards.read(folder)
        detector = _plugin(folder, card, "detector", device)
        verifier = _plugin(folder, card, "verifier", device)
        return cls(card, detector, verifier if verifier.verifies else None, _plugin(folder, card, "fuser", "cpu"))

    def predict(self, frame: Frame, threshold: float | None = None) -> Prediction:
        """The mitoses of a frame, and the candidates that are none, at any um/px from 0.1 to 1.

        A frame larger than `tiles.LIMIT` px at the model's um/px is searched tile by tile.

        Args:
            frame: pixels with their um/px.
            threshold: None: the model's own, from validation frames.

        Raises PluginError where a plugin returns what its interface forbids.
        """
        found, verifier_scores, of_tile = [Detections.none()], [np.zeros(0)], [np.zeros(0, dtype=int)]
        for number, tile in enumerate(tiled(frame, self.card.mpp)):
            detections, verifier_score = self._in(tile)
            found.append(tile.moved(detections))
            verifier_scores.append(verifier_score)
            of_tile.append(np.full(len(detections), number))
        joined = Detections(*(np.concatenate([getattr(d, name) for d in found]) for name in ("xy", "boxes", "score")))
        keep = unrepeated(joined, np.concatenate(of_tile), frame.mpp)
        kept, verifier_score = joined[keep], np.concatenate(verifier_scores)[keep]
        score = checks.scores(self.fuser, frame, self.fuser.fuse(kept.score, verifier_score), len(kept))
        is_mitosis = score >= (self.card.threshold if threshold is None else threshold)
        return Prediction(kept, verifier_score if self.verifier else None, score, is_mitosis)

    def _in(self, tile: Tile) -> tuple[Detections, Floats]:
        """Candidates in the core of a tile, px of the tile, and the verifier's score of each.

        Without a verifier, fusers are given the detector's score twice, as in the harness.
        """
        found = checks.detections(self.detector, tile.frame, self.detector.predict(tile.frame))
        found = found[above(found.score, self.card.gate) & tile.holds(found.xy)]
        if self.verifier is None or not len(found):
            return found, found.score
        return found, checks.scores(self.verifier, tile.frame, self.verifier.score(tile.frame, found), len(found))


def _plugin(folder: Path, card: ModelCard, role: Any, device: str) -> Any:
    """The plugin of a role, as it was fitted where it saved anything."""
    part: PackedPlugin = getattr(card.parts, role)
    here = _installed(role, part)
    cls: Any = discovery.load(role, part.name)
    try:
        options = cls.Options.model_validate(option_files.options_with(part.options, folder / FILES / role))
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise PluginError(
            f"{role} {part.name!r} was packed with version {part.version}; installed is "
            f"{cls.version} ({here.package} {here.version}), whose options are others: {wrong}. "
            f"Install the version of {part.package} that it was packed with, or pack the model again."
        ) from reason
    plugin = cls(options, device)
    if (folder / role).is_dir():
        try:
            plugin.load(folder / role)
        except MitobenchError:
            raise
        except Exception as reason:  # a plugin may trust its own files; here they may be a stranger's
            raise PluginError(
                f"{folder / role}: {role} {part.name!r} cannot load these files: {type(reason).__name__}: {reason}. "
                "Pack the model again."
            ) from reason
    return plugin


def _installed(role: str, part: PackedPlugin) -> discovery.InstalledPlugin:
    if part.name not in discovery.names(role):
        raise MitobenchError(
            f"The model's {role} {part.name!r} is not installed. Install {part.package}: "
            f"it was packed with version {part.version}."
        )
    return discovery.find(role, part.name)

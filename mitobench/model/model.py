"""Loads a packed model and predicts mitoses on frames, in the same way as the harness does on test frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mitobench import discovery
from mitobench.api import Detections, Detector, EmbeddingVerifier, Floats, Frame, Fuser, Verifier
from mitobench.content import check_brought
from mitobench.errors import MitobenchError, PluginError, wrong_fields
from mitobench.installing import FOLDERS, install
from mitobench.model import card as cards
from mitobench.model.card import ModelCard, PackedPlugin
from mitobench.model.exported import ROLES, networks_in
from mitobench.model.grid import Cell, cells, unrepeated
from mitobench.pipeline import checks
from mitobench.pipeline.stages.candidate_threshold import above
from mitobench.pipeline.stages.embedding import ENCODER
from mitobench.pipeline.trust import check, only, requests_of
from mitobench.results import option_files

if TYPE_CHECKING:
    from mitobench.model.search_area import SearchArea
    from mitobench.slides.reader.pixels import Pixels

NETWORK = "network.onnx"  # in the folder of a role
MIN_SIDE_PX = 32  # smaller images are too small for many networks
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

    @classmethod
    def none(cls) -> Prediction:
        """No detections."""
        return cls(Detections.none(), None, np.zeros(0), np.zeros(0, dtype=bool))

    def __len__(self) -> int:
        return len(self.score)

    def sorted(self) -> Prediction:
        """Returns the prediction with the highest score first; of equal scores, the uppermost first."""
        xy = self.detections.xy
        order = np.lexsort([xy[:, 0], xy[:, 1], -self.score])
        verifier = None if self.verifier is None else self.verifier[order]
        return Prediction(self.detections[order], verifier, self.score[order], self.is_mitosis[order])


@dataclass(frozen=True)
class CellCandidates:
    """The candidates in the core of one cell of an image.

    Attributes:
        number: of the cell.
        detections: in px of the whole image.
        verifier: the verifier's scores, [N]; those of the detector for a model without a verifier.
    """

    number: int
    detections: Detections
    verifier: Floats

    def __len__(self) -> int:
        return len(self.verifier)

    def inside(self, keep: NDArray[np.bool_]) -> CellCandidates:
        """Selects candidates by a mask."""
        return CellCandidates(self.number, self.detections[keep], self.verifier[keep])


@dataclass(frozen=True)
class Model:
    """A fitted detector, verifier (None: no verifier) and fuser, with the card that describes them.

    Attributes:
        exported: the roles whose networks ONNX Runtime runs (`use_exported`).
    """

    card: ModelCard
    detector: Detector
    verifier: Verifier | None
    fuser: Fuser
    exported: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def load(
        cls, folder: Path, device: str = "cpu", allow: Collection[str] = (), networks: Path | None = None
    ) -> Model:
        """Loads the model from a folder written by `pack`, after verifying every file.

        Args:
            folder: the model folder.
            device: `cpu` or `cuda`; fusers always run on the CPU.
            allow: what its plugins may do beyond computing: `external` (run the programs that the model names),
                `download` (contact the hubs that it names, if MITOBENCH_ALLOW_DOWNLOAD is set).
            networks: a folder of this machine with the model's exported networks (`exported.prepared`), which ONNX
                Runtime runs; None: those in `folder`, or torch's.

        Raises MitobenchError if the folder is not a model or was altered, if a plugin is not installed or its options
        have changed, and if a plugin would do something that is not allowed.
        """
        card = cards.read(folder)
        _check_installed(card)
        parts = {role: _class_and_options(folder, card, role) for role in ("detector", "verifier", "fuser")}
        requests = (one for role, part in parts.items() for one in requests_of(role, *part, folder / role))
        check(requests, allow, f"The model {folder}")
        with only(allow):
            detector, verifier, fuser = (
                _loaded(folder, plugin(options, "cpu" if role == "fuser" else device), role, card)
                for role, (plugin, options) in parts.items()
            )
        model = cls(card, detector, verifier if verifier.verifies else None, fuser)
        if device == "cpu":
            model.use_exported(networks_in(networks) or _packed_networks(folder, card))
        return model

    def use_exported(self, networks: Mapping[str, Path]) -> None:
        """Lets ONNX Runtime run networks, given by role. Raises PluginError for a file that it cannot read."""
        for role, path in networks.items():
            from mitobench.training.export import runner  # torch takes long to import

            plugin = getattr(self, role)
            if plugin is None:
                raise MitobenchError(
                    f"{path}: is a {role}'s network, and the model has no {role}. Pack the model again."
                )
            plugin.use_exported(runner(path))
            self.exported.add(role)

    @property
    def computed_on(self) -> str:
        """The device, and which networks ONNX Runtime runs: `cpu; ONNX Runtime runs the detector's network`."""
        roles = " and the ".join(f"{role}'s" for role in ROLES if role in self.exported)
        networks = "networks" if len(self.exported) > 1 else "network"
        return f"{self.detector.device}; ONNX Runtime runs the {roles} {networks}" if roles else self.detector.device

    def predict(self, frame: Frame, threshold: float | None = None, area: SearchArea | None = None) -> Prediction:
        """Returns all candidates on a frame, and which of them are mitoses.

        Searches the frame cell by cell (`grid.cells`).

        Args:
            frame: a frame of 0.1 to 1 um/px.
            threshold: a score at or above it is a mitosis; None: the model's threshold, chosen on validation frames.
            area: where mitoses are searched for; None: everywhere.

        Raises PluginError if a plugin returns something that its interface does not allow.
        """
        found = []
        for cell in cells(frame.size, frame.mpp):
            if area is None:
                found.append(self.search(frame, cell))
            elif area.touches(cell, frame.mpp):
                inside = self.search(frame, cell)
                found.append(inside.inside(area.holds(inside.detections.xy, frame.mpp)))
        return self.joined(frame, found, threshold)

    def search(self, frame: Frame, cell: Cell, pixels: Pixels | None = None) -> CellCandidates:
        """Returns the candidates in the core of a cell.

        Args:
            frame: the whole frame.
            cell: the cell.
            pixels: those of the cell with its border; None: they are read from the frame.

        Without a verifier, the verifier's scores are the detector's, which fusers then get, as in the harness. Raises
        MitobenchError naming the frame if it is too small for the model; any other error of a plugin is passed on.
        """
        try:
            return self._searched(_cell_frame(frame, cell, pixels), cell)
        except MitobenchError:
            raise
        except Exception as reason:
            width, height = frame.size
            if min(width, height) >= MIN_SIDE_PX:
                raise
            raise MitobenchError(
                f"{frame.id}: has {width} x {height} px, which is too small for the model "
                f"({type(reason).__name__}: {reason}). Give an image of at least {MIN_SIDE_PX} px."
            ) from reason

    def _searched(self, frame: Frame, cell: Cell) -> CellCandidates:
        """Returns the candidates in the core of a cell, of which `frame` has the pixels."""
        inner = replace(frame, context=cell.context)
        detections = checks.detections(self.detector, frame, self.detector.predict(inner))
        moved = _moved(detections, cell.origin)
        inside = above(detections.score, self.card.candidate_threshold) & cell.holds(moved.xy)
        detections, moved = detections[inside], moved[inside]
        if self.verifier is None or not len(detections):
            return CellCandidates(cell.number, moved, moved.score)
        scores = checks.probabilities(self.verifier, frame, self.verifier.score(frame, detections), len(detections))
        return CellCandidates(cell.number, moved, scores)

    def joined(self, frame: Frame, found: Sequence[CellCandidates], threshold: float | None = None) -> Prediction:
        """Joins the candidates of all cells of a frame: drops repeated ones and fuses the scores.

        The order of `found` makes no difference. Raises PluginError as `predict`.
        """
        found = sorted(found, key=lambda cell: cell.number)
        joined = Detections.joined([Detections.none(), *(cell.detections for cell in found)])
        number = np.concatenate([np.zeros(0, dtype=int), *(np.full(len(cell), cell.number) for cell in found)])
        verifier_score = np.concatenate([np.zeros(0), *(cell.verifier for cell in found)])
        keep = unrepeated(joined, number, frame.mpp)
        kept, verifier_score = joined[keep], verifier_score[keep]
        score = checks.fused(self.fuser, frame, kept.score, verifier_score, [frame], [kept])
        is_mitosis = score >= (self.card.threshold if threshold is None else threshold)
        return Prediction(kept, verifier_score if self.verifier else None, score, is_mitosis)


def _cell_frame(frame: Frame, cell: Cell, pixels: Pixels | None) -> Frame:
    """Returns the part of a frame that a cell reads, with its pixels if they were read before."""
    whole = cell.size == frame.size
    if pixels is None and whole:
        return frame
    known = frame.region(*cell.origin, *cell.size) if pixels is None else pixels
    id = frame.id if whole else f"{frame.id} from {cell.origin[0]},{cell.origin[1]}"
    return replace(frame, id=id, size=cell.size, reader=lambda: known)


def _moved(detections: Detections, origin: tuple[int, int]) -> Detections:
    """Converts detections from px of a cell to px of the whole frame."""
    return replace(detections, xy=detections.xy + origin, boxes=detections.boxes + np.tile(origin, 2))


def _class_and_options(folder: Path, card: ModelCard, role: str) -> tuple[Any, Any]:
    """Returns the class of the plugin of a role, and the options that it was packed with."""
    part: PackedPlugin = getattr(card.plugins, role)
    here = discovery.find(role, part.name)
    cls: Any = discovery.load(role, part.name)
    files = folder / FILES / role
    try:
        options = cls.Options.model_validate(option_files.options_with(part.options, files))
    except ValidationError as reason:
        wrong = wrong_fields(reason)
        raise PluginError(
            f"{role} {part.name!r} was packed with version {part.version}, but version {cls.version} "
            f"({here.package} {here.version}) is installed, which has other options: {wrong}. "
            f"Install the version of {part.package} that it was packed with, or pack the model again."
        ) from reason
    try:
        check_brought(options, option_files.places(files))
    except ValueError as reason:
        raise PluginError(
            f"{folder}: {role} {part.name!r}: {reason}. It is not used. Pack the model again."
        ) from reason
    return cls, options


def _packed_networks(folder: Path, card: ModelCard) -> dict[str, Path]:
    """Returns the networks that were packed for ONNX Runtime, by role."""
    for role in card.onnx or ():
        if role not in ROLES:
            raise MitobenchError(f"{folder}: has a network of a {role[:40]!r}. Pack the model again.")
    return {role: folder / role / NETWORK for role in card.onnx or ()}


def _loaded(folder: Path, plugin: Any, role: str, card: ModelCard) -> Any:
    """Returns a plugin with what it, and its encoder if it has one, wrote when it was packed."""
    if isinstance(plugin, Detector):
        plugin.raise_limits()
    readers = {role: plugin.load}
    if isinstance(plugin, EmbeddingVerifier):
        readers[ENCODER] = plugin.read_encoder
    for name, read in readers.items():
        try:
            _read(folder / name, read, role, plugin.name)
        except MitobenchError as reason:
            _refuse_other_version(reason, role, plugin, getattr(card.plugins, role))
            raise
    return plugin


def _refuse_other_version(reason: MitobenchError, role: str, plugin: Any, part: PackedPlugin) -> None:
    """Raises PluginError if files that cannot be read are those of another version of their plugin."""
    if part.version.partition(" ")[0] != plugin.version:
        raise PluginError(
            f"{role} {part.name!r} was packed with version {part.version}, but version {plugin.version} is installed, "
            "which cannot read its files. Install the version that it was packed with, or repeat the run and pack it "
            f"again. ({reason})"
        ) from reason


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


def _check_installed(card: ModelCard) -> None:
    """Raises MitobenchError if a plugin of the model is not installed: which ones, and how to install them all."""
    parts = {role: getattr(card.plugins, role) for role in ("detector", "verifier", "fuser")}
    missing = {role: part for role, part in parts.items() if not discovery.is_installed(role, part.name)}
    if missing:
        names = " and ".join(f"{role} {part.name!r} (packed with {part.version})" for role, part in missing.items())
        packages = dict.fromkeys(part.package for part in missing.values())
        # Only our own packages become a command: a card from elsewhere may name any package.
        ours = set(packages) <= FOLDERS.keys()
        how = f"Run {install(*packages)}" if ours else f"Install the packages {', '.join(packages)}"
        raise MitobenchError(f"Not installed: the model's {names}. {how}.")

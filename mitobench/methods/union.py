"""`union:SPEC+SPEC`: several detectors as one.

Scores of different detectors do not compare: .4 may be certain for one and hopeless for another. Each member's scores
are therefore turned into probabilities of mitosis on the validation frames, by a logistic curve that never changes the
order of a member's detections. Detections of one cell are then merged. The merged score is that of the **mean of the
members' logits, where a member that did not find the cell counts with the lowest probability that it had on
validation, at most .01**. (A mean of probabilities hides the doubts of one member behind the certainty of another. A
noisy-or would assume that detectors err independently. They do not: they look at the same pixels, mostly with the same
labels.)
"""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import expit

from mitobench import api, discovery
from mitobench.api import (
    Candidates,
    Context,
    Detections,
    Detector,
    Field,
    File,
    Floats,
    Frame,
    MitobenchError,
    PluginError,
    Sample,
)
from mitobench.content import check_brought, files_of, with_files
from mitobench.foreign import read_json
from mitobench.foreign.limits import MAX_STATE_BYTES
from mitobench.methods.calibration import Calibration, logits

ROLE, SEPARATOR = "detector", "+"
STATE, FILES = "members.json", "files-{number}.safetensors"
UNKNOWN_HALF_RADIUS_UM = 3.75  # half of 7.5 um, the radius of most data sets


class UnionOptions(api.Options):
    """Options of `union`."""

    detectors: str = Field("", description="The members: specs of detectors with + between them.")
    merge_um: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Detections closer to a better one than this are the same cell, um; none: half the matching "
        "radius of the validation frames' data set.",
    )
    distance_um: float = Field(
        5.0,
        ge=0,
        le=100,
        description="Distance from a better merged detection below which one is dropped, um.",
    )
    calibration: Literal["logistic", "none"] = Field(
        "logistic",
        description="How a member's scores become probabilities: a logistic curve fitted on validation, or `none` "
        "for members whose scores are probabilities already.",
    )


class Union(Detector):
    """Several detectors, with calibrated scores and merged detections."""

    name = "union"
    version = "2"
    Options = UnionOptions
    argument = "detectors"
    example = "blobs+external:{python} -c \"print('x,y,score')\" {image}"
    uses_boxes = False  # its members have their own
    inference_options = ("merge_um", "distance_um")

    def __init__(self, options: api.Options | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.members: tuple[Detector, ...] = ()
        self.calibrations: tuple[Calibration, ...] = ()
        self.half_radius_um = UNKNOWN_HALF_RADIUS_UM
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._raised = False

    def raise_limits(self) -> None:
        """Raises the limits of the members, which `load` makes."""
        self._raised = True

    @classmethod
    def resolve(cls, argument: str) -> str:
        """Returns the members in full and in alphabetical order, so that their order makes no difference.

        Raises MitobenchError for fewer than two members, equal ones, a union among them, or an unknown one.
        """
        given = discovery.separate(argument, SEPARATOR)
        _check_members(argument, given)
        full = sorted(_full(argument, spec) for spec in given)
        for one, other in itertools.pairwise(full):
            if one == other:
                raise MitobenchError(f"union:{argument}: {one} is there twice. Name each detector once.")
        return SEPARATOR.join(_quoted(spec) for spec in full)

    @classmethod
    def requires(cls, options: Any) -> Mapping[str, Sequence[api.Requirement]]:
        """Requires all members, complete."""
        return {ROLE: tuple(api.Requirement(spec) for spec in _specs(options))}

    @classmethod
    def trusts(cls, options: Any) -> Sequence[api.Need]:
        """Returns what the members need, with their default options; a run also asks each with its own options."""
        classes = (discovery.load(ROLE, spec) for spec in _specs(options))
        return [need for member in classes for need in member.trusts(member.Options())]

    @classmethod
    def trusts_saved(cls, options: Any, folder: Path) -> Sequence[api.Need]:
        """Returns what the members need, with the options and the files that `save` wrote."""
        with tempfile.TemporaryDirectory(prefix="mitobench-") as temporary:
            members = _saved(folder, options, Path(temporary)).members
            return [need for member, own in members for need in member.trusts(own)]

    def fit(self, train: Sequence[Sample], val: Sequence[Sample], context: Context) -> None:
        """Calibrates each member on the validation frames. The members are fitted already."""
        radii = [context.radius_um(sample.frame) for sample in val or train]
        self.half_radius_um = min(radii) / 2 if radii else UNKNOWN_HALF_RADIUS_UM
        self.members = tuple(context.upstream[ROLE])
        self.calibrations = tuple(self._calibrated(number, val, context) for number in range(1, len(self.members) + 1))
        context.training_info["half the matching radius"] = f"{self.half_radius_um:g} um"
        context.training_info["calibration"] = {
            spec: {name: float(f"{float(value):.4g}") for name, value in asdict(curve).items()}
            for spec, curve in zip(_specs(self.options), self.calibrations, strict=True)
        }

    def _calibrated(self, number: int, val: Sequence[Sample], context: Context) -> Calibration:
        scores, labels = [np.zeros(0)], [np.zeros(0, dtype=bool)]
        for done, sample in enumerate(val, 1):
            found = context.label(sample, _checked(self.members[number - 1], sample.frame))
            once = _found_once(found, sample)
            scores.append(found.score[once])
            labels.append(found.is_mitosis[once])
            context.progress((number - 1) * len(val) + done, len(self.members) * len(val))
        joined, is_mitosis = np.concatenate(scores), np.concatenate(labels)
        if self.options.calibration == "none":
            return Calibration.none(joined)
        return Calibration.fit(joined, is_mitosis)

    def predict(self, frame: Frame) -> Detections:
        """Returns the merged detections, the best first."""
        found = [_checked(member, frame) for member in self.members]
        scores = [curve(each.score) for curve, each in zip(self.calibrations, found, strict=True)]
        lowest = [curve.lowest for curve in self.calibrations]
        cells = merged(found, scores, lowest, frame.mpp, self.options.merge_um or self.half_radius_um)
        return cells.apart(frame.mpp, self.options.distance_um)

    def exportable(self) -> Any:
        """Raises PluginError: a union is not a network."""
        raise PluginError(f"{self.name} is not one network. Export a run of each member")

    def save(self, folder: Path) -> None:
        """Writes the calibrations, the radius, and every member with its options and the files that these name."""
        state = []
        for number, (member, curve) in enumerate(zip(self.members, self.calibrations, strict=True), 1):
            options, files = member.options.model_dump(mode="json"), files_of(member.options)
            if isinstance(options.get("pretrained"), str):
                options["pretrained"] = Path(options["pretrained"]).name  # fits alone read it
            if files:
                _write_files(folder / FILES.format(number=number), files)
            names = {place: file.name for place, file in files.items()}
            state.append({"name": member.name, "options": options, "files": names, "calibration": asdict(curve)})
            if member.learns():
                (folder / f"member-{number}").mkdir()
                member.save(folder / f"member-{number}")
        whole = {"half_radius_um": self.half_radius_um, "members": state}
        (folder / STATE).write_text(json.dumps(whole), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote. Raises PluginError if the files are not those of these members."""
        self._files = tempfile.TemporaryDirectory(prefix="mitobench-")
        saved = _saved(folder, self.options, Path(self._files.name))
        self.half_radius_um, self.calibrations = saved.half_radius_um, saved.calibrations
        self.members = tuple(
            self._member(cls(options, self.device), folder / f"member-{number}")
            for number, (cls, options) in enumerate(saved.members, 1)
        )

    def _member(self, member: Detector, folder: Path) -> Detector:
        if self._raised:
            member.raise_limits()
        if member.learns():
            member.load(folder)
        return member


@dataclass(frozen=True)
class _Saved:
    """What `Union.save` wrote: the radius, the calibrations, and class and options of each member."""

    half_radius_um: float
    calibrations: tuple[Calibration, ...]
    members: tuple[tuple[type[Detector], Any], ...]


def _saved(folder: Path, options: Any, files: Path) -> _Saved:
    """Reads what `Union.save` wrote, apart from the members' own folders; their files are written to `files`.

    Raises PluginError if it is not that of these members.
    """
    whole = read_json(folder / STATE, MAX_STATE_BYTES, "union's file", PluginError)
    try:
        state = whole["members"]
        if [entry["name"] for entry in state] != _specs(options):
            raise ValueError("it lists other members")
        return _Saved(
            _positive(whole["half_radius_um"]),
            tuple(Calibration.read(entry["calibration"]) for entry in state),
            tuple(_saved_member(folder, number, entry, files) for number, entry in enumerate(state, 1)),
        )
    except (TypeError, KeyError, ValueError) as reason:
        name = f"{Union.name}:{options.detectors}"
        raise PluginError(f"{folder / STATE}: was not written by {name}: {reason}. Fit it again.") from reason


def _saved_member(folder: Path, number: int, entry: Mapping[str, Any], files: Path) -> tuple[type[Detector], Any]:
    cls: Any = discovery.load(ROLE, entry["name"])
    names = entry["files"]
    own = dict(_read_files(folder / FILES.format(number=number), names, files)) if names else {}
    options = cls.Options.model_validate(with_files(entry["options"], own))
    check_brought(options, own)
    return cls, options


def _check_members(argument: str, given: Sequence[str]) -> None:
    """Raises MitobenchError for fewer than two members, an empty one, and a union among them."""
    if len(given) < 2:
        raise MitobenchError(
            f"union:{argument}: has one member, {given[0]}, and a union needs at least two. Write + between detectors, "
            f"for example union:{given[0]}+{'frcnn' if given[0] == 'blobs' else 'blobs'}, or use {given[0]} alone."
        )
    for place, spec in enumerate(given, 1):
        if not spec:
            raise MitobenchError(
                f"union:{argument}: member {place} of {len(given)} is empty. Name a detector there, or remove the +."
            )
    if any(discovery.split(spec)[0] == Union.name for spec in given):
        flat = [own for spec in given if (own := spec.removeprefix(Union.name).removeprefix(":"))]
        one = SEPARATOR.join(map(_quoted, dict.fromkeys(flat)))
        how = f"List all detectors in one: union:{one}." if len(set(flat)) > 1 else "Name at least two detectors."
        raise MitobenchError(f"union:{argument}: a union cannot contain a union. {how}")


def _full(argument: str, spec: str) -> str:
    """Returns a member's full name. Raises MitobenchError, with the union and the member, if it is not a detector."""
    try:
        return discovery.load(ROLE, spec).name
    except MitobenchError as reason:
        error = PluginError if isinstance(reason, PluginError) else MitobenchError
        raise error(f"union:{argument}: its member {spec}: {reason}") from reason


def _found_once(found: Candidates, sample: Sample) -> NDArray[np.bool_]:
    """Returns which detections are not a further one of a mitosis that a better detection found, bool [N].

    A detector may find a mitosis several times, with scores down to its lowest. Only the best of them says what a score
    of a mitosis is; the others are neither mitoses nor false.
    """
    _, nearest = KDTree(sample.mitoses.xy * sample.frame.mpp).query(found.xy * sample.frame.mpp)
    once = ~found.is_mitosis
    best_first = np.argsort(-found.score, kind="stable")
    hits = best_first[found.is_mitosis[best_first]]
    once[hits[np.unique(nearest[hits], return_index=True)[1]]] = True
    return once


def merged(
    found: Sequence[Detections],
    scores: Sequence[Floats],
    lowest: Sequence[float],
    mpp: tuple[float, float],
    radius: float,
) -> Detections:
    """Merges the detections of several detectors on one frame.

    The best detection that is left takes all others within `radius` um of it, and keeps its centre and box. Each
    detector counts with the best of its scores among these, or with its lowest score if it has none; the merged score
    has the mean of their logits. `extra` has these scores as `members`, [N, M], for fusers. Detectors need not agree in
    `kind` and `extra`, so theirs are left out.

    Args:
        found: the detections of each of M detectors.
        scores: their calibrated scores, [N] each, from 0 to 1.
        lowest: the score of each detector for a cell that it did not find.
        mpp: um/px along x and y.
        radius: um.

    Returns the merged detections, the best first.
    """
    xy = np.concatenate([each.xy for each in found]).reshape(-1, 2)
    boxes = np.concatenate([each.boxes for each in found]).reshape(-1, 4)
    score = np.concatenate([np.zeros(0), *scores])
    member = np.repeat(np.arange(len(found)), [len(each) for each in found])
    if not len(score):
        return Detections.none()
    near = KDTree(xy * mpp).query_ball_point(xy * mpp, radius)
    left = np.ones(len(score), dtype=bool)
    kept, of_members = [], []
    for best in np.lexsort((xy[:, 0], xy[:, 1], member, -score)):
        if left[best]:
            cell = np.array([other for other in near[best] if left[other]])
            of_each = np.full(len(found), -np.inf)
            np.maximum.at(of_each, member[cell], score[cell])
            of_each = np.where(np.isneginf(of_each), lowest, of_each)
            left[cell] = False
            kept.append(best)
            of_members.append(of_each)
    means: Floats = expit(logits(np.asarray(of_members)).mean(axis=1))
    order = np.argsort(-means, kind="stable")
    rows = np.asarray(kept)[order]
    return Detections(xy[rows], boxes[rows], means[order], extra={"members": np.asarray(of_members)[order]})


def _checked(member: Detector, frame: Frame) -> Detections:
    """Returns a member's detections. Raises PluginError, with the member's name, for values that are not finite."""
    found = member.predict(frame)
    arrays = [np.asarray(value, dtype=np.float64) for value in (found.xy, found.boxes, found.score)]
    shapes = [(len(arrays[2]), 2), (len(arrays[2]), 4), (len(arrays[2]),)]
    if [array.shape for array in arrays] != shapes or not all(np.isfinite(array).all() for array in arrays):
        raise PluginError(
            f"Detector {member.name!r} on frame {frame.key}: predict() must return finite xy [N, 2], boxes [N, 4] and "
            "score [N]."
        )
    return Detections(*arrays)


def _positive(number: Any) -> float:
    """Returns a number. Raises ValueError unless it is one above 0 and finite."""
    if not isinstance(number, int | float) or not 0 < number < math.inf:
        raise ValueError(f"half_radius_um is {number!r}, must be a number above 0")
    return float(number)


def _specs(options: Any) -> list[str]:
    return discovery.separate(options.detectors, SEPARATOR) if options.detectors else []


def _quoted(spec: str) -> str:
    """Returns a spec in quotes if it would be read as several."""
    if discovery.separate(spec, SEPARATOR) == [spec]:
        return spec
    return f"'{spec}'" if "'" not in spec else f'"{spec}"'


def _write_files(path: Path, files: Mapping[str, File]) -> None:
    """Writes the content of files as arrays of bytes, which a packed model may hold."""
    from safetensors.numpy import save_file

    save_file({place: np.frombuffer(file.read_bytes(), dtype=np.uint8) for place, file in files.items()}, path)


def _read_files(path: Path, names: Mapping[str, str], folder: Path) -> Iterator[tuple[str, File]]:
    """Yields the files that `_write_files` wrote, by place; they are written to a folder of this process."""
    from safetensors.numpy import load_file

    content = load_file(path)
    for number, (place, name) in enumerate(sorted(names.items())):
        if Path(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"{name!r} is not the name of a file")
        target = folder / f"{path.stem}-{number}"
        target.mkdir()
        (target / name).write_bytes(content[place].tobytes())
        yield place, File(target / name)

"""Plans a run: turns a grid of combinations into a graph of distinct stages. Combinations share equal stages.

If a plugin declares that it does not use an input, that input is not part of its stage. For example, a detector that
uses no boxes is fitted once for all estimators.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mitobench import discovery
from mitobench.api import Detector
from mitobench.datasets.splits import PARTS
from mitobench.discovery import ROLES
from mitobench.errors import MitobenchError, PluginError
from mitobench.evaluate.matching import radius_um_for
from mitobench.pipeline import canonical
from mitobench.pipeline.code_digests import code_settings, plugin_code
from mitobench.pipeline.graph import UNUSED, Combination, Plan, PlannedRun, Request
from mitobench.pipeline.pipeline_options import F1, VALIDATION, PipelineOptions
from mitobench.pipeline.plugin_ref import PluginRef
from mitobench.pipeline.requirements import requiring, with_required
from mitobench.pipeline.settings import Settings
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.workspace import Workspace

NO_VERIFIER, NO_FUSER = "none", "detector-only"  # with either of them, the detector's score alone decides
IN_RECORDS = ("encoder", "embeddings-val", "embeddings-test")  # the stages of embeddings that a record lists
NOT_FITTED_ON = ("encoder", "embeddings-test")

Roles = Mapping[str, Sequence[str]]


def build(grids: Sequence[tuple[Roles, Settings]], request: Request, workspace: Workspace) -> Plan:
    """Returns the plan of every combination of the grids.

    Args:
        grids: plugin names by role, and the options of these plugins.
        request: data sets, seeds and how to compute.
        workspace: the frames.

    Raises MitobenchError for an unknown plugin or option. If a plugin cannot be loaded, only its own combinations are
    broken.
    """
    return Plan([row for roles, settings in grids for row in _grid(roles, settings, request, workspace)])


def training_frames(workspace: Workspace, dataset: str, train_on: Sequence[str]) -> tuple[str, ...]:
    """Returns the keys of the frames to fit on, sorted.

    They are the train parts of the data sets whose validation frames choose the thresholds (`Workspace.choosing`), and
    all labelled frames of the other training sets, which are neither tested on nor used to choose.
    """
    choosing = workspace.choosing(dataset, train_on)
    others = [name for name in train_on if name not in choosing]
    labelled = (key for part in PARTS for key in workspace.part(others, part) if workspace.item(key).mitoses.labelled)
    return tuple(sorted([*workspace.part(choosing, "train"), *labelled]))


def scoring_radius_um(workspace: Workspace, dataset: str, matcher: str) -> float:
    """Returns the radius that a matcher scores a data set with, um: the card's, or one in px that is the matcher's.

    Raises MitobenchError if the radius is in px and the frames do not all have the same um/px.
    """
    mpp = [item.frame.mpp for item in workspace.datasets[dataset].items.values()]
    return radius_um_for(matcher, workspace.card(dataset).radius_um, mpp)


def _grid(roles: Roles, settings: Settings, request: Request, workspace: Workspace) -> list[PlannedRun]:
    planner = _Planner(request, settings, workspace)
    rows: dict[Combination, PlannedRun] = {}
    for dataset, seed in itertools.product(request.datasets, request.seeds):
        for names in itertools.product(*(roles[role] for role in ROLES)):
            row = planner.row(dataset, dict(zip(ROLES, names, strict=True)), seed)
            rows.setdefault(row.combination, row)
    return list(rows.values())


@dataclass(frozen=True)
class _Detected:
    """The stages up to the detections, which all combinations of an estimator and a detector share.

    Attributes:
        train, val: keys of the frames to fit and to choose on.
        boxes: makes the boxes to train on; None without an estimator.
        box_scores: compares boxes with masks on test frames; None without an estimator, masks or test frames.
        detector: the fit; None for a detector that learns nothing.
        detections: by part, `val` and `test`.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    boxes: Stage | None
    box_scores: Stage | None
    detector: Stage | None
    detections: Mapping[str, Stage]


@dataclass(frozen=True)
class _Verified:
    """The stages of a verifier, which all combinations of it, an estimator and a detector share.

    Attributes:
        fitted: the fit; None for a verifier that learns nothing.
        scores: by part, `val` and `test`; empty for a verifier that verifies nothing.
        embeddings: of a verifier on a frozen encoder, by role.
    """

    fitted: Stage | None
    scores: Mapping[str, Stage]
    embeddings: Mapping[str, Stage]


class _Planner:
    """Builds the stages of each combination. Equal stages get equal keys, which is how combinations share them.

    What many combinations share is built once: within a planner, a plugin's name decides its options.
    """

    def __init__(self, request: Request, settings: Settings, workspace: Workspace) -> None:
        self.request, self.settings, self.workspace = request, settings, workspace
        self.pipeline: PipelineOptions = settings.pipeline()
        self.compute = {
            "device": request.device,
            "amp": request.amp,
            "processes": request.processes,
            "threads": request.threads,
        }
        self._refs: dict[tuple[str, str], PluginRef] = {}
        self._detected_once = functools.cache(self._detected)
        self._verified_once = functools.cache(self._verified)
        self._need_boxes_once = functools.cache(self._need_boxes)
        self._code_once = functools.cache(code_settings)
        self._matching_once = functools.cache(self._matching)
        self._datasets_once = functools.cache(_datasets)

    # ------------------------------------------------------------------------------------------- combinations

    def row(self, dataset: str, names: dict[str, str], seed: int) -> PlannedRun:
        """Returns one planned combination, in the simplest form that computes the same."""
        train_on = tuple(sorted(self.request.train_on or (dataset,)))
        protocol = self.workspace.splits[dataset].protocol
        for role, name in names.items():
            discovery.find(role, name)

        def combination() -> Combination:
            return Combination(dataset, train_on, protocol, **names, seed=seed)

        try:
            classes = {role: discovery.load(role, name) for role, name in names.items()}
            names.update(self._simplest(names, classes))
            refs = {role: self.ref(role, name) for role, name in names.items() if name != UNUSED}
        except PluginError as reason:
            return PlannedRun(combination(), self.settings, problem=("broken", str(reason)))
        planned = PlannedRun(combination(), self.settings, refs)
        impossible = self._why_not(refs, train_on)
        if impossible:
            return replace(planned, problem=("not applicable", impossible))
        try:
            return replace(planned, stages=self._stages(dataset, train_on, refs, seed))
        except PluginError as reason:
            return replace(planned, problem=("broken", str(reason)))

    def ref(self, role: str, name: str, extra: Mapping[str, Any] | None = None) -> PluginRef:
        """Returns the reference to a plugin with the options of this run; `extra` options override them."""
        if extra or (role, name) not in self._refs:
            cls = discovery.load(role, name)
            source = plugin_code(role, cls).digest
            ref = PluginRef.of(role, cls, self.settings.options(role, cls, extra), source)
            if extra:
                return ref
            self._refs[role, name] = ref
        return self._refs[role, name]

    def _simplest(self, names: Mapping[str, str], classes: Mapping[str, Any]) -> dict[str, str]:
        """Returns replacement names, by role, for plugins that have no effect in this combination."""
        simpler = {}
        if not self._need_boxes_once(names["detector"], names["verifier"]):
            simpler["estimator"] = UNUSED
        if not classes["fuser"].uses_verifier:
            simpler["verifier"] = NO_VERIFIER
        elif not classes["verifier"].verifies and self._only_weighs(names["fuser"], classes["fuser"]):
            simpler["fuser"] = NO_FUSER
        return simpler

    def _need_boxes(self, detector: str, verifier: str) -> bool:
        """Returns whether a detector learns from boxes, or one that it or a verifier requires."""
        named = (("detector", detector), ("verifier", verifier))
        found = itertools.chain.from_iterable(with_required(self.settings, *plugin) for plugin in named)
        return any(issubclass(cls, Detector) and cls.uses_boxes for _, cls, _ in found)

    @staticmethod
    def _only_weighs(name: str, fuser: Any) -> bool:
        """Returns whether the fuser computes the same as `detector-only` if there is no verifier.

        Only fusers of mitobench itself are simplified: what others do without a verifier is not known.
        """
        return discovery.find("fuser", name).package == discovery.CORE and getattr(fuser, "only_weighs", False)

    def _why_not(self, refs: Mapping[str, PluginRef], train_on: Sequence[str]) -> str | None:
        """Returns why these plugins cannot be combined on these data sets; None if they can."""
        fuser = refs["fuser"].cls()
        if fuser.needs_verifier and not refs["verifier"].cls().verifies:
            return f"fuser {fuser.name} needs a verifier"
        estimator = refs["estimator"].cls() if "estimator" in refs else None
        unmasked = [name for name in train_on if not self.workspace.card(name).has_masks]
        if estimator and estimator.needs_masks and unmasked:
            return f"estimator {estimator.name} needs masks, but these data sets have none: {', '.join(unmasked)}"
        if estimator and estimator.learns_from_masks and not self._mask_sources(train_on):
            return f"estimator {estimator.name} learns from masks, but no data set here has any"
        return None

    def _mask_sources(self, train_on: Sequence[str]) -> list[str]:
        """Returns the data sets whose masks an estimator learns from.

        They are the training sets with masks, or if none has masks, all data sets of the run that have them.
        """
        own = [name for name in train_on if self.workspace.card(name).has_masks]
        return own or sorted(name for name in self.workspace.datasets if self.workspace.card(name).has_masks)

    # ------------------------------------------------------------------------------------------------- stages

    def _stages(
        self, dataset: str, train_on: tuple[str, ...], refs: Mapping[str, PluginRef], seed: int
    ) -> dict[str, Stage]:
        estimator = refs["estimator"].name if "estimator" in refs else UNUSED
        names = (estimator, refs["detector"].name)
        detected = self._detected_once(dataset, train_on, names, seed)
        verified = self._verified_once(dataset, train_on, (*names, refs["verifier"].name), seed)
        detections, scores = detected.detections, verified.scores
        verifies = refs["verifier"].cls().verifies
        fusion = self._stage(
            "fusion",
            refs["fuser"],
            {"val": detected.val},
            {"detections": detections["val"], "verifier-scores": scores.get("val")},
            candidate_threshold=self._threshold(refs["detector"]),
            choose_by=self.pipeline.choose_by if verifies or refs["fuser"].name != NO_FUSER else F1,
            **self._matching_once(dataset),
        )
        stages = {
            **{f"detections-{part}": stage for part, stage in detections.items()},
            **{role: stage for role, stage in verified.embeddings.items() if role in IN_RECORDS},
            "verifier": verified.fitted,
            **{f"verifier-scores-{part}": stage for part, stage in scores.items()},
            "boxes": detected.boxes,
            "detector": detected.detector,
            "fusion": fusion,
        }
        if "test" in detections:
            upstream = {"fusion": fusion, "detections": detections["test"], "verifier-scores": scores.get("test")}
            stages["box-scores"] = detected.box_scores
            stages["evaluation"] = self._stage(
                "evaluation",
                refs["fuser"],
                {"test": detections["test"].frames["frames"]},
                upstream,
                cut_offs=self.workspace.card(dataset).cut_offs_by_tumour,
                **self._matching_once(dataset),
            )
        return {role: stage for role, stage in stages.items() if stage is not None}

    def _threshold(self, detector: PluginRef) -> Any:
        return self.pipeline.for_detector(detector.name).candidate_threshold

    def _detected(self, dataset: str, train_on: tuple[str, ...], names: tuple[str, str], seed: int) -> _Detected:
        """Returns the stages of an estimator (`UNUSED`: none) and a detector, by their names."""
        estimator = self.ref("estimator", names[0]) if names[0] != UNUSED else None
        detector = self.ref("detector", names[1])
        train, val = training_frames(self.workspace, dataset, train_on), self.workspace.validation(dataset, train_on)
        boxes = self._boxes(estimator, train_on, (*train, *val), seed)
        fitted = self._detector(detector, boxes, train, val, seed)
        parts = {"val": val}
        if self.request.part == "test":
            parts["test"] = self.workspace.part([dataset], "test")
        detections = {part: self._detections(detector, fitted, keys, part) for part, keys in parts.items()}
        box_scores = self._box_scores(estimator, train_on, boxes) if "test" in parts else None
        return _Detected(train, val, boxes, box_scores, fitted, detections)

    def _verified(self, dataset: str, train_on: tuple[str, ...], names: tuple[str, str, str], seed: int) -> _Verified:
        """Returns the stages of a verifier after an estimator (`UNUSED`: none) and a detector, by their names."""
        found = self._detected_once(dataset, train_on, names[:2], seed)
        detector, verifier = self.ref("detector", names[1]), self.ref("verifier", names[2])
        if not verifier.cls().verifies:
            return _Verified(None, {}, {})
        train, val, detections = found.train, found.val, found.detections
        sources = dict[str, Stage]()
        if not verifier.takes_over:
            sources = self._candidates(detector, found.detector, found.boxes, train, val, seed)
        required, members = self._required(verifier, found.boxes, train, val, seed)
        upstream = {**sources, **required, "candidates-val": detections["val"]}
        embeddings = dict[str, Stage]()
        if verifier.embeds:
            embeddings = self._embeddings(verifier, sources, detections, (*train, *val))
            upstream |= {role: stage for role, stage in embeddings.items() if role not in NOT_FITTED_ON}
        fitted = self._fit(verifier, {"train": train, "val": val}, upstream, seed, members)
        threshold = self._threshold(detector)
        scores = {
            part: self._verifier_scores(verifier, fitted, stage, embeddings.get(f"embeddings-{part}"), part, threshold)
            for part, stage in detections.items()
        }
        return _Verified(fitted, scores, embeddings)

    def _boxes(
        self, estimator: PluginRef | None, train_on: Sequence[str], frames: tuple[str, ...], seed: int
    ) -> Stage | None:
        """Returns the stage that makes boxes on all frames that the detector trains on; None without an estimator."""
        if estimator is None:
            return None
        fitted = self._estimator(estimator, train_on, seed)
        return self._predict("boxes", estimator, {"frames": frames}, {"estimator": fitted})

    def _estimator(self, estimator: PluginRef, train_on: Sequence[str], seed: int) -> Stage | None:
        sources = self._mask_sources(train_on) if estimator.cls().learns_from_masks else train_on
        frames = {part: self.workspace.part(sources, part) for part in ("train", "val")}
        return self._fit(estimator, frames, {}, seed)

    def _box_scores(self, estimator: PluginRef | None, train_on: Sequence[str], boxes: Stage | None) -> Stage | None:
        """Returns the stage that compares the estimator's boxes with masks, on test frames of data sets with masks.

        The estimator was not fitted on these frames.
        """
        sources = self._mask_sources(train_on)
        if estimator is None or boxes is None or not sources:
            return None
        upstream = {"estimator": boxes.upstream.get("estimator")}
        return self._predict("box-scores", estimator, {"test": self.workspace.part(sources, "test")}, upstream)

    def _detector(
        self, detector: PluginRef, boxes: Stage | None, train: tuple[str, ...], val: tuple[str, ...], seed: int
    ) -> Stage | None:
        used = boxes if detector.cls().uses_boxes and not detector.takes_over else None
        required, members = self._required(detector, boxes, train, val, seed)
        return self._fit(detector, {"train": train, "val": val}, {"boxes": used, **required}, seed, members)

    def _required(
        self, plugin: PluginRef, boxes: Stage | None, train: tuple[str, ...], val: tuple[str, ...], seed: int
    ) -> tuple[dict[str, Stage | None], dict[str, PluginRef]]:
        """Returns the fits of the detectors that a plugin starts from, and those of them that must predict."""
        fits, members = dict[str, Stage | None](), dict[str, PluginRef]()
        for place, (role, requirement) in plugin.requires().items():
            with requiring(plugin.role, plugin.name, requirement.name):
                other = self.ref(role, requirement.name, requirement.options)
            if role != "detector" or not (other.cls().learns() or place != role):
                raise PluginError(
                    f"{plugin.role} {plugin.name!r} requires the {role} {requirement.name!r}; only a detector that "
                    "learns can be required, or a sequence of detectors."
                )
            fits[f"requires-{place}"] = self._detector(other, boxes, train, val, seed)
            if place != role:
                members[f"requires-{place}"] = other
        return fits, members

    def _detections(self, detector: PluginRef, fitted: Stage | None, frames: tuple[str, ...], part: str) -> Stage:
        return self._predict("detections", detector, {"frames": frames}, {"detector": fitted}, part=part)

    def _candidates(
        self,
        detector: PluginRef,
        fitted: Stage | None,
        boxes: Stage | None,
        train: tuple[str, ...],
        val: tuple[str, ...],
        seed: int,
    ) -> dict[str, Stage]:
        """Returns the stages that detect candidates on the training frames, by role.

        There is one stage for the detector itself (`in-sample`), or one for each of k detectors, which predicts frames
        that it was not fitted on (`out-of-fold(k)`).
        """
        if not self.pipeline.folds or fitted is None:
            return {"candidates-train": self._detections(detector, fitted, train, "train")}
        if detector.takes_over:
            raise MitobenchError(
                f"pipeline.candidates={self.pipeline.candidates}: {detector.name} with iterations = 0 is one network, "
                "which may have learned from all frames. Give in-sample, or train the detector."
            )
        stages = {}
        for number, (seen, unseen) in enumerate(self._folds(train), 1):
            fold = self._detector(detector, boxes, seen, val, seed)
            stages[f"candidates-train-{number}"] = self._detections(detector, fold, unseen, f"fold {number}")
        return stages

    def _folds(self, train: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Yields the (seen, unseen) frames of each fold.

        Frames of one slide are in the same fold, unless the split itself divides slides between its parts; then frames
        of one field of view are.
        """
        by_slide = not any(self.workspace.splits[key.partition("/")[0]].shares_groups for key in train)
        unit_of = self.workspace.group_of if by_slide else self.workspace.field_of
        unit = {key: unit_of(key) for key in train}
        units = sorted(set(unit.values()), key=canonical.digest)
        folds = self.pipeline.folds
        if folds > len(units):
            what = "slides" if by_slide else "fields of view"
            raise MitobenchError(
                f"pipeline.candidates=out-of-fold({folds}): there are only {len(units)} {what} to train on. "
                f"Give at most {len(units)} folds."
            )
        for fold in range(folds):
            held_out = set(units[fold::folds])
            yield tuple(k for k in train if unit[k] not in held_out), tuple(k for k in train if unit[k] in held_out)

    def _embeddings(
        self,
        verifier: PluginRef,
        candidates: Mapping[str, Stage],
        detections: Mapping[str, Stage],
        annotated: tuple[str, ...],
    ) -> dict[str, Stage]:
        """Returns the stages that embed candidates and annotated points with a verifier's frozen encoder, by role.

        None of them depends on a seed of the verifier. `annotated` are the frames to fit on.
        """
        encoder = self._stage("encoder", verifier.for_encoder(), {}, {}, description=verifier.describe_encoder())

        def embedded(frames: tuple[str, ...], part: str, points: Stage | None = None) -> Stage:
            upstream = {"encoder": encoder, "detections": points}
            return self._predict("embeddings", verifier.for_embeddings(), {"frames": frames}, upstream, part=part)

        stages = {"encoder": encoder, "embeddings-annotated": embedded(annotated, "annotated")}
        for role, found in {
            **candidates,
            **{f"candidates-{part}": stage for part, stage in detections.items()},
        }.items():
            part = str(found.settings["part"])
            stages[role.replace("candidates", "embeddings")] = embedded(found.frames["frames"], part, found)
        return stages

    def _verifier_scores(
        self,
        verifier: PluginRef,
        fitted: Stage | None,
        detections: Stage,
        embeddings: Stage | None,
        part: str,
        threshold: Any,
    ) -> Stage:
        upstream = {"verifier": fitted, "detections": detections, "embeddings": embeddings}
        fixed = None if threshold == VALIDATION else threshold
        return self._predict(
            "verifier-scores", verifier, detections.frames, upstream, part=part, candidate_threshold=fixed
        )

    # ------------------------------------------------------------------------------------------------ details

    def _fit(
        self,
        plugin: PluginRef,
        frames: Mapping[str, tuple[str, ...]],
        upstream: Mapping[str, Stage | None],
        seed: int,
        members: Mapping[str, PluginRef] = {},
    ) -> Stage | None:
        """Returns the stage that fits a plugin; None for a plugin that learns nothing."""
        if not plugin.cls().learns():
            return None
        fitted = plugin.for_fit()
        return self._stage(f"fit-{plugin.role}", fitted, frames, upstream, members, seed=seed, **self.compute)

    def _predict(
        self,
        kind: str,
        plugin: PluginRef,
        frames: Mapping[str, tuple[str, ...]],
        upstream: Mapping[str, Stage | None],
        **settings: Any,
    ) -> Stage:
        return self._stage(kind, plugin, frames, upstream, device=self.compute["device"], **settings)

    def _stage(
        self,
        kind: str,
        plugin: PluginRef,
        frames: Mapping[str, tuple[str, ...]],
        upstream: Mapping[str, Stage | None],
        members: Mapping[str, PluginRef] = {},
        **settings: Any,
    ) -> Stage:
        digests = {part: self.workspace.digest(keys) for part, keys in frames.items()}
        used = {role: stage for role, stage in upstream.items() if stage is not None}
        datasets = frozenset[str]().union(*map(self._datasets_once, frames.values()))
        named = tuple((one.role, one.name) for one in (plugin, *members.values()))
        code = self._code_once(kind, named, datasets)
        return Stage(kind, plugin, frames, {**settings, **code}, used, digests, members)

    def _matching(self, dataset: str) -> dict[str, Any]:
        matcher = self.request.matcher
        return {"matcher": matcher, "radius_um": scoring_radius_um(self.workspace, dataset, matcher)}


def _datasets(keys: tuple[str, ...]) -> frozenset[str]:
    """Returns the data sets of frames."""
    return frozenset(key.partition("/")[0] for key in keys)

"""What a detector returns, and the same with labels, which verifiers learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mitobench.api.coordinates import Floats, square_boxes
from mitobench.errors import PluginError


def _floats(values: ArrayLike) -> Floats:
    """Returns values as float64. Raises TypeError for complex ones, whose imaginary part numpy would only drop."""
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise TypeError("detections have complex numbers; boxes, points and scores must be real")
    return np.asarray(array, dtype=np.float64)


def _further(kind: ArrayLike | None, extra: Mapping[str, ArrayLike] | None) -> dict[str, Any]:
    """Returns the arguments `kind` and `extra` of `Detections`, as arrays."""
    arrays = {name: np.asarray(values) for name, values in (extra or {}).items()}
    return {"kind": None if kind is None else np.asarray(kind).reshape(-1), "extra": arrays}


@dataclass(frozen=True)
class Detections:
    """Candidates for mitoses on one frame, in pixels of the whole frame.

    Attributes:
        xy: centres, [N, 2] px.
        boxes: (x1, y1, x2, y2), [N, 4] px.
        score: [N]; a higher score means that a mitosis is more likely.
        kind: the detector's own class of each detection, int [N] or text [N]; None if it has none. Every detection is
            a candidate, whatever its kind.
        extra: further values of each detection by name, [N, ...]: an embedding, an angle, the scores of the members of
            an ensemble. Verifiers and fusers may use them; mitobench itself does not, and records do not hold them.
    """

    xy: Floats
    boxes: Floats
    score: Floats
    kind: NDArray[Any] | None = field(default=None, kw_only=True)
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict, kw_only=True)

    @classmethod
    def from_boxes(
        cls,
        boxes: ArrayLike,
        score: ArrayLike,
        *,
        kind: ArrayLike | None = None,
        extra: Mapping[str, ArrayLike] | None = None,
    ) -> Detections:
        """Makes detections from boxes; the centres are those of the boxes.

        Args:
            boxes: (x1, y1, x2, y2) of each detection, [N, 4] px.
            score: one score for each, [N]; higher means that a mitosis is more likely.
            kind: the detector's own class of each, int or text [N], if it has classes.
            extra: further values of each by name, [N, ...].
        """
        boxes = _floats(boxes).reshape(-1, 4)
        return cls((boxes[:, :2] + boxes[:, 2:]) / 2, boxes, _floats(score).reshape(-1), **_further(kind, extra))

    @classmethod
    def from_points(
        cls,
        xy: ArrayLike,
        score: ArrayLike,
        side: float = 30.0,
        *,
        kind: ArrayLike | None = None,
        extra: Mapping[str, ArrayLike] | None = None,
    ) -> Detections:
        """Makes detections from points, each with a square box around it.

        Args:
            xy: the points, [N, 2] px.
            score: one score for each, [N]; higher means that a mitosis is more likely.
            side: side of the boxes, px.
            kind: the detector's own class of each, int or text [N], if it has classes.
            extra: further values of each by name, [N, ...].
        """
        xy = _floats(xy).reshape(-1, 2)
        return cls(xy, square_boxes(xy, side), _floats(score).reshape(-1), **_further(kind, extra))

    @classmethod
    def none(cls) -> Detections:
        """Makes detections without a candidate: N = 0."""
        return cls.from_boxes(np.zeros((0, 4)), np.zeros(0))

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, keep: Any) -> Detections:
        """Selects detections by an index array or a boolean mask."""
        return Detections(self.xy[keep], self.boxes[keep], self.score[keep], **self._further(keep))

    def apart(self, mpp: tuple[float, float], distance_um: float) -> Detections:
        """Returns those that are at least `distance_um` from every better one that is returned, the best first.

        A detector that finds a cell several times gives a verifier several chances to call it a mitosis, and all but
        one of them are false positives. Boxes of different sizes on one cell overlap too little for non-maximum
        suppression. Of equal scores the first is kept.

        Args:
            mpp: um/px along x and y.
            distance_um: um; 0 keeps all.
        """
        from scipy.spatial import cKDTree

        order = np.argsort(-self.score, kind="stable")
        if not distance_um or len(self) < 2:
            return self[order]
        place = self.xy[order] * np.asarray(mpp)
        near: dict[int, list[int]] = {}
        for better, worse in cKDTree(place).query_pairs(distance_um * (1 - 1e-9)):
            near.setdefault(better, []).append(worse)
        keep = np.ones(len(order), dtype=bool)
        for better in sorted(near):
            if keep[better]:
                keep[near[better]] = False
        return self[order[keep]]

    def _further(self, keep: Any) -> dict[str, Any]:
        """Returns `kind` and `extra` of the selected detections."""
        kind = None if self.kind is None else self.kind[keep]
        return {"kind": kind, "extra": {name: values[keep] for name, values in self.extra.items()}}

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """Concatenates detections. Parts without a detection need not have `kind` and `extra` as the others do.

        Raises:
            PluginError: if the others do not all have the same kind of class, and extra arrays of the same names,
                shapes and types.
        """
        parts = [part for part in parts if len(part)] or list(parts[:1])
        if not parts:
            return cls.none()
        forms = list(dict.fromkeys(part.form for part in parts))
        if len(forms) > 1:
            raise PluginError(
                f"Detections have different `kind` or `extra`: {dict(forms[0])} here and {dict(forms[1])} there. "
                "Return the same names, shapes and types for every frame."
            )
        xy, boxes, score = (np.concatenate([getattr(p, name) for p in parts]) for name in ("xy", "boxes", "score"))
        kind = None if parts[0].kind is None else np.concatenate([p.kind for p in parts if p.kind is not None])
        extra = {name: np.concatenate([p.extra[name] for p in parts]) for name in parts[0].extra}
        return Detections(xy, boxes, score, kind=kind, extra=extra)

    @property
    def form(self) -> tuple[tuple[str, str], ...]:
        """Type of `kind`, and type and shape of each extra array, by name: equal for detections that go together."""
        kind = "" if self.kind is None else "text" if self.kind.dtype.kind == "U" else str(self.kind.dtype)
        arrays = {name: f"{values.dtype} {list(values.shape[1:])}" for name, values in sorted(self.extra.items())}
        return tuple({"kind": kind, **{f"extra {name}": form for name, form in arrays.items()}}.items())


@dataclass(frozen=True)
class Candidates(Detections):
    """Detections on a training frame with labels from the harness.

    Attributes:
        is_mitosis: bool [N]; True if the centre is within the data set's matching radius of an annotated mitosis.
    """

    is_mitosis: NDArray[np.bool_]

    def __getitem__(self, keep: Any) -> Candidates:
        """Selects candidates, with their labels, by an index array or a boolean mask."""
        labels = self.is_mitosis[keep]
        return Candidates(self.xy[keep], self.boxes[keep], self.score[keep], labels, **self._further(keep))

    @classmethod
    def of(cls, detections: Detections, is_mitosis: NDArray[np.bool_]) -> Candidates:
        """Returns detections with labels.

        Args:
            detections: N detections on one frame.
            is_mitosis: the label of each, bool [N].
        """
        return cls(
            detections.xy,
            detections.boxes,
            detections.score,
            is_mitosis,
            kind=detections.kind,
            extra=detections.extra,
        )

    def unlabelled(self) -> Detections:
        """Returns the candidates as a detector returned them, without labels."""
        return Detections(self.xy, self.boxes, self.score, kind=self.kind, extra=self.extra)

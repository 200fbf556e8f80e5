"""Reads and writes the boxes, detections or scores of many frames as one npz file. Never uses pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections

Floats = NDArray[np.float64]

KIND, EXTRA = "kind", "extra."  # names of the arrays of `Detections.kind` and `.extra` in the file


def write_boxes(folder: Path, boxes: Mapping[str, Floats]) -> None:
    """Write the boxes [N, 4] (px) of each frame, by frame key, to `folder/boxes.npz`."""
    _write(folder / "boxes.npz", boxes, (0, 4))


def read_boxes(folder: Path) -> dict[str, Floats]:
    """Returns the boxes that `write_boxes` wrote, by frame key."""
    return _read(folder / "boxes.npz")


def write_detections(folder: Path, detections: Mapping[str, Detections]) -> None:
    """Write the detections of each frame, by frame key, to `folder/detections.npz`.

    Raises PluginError if they do not all have the same kind of class and the same extra arrays.
    """
    rows = {key: np.column_stack([d.xy, d.boxes, d.score]) for key, d in detections.items()}
    joined = Detections.joined(list(detections.values()))
    further = {f"{EXTRA}{name}": values for name, values in joined.extra.items()}
    if joined.kind is not None:
        further[KIND] = joined.kind
    _write(folder / "detections.npz", rows, (0, 7), further)


def read_detections(folder: Path) -> dict[str, Detections]:
    """Returns the detections that `write_detections` wrote, by frame key."""
    path = folder / "detections.npz"
    rows = _read(path)
    ends: Any = np.cumsum([len(row) for row in rows.values()])[:-1] if rows else []
    with np.load(path, allow_pickle=False) as file:
        split = {name: np.split(file[name], ends) for name in file.files if name == KIND or name.startswith(EXTRA)}
    return {
        key: Detections(
            row[:, :2],
            row[:, 2:6],
            row[:, 6],
            kind=split[KIND][number] if KIND in split else None,
            extra={name.removeprefix(EXTRA): parts[number] for name, parts in split.items() if name != KIND},
        )
        for number, (key, row) in enumerate(rows.items())
    }


def write_scores(folder: Path, scores: Mapping[str, Floats]) -> None:
    """Write the scores [N] of each frame's N detections, by frame key, to `folder/scores.npz`; NaN means no score."""
    _write(folder / "scores.npz", scores, (0,))


def read_scores(folder: Path) -> dict[str, Floats]:
    """Returns the scores that `write_scores` wrote, by frame key."""
    return _read(folder / "scores.npz")


def _write(
    path: Path, rows: Mapping[str, Floats], empty: tuple[int, ...], further: Mapping[str, NDArray[Any]] = {}
) -> None:
    keys = list(rows)
    joined = np.concatenate([np.zeros(empty), *(np.asarray(rows[key], dtype=np.float64) for key in keys)])
    counts = np.array([len(rows[key]) for key in keys], dtype=np.int64)
    arrays: dict[str, Any] = {"keys": np.array(keys, dtype=np.str_), "counts": counts, "rows": joined, **further}
    np.savez_compressed(path, **arrays)


def _read(path: Path) -> dict[str, Floats]:
    with np.load(path, allow_pickle=False) as file:
        parts = np.split(file["rows"], np.cumsum(file["counts"])[:-1]) if len(file["counts"]) else []
        return dict(zip(file["keys"].tolist(), parts, strict=True))

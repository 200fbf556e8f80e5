"""Reads and writes the boxes, detections, scores or embeddings of many frames as one npz file. Never uses pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mitobench.api import Detections

Floats = NDArray[np.float64]
Embedded = NDArray[np.float32]

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
    ends: list[int] = np.cumsum([len(row) for row in rows.values()])[:-1].tolist()
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


class EmbeddingsWriter:
    """Writes the embeddings of one frame after the other, so that memory holds one frame; see `writing_embeddings`."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file, self._keys = file, list[str]()

    def write(self, key: str, embeddings: Embedded) -> None:
        """Write the embeddings of one frame, [N, D]."""
        _write_member(self._file, f"{len(self._keys)}.npy", np.asarray(embeddings, dtype=np.float32))
        self._keys.append(key)

    def close(self) -> None:
        """Write the frames' keys, in the order of their embeddings."""
        _write_member(self._file, "keys.npy", np.array(self._keys, dtype=np.str_))


@contextmanager
def writing_embeddings(folder: Path) -> Iterator[EmbeddingsWriter]:
    """Gives a writer of `folder/embeddings.npz`, which is complete when the block ends without an error."""
    with zipfile.ZipFile(folder / "embeddings.npz", "w") as file:
        writer = EmbeddingsWriter(file)
        yield writer
        writer.close()


def read_embeddings(folder: Path) -> Iterator[tuple[str, Embedded]]:
    """Yields (frame key, embeddings [N, D]) of what a writer wrote, one frame in memory at a time."""
    with np.load(folder / "embeddings.npz", allow_pickle=False) as file:
        for number, key in enumerate(file["keys"].tolist()):
            yield key, file[str(number)]


def _write_member(file: zipfile.ZipFile, name: str, array: NDArray[np.generic]) -> None:
    with file.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:  # its date is always that of ZipInfo
        np.lib.format.write_array(member, array, allow_pickle=False)


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

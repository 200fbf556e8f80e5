"""Reads the MIDOG contests' JSON: `Multiple points` in mm, one file for each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mitobench.errors import MitobenchError
from mitobench.evaluate.files.frame_names import FrameNames, name_in
from mitobench.evaluate.files.table import Row, Table
from mitobench.evaluate.midog25.files import MITOSIS, RESULT_FILE, points_of
from mitobench.evaluate.midog25.metrics import refusal


def is_points(content: Any) -> bool:
    """Whether JSON has the form of a container's file."""
    return isinstance(content, dict) and "points" in content


def read_points(files: Sequence[tuple[Path, Any]], frames: FrameNames, root: Path) -> Table:
    """Reads the files of all images below `root`; a file belongs to the image that its folder or its own name says.

    A point named `non-mitotic figure` is a candidate below the tool's threshold, and its class is that.

    Raises MitobenchError with file and point for another form, and for a file that names no frame.
    """
    table = Table("points", f"{len(files)} MIDOG JSON files", "mm", classes_in="the points' name")
    for path, content in files:
        if isinstance(content, dict) and isinstance(content.get("points"), list):
            content = {**content, "points": [_complete(point, table, path) for point in content["points"]]}
        points = points_of(content, path)
        frame = _frame(path, frames, root)
        refused = [why for why in (refusal(point.xyz) for point in points) if why]
        if refused:
            table.notes.append(f"{path}: {len(refused)} points that the contest's evaluator refuses: {refused[0]}")
        for number, point in enumerate(points):
            label = MITOSIS if point.is_mitosis else "non-mitotic figure"
            table.rows.append(Row(f"{path}: point {number}", frame, point.xyz[:2], float(point.probability), label))
    return table


def _complete(point: Any, table: Table, path: Path) -> Any:
    """Adds what the contests before 2025 did not require, with a note."""
    if not isinstance(point, dict) or ("name" in point and "probability" in point):
        return point
    note = f"{path}: points without name or probability, as before MIDOG 2025: mitotic figures with probability .5"
    if note not in table.notes:
        table.notes.append(note)
    return {"name": MITOSIS, "probability": 0.5, **point}


def _frame(path: Path, frames: FrameNames, root: Path) -> str:
    """The frame of a file: named by the file itself, or by one of the folders that it lies in."""
    places = [path.parent, path.parent.parent] if path.name == RESULT_FILE else [path, path.parent]
    names = [name_in(root, place) for place in places]
    for name in names:
        try:
            return frames.find("", name)
        except MitobenchError:
            continue
    return frames.find(f"{path}: none of {' and '.join(map(repr, names))} is a frame", names[0])

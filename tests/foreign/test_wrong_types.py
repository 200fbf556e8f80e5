"""Readers of JSON refuse values of a wrong type, at every place, with the file's name. They never break."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mitobench.datasets import load
from mitobench.datasets.folder_formats import read_annotations
from mitobench.datasets.folder_settings import FolderSettings
from mitobench.errors import MitobenchError, PluginError
from mitobench.evaluate.files import FrameInfo, read
from mitobench.model.corrections import read_corrections

pytestmark = pytest.mark.slow

GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[1, 2], [30, 20]]]},
            "properties": {
                "image": "a.png",
                "classification": {"names": ["Mitosis"], "name": "Mitosis"},
                "measurements": [{"name": "score", "value": 0.5}],
            },
        },
        {
            "type": "Feature",
            "geometry": {"type": "MultiPoint", "coordinates": [[1, 2]]},
            "properties": {"image": "a.png", "classification": "Mitosis", "measurements": {"score": 1}},
        },
    ],
}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80, "scanner": "Aperio CS2"}],
    "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "hard negative"}],
    "annotations": [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5, "labels": [1, 2]},
        {"image_id": 1, "category_id": 2, "bbox": [5, 6, 70, 80], "score": 0.5},
    ],
}
MIDOG25 = {"a.png": {"annotations": [[0.01, 0.01, 0]], "tumor domain": 0, "roi type": "hotspot"}}
POINTS = {
    "version": {"major": 1},
    "points": [{"name": "mitotic figure", "point": [0.01, 0.01, 0], "probability": 0.9}],
}
FRAMES = {"a": FrameInfo((100, 80), (0.25, 0.25))}


def score(path: Path) -> object:
    return read(path, FRAMES)


def folder(path: Path) -> object:
    return read_annotations(path, FolderSettings(), {"a.png": (100, 80)})


def dataset(name: str) -> Callable[[Path], object]:
    def of(path: Path) -> object:
        return load(name, path.parent, labels_only=True)

    return of


KINDS: dict[str, tuple[Any, str, Callable[[Path], object]]] = {
    "score geojson": (GEOJSON, "a.geojson", score),
    "score coco": (COCO, "a.json", score),
    "score results": ([{**COCO["annotations"][0], "image_id": "a.png"}], "a.json", score),
    "score midog": (POINTS, "a.json", score),
    "folder geojson": (GEOJSON, "a.geojson", folder),
    "folder coco": (COCO, "a.json", folder),
    "corrections": (GEOJSON, "a.geojson", read_corrections),
    "midogpp": (COCO, "MIDOG++.json", dataset("midogpp")),
    "midog25": (MIDOG25, "ground_truth.json", dataset("midog25")),
}
WRONG: tuple[Any, ...] = (None, True, "x", ["x"], 1e300, [], {"x": [1]})
REMOVED = object()


def places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    for key in content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ():
        yield from places(content[key], (*place, key))


def changed(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return content if value is REMOVED else value
    content = copy.deepcopy(content)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is REMOVED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return content


def check(folder: Path, name: str, of: Callable[[Path], object], content: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(content))
    try:
        of(path)
    except PluginError as reason:
        raise AssertionError(f"{content}: {reason}") from reason
    except MitobenchError as reason:
        if name not in str(reason):
            raise AssertionError(f"{content}: {reason}") from reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_value_at_any_place_is_refused_or_read(tmp_path: Path, kind: str) -> None:
    content, name, of = KINDS[kind]
    check(tmp_path, name, of, content)
    of(tmp_path / name)  # it is read without a change
    for place in places(content):
        for value in (*(WRONG[::3] if kind == "midogpp" else WRONG), REMOVED):
            check(tmp_path, name, of, changed(content, place, value))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1e9, 1e9) | st.text("a1.", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("id", "name", "type", "x")), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("midogpp", "midog25")])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(data=st.data())
def test_any_value_at_any_place_is_refused_or_read(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content, name, of = KINDS[kind]
    for _ in range(2):
        place = data.draw(st.sampled_from(list(places(content))))
        content = changed(content, place, data.draw(ANYTHING))
    check(tmp_path, name, of, content)

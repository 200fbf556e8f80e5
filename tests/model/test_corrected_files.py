"""A corrected GeoJSON file finds its image by name, or by the index that `predict` wrote beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitobench.api import DataError
from mitobench.model import inputs
from mitobench.model.corrected_files import Pair, pairs_of
from mitobench.model.output_folder import OutputFolder


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path}")


def searched(out: Path, name: str, image: Path, page: int | None = None) -> Path:
    """Writes what `predict` leaves of an image: its GeoJSON, and its entry in the index."""
    with OutputFolder(out) as folder:
        with folder.staged() as stage:
            (stage / f"{name}.geojson").write_text("[]")
        stored = {"summary": {"image": str(inputs.real(image))}}
        folder.finish(name, {"file": inputs.state(image), "page": page}, [f"{name}.geojson"], stored)
    return out / f"{name}.geojson"


def test_files_are_paired_by_name(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.geojson", "b.geojson", "a.png", "b.tif")))
    files = [tmp_path / "b.geojson", tmp_path / "a.geojson"]
    pairs = [Pair(files[0], tmp_path / "b.tif"), Pair(files[1], tmp_path / "a.png")]
    assert pairs_of(files, [tmp_path]) == pairs
    assert pairs_of(files, [tmp_path], 2) == [pair._replace(page=2) for pair in pairs]
    with pytest.raises(DataError, match=r"b\.geojson: no image is named b"):
        pairs_of(files, [tmp_path / "a.png"])


def test_only_names_that_are_asked_for_must_be_unique(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.geojson", "b.geojson", "b.tif.geojson", "a.png", "b.tif", "b.png")))
    assert pairs_of([tmp_path / "a.geojson"], [tmp_path]) == [Pair(tmp_path / "a.geojson", tmp_path / "a.png")]
    whole = tmp_path / "b.tif.geojson"
    assert pairs_of([whole], [tmp_path]) == [Pair(whole, tmp_path / "b.tif")]
    with pytest.raises(DataError, match=r"b\.\w+: has the same name as .*b\.\w+\. Give them in separate commands"):
        pairs_of([tmp_path / "b.geojson"], [tmp_path])


def test_images_of_the_same_name_are_those_that_predict_searched(tmp_path: Path) -> None:
    first, second, out = tmp_path / "one" / "a.tif", tmp_path / "two" / "a.tif", tmp_path / "found"
    touch(first, second)
    files = [searched(out, "a-2", second), searched(out, "a", first)]
    assert pairs_of(files, [first, second]) == [Pair(files[0], second), Pair(files[1], first)]
    assert pairs_of(files[:1], [first.parent, second.parent]) == [Pair(files[0], second)]
    moved = tmp_path / "three" / "a.tif"
    moved.parent.mkdir()
    second.rename(moved)
    assert pairs_of(files, [first, moved]) == [Pair(files[0], moved), Pair(files[1], first)]
    with pytest.raises(DataError, match=r"a-2\.geojson: no image is named a-2\. `predict` searched .*two/a\.tif"):
        pairs_of(files, [first])


def test_an_image_that_another_file_is_of_is_not_taken_for_its_name(tmp_path: Path) -> None:
    first, second, out = tmp_path / "one" / "a.tif", tmp_path / "two" / "a.tif", tmp_path / "found"
    touch(first, second, tmp_path / "b.tif")
    files = [searched(out, "a", first), searched(out, "b", tmp_path / "b.tif")]
    searched(out, "a-2", second)
    with pytest.raises(DataError, match=r"a\.geojson: no image is named a\. `predict` searched .*one/a\.tif"):
        pairs_of(files, [second, tmp_path / "b.tif"])


def test_the_page_is_that_which_predict_searched(tmp_path: Path) -> None:
    touch(tmp_path / "stack.tif")
    file = searched(tmp_path / "found", "stack", tmp_path / "stack.tif", 2)
    assert pairs_of([file], [tmp_path]) == [Pair(file, tmp_path / "stack.tif", 2)]
    assert pairs_of([file], [tmp_path], 2) == [Pair(file, tmp_path / "stack.tif", 2)]
    with pytest.raises(DataError, match="searched its image with --page 2, not page 3"):
        pairs_of([file], [tmp_path], 3)

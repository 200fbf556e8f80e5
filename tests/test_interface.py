"""`mitobench.load` and `mitobench.run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from model.toy_models import Green, card, dots
from PIL import Image
from slides.reader.pictures import picture

import mitobench
from mitobench import interface
from mitobench.errors import MitobenchError
from mitobench.interface import FoundMitoses, LoadedModel

WHITE = np.array([[20, 30], [200, 130], [203, 133]])


def pixels() -> np.ndarray:
    """Tissue with white pixels, which the model of these tests takes for mitoses."""
    image = np.minimum(picture(260, 400), 240)
    image[WHITE[:, 1], WHITE[:, 0]] = 255
    return image


@pytest.fixture
def model() -> LoadedModel:
    return LoadedModel(dots(verifier=Green()))


def check(found: FoundMitoses) -> None:
    assert found.count == 3
    assert sorted(found.xy.tolist()) == sorted(WHITE.tolist())
    assert found.score.tolist() == [0.875] * 3
    assert [row["mitosis"] for row in found.rows()] == [True] * 3
    assert found.rows()[0].keys() == {"x", "y", "x_um", "y_um", "detector_score", "verifier_score", "score", "mitosis"}
    first = found.rows()[0]
    assert (first["x_um"], first["y_um"]) == (first["x"] + 0.5, first["y"] + 0.5)


def test_mitoses_of_an_array(model: LoadedModel) -> None:
    found = model.predict(pixels(), mpp=1.0)
    check(found)
    assert found.per_mm2 == pytest.approx(3 / 0.104)
    (spot, *_) = found.hot_spots(0.001)
    assert spot.count == 2
    assert model.predict(pixels(), mpp=1.0, threshold=0.9).count == 0


def test_an_array_smaller_than_a_mitosis_is_refused(model: LoadedModel) -> None:
    with pytest.raises(MitobenchError, match=r"The array: too small: 1\.25 x 1\.25 um"):
        model.predict(pixels()[:5, :5], mpp=0.25)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ({"threshold": float("nan")}, "threshold=nan: must be a number from 0 to 1"),
        ({"threshold": 7.0}, "threshold=7.0: must be a number from 0 to 1"),
        ({"mpp": 5.0}, "mpp=5.0: must be a number from 0.1 to 1 um/px"),
        ({"mpp": float("nan")}, "mpp=nan: must be"),
        ({"mpp": (0.25, 0.25)}, r"mpp=\(0\.25, 0\.25\): must be a number"),
        ({"mpp": "0.25"}, "mpp='0.25': must be a number"),
        ({"threshold": "0.5"}, "threshold='0.5': must be a number"),
    ],
)
def test_numbers_are_checked_as_on_the_command_line(
    model: LoadedModel, tmp_path: Path, number: dict[str, float], message: str
) -> None:
    Image.fromarray(pixels()).save(tmp_path / "image.png")
    for image in (pixels(), tmp_path / "image.png"):
        with pytest.raises(MitobenchError, match=message):
            model.predict(image, **{"mpp": 1.0, **number})


@pytest.mark.parametrize("kind", [str, Path])
def test_mitoses_of_a_file(model: LoadedModel, tmp_path: Path, kind: type) -> None:
    Image.fromarray(pixels()).save(tmp_path / "image.png")
    check(model.predict(kind(tmp_path / "image.png"), mpp=1.0))


def outlines(path: Path, x: float, y: float, side: float) -> Path:
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    return path


@pytest.mark.parametrize("kind", ["array", "file"])
def test_only_the_region_and_the_tissue_that_are_given_are_searched(
    model: LoadedModel, tmp_path: Path, kind: str
) -> None:
    Image.fromarray(pixels()).save(tmp_path / "image.png")
    image = pixels() if kind == "array" else tmp_path / "image.png"
    region = outlines(tmp_path / "roi.geojson", 10, 20, 30)
    found = model.predict(image, mpp=1.0, roi=str(region))
    assert found.xy.tolist() == [WHITE[0].tolist()]
    assert "only the region of interest was searched" in found.notes
    mask = np.zeros((260, 400), dtype=np.uint8)
    mask[100:, 150:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    found = model.predict(image, mpp=1.0, tissue=tmp_path / "mask.png")
    assert sorted(found.xy.tolist()) == sorted(WHITE[1:].tolist())
    assert found.findings.tissue.area_mm2 == pytest.approx(0.16 * 0.25, rel=0.1)
    assert model.predict(image, mpp=1.0, roi=region, tissue=tmp_path / "mask.png").count == 1
    for options, message in (
        (
            {"roi": outlines(tmp_path / "far.geojson", 900, 20, 30)},
            r"far\.geojson: lies outside (the array|image\.png)",
        ),
        ({"roi": tmp_path / "none.geojson"}, r"none\.geojson.*does not exist"),
        ({"tissue": tmp_path / "none.png"}, r"none\.png.*does not exist"),
    ):
        with pytest.raises(MitobenchError, match=message):
            model.predict(image, mpp=1.0, **options)


def test_what_is_wrong_with_an_image_is_said(model: LoadedModel, tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "image.png")
    for image, mpp, message in (
        (pixels(), None, "mpp=None: give the um/px"),
        (pixels(), 9.0, "mpp=9.0: must be a number from 0.1 to 1 um/px"),
        (pixels().astype(float), 1.0, r"float64 \[260, 400, 3\], and must be uint8 RGB"),
        (pixels()[..., 0], 1.0, r"uint8 \[260, 400\], and must be"),
        (tmp_path / "image.png", None, r"has no um/px\. Give them with mpp=, for example mpp=0\.25"),
        (tmp_path / "missing.png", 1.0, "does not exist"),
        (tmp_path, 1.0, "is a folder. Give an image file"),
        (None, 1.0, "The image is a NoneType. Give the path of a file, or uint8 RGB"),
    ):
        with pytest.raises(MitobenchError, match=message):
            model.predict(image, mpp)


def test_a_grey_image_has_no_count(model: LoadedModel) -> None:
    found = model.predict(np.repeat(pixels()[..., :1], 3, axis=2), mpp=1.0)
    assert found.count is None
    assert found.per_mm2 is None
    assert "no colour" in found.notes[0]


def test_a_table_is_a_data_frame_where_pandas_is(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    found = model.predict(pixels(), mpp=1.0)
    monkeypatch.setattr(interface, "find_spec", lambda name: None)
    assert found.table() == found.rows()
    pandas = ModuleType("pandas")
    pandas.DataFrame = lambda rows: SimpleNamespace(rows=rows)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    monkeypatch.setattr(interface, "find_spec", lambda name: pandas)
    assert found.table().rows == found.rows()


def test_an_unknown_model_is_an_error() -> None:
    for name in ("nothing-of-this-name", ""):
        with pytest.raises(MitobenchError, match=f"^model '{name}': is neither a known model, a folder nor an address"):
            mitobench.load(name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mitobench.nothing


def test_permission_to_download_ends_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.delenv("MITOBENCH_ALLOW_DOWNLOAD", raising=False)
    monkeypatch.setattr(interface.cards, "find", lambda name: seen.append(os.environ.get(ALLOW)) or Path(name))
    for allow in ([], ["download"]):
        with pytest.raises(MitobenchError):
            mitobench.load("nowhere", "cpu", allow)
    assert seen == [None, "1"]
    assert ALLOW not in os.environ


ALLOW = "MITOBENCH_ALLOW_DOWNLOAD"


def test_importing_mitobench_imports_nothing_large() -> None:
    code = "import sys, mitobench; print([m for m in ('torch', 'numpy', 'scipy', 'pydantic') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
def test_run_returns_a_row_a_combination(
    small_data: Path, toys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interface, "find_spec", lambda name: None)
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    rows = mitobench.run(
        tmp_path / "out",
        estimator="toy-boxes",
        detector="toy-dark",
        verifier=["toy-mean", "none"],
        fuser="toy-sum",
        data=small_data,
        dataset="synthetic",
        profile=str(tmp_path / "toys.toml"),
        device="cpu",
        store=tmp_path / "store",
    )
    assert [row["verifier"] for row in rows] == ["toy-mean", "none"]
    assert all(row["status"] == "ok" and 0 <= row["f1"] <= 1 and Path(row["record"]).is_file() for row in rows)
    assert rows[0]["f1_low"] <= rows[0]["f1"] <= rows[0]["f1_high"]


@pytest.mark.slow
def test_run_takes_options_of_any_type_and_protocols_with_folds(
    small_data: Path, toys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interface, "find_spec", lambda name: None)
    rows = mitobench.run(
        tmp_path / "out",
        detector="blobs",
        verifier="toy-mean",
        fuser="toy-sum",
        data=small_data,
        dataset="synthetic",
        protocol="cv-by-slide-of2",
        options={
            "pipeline.candidate_threshold": None,
            "detector.blobs.max_candidates": np.int64(20),
            "detector.blobs.contrast": np.float32(0.25),
        },
        profile="smoke",
        device="cpu",
        store=tmp_path / "store",
    )
    assert [row["protocol"] for row in rows] == ["cv-by-slide-1of2", "cv-by-slide-2of2"]
    recorded = [json.loads(Path(row["record"]).read_text()) for row in rows]
    for content in recorded:
        options = content["plugins"]["detector"]["options"]
        assert (options["max_candidates"], options["contrast"]) == (20, 0.25)
        assert content["pipeline"]["candidate_threshold"] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a/b", "a/b"),
        (Path("a/b"), "a/b"),
        (True, "true"),
        (None, "null"),
        (["a", "b"], '["a", "b"]'),
        ({"frcnn": 0.5}, '{"frcnn": 0.5}'),
        ((1, 2), "[1, 2]"),
        (np.array([1, 2]), "[1, 2]"),
        (np.bool_(False), "false"),
    ],
)
def test_values_of_options_are_written_as_set_reads_them(value: Any, text: str) -> None:
    assert interface._text("detector.blobs.contrast", value) == text


def test_a_value_that_no_option_can_have_is_an_error() -> None:
    with pytest.raises(MitobenchError, match=r"options\['detector\.lr'\]: .*Give text, a number"):
        mitobench.run("out", options={"detector.lr": {1, 2}})


@pytest.mark.slow
def test_a_combination_that_cannot_run_has_no_row_and_the_log_says_why(
    small_data: Path, toys: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = mitobench.run(
        tmp_path / "out",
        detector="toy-broken",
        verifier="none",
        data=small_data,
        dataset="synthetic",
        profile="smoke",
        device="cpu",
        store=tmp_path / "store",
    )
    assert len(rows) == 0
    assert "toy-broken + none" in caplog.text
    assert "on purpose" in caplog.text


def test_a_wrong_address_of_a_cluster_is_an_error_before_data_is_read(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match="ray:HOST:PORT"):
        mitobench.run(tmp_path / "out", data=tmp_path / "nowhere", executor="ray:x")


def test_an_unknown_argument_of_run_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    message = r"Unknown argument profil='smoke' of mitobench\.run\. Did you mean profile "
    with pytest.raises(MitobenchError, match=message):
        mitobench.run(tmp_path / "out", profil="smoke")
    assert not (tmp_path / "out").exists()


def test_the_card_is_that_of_the_model(model: LoadedModel) -> None:
    assert model.card == card()

"""`mitobench score`: hand-computed counts, and the authors' own detections."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_runs
from PIL import Image as Pillow

from mitobench import registry
from mitobench.api import Mitoses
from mitobench.datasets import mitos2012

pytestmark = pytest.mark.slow

SIDE = 120
# Mitoses by frame. Field 00_01 trains, 00_02 validates, 00_00 and 00_08 test.
TRUTH = {
    "A00_01": [(10, 10)],
    "A00_02": [(30, 30)],
    "A00_00": [(10, 10), (80, 80)],
    "A00_08": [(50, 50)],
    "H00_01": [],
    "H00_02": [],
    "H00_00": [(60, 60)],
}
# On the test part of scanner A: one hit, one false positive, nothing on A00_08; 20.36 px are 5 um.
TEST = "frame,x,y,score\nA00_00,11,10,0.9\nA00_00,60,10,0.8\n"
# On validation .85 hits and .3 does not: the threshold is .575, midway.
VALIDATION = "frame,x,y,score\nA00_02,30,30,0.85\nA00_02,90,20,0.3\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    pixels = np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    for id, centres in TRUTH.items():
        masks = tuple(np.array([centre]) for centre in centres)
        mitoses = Mitoses(np.array(centres, dtype=float).reshape(-1, 2), masks)
        mitos2012.write(root, [(id, pixels, mitoses, "test" if id[1:] in ("00_00", "00_08") else "train")])
    return root


@pytest.fixture
def score(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> Callable[..., Any]:
    """Scores CSV text on the frames of scanner A; returns the output, and the JSON if one was written."""

    def run(text: str, *arguments: object) -> tuple[Any, dict[str, Any] | None]:
        detections, out = tmp_path / "detections.csv", tmp_path / "score.json"
        detections.write_text(text)
        given = ("--dataset", "mitos2012", "--data", data, "--scanner", "A", "--json", out)
        answer = mitobench("score", detections, *given, *arguments)
        return answer, json.loads(out.read_text()) if out.exists() else None

    return run


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    path = tmp_path / "validation.csv"
    path.write_text(VALIDATION)
    return path


def counts(found: dict[str, Any]) -> tuple[int, int, int]:
    return found["tp"], found["fp"], found["fn"]


def test_coco_results_are_scored_with_the_images_of_another_file(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path
) -> None:
    results, images = tmp_path / "results.json", tmp_path / "images.json"
    box = {"category_id": 1, "score": 0.9}
    results.write_text(json.dumps([{"image_id": 5, "bbox": [1, 0, 20, 20], **box}]))
    images.write_text(json.dumps({"images": [{"id": 5, "file_name": "A00_v2/A00_00.bmp"}]}))
    given = ("--dataset", "mitos2012", "--data", data, "--scanner", "A", "--threshold", 0.5)
    answer = mitobench("score", results, *given, "--images", images)
    assert answer.code == 0
    assert "TP 1, FP 0, FN 2" in answer.out
    answer = mitobench("score", results, *given)
    assert answer.code == 2
    assert "image_id 5 is a number" in answer.err
    assert "--images FILE" in answer.err
    answer = mitobench("score", results, "--data", data, "--images", images)
    assert answer.code == 2
    assert "--images is for COCO results, which need --dataset" in answer.err


def test_every_frame_of_the_part_is_scored_at_the_threshold_given(score: Callable[..., Any]) -> None:
    answer, found = score(TEST, "--threshold", 0.5)
    assert answer.code == 0
    assert counts(found["metrics"]) == (1, 1, 2)
    assert found["metrics"]["f1"] == pytest.approx(0.4)
    assert [frame["frame"] for frame in found["metrics"]["frames"]] == ["A00_00", "A00_08"]
    assert (found["threshold_from"], found["reason"]) == ("given", None)
    assert "At threshold 0.5 (given): TP 1, FP 1, FN 2" in answer.out


def test_the_count_is_compared_by_the_cut_offs_of_the_card(score: Callable[..., Any]) -> None:
    answer, found = score(TEST, "--threshold", 0.5)
    area = 2 * round((SIDE * 0.2456 / 1000) ** 2, 6)  # mm2 of two frames of one slide
    assert found is not None
    cases = found["metrics"]["cases"]
    assert (cases["n_cases"], cases["same_side"], cases["lower_limit"]) == (1, 1, None)
    assert cases["bias"] == pytest.approx(-1 / area)
    assert cases["cut_offs"] == {"human breast cancer": [4, 8]}
    assert "(mean of 1 case), bias -575.4, fewer than 3 cases, same side of the cut-offs: 1 of 1 cases" in answer.out


def test_the_threshold_comes_from_validation(score: Callable[..., Any], validation: Path) -> None:
    answer, found = score(TEST, "--validation", validation)
    assert found["validation"]["threshold"] == pytest.approx(0.575)
    assert found["validation"]["f1"] == 1.0
    assert found["threshold_from"] == "validation"
    assert counts(found["metrics"]) == (1, 1, 2)
    assert "(validation)" in answer.out


def test_without_a_threshold_there_is_no_f1_but_an_oracle(score: Callable[..., Any]) -> None:
    answer, found = score(TEST)
    assert answer.code == 0
    assert {found["metrics"][name] for name in ("tp", "fp", "fn", "precision", "recall", "f1", "threshold")} == {None}
    assert found["metrics"]["frames"] == []
    assert counts(found["oracle"]) == (1, 0, 2)
    assert found["oracle"]["f1"] == found["metrics"]["oracle_f1"] == pytest.approx(0.5)
    assert found["metrics"]["average_precision"] == pytest.approx(1 / 3)
    assert found["metrics"]["froc"]["1/2"] == pytest.approx(1 / 3)
    assert found["threshold_from"] is None
    assert "no threshold is given" in found["reason"]
    assert f"Precision, recall and F1 are undefined: {found['reason']}." in answer.out
    assert "oracle counts      TP 1, FP 0, FN 2" in answer.out


def test_validation_that_can_choose_none_says_why(score: Callable[..., Any], validation: Path) -> None:
    validation.write_text("frame,x,y,score\nA00_02,90,20,0.3\n")
    answer, found = score(TEST, "--validation", validation)
    assert answer.code == 0
    assert found["metrics"]["f1"] is None
    assert found["reason"] == "on validation no detection hits a mitosis"


def test_without_detections_all_mitoses_are_missed(score: Callable[..., Any]) -> None:
    _, found = score("frame,x,y,score\n", "--threshold", 0.5)
    assert counts(found["metrics"]) == (0, 0, 3)
    assert (found["metrics"]["precision"], found["metrics"]["recall"], found["metrics"]["f1"]) == (None, 0.0, 0.0)
    assert found["oracle"] is None


def test_boxes_count_by_their_centre(score: Callable[..., Any]) -> None:
    _, points = score(TEST, "--threshold", 0.5)
    _, boxes = score("frame,x1,y1,x2,y2,score\nA00_00,1,0,21,20,.9\nA00_00,50,0,70,20,.8\n", "--threshold", 0.5)
    assert boxes["metrics"] == points["metrics"]


@pytest.mark.parametrize(("part", "expected"), [("train", (0, 0, 1)), ("val", (1, 1, 0)), ("test", (0, 0, 3))])
def test_a_part_has_its_frames_and_other_detections_are_reported(
    score: Callable[..., Any], part: str, expected: tuple[int, int, int]
) -> None:
    answer, found = score(VALIDATION, "--threshold", 0.1, "--split", part)
    assert counts(found["metrics"]) == expected
    assert found["n_outside"] == (0 if part == "val" else 2)
    assert ("2 detections are on other frames" in answer.out) == (part != "val")


def test_all_labelled_frames_are_scored_without_a_split(score: Callable[..., Any]) -> None:
    answer, found = score(TEST + VALIDATION.split("\n", 1)[1], "--split", "all", "--threshold", 0.5)
    assert counts(found["metrics"]) == (2, 1, 3)
    assert (found["split"], found["protocol"], found["n_outside"]) == ("all", None, 0)
    assert "mitos2012, all labelled frames, scanner A: 4 frames" in answer.out
    assert "whatever their part: if the tool was trained" in answer.out
    assert found["note"] in found["notes"]


def test_a_data_set_too_small_for_a_split_is_scored_with_all_of_its_frames(
    mitobench: Callable[..., Any], tmp_path: Path
) -> None:
    root, detections = tmp_path / "one", tmp_path / "found.csv"
    root.mkdir()
    Pillow.fromarray(np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)).save(root / "field.png", dpi=(101_600, 101_600))
    (root / "annotations.csv").write_text("image,x,y,class\nfield.png,10,10,mitosis\n")
    detections.write_text("image,x,y,score\nfield.png,11,10,.9\n")
    given = ("score", detections, "--dataset", "folder", "--data", root, "--threshold", 0.5)
    answer = mitobench(*given)
    assert "part 'test' (20% of the slides, drawn) is empty" in answer.err
    assert "Or score every labelled frame: --split all." in answer.err
    assert "TP 1, FP 0, FN 0" in mitobench(*given, "--split", "all").out


def test_scanners_are_those_asked_for(mitobench: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    csv, out = tmp_path / "d.csv", tmp_path / "s.json"
    csv.write_text(TEST + "H00_00,60,60,0.7\n")
    given = ("score", csv, "--dataset", "mitos2012", "--data", data, "--threshold", 0.5, "--json", out)
    expected = {"A": (1, 1, 2), "H": (1, 0, 0), "A,H": (2, 1, 2)}
    for scanner, of_scanner in expected.items():
        assert mitobench(*given, "--scanner", scanner).code == 0
        assert counts(json.loads(out.read_text())["metrics"]) == of_scanner
    assert mitobench(*given).code == 0
    assert counts(json.loads(out.read_text())["metrics"]) == expected["A,H"]


def test_the_radius_is_the_cards_unless_it_is_given(score: Callable[..., Any]) -> None:
    near = "frame,x,y,score\nA00_00,30,10,0.9\n"  # 20 px away: 4.912 um
    assert counts(score(near, "--threshold", 0.5)[1]["metrics"]) == (1, 0, 2)
    assert counts(score(near, "--threshold", 0.5, "--radius-um", 4.912)[1]["metrics"]) == (0, 1, 3)


def test_the_matcher_is_the_one_asked_for(score: Callable[..., Any]) -> None:
    twice = "frame,x,y,score\nA00_00,10,10,0.9\nA00_00,11,10,0.8\n"
    _, found = score(twice, "--threshold", 0.5, "--matcher", "hungarian")
    assert found["metrics"]["matcher"] == "hungarian"
    assert score(twice, "--matcher", "nearby")[0].code == 2


def test_the_json_is_canonical_and_describes_what_was_scored(
    score: Callable[..., Any], tmp_path: Path, validation: Path
) -> None:
    _, found = score(TEST, "--validation", validation)
    first = (tmp_path / "score.json").read_bytes()
    score(TEST, "--validation", validation)
    assert (tmp_path / "score.json").read_bytes() == first
    assert json.dumps(found, sort_keys=True, indent=1).encode() + b"\n" == first
    assert found["schema_version"] == 1
    assert (found["dataset"], found["protocol"], found["split"]) == ("mitos2012", "official", "test")
    assert found["scanners"] == ["A"]
    assert found["coverage"] == "2 of 35 A frames, 2 of 15 A test frames"
    assert found["detections"]["file"] == "detections.csv"
    assert found["detections"]["n_detections"] == found["validation_detections"]["n_detections"] == 2
    assert len(found["data_digest"]) == len(found["detections"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("frame,x,y\nA00_00,1,2\n", [], "detections.csv:1: the header must have"),
        ("frame,x,y,score\nA00_00,5000,2,0.5\n", [], "detections.csv:2: (5000, 2) lies outside frame A00_00"),
        (TEST + "A00_00,1,two,.5\n", [], "detections.csv:4: y is 'two', which is not a number"),
        (TEST + "A00_77,1,2,.5\n", [], "detections.csv:4: unknown frame 'A00_77'"),
        (TEST, ["--split", "tset"], "--split tset: unknown part. Did you mean test"),
        (TEST, ["--protocol", "offical"], "Did you mean official"),
        (TEST, ["--dataset", "mitos12"], "Did you mean mitos2012"),
        (TEST, ["--matcher", "mito"], "Did you mean mitos"),
        (TEST, ["--scanner", "B"], "has no scanner 'B'"),
        (TEST, ["--radius-um", "0"], "--radius-um 0: must be a finite number greater than 0"),
        (TEST, ["--radius-um", "nan"], "--radius-um nan: must be a finite number greater than 0"),
        (TEST, ["--threshold", "inf"], "--threshold inf: must be a finite number"),
        (TEST, ["--threshold", "high"], "--threshold"),
        (TEST, ["--data", "nowhere"], "nowhere: is not a directory"),
        (TEST, ["--validation", "none.csv"], "none.csv: cannot be read: No such file"),
        (TEST, ["--validation", "none.csv", "--data", "nowhere"], "none.csv: cannot be read: No such file"),
        (TEST, ["--validation", "none.csv", "--threshold", "1"], "Give only one of them"),
        (TEST, ["--validation", "none.csv", "--split", "val"], "chosen on the frames that are scored"),
    ],
)
def test_an_invalid_input_is_an_error_and_nothing_is_written(
    score: Callable[..., Any], text: str, arguments: list[str], message: str
) -> None:
    answer, found = score(text, *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert found is None


def test_json_that_cannot_be_written_is_an_error(score: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer, _ = score(TEST, "--json", tmp_path / "file" / "score.json")
    assert answer.code == 2
    assert "cannot be written" in answer.err


def test_the_data_may_come_from_the_environment(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    csv = tmp_path / "d.csv"
    csv.write_text(TEST)
    answer = mitobench("score", csv, "--dataset", "mitos2012")
    assert answer.code == 2
    assert "--data" in answer.err
    monkeypatch.setenv("MITOBENCH_DATA", str(data))
    assert mitobench("score", csv, "--dataset", "mitos2012").code == 0


@pytest.mark.real
@pytest.mark.parametrize("radius", [(), ("--radius-um", "4.912")], ids=["card's radius, 5 um", "authors', 20 px"])
def test_the_authors_detections_give_the_authors_counts(
    mitobench: Callable[..., Any], real_data: Path, tmp_path: Path, radius: tuple[str, ...]
) -> None:
    lines = (real_data / "deepmitosis_authors" / "deepdet_detections.txt").read_text().splitlines()
    rows = [line.split() for line in lines if line.strip()]
    csv, out = tmp_path / "deepdet.csv", tmp_path / "score.json"
    body = "".join(f"{name},{','.join(box)},{score}\n" for name, score, *box in rows)
    csv.write_text(f"frame,x1,y1,x2,y2,score\n{body}")
    answer = mitobench(
        "score", csv, "--dataset", "mitos2012", "--data", real_data, "--split", "test", "--scanner", "A",
        *radius, "--json", out,
    )  # fmt: skip
    assert answer.code == 0
    found = json.loads(out.read_text())
    assert counts(found["oracle"]) == (82, 14, 19)
    assert found["metrics"]["oracle_f1"] == pytest.approx(0.8325, abs=5e-5)
    assert found["metrics"]["n_detections"] == len(rows) == 213
    assert found["metrics"]["f1"] is None
    assert "oracle F1          .8325" in answer.out
    assert "TP 82, FP 14, FN 19" in answer.out


@pytest.mark.usefixtures("toys")
def test_the_detections_of_a_record_give_its_numbers(
    mitobench: Callable[..., Any], small_data: Path, tmp_path: Path
) -> None:
    (path,) = tiny_runs.run(tmp_path / "board", small_data, sets=["pipeline.candidate_threshold=0.5"])
    recorded, out = json.loads(path.read_text()), tmp_path / "score.json"
    answer = mitobench("score", path, "--data", small_data, "--json", out)
    assert answer.code == 0, answer.err
    found = json.loads(out.read_text())["metrics"]
    for name in ("tp", "fp", "fn", "f1", "oracle_f1", "average_precision", "threshold", "n_detections"):
        assert found[name] == pytest.approx(recorded["test"][name]), name


@pytest.mark.usefixtures("toys")
def test_a_record_on_a_users_split_is_scored_on_that_split(
    mitobench: Callable[..., Any], small_data: Path, tmp_path: Path
) -> None:
    content = {**json.loads((registry.ROOT / "splits" / "synthetic-by-slide.json").read_text()), "protocol": "mine"}
    (tmp_path / "mine.json").write_text(json.dumps(content))
    (path,) = tiny_runs.run(tmp_path / "board", small_data, protocol=str(tmp_path / "mine.json"))
    (tmp_path / "mine.json").unlink()
    answer = mitobench("score", path, "--data", small_data)
    assert answer.code == 0, answer.err
    assert "mine" in answer.out


@pytest.mark.usefixtures("toys")
def test_a_record_of_other_frames_is_an_error(mitobench: Callable[..., Any], small_data: Path, tmp_path: Path) -> None:
    (path,) = tiny_runs.run(tmp_path / "board", small_data)
    tiny_runs.reseal(path, lambda content: content["test"]["frames"].pop())
    answer = mitobench("score", path, "--data", small_data)
    assert answer.code == 2
    assert "was made with other test frames" in answer.err


# ------------------------------------------------------------------------------------------- files of other tools


def test_another_reading_of_the_file_is_a_hint(score: Callable[..., Any]) -> None:
    halved = "frame,x,y,score\nA00_00,5,5,0.9\nA00_00,40,40,0.8\nA00_08,25,25,0.7\n"
    answer, found = score(halved, "--threshold", 0.5, "--radius-um", 1)
    assert found["hint"] == {
        "change": "coordinates are of an image with half the resolution: double them",
        "oracle_f1": 1.0,
    }
    assert "hint: the best F1 is .000. If the file is read in another way it is 1.000: coordinates are of" in answer.out
    _, good = score(TEST, "--threshold", 0.5)
    assert good["hint"] is None


def test_detections_outside_their_frame_are_refused_with_the_reading_that_fits(score: Callable[..., Any]) -> None:
    answer, found = score("frame,x,y,score\nA00_00,40,40,0.9\nA00_00,320,320,0.8\nA00_08,200,200,0.7\n")
    assert (answer.code, found) == (2, None)
    doubled = "frame,x,y,score\nA00_00,20,20,0.9\nA00_00,160,160,0.8\nA00_08,100,100,0.7\n"
    answer, _ = score(doubled)
    assert "lies outside frame A00_00 of 120 x 120 px. Read in another way, the best F1 would be 1.000" in answer.err
    assert "halve them" in answer.err


def test_px_in_a_file_that_is_read_in_mm_are_asked_about(
    mitobench: Callable[..., Any], data: Path, tmp_path: Path
) -> None:
    def answer(*points: tuple[float, float]) -> str:
        found = [{"name": "mitotic figure", "point": [x, y, 0], "probability": 0.5} for x, y in points]
        (tmp_path / "A00_00.json").write_text(json.dumps({"points": found}))
        given = (tmp_path / "A00_00.json", "--dataset", "mitos2012", "--data", data)
        one = mitobench("score", *given)
        assert one.code == 2
        return str(one.err)

    missed = answer((30, 90))
    assert "The file is read in mm: are its numbers, such as (30, 90), px?" in missed
    assert "Note: " in missed
    assert "points that the contest's evaluator refuses" in missed
    assert "swapped" not in missed
    assert "coordinates are in px, not in mm" in answer((10, 10), (80, 80))
    assert "another resolution" in answer((10, 4000))


def test_a_column_of_classes_is_used_or_asked_about(score: Callable[..., Any]) -> None:
    rows = "A00_00,10,10,0.9,{}\nA00_00,60,10,0.8,{}\n"
    _, found = score("frame,x,y,score,class\n" + rows.format("mitosis", "non-mitosis"), "--threshold", 0.5)
    assert counts(found["metrics"]) == (1, 0, 2)
    assert "1 detections of other classes are left out" in found["notes"][0]
    numbered = "frame,x,y,score,label\n" + rows.format(0, 0)
    answer, _ = score(numbered, "--threshold", 0.5)
    assert answer.code == 2
    assert "column label is 0 (2), which does not say which are mitoses" in answer.err
    _, found = score(numbered, "--threshold", 0.5, "--class", 0)
    assert counts(found["metrics"]) == (1, 1, 2)


def test_scores_that_are_all_below_the_threshold_are_reported(score: Callable[..., Any]) -> None:
    answer, _ = score("frame,x,y,score\nA00_00,10,10,-4.1\nA00_00,80,80,-5\n", "--threshold", 0.5)
    assert "no detection has a score at or above the threshold 0.5; the scores are from -5 to -4.1" in answer.out
    assert "logits?" in answer.out


def test_the_deprecated_name_of_a_matcher_is_reported(score: Callable[..., Any]) -> None:
    answer, found = score(TEST, "--threshold", 0.5, "--matcher", "midog")
    assert found["metrics"]["matcher"] == "evalutils"
    assert "'midog' is deprecated and now means 'evalutils'" in answer.out
    assert "Matcher evalutils; a hit is at most 5 um away." in answer.out


def test_kdtree_has_a_radius_of_25_px(score: Callable[..., Any]) -> None:
    _, found = score("frame,x,y,score\nA00_00,35,10,0.9\n", "--threshold", 0.5, "--matcher", "kdtree")
    assert found["metrics"]["radius_um"] == pytest.approx(25 * 0.2456)
    assert counts(found["metrics"]) == (1, 0, 2)


def test_a_mitosis_that_was_annotated_twice_is_reported(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    masks = (np.array([[10, 10], [11, 10], [12, 10]]), np.array([[11, 10], [12, 10]]), np.array([[80, 80]]))
    truth = Mitoses(np.array([mask.mean(axis=0) for mask in masks]), masks)
    pixels = np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    one = Mitoses(np.array([[5.0, 5.0]]), (np.array([[5, 5]]),))
    others = [("A00_01", pixels, one, "train"), ("A00_02", pixels, one, "train")]
    mitos2012.write(tmp_path / "data", [("A00_00", pixels, truth, "test"), *others])
    (tmp_path / "d.csv").write_text(TEST)
    answer = mitobench("score", tmp_path / "d.csv", "--dataset", "mitos2012", "--data", tmp_path / "data")
    assert answer.code == 0, answer.err
    printed = " ".join(answer.out.split())
    assert "A00_00.csv" in printed
    assert "again" in printed or "within 1 um of each other" in printed


def test_midogs_own_evaluation_needs_no_data_set(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "out" / "7").mkdir(parents=True)
    point = {"name": "mitotic figure", "point": [0.1, 0.1, 0], "probability": 0.9}
    (tmp_path / "out" / "7" / "mitotic-figures.json").write_text(json.dumps({"points": [point]}))
    case = {"annotations": [[0.1, 0.1, 0]], "tumor domain": 0, "roi type": "random"}
    (tmp_path / "truth.json").write_text(json.dumps({"7.tiff": case}))
    answer = mitobench(
        "score", tmp_path / "out", "--truth", tmp_path / "truth.json", "--json", tmp_path / "metrics.json"
    )
    assert answer.code == 0, answer.err
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["aggregates"]["roi_type_random_AP"] == 1.0
    assert "MIDOG 2025's own evaluation" in answer.out
    answer = mitobench("score", tmp_path / "out", "--format", "midog25")
    assert answer.code == 2
    assert "--truth is missing" in answer.err


CASES = Path(__file__).parents[3] / "shared" / "cases"
REFUSED = {
    "empty.csv", "empty_score.csv", "label_column_0.csv", "nan_score.csv", "no_header.csv", "nul.csv",
    "underscore_number.csv", "unterminated_quote.csv",
}  # fmt: skip
HINTED = {
    "fraction.csv": "fractions",
    "half_resolution.csv": "double",
    "millimetres.csv": "mm",
    "xy_swapped.csv": "swapped",
}
NOTED = {"gate0.csv", "header_only.csv", "neg_scores_logits.csv", "class_column.csv", "doubled_rows.csv"}


@pytest.mark.real
@pytest.mark.thorough
def test_public_cases_are_read_right_refused_or_hinted_at(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    files = [p for f in ("02-detections-csv", "11-class-column") for p in sorted((CASES / f).glob("*.?sv"))]
    if not files:
        pytest.skip("no ../shared/cases")
    _copy_of_mitos2012(files, tmp_path / "data")
    given = ("--dataset", "mitos2012", "--data", tmp_path / "data", "--threshold", 0.5, "--json", tmp_path / "s.json")
    for path in files:
        answer = mitobench("score", path, *given)
        assert answer.code == (2 if path.name in REFUSED else 0), path
        if path.name in REFUSED:
            continue
        found = json.loads((tmp_path / "s.json").read_text())
        if path.name in HINTED:
            assert HINTED[path.name] in found["hint"]["change"], path
        elif path.name in NOTED:
            assert found["notes"], path
        else:
            assert counts(found["metrics"]) == (31, 0, 0), path


def _copy_of_mitos2012(files: list[Path], root: Path) -> None:
    """Official ids with one-pixel mitoses where the perfect file of the cases has its detections."""
    (plain,) = (path for path in files if path.name == "plain.csv")
    centres: dict[str, list[tuple[int, int]]] = {}
    for line in plain.read_text().splitlines()[1:]:
        frame, x, y, _ = line.split(",")
        centres.setdefault(frame, []).append((round(float(x)), round(float(y))))
    tests = {"A00": "00 08", "A01": "04 06 09", "A02": "00 01 03 07", "A03": "00 01 04", "A04": "03 07 09"}
    pixels = np.full((256, 256, 3), 200, dtype=np.uint8)
    frames = []
    for slide, official in tests.items():
        for number in range(10):
            id = f"{slide}_{number:02d}"
            found = centres.get(id, [])
            truth = Mitoses(np.array(found, dtype=float).reshape(-1, 2), tuple(np.array([xy]) for xy in found))
            frames.append((id, pixels, truth, "test" if id[4:] in official.split() else "train"))
    mitos2012.write(root, frames)


@pytest.mark.real
def test_perfect_boxes_of_the_real_frames_are_read_by_their_corner(
    mitobench: Callable[..., Any], real_data: Path, tmp_path: Path
) -> None:
    path = CASES / "10-xywh" / "real_xywh30.csv"
    if not path.is_file():
        pytest.skip("no ../shared/cases")
    answer = mitobench("score", path, "--dataset", "mitos2012", "--data", real_data, "--threshold", 0.5)
    assert answer.code == 0, answer.err
    assert "TP 101, FP 0, FN 0" in answer.out

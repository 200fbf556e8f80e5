"""Published results are as printed in Li et al. 2018 and later papers; broken files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mitobench import published, registry
from mitobench.errors import MitobenchError
from mitobench.evaluate.matching import MATCHERS
from mitobench.published import Method, PublishedResults

FILES = sorted((registry.ROOT / "published").glob("*.toml"))

# name: precision, recall, F1, table in Li et al. 2018
MITOS2012 = {
    "DeepDet": (0.854, 0.812, 0.832, 4),
    "RRF": (0.835, 0.811, 0.823, 4),
    "CasNN": (0.804, 0.772, 0.788, 4),
    "HC+CNN": (0.84, 0.65, 0.735, 4),
    "IDSIA": (0.886, 0.70, 0.782, 4),
    "IPAL": (0.698, 0.74, 0.718, 4),
    "SUTECH": (0.70, 0.72, 0.709, 4),
    "NEC": (0.75, 0.59, 0.659, 4),
    "RPN extracted from DeepDet": (None, None, 0.796, None),
    "RPN trained alone": (None, None, 0.768, None),
    "DeepDet+Ver": (None, None, 0.817, None),
    "MaskMitosis": (None, None, 0.863, None),
    "FoCasNet": (None, None, 0.888, None),
}
MITOS2014_VALIDATION = {
    "DeepDet (fixed boxes)": (None, None, 0.489, 5),
    "DeepDet+Seg": (None, None, 0.505, 5),
    "DeepDet+Seg+Ver": (None, None, 0.582, 5),
    "MaskMitosis": (None, None, 0.608, None),
}
MITOS2014_TEST = {
    "DeepMitosis (DeepDet+Seg+Ver)": (0.431, 0.443, 0.437, 7),
    "DeepDet+Seg": (0.431, 0.370, 0.398, 6),
    "DeepDet+Seg at .9": (0.192, 0.522, 0.281, 6),
    "CasNN": (0.411, 0.478, 0.442, 7),
    "CUHK": (0.448, 0.300, 0.356, 7),
    "MINES-CURIE-INSERM": (None, None, 0.235, 7),
    "YILDIZ": (None, None, 0.167, 7),
    "STRASBOURG": (None, None, 0.024, 7),
    "MaskMitosis": (None, None, 0.475, None),
    "PartMitosis": (None, None, 0.575, None),
}
EVALUTILS, KDTREE = "rule evalutils, radius 7.5 um", "rule kdtree, radius 25 px"

# data set and protocol: name, F1, what is a hit
CONTESTS_AND_SLIDES = {
    "midog21-contest": [("Best submission", 0.748, EVALUTILS), ("DA-RetinaNet", 0.7183, EVALUTILS)],
    "midog22-contest": [("Best submission", 0.764, EVALUTILS)],
    "midog25-contest": [("KongNet-Det", 0.740, EVALUTILS), ("YOLOv12", 0.7216, EVALUTILS)],
    "midog25-preliminary": [
        ("SDF-YOLO", 0.766, EVALUTILS),
        ("YOLO11x + ConvNeXt verifier", 0.7587, EVALUTILS),
        ("Faster R-CNN + 3 classifiers", 0.2237, EVALUTILS),
    ],
    "ccmct-published": [("The authors' detector, ODAEL labels", 0.820, KDTREE)],
    "cmc-published": [("The authors' two stages, CODAEL labels", 0.791, KDTREE)],
    "tupac16-al-published": [("RetinaNet", 0.735, KDTREE)],
}
SECONDS = {
    "mitos2012-official": {
        "DeepDet": 0.72,
        "IDSIA": 480.0,
        "RPN extracted from DeepDet": 0.68,
        "RPN trained alone": 0.68,
    },
    "mitos2014-paper": {"DeepDet+Seg": 0.36, "DeepDet+Seg+Ver": 0.41},
    "mitos2014-official": {"DeepDet+Seg": 0.36, "DeepMitosis (DeepDet+Seg+Ver)": 0.41},
}

ROW = 'name = "A"\nf1 = 0.5\nsource = "B, 2020"\n'
QUOTED = '"0.5"'
HEAD = 'dataset = "d"\nprotocol = "p"\ntitle = "t"\n'


def of(dataset: str, protocol: str) -> PublishedResults:
    found = published.read(dataset, protocol)
    assert found is not None
    return found


def written(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("dataset", "protocol", "expected"),
    [
        ("mitos2012", "official", MITOS2012),
        ("mitos2014", "paper", MITOS2014_VALIDATION),
        ("mitos2014", "official", MITOS2014_TEST),
    ],
)
def test_the_registry_holds_the_numbers_as_printed(
    dataset: str, protocol: str, expected: dict[str, tuple[float | None, ...]]
) -> None:
    rows = of(dataset, protocol).method
    assert len(rows) == len(expected)
    assert {row.name: (row.precision, row.recall, row.f1, row.table) for row in rows} == expected


@pytest.mark.parametrize("name", CONTESTS_AND_SLIDES)
def test_the_registry_holds_the_numbers_of_contests_and_whole_slides(name: str) -> None:
    rows = published.read_file(registry.ROOT / "published" / f"{name}.toml").method
    assert [(row.name, row.f1, row.hits) for row in rows] == CONTESTS_AND_SLIDES[name]


def test_every_file_is_expected_here() -> None:
    old = {"mitos2012-official", "mitos2014-official", "mitos2014-paper"}
    assert {path.stem for path in FILES} == old | set(CONTESTS_AND_SLIDES)
    assert [f"{results.dataset}-{results.protocol}" for results in published.read_all()] == [
        path.stem for path in FILES
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_rule_is_that_of_a_matcher(path: Path) -> None:
    assert {row.rule for row in published.read_file(path).method} <= {"", *MATCHERS}


@pytest.mark.parametrize(
    ("known", "hits"),
    [
        ({}, "rule and radius unknown"),
        ({"rule": "mitos", "radius_um": 5.0}, "rule mitos, radius 5 um"),
        ({"rule": "kdtree", "radius_px": 25.0}, "rule kdtree, radius 25 px"),
        ({"radius_um": 7.5, "radius_px": 30.0}, "rule unknown, radius 7.5 um or 30 px"),
        ({"rule": "mitos"}, "rule mitos, radius unknown"),
    ],
)
def test_what_is_known_of_a_hit_is_said_and_what_is_not_too(known: dict[str, Any], hits: str) -> None:
    assert Method(name="A", source="B", f1=0.5, **known).hits == hits


@pytest.mark.parametrize("name", SECONDS)
def test_the_registry_holds_the_seconds_a_frame_and_says_where_they_come_from(name: str) -> None:
    timed = [row for row in of(*name.split("-")).method if row.seconds_a_frame is not None]
    assert {row.name: row.seconds_a_frame for row in timed} == SECONDS[name]
    assert all("TITAN X" in row.note or row.name == "IDSIA" for row in timed)


def test_thresholds_are_there_where_they_are_known() -> None:
    found = [row for name in SECONDS for row in of(*name.split("-")).method if row.threshold is not None]
    assert {row.name: row.threshold for row in found} == {
        "DeepDet": 0.979,
        "DeepDet+Seg": 0.984,
        "DeepDet+Seg at .9": 0.9,
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_by_data_set_and_protocol_and_names_each_method_once(path: Path) -> None:
    found = published.read_file(path)
    assert path.stem == f"{found.dataset}-{found.protocol}"
    assert (registry.ROOT / "splits" / f"{path.stem}.json").is_file() != bool(found.no_split)
    assert (registry.ROOT / "datasets" / f"{found.dataset}.toml").is_file()
    names = [row.name for row in found.method]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_f1_follows_from_precision_and_recall_or_the_note_says_that_it_does_not(path: Path) -> None:
    for row in published.read_file(path).method:
        assert row.f1_follows != ("does not follow" in row.note), row.name


@pytest.mark.parametrize(
    ("precision", "recall", "f1", "follows"),
    [
        (0.5, 0.5, 0.5, True),
        (0.5, 0.5, 0.5014, True),
        (0.5, 0.5, 0.5016, False),
        (0.5, 0.5, 0.4984, False),
        (0.448, 0.300, 0.356, False),
        (0.0, 0.0, 0.0, True),
        (None, 0.5, 0.9, True),
        (0.5, None, 0.9, True),
    ],
)
def test_f1_follows_to_the_rounding(precision: float | None, recall: float | None, f1: float, follows: bool) -> None:
    row = Method(name="A", source="B", precision=precision, recall=recall, f1=f1)
    assert row.f1_follows is follows


def test_a_data_set_without_published_numbers_has_none() -> None:
    assert published.read("synthetic", "by-slide") is None


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    found = published.read_file(written(tmp_path, f"{HEAD}[[method]]\n{ROW}"))
    assert [(row.name, row.f1, row.precision, row.table, row.note) for row in found.method] == [
        ("A", 0.5, None, None, "")
    ]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}[[method]]\n{ROW.replace('0.5', '1.5')}", "method.0.f1: Input should be less than or equal to 1"),
        (f"{HEAD}[[method]]\n{ROW.replace('0.5', '-0.1')}", "method.0.f1: Input should be greater than or equal to 0"),
        (f"{HEAD}[[method]]\n{ROW.replace('0.5', QUOTED)}", "method.0.f1: Input should be a valid number"),
        (f"{HEAD}[[method]]\n{ROW}[[method]]\n{ROW}recall = 81.2", "method.1.recall: Input should be less than"),
        (f"{HEAD}[[method]]\n{ROW}precison = 0.5", "method.0.precison: Extra inputs are not permitted"),
        (f"{HEAD}[[method]]\n{ROW}radius_um = 0", "method.0.radius_um: Input should be greater than 0"),
        (f"{HEAD}[[method]]\n{ROW}seconds_a_frame = 0", "method.0.seconds_a_frame: Input should be greater than 0"),
        (f"{HEAD}[[method]]\n{ROW}table = 4.5", "method.0.table: Input should be a valid integer"),
        (f"{HEAD}[[method]]\nf1 = 0.5\nname = 'A'", "method.0.source: Field required"),
        (f"{HEAD}notes = 'one'\n[[method]]\n{ROW}", "notes: Input should be a valid tuple"),
        (HEAD, "method: Field required"),
        (f"[[method]]\n{ROW}", "dataset: Field required; protocol: Field required; title: Field required"),
    ],
)
def test_a_broken_file_is_reported_with_its_name_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(MitobenchError) as error:
        published.read_file(path)
    assert str(error.value).startswith(f"{path}: is not a file of published results: ")
    assert message in str(error.value)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_that_is_not_finite_is_reported_with_its_line(tmp_path: Path, number: str) -> None:
    with pytest.raises(MitobenchError, match=rf"own\.toml:6: f1: {number} is not a number"):
        published.read_file(written(tmp_path, f"{HEAD}[[method]]\n{ROW.replace('0.5', number)}"))


def test_a_file_that_is_not_toml_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match=r"own\.toml: is not valid TOML: .*line 2"):
        published.read_file(written(tmp_path, 'dataset = "d"\nprotocol = p\n'))


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MitobenchError, match=r"own\.toml: cannot be read: No such file"):
        published.read_file(tmp_path / "own.toml")

"""Experiments run to their end, share stages, and show the paper's numbers next to the measured ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitobench.experiments import PaperTable, names, read

pytestmark = pytest.mark.slow

HEAD = 'title = "Mine"\ndataset = "synthetic"\nprotocol = "by-slide"\nestimator = "toy-boxes"\ndetector = "toy-dark"\n'
ROWS = """
[[row]]
name = "most 5 | <b>"
paper = { precision = 0.5, recall = 0.25, f1 = 0.333 }
set = ["detector.most=5"]

[[row]]
name = "most 9"
paper = { f1 = 0.9 }
set = ["detector.most=9"]
"""


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all experiments, which have many stages in common."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def run_table(
    mitobench: Callable[..., Any], small_data: Path, shared_store: Path, tmp_path: Path
) -> Callable[..., Any]:
    """Runs a table on synthetic frames, with its schedules shortened."""

    def run(name: str, *more: object) -> Any:
        answer = mitobench(
            *("experiment", name, "--data", small_data, "--dataset", dataset_of(name), "--profile", "smoke"),
            *("--scale", 0.02, "--device", "cpu", "--store", shared_store, "--out", tmp_path, *more),
        )
        assert answer.code == 0, answer.out + answer.err
        return answer

    return run


def dataset_of(name: str) -> str:
    return "synthetic" if "2014" not in name and name not in ("table5", "table6", "table7") else "synthetic-centroids"


@pytest.mark.parametrize("name", [name for name in names() if isinstance(read(name), PaperTable)])
def test_every_table_can_be_planned(name: str, run_table: Callable[..., Any]) -> None:
    assert "not measured" not in run_table(name, "--dry-run").out


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("candidates", marks=pytest.mark.thorough),
        pytest.param("table1", marks=pytest.mark.thorough),
        pytest.param("table5", marks=pytest.mark.thorough),
        "table7",
    ],
)
def test_tables_run_to_their_end(name: str, run_table: Callable[..., Any], tmp_path: Path) -> None:
    run_table(name)
    page = (tmp_path / "experiments" / f"{name}.md").read_text()
    assert "FAILED" not in page
    assert "not measured." not in page
    if name == "table5":
        assert "boxes against those of masks: mean IoU" in page
        assert "the verifier's patches: annotated mitoses" in page
    if name != "table7":
        assert "schedules shortened to 0.02" in page.splitlines()[0]
        assert f"measured on {dataset_of(name)}" in page.splitlines()[0]


GRIDS = [name for name in names() if not isinstance(read(name), PaperTable)]


@pytest.mark.parametrize("name", GRIDS)
def test_every_experiment_with_grids_can_be_planned(
    name: str, mitobench: Callable[..., Any], small_data: Path, tmp_path: Path
) -> None:
    for package in ("mitobench_networks", "mitobench_mmdet"):
        pytest.importorskip(package)
    answer = mitobench(
        *("experiment", name, "--data", small_data, "--dataset", "synthetic", "--dry-run", "--list-all"),
        *("--device", "cpu", "--store", tmp_path / "store", "--out", tmp_path),
    )
    assert answer.code == 0, answer.out + answer.err
    assert "BROKEN" not in answer.out
    if name == "real":
        for family in ("frcnn", "rpn", "heatmap:", "union:", "mmdet:", "torchvision:"):
            assert f"fit-detector {family}" in answer.out
        for family in ("resnet18", "resnet50", "timm:", "probe:"):
            assert f"fit-verifier {family}" in answer.out


@pytest.mark.thorough
def test_the_built_in_grids_run_on_synthetic_frames(
    mitobench: Callable[..., Any], small_data: Path, shared_store: Path, tmp_path: Path
) -> None:
    answer = mitobench(
        *("experiment", "real", "--grid", "2012: estimators", "--data", small_data, "--dataset", "synthetic"),
        *("--profile", "smoke", "--scale", 0.02, "--device", "cpu", "--store", shared_store, "--out", tmp_path),
    )
    assert answer.code == 0, answer.out + answer.err
    page = (tmp_path / "experiments" / "real.md").read_text()
    assert "FAILED" not in page
    assert page.count("[s0](../records/") == 20, "2 estimators, 5 detectors, with and without a verifier"
    assert "measured on synthetic, not mitos2012" in page


@pytest.fixture
def run(toys: dict[str, str], mitobench: Callable[..., Any], small_data: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs an experiment with the toy plugins, which is written to `mine.toml`."""
    (tmp_path / "toys.toml").write_text('title = "toys"\n')

    def run(text: str, *more: object) -> Any:
        (tmp_path / "mine.toml").write_text(text)
        places = ["--data", small_data, "--store", tmp_path / "store", "--out", tmp_path / "out"]
        return mitobench("experiment", tmp_path / "mine.toml", "--profile", tmp_path / "toys.toml", *places, *more)

    return run


def with_toy_fuser(text: str) -> str:
    return text.replace('detector = "toy-dark"', 'detector = "toy-dark"\nverifier = "toy-mean"\nfuser = "toy-sum"')


def test_the_papers_numbers_are_shown_next_to_the_measured_ones(run: Callable[..., Any], tmp_path: Path) -> None:
    answer = run(with_toy_fuser(HEAD) + ROWS)
    assert answer.code == 0, answer.out + answer.err
    assert answer.out.count("fit-detector toy-dark") == 2, "planned once and run once: the rows share the fit"
    page = (tmp_path / "out" / "experiments" / "mine.md").read_text()
    records = [json.loads(p.read_text()) for p in sorted((tmp_path / "out" / "experiments" / "records").glob("*.json"))]
    assert len(records) == 2
    assert "| .500 / .250 / .333 |" in page
    assert "| most 5 \\| &lt;b&gt; |" in page, "names are escaped"
    for made in records:
        assert f"| {made['test']['oracle_f1']:.3f} |".replace("| 0.", "| .") in page


def test_a_row_that_fails_is_shown_and_the_others_are_measured(run: Callable[..., Any], tmp_path: Path) -> None:
    answer = run(with_toy_fuser(HEAD) + ROWS + '\n[[row]]\nname = "breaks"\ndetector = "toy-fails"\n')
    assert answer.code == 1
    page = (tmp_path / "out" / "experiments" / "mine.md").read_text()
    assert "| breaks | – | – | FAILED |" in page
    assert "on purpose" in page
    assert page.count("[s0](records/") == 3


def test_an_impossible_row_is_shown_with_its_reason(run: Callable[..., Any], tmp_path: Path) -> None:
    row = '\n[[row]]\nname = "no"\nverifier = "none"\nfuser = "toy-verifier-only"\n'
    answer = run(with_toy_fuser(HEAD) + ROWS + row)
    assert answer.code == 0, answer.out + answer.err
    assert "no: not measured. fuser toy-verifier-only needs a verifier" in answer.out


def test_an_error_about_an_unknown_option_names_file_and_line(run: Callable[..., Any], tmp_path: Path) -> None:
    answer = run(with_toy_fuser(HEAD) + ROWS.replace("detector.most=9", "detector.mots=9"))
    assert answer.code == 2
    assert f"{tmp_path / 'mine.toml'}:17: detector.mots=9" in answer.err
    assert "most" in answer.err
    assert "Traceback" not in answer.err


def test_an_error_about_a_value_of_the_wrong_type_names_file_and_line(run: Callable[..., Any], tmp_path: Path) -> None:
    answer = run(with_toy_fuser(HEAD) + ROWS.replace("detector.most=9", "detector.most=many"))
    assert answer.code == 2
    assert f"{tmp_path / 'mine.toml'}:17: detector.most=many" in answer.err


def test_set_on_the_command_line_overrides_the_rows(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run(with_toy_fuser(HEAD) + ROWS, "--set", "detector.most=3").code == 0
    (made,) = (tmp_path / "out" / "experiments" / "records").glob("*.json")
    assert json.loads(made.read_text())["plugins"]["detector"]["options"]["most"] == 3


def test_a_protocol_that_cannot_be_used_is_reported_and_the_others_are_measured(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mitobench.datasets import folds, splits
    from mitobench.errors import DataError

    known = splits.load_split

    def load(dataset: str, protocol: str) -> Any:
        if protocol == "withheld":
            raise DataError("part 'test' is empty")
        return known(dataset, protocol)

    for module in (folds, splits):
        monkeypatch.setattr(module, "load_split", load)
    answer = run(with_toy_fuser(HEAD) + ROWS + '\n[[row]]\nname = "official"\nprotocol = "withheld"\n')
    assert answer.code == 0, answer.out + answer.err
    assert "official: not measured. part 'test' is empty" in answer.out


def test_a_row_may_be_trained_on_other_data_sets(run: Callable[..., Any], tmp_path: Path) -> None:
    elsewhere = '\n[[row]]\nname = "elsewhere"\ntrain_on = ["synthetic-centroids"]\n'
    answer = run(with_toy_fuser(HEAD) + ROWS + elsewhere, "--set", "detector.most=7")
    assert answer.code == 0, answer.out + answer.err
    page = (tmp_path / "out" / "experiments" / "mine.md").read_text()
    records = [json.loads(p.read_text()) for p in (tmp_path / "out" / "experiments" / "records").glob("*.json")]
    assert sorted(made["combination"]["train_on"] for made in records) == [["synthetic"], ["synthetic-centroids"]]
    assert "| elsewhere | synthetic-centroids | – |" in page
    assert "| most 9 | synthetic | .900 |" in page


def test_a_table_may_be_trained_on_other_data_sets(run: Callable[..., Any], tmp_path: Path) -> None:
    head = with_toy_fuser(HEAD) + 'train_on = ["synthetic", "synthetic-centroids"]\n'
    assert run(head + ROWS, "--set", "detector.most=7").code == 0
    records = [json.loads(p.read_text()) for p in (tmp_path / "out" / "experiments" / "records").glob("*.json")]
    assert [made["combination"]["train_on"] for made in records] == [["synthetic", "synthetic-centroids"]]


def test_submission_files_contain_the_detections_above_the_threshold(run: Callable[..., Any], tmp_path: Path) -> None:
    text = with_toy_fuser(HEAD).replace('title = "Mine"', 'title = "Mine"\nsubmission = true')
    assert run(text + ROWS).code == 0
    for path in (tmp_path / "out" / "experiments" / "records").glob("*.json"):
        made = json.loads(path.read_text())
        files = list((tmp_path / "out" / "experiments" / "submission" / "mine" / path.stem).glob("*.csv"))
        assert len(files) == made["test"]["n_frames"], "one for every frame, including those without a detection"
        assert sum(len(file.read_text().splitlines()) for file in files) == made["test"]["tp"] + made["test"]["fp"]


def test_a_row_without_a_threshold_is_left_out_of_the_submission(run: Callable[..., Any], tmp_path: Path) -> None:
    text = with_toy_fuser(HEAD).replace('title = "Mine"', 'title = "Mine"\nsubmission = true') + ROWS
    silent = '\n[[row]]\nname = "silent"\nset = ["pipeline.candidate_threshold=2.0"]\n'
    stand_in = '\n[[row]]\nname = "stand-in"\nprotocol = "by-slide"\n'
    answer = run(text + silent + stand_in)
    assert answer.code == 0, answer.out + answer.err
    assert len(list((tmp_path / "out" / "experiments" / "submission" / "mine").iterdir())) == 2
    assert (tmp_path / "out" / "experiments" / "mine.md").is_file()


def test_the_page_shows_what_was_changed_and_how_to_repeat_it(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run(with_toy_fuser(HEAD) + ROWS, "--set", "detector.shrink=2", "--scanner", "A", "--scale", 0.5).code == 0
    page = (tmp_path / "out" / "experiments" / "mine.md").read_text()
    assert "with detector.shrink=2" in page.splitlines()[0].replace("\\", "")
    command = f"mitobench experiment mine.toml --scanner A --profile {tmp_path / 'toys.toml'} --scale 0.5"
    assert f"`{command} --set detector.shrink=2`" in page


def test_notes_on_a_single_row_are_shown_with_its_name(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "side.txt").write_text("20")
    started = f'detector = "toy-pretrained"\nset = ["detector.pretrained={tmp_path / "side.txt"}"]\n'
    assert run(with_toy_fuser(HEAD) + ROWS + '\n[[row]]\nname = "started"\n' + started).code == 0
    page = (tmp_path / "out" / "experiments" / "mine.md").read_text()
    assert "- started: toy-pretrained started from side.txt" in page
    assert "- most 9: trained from scratch" in page


@pytest.mark.parametrize("scale", ["nan", "inf", 0, -1, 2])
def test_a_scale_outside_0_to_1_is_an_error(mitobench: Callable[..., Any], scale: object) -> None:
    answer = mitobench("experiment", "table7", "--scale", scale)
    assert answer.code == 2
    assert "above 0 and at most 1" in answer.err
    assert "Traceback" not in answer.err


def test_without_a_name_all_experiments_are_listed(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("experiment")
    assert answer.code == 0
    assert [name for name in names() if name not in answer.out] == []


def test_dry_run_writes_nothing(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run(with_toy_fuser(HEAD) + ROWS, "--dry-run").code == 0
    assert not (tmp_path / "out").exists()


def test_the_papers_scanner_is_used_unless_another_is_given(run: Callable[..., Any], small_data: Path) -> None:
    text = with_toy_fuser(HEAD).replace('protocol = "by-slide"', 'protocol = "by-slide"\nscanners = ["A"]') + ROWS
    assert "Using frames of scanner A, as in the paper" in run(text, "--dry-run").out
    assert "as in the paper" not in run(text, "--dry-run", "--scanner", "all").out
    answer = run(text, "--dry-run", "--scanner", "H")
    assert answer.code == 2
    assert "'H'" in answer.err


def test_rows_are_compared_with_the_one_that_the_table_names(run: Callable[..., Any], tmp_path: Path) -> None:
    dimmer = '\n[[row]]\nname = "few"\nset = ["detector.most=1"]\n'
    answer = run(with_toy_fuser(HEAD) + 'against = "most 9"\n' + ROWS + dimmer)
    assert answer.code == 0, answer.out + answer.err
    page = (tmp_path / "out" / "experiments" / "mine.md").read_text()
    made = {row["row"]: row for row in table_of(page)}
    assert made["most 9"]["gain [95 %]"] == "–"
    assert made["few"]["gain [95 %]"].startswith("-."), "F1 falls if only one detection per frame is kept"
    few, most = (float(made[name]["F1 [95 %]"].split()[0]) for name in ("few", "most 9"))
    assert float(made["few"]["gain [95 %]"].split()[0]) == pytest.approx(few - most, abs=2e-3)


def test_against_must_name_an_existing_row(run: Callable[..., Any]) -> None:
    answer = run(with_toy_fuser(HEAD) + 'against = "nobody"\n' + ROWS)
    assert answer.code == 2
    assert "`against` names an unknown row 'nobody'" in answer.err


def table_of(page: str) -> list[dict[str, str]]:
    """Returns the rows of a page's table."""
    lines = [line.strip("| ") for line in page.splitlines() if line.startswith("|")]
    columns, _, *rows = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines)
    return [dict(zip(columns, cells, strict=True)) for cells in rows]

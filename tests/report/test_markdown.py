"""LEADERBOARD.md: what may be compared stands together, what failed is shown, and no name is markup."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from records import DETECTIONS, failed, ok

from mitobench.errors import MitobenchError, RecordError
from mitobench.report import build, markdown
from mitobench.report.table import sections
from mitobench.results import record
from mitobench.results.record import Record


def page(*records: Record) -> str:
    return markdown.leaderboard(sections(records))


def rows(text: str) -> list[dict[str, str]]:
    """The cells of every row by column, an escaped bar being no end of a cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| # ", "| ---"))]
    cells = [[c.strip() for c in line.replace(r"\|", "¦").strip("| ").split(" | ")] for line in lines]
    return [dict(zip(markdown.HEADER, row, strict=True)) for row in cells]


def test_a_row_has_every_column() -> None:
    (row,) = rows(page(ok()))
    link = row.pop("record")
    assert link == f"[s0](records/{ok().stem}.json)"
    assert row == {
        "#": "1",
        "estimator": "fixed",
        "detector": "frcnn",
        "verifier": "resnet50",
        "fuser": "linear",
        "trained on": "mitos2012",
        "profile": "cpu",
        "P": ".500",
        "R": ".333",
        "F1 [range]": ".500 [.100, .900]",
        "F1 detector alone": ".250",
        "oracle F1": ".750",
        "AP": ".625",
        "s/frame": ".25",
        "seeds": "0",
    }


def test_a_section_says_how_it_was_measured() -> None:
    text = page(ok())
    assert "## mitos2012, protocol official" in text
    assert "1 test frames of 1 slides, 3 mitoses; matcher mitos, a hit is closer than 5 um." in text
    assert "weak, as there are fewer than" in text


def test_rows_are_ranked_by_f1_and_never_by_the_oracle() -> None:
    worse = ok(f1=0.4, detector="rpn")
    assert worse.test is not None
    worse = worse.model_copy(update={"test": worse.test.model_copy(update={"oracle_f1": 0.99})})
    assert [(row["#"], row["detector"]) for row in rows(page(worse, ok(f1=0.5)))] == [("1", "frcnn"), ("2", "rpn")]


def test_seeds_are_one_row_with_mean_and_spread() -> None:
    (row,) = rows(page(ok(f1=0.7, seed=2), ok(f1=0.5, seed=0), ok(f1=0.6, seed=1)))
    assert row["F1 [range]"] == ".600 [.500, .700]"
    assert row["seeds"] == "0 1 2"
    assert row["record"].count("](records/") == 3


def test_a_failed_seed_is_shown_and_not_averaged() -> None:
    text = page(ok(f1=0.5, seed=0), failed(seed=1, reason="the loss is NaN"), ok(f1=0.7, seed=2))
    (row,) = rows(text)
    assert row["F1 [range]"].startswith(".600")
    assert row["seeds"] == "0 2 FAILED 1"
    assert "- frcnn: the loss is NaN" in text


def test_what_failed_altogether_is_last_without_a_rank() -> None:
    shown = rows(page(failed(detector="aaa"), ok(f1=0.0)))
    assert [(row["#"], row["detector"], row["F1 [range]"].split()[0]) for row in shown] == [
        ("1", "frcnn", ".000"),
        ("–", "aaa", "FAILED"),
    ]


def test_an_undefined_score_is_a_dash_and_comes_after_a_zero() -> None:
    shown = rows(page(ok(f1=None, detector="aaa"), ok(f1=0.0)))
    assert [row["detector"] for row in shown] == ["frcnn", "aaa"]
    assert shown[1]["F1 [range]"].startswith("–")


@pytest.mark.parametrize(
    "change", [{"data_digest": "e" * 64}, {"matcher": "hungarian"}, {"protocol": "by-slide"}], ids=str
)
def test_what_was_not_measured_alike_is_never_in_one_section(change: dict[str, Any]) -> None:
    found = sections([ok(), ok(detector="rpn", **change)])
    assert [len(section.rows) for section in found] == [1, 1]
    assert [row["#"] for row in rows(markdown.leaderboard(found))] == ["1", "1"]


def test_options_that_differ_are_rows_that_differ() -> None:
    one = ok()
    changed = one.plugins["detector"].model_copy(update={"options": {"lr": 0.1}})
    other = one.model_copy(update={"plugins": {**one.plugins, "detector": changed}})
    assert len(rows(page(one, other))) == 2


def test_a_note_of_all_rows_stands_over_the_table_and_one_of_some_in_their_row() -> None:
    text = page(ok(notes=["no tissue", "from scratch"]), ok(detector="rpn", f1=0.4, notes=["no tissue"]))
    assert "- no tissue" in text.splitlines()
    assert [row["trained on"] for row in rows(text)] == ["mitos2012 (from scratch)", "mitos2012"]


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("<script>alert(1)</script>", r"&lt;script&gt;alert\(1\)&lt;/script&gt;"),
        ("a|b", r"a\|b"),
        ("[x](javascript:y)", r"\[x\]\(javascript:y\)"),
        ("two\n\n# lines", r"two \# lines"),
        ("a&lt;b", "a&amp;lt;b"),
        ("`code` *it* _it_ ~no~ !", r"\`code\` \*it\* \_it\_ \~no\~ \!"),
        ("\\", "\\\\"),
    ],
)
def test_names_read_as_they_are(name: str, spelled: str) -> None:
    assert markdown.escape(name) == spelled


@pytest.mark.parametrize("place", ["estimator", "detector", "verifier", "fuser", "dataset", "protocol"])
def test_no_name_is_markup_wherever_it_stands(place: str) -> None:
    evil = "<script>alert(1)</script>|x"
    named: dict[str, Any] = {place: evil}
    text = page(ok(**named), failed(seed=1, reason=evil, **named))
    assert "<script" not in text
    assert "script&gt;\\|x" in text
    assert len(rows(text)) == 1


def test_notes_profiles_and_training_sets_are_escaped_too() -> None:
    evil = "<b>|"
    made = ok(notes=[evil], train_on=[evil]).model_copy(update={"profile": evil})
    text = page(made, ok(detector="rpn"))
    assert "<b>" not in text
    assert len(rows(text)) == 2


def test_without_a_record_the_page_says_so() -> None:
    assert "There is no record yet." in page()


def test_the_page_of_a_folder_is_that_of_its_records(tmp_path: Path) -> None:
    record.write(tmp_path / "records", ok(), DETECTIONS)
    record.write(tmp_path / "records", failed(seed=1), None)
    path, found = build.build(tmp_path)
    assert path.read_text(encoding="utf-8") == markdown.leaderboard(found)
    assert [row["seeds"] for row in rows(path.read_text(encoding="utf-8"))] == ["0 FAILED 1"]
    assert {p.name for p in tmp_path.iterdir()} == {"records", "LEADERBOARD.md"}


def test_a_broken_record_leaves_the_old_page(tmp_path: Path) -> None:
    record.write(tmp_path / "records", ok(), DETECTIONS)
    path, _ = build.build(tmp_path)
    before = path.read_bytes()
    broken = record.write(tmp_path / "records", ok(seed=1), DETECTIONS)
    broken.write_text(broken.read_text().replace('"f1": 0.5', '"f1": 0.9'))
    with pytest.raises(RecordError, match=broken.name):
        build.build(tmp_path)
    assert path.read_bytes() == before


def test_a_page_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write(tmp_path / "records", ok(), DETECTIONS)
    path, _ = build.build(tmp_path)
    before = path.read_bytes()
    record.write(tmp_path / "records", ok(seed=1), DETECTIONS)

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MitobenchError, match="disk full"):
        build.build(tmp_path)
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"records", "LEADERBOARD.md"}

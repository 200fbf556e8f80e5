"""index.html: one file, whose data cannot become code, and whose curves are those of the records."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import SCRIPT, board, combinations, many
from hypothesis import given
from hypothesis import strategies as st
from records import DETECTIONS, failed, frame, metrics, ok, write_complete_record

from mitobench import content_cache
from mitobench.evaluate import Curve
from mitobench.report import html_page, page_data
from mitobench.report.build import read_sections
from mitobench.report.page_data import DIGITS, MAX_POINTS, thinned
from mitobench.report.table import sections
from mitobench.results import known, record
from mitobench.results.command import command_of
from mitobench.results.folder import add_records
from mitobench.results.record import Record
from mitobench.results.record_files import record_files
from mitobench.results.schema import EarlierVersion
from report.work import n_calls

pytestmark = pytest.mark.slow

COMMITTED = record_files(Path(__file__).parents[2] / "leaderboard" / "records")
ONE_SPLIT = [path for path in COMMITTED if "-official-" in path.name]  # a sum over folds has no curve


class Parts(HTMLParser):
    """The scripts of a page with their ids (the page's own have none), and everything that it would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.scripts: list[tuple[str | None, str]] = []
        self.policy, self.fetched = "", []
        self._script: str | None = None
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.fetched += [known["src"]] if "src" in known else []
        self.fetched += [known["href"]] if tag == "link" else []
        if tag == "meta" and known.get("http-equiv"):
            self.policy = str(known["content"])
        self._in_script, self._script = tag == "script", known.get("id")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append((self._script, data))

    def block(self, name: str) -> Any:
        """The data of a packed block."""
        return json.loads(unpacked(dict(self.scripts)[name]))


def unpacked(block: str) -> str:
    return gzip.decompress(base64.b64decode(block)).decode()


def parts(folder: Path, *records: Record, detections: str = DETECTIONS) -> Parts:
    """The page of these records."""
    for one in records:
        record.write(folder / "records", one, detections if one.status == "ok" else None)
    return Parts(html_page.render(folder, read_sections(folder / "records")))


def rows(found: Parts, section: int = 0) -> list[dict[str, Any]]:
    found_rows: list[dict[str, Any]] = found.block("page-data")["sections"][section]["rows"]
    return found_rows


# ------------------------------------------------------------------------------------------------- one safe file


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    found = parts(board(tmp_path))
    assert found.fetched == []
    assert found.policy.startswith("default-src 'none'")
    assert not re.search(r"url\(|@import", (html_page.TEMPLATES / "page.css").read_text())


def test_libraries_are_the_published_files_with_their_licences() -> None:
    listed = (html_page.VENDOR / "README.md").read_text()
    for name in html_page.LIBRARIES:
        path = html_page.VENDOR / name
        version = re.search(r" v(\d+\.\d+\.\d+)\n", path.read_text())
        assert version
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert re.search(rf"`{re.escape(name)}` \| {re.escape(version[1])} \|.* `{digest}`", listed)
        assert "MIT" in (path.parent / "LICENSE.md").read_text()


def test_the_page_is_small(tmp_path: Path) -> None:
    assert len(html_page.render(tmp_path, [])) < 200_000


def test_only_the_scripts_of_the_page_may_run(tmp_path: Path) -> None:
    found = parts(tmp_path, ok())
    ours = [text for name, text in found.scripts if name is None]
    assert len(ours) == len(html_page.SCRIPTS)
    ours.append(unpacked(dict(found.scripts)["chart-library"]))
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in ours]
    assert found.policy.endswith("script-src " + " ".join(f"'sha256-{digest}'" for digest in digests))


def test_details_of_many_records_are_packed_in_files_beside_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = parts(board(tmp_path))
    monkeypatch.setattr(html_page, "MAX_INSIDE", 30)
    monkeypatch.setattr(html_page, "CHUNK", 20)
    page, *files = html_page.write(tmp_path, read_sections(tmp_path / "records"))
    apart = Parts(page.read_text())
    assert [path.relative_to(tmp_path).as_posix() for path in files] == ["details/0.js", "details/1.js"]
    assert set(dict(apart.scripts)) == {None, "page-data", "chart-library"}
    assert apart.policy.endswith(" 'self' file:")
    packed = [re.fullmatch(r'takeDetails\((\d), "([\w+/=]+)"\);\n', path.read_text()) for path in files]
    texts = [json.loads(unpacked(found[2])) for found in packed if found]
    assert [record for text in texts for record in text["records"]] == whole.block("record-data")
    assert [curve for text in texts for curve in text["curves"]] == whole.block("curve-data")


def test_details_that_are_no_longer_needed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_sections(board(tmp_path) / "records")
    with monkeypatch.context() as patch:
        patch.setattr(html_page, "MAX_INSIDE", 1)
        assert len(html_page.write(tmp_path, found)) == 2
    assert html_page.write(tmp_path, found) == [tmp_path / "index.html"]
    assert list((tmp_path / "details").iterdir()) == []


@pytest.mark.parametrize(
    "name", [SCRIPT, "</script><img src=x onerror=alert(1)>", "<!--<script>", "a\u2028b", "'\"&amp;"]
)
def test_any_name_is_shown_as_text(tmp_path: Path, name: str) -> None:
    names = {"dataset": name, "train_on": [name], "detector": name}
    originals = [ok(**names), failed(reason=name, seed=1, **names)]
    found = Parts(html_page.render(tmp_path, sections(_written(tmp_path, originals))))
    assert found.fetched == []
    assert len([name for name, _ in found.scripts if name is None]) == len(html_page.SCRIPTS)
    assert rows(found)[0]["parts"]["detector"] == name
    assert found.block("record-data")[1]["reason"] == name


def _written(folder: Path, originals: list[Record]) -> list[Record]:
    records = folder / "records"
    return [record.read(record.write(records, one, DETECTIONS if one.status == "ok" else None)) for one in originals]


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    found = read_sections(board(tmp_path, seeds=1) / "records")
    (path,) = html_page.write(tmp_path, found)
    assert path == tmp_path / "index.html"
    assert path.read_text() == html_page.render(tmp_path, read_sections(tmp_path / "records"))


RECORDS = 2  # their place among the parts


def test_pages_with_other_packed_bytes_of_the_same_data_have_equal_parts(tmp_path: Path) -> None:
    found = read_sections(board(tmp_path, seeds=1) / "records")
    one = html_page.render(tmp_path, found)
    block = dict(Parts(one).scripts)["record-data"]
    other = base64.b64encode(gzip.compress(gzip.decompress(base64.b64decode(block)), compresslevel=1, mtime=5)).decode()
    assert block != other
    another = one.replace(block, other)
    assert html_page.parts(one) == html_page.parts(another)
    assert html_page.parts(one) != html_page.parts(one.replace("Mitosis", "Mitoses"))
    assert html_page.parts(one)[RECORDS] == unpacked(block)
    for broken in (unpacked(block).replace("<", ""), block[:-8]):
        assert html_page.parts(one.replace(block, broken))[RECORDS] is None


def test_without_a_record_there_is_a_page_that_says_so(tmp_path: Path) -> None:
    assert "There are no records yet." in html_page.render(tmp_path, [])


# ------------------------------------------------------------------------------------------------- the table


def test_rows_are_those_of_the_sections(tmp_path: Path) -> None:
    found = parts(board(tmp_path))
    page_rows = rows(found, 1)
    assert [row["rank"] for row in page_rows] == [*range(1, 13), None]
    assert [row["parts"]["detector"] for row in page_rows[:12]] == [names["detector"] for names in combinations()]
    assert page_rows[5]["seeds"] == [0, 1]
    assert page_rows[5]["missing"] == [2]
    assert page_rows[12]["failed"] == [0]
    assert [page_rows[i]["tied"] for i in (0, 1, 11, 12)] == [
        True,
        True,
        False,
        False,
    ]
    assert [page_rows[i]["rankRange"].split()[0] for i in (0, 12)] == ["1", "–"]
    assert all(row["low"] < row["f1"] < row["high"] for row in page_rows[:12])
    assert len({(row["style"]["colour"], row["style"]["symbol"]) for row in page_rows}) == 13


def test_published_numbers_are_not_among_the_rows(tmp_path: Path) -> None:
    section = parts(tmp_path, ok()).block("page-data")["sections"][0]
    hits = {method["name"]: method["hits"] for method in section["published"]}
    assert (hits["DeepDet"], hits["IDSIA"]) == ("rule mitos, radius 5 um", "rule and radius unknown")
    assert len(section["rows"]) == 1


def test_numbers_published_for_other_data_sets_are_on_the_page_and_in_no_section(tmp_path: Path) -> None:
    page = parts(tmp_path, ok())
    assert "<td>KongNet-Det<td>.740<td>rule evalutils, radius 7.5 um" in page.html
    assert 'href="sections/published.md"' in page.html
    assert "KongNet-Det" not in json.dumps(page.block("page-data"))


def test_a_section_says_how_it_was_measured(tmp_path: Path) -> None:
    (section,) = parts(tmp_path, ok(notes=["trained from scratch"])).block("page-data")["sections"]
    assert section["notes"] == ["trained from scratch", "split mitos2012-official: the official test frames"]
    assert section["measured"] == (
        "1 test frame of 1 slide with 3 mitoses; matcher mitos, a hit is closer than 5 um. "
        "Brackets: 95 % interval over 2 frames, as there are fewer than five slides: covers about .75 of other slides' "
        "(simulated)."
    )


def test_f1_of_fewer_seeds_than_others_have_shows_their_number(tmp_path: Path) -> None:
    page_rows = rows(parts(board(tmp_path)), 1)
    assert "(" not in page_rows[0]["f1Shown"]
    assert re.fullmatch(r"\.\d{3} \(mean of 2\) \[\.\d{3}, \.\d{3}\]", page_rows[5]["f1Shown"])
    assert page_rows[12]["f1Shown"] == "FAILED"


def test_the_page_has_each_record_with_the_commands_that_reproduce_it(tmp_path: Path) -> None:
    (entry,) = parts(tmp_path, ok()).block("record-data")
    path = f"records/{ok().stem}.json"
    assert [shlex.join(words) for _, words in entry["commands"]] == [
        command_of(ok()),
        f"mitobench reproduce {path} --data DATA",
        f"mitobench gallery {path} --data DATA",
    ]
    assert entry["frames"] == [["A00_00", "00", 1, 1, 2]]
    assert entry["chosen"] == {
        "threshold": 0.5,
        "candidate threshold": 0.1,
        "detector's own threshold": 0.5,
        "fuser: w": 0.5,
    }
    assert entry["files"] == [f"{ok().stem}.json"]
    assert entry["provenance"]["versions"] == {"python": "3.11.0", "torch": "2.6.0"}
    assert entry["provenance"]["data"]["mitos2012"]["digest"]["test"] == "d" * 64


def test_the_details_have_the_count_f1_by_domain_and_what_annotators_say(tmp_path: Path) -> None:
    frames = [
        replace(
            frame(f"A{i:02d}", i, 1, 2 - i),
            area_mm2=0.5,
            domains={"tumour": "human breast cancer", "lab": lab},
            contested_imposters=np.zeros(1, dtype=bool),
            imposter_xy=np.array([[0.0, 500.0]]),  # where the false positive is
        )
        for i, lab in enumerate(("x", "y", "y"))
    ]
    (tmp_path / "records").mkdir()
    write_complete_record(tmp_path / "records", ok(), frames)
    (entry,) = Parts(html_page.render(tmp_path, read_sections(tmp_path / "records"))).block("record-data")
    assert entry["count"] == {
        "cases": "3",
        "detected per mm2, mean": "4.0",
        "annotated per mm2, mean": "4.0",
        "bias": "+0.0",
        "limits of agreement": "-3.9 to +3.9",
        "ICC(2,1)": ".00",
        "same side of the cut-offs": "2 of 3",
        "cut-offs, human breast cancer": "4, 8",
    }
    (lab,) = entry["domains"]
    assert (lab["kind"], lab["worst"]) == ("lab", "x")
    assert [lab["values"][0], lab["values"][1]] == [["x", 2, 0.0, 2.0], ["y", 4, pytest.approx(2 / 3), 2.0]]
    assert lab["mean"] == pytest.approx(1 / 3)
    assert entry["annotators"]["false positives on annotated imposters"] == 3
    assert entry["annotators"]["other false positives"] == 0


def test_rows_have_f1_by_domain_and_a_section_the_answers_of_the_markdown_page(tmp_path: Path) -> None:
    labs = ("=x", "y", "y")
    frames = [replace(frame(f"A{i}", i, 1, 2 - i), area_mm2=0.5, domains={"lab": labs[i]}) for i in range(3)]
    write_complete_record(tmp_path / "records", ok(), frames)
    (section,) = Parts(html_page.render(tmp_path, read_sections(tmp_path / "records"))).block("page-data")["sections"]
    (row,) = section["rows"]
    assert section["domains"] == {"lab": ["=x", "y"]}
    assert row["domains"] == {"lab": [0.0, pytest.approx(2 / 3, abs=1e-5)]}
    assert row["worst"] == ["lab", "=x", 0.0]
    assert row["bias"] == pytest.approx(0.0)
    assert [lead for lead, _ in section["answers"]] == ["Recommended:", "The worst domain", "The count"]
    assert section["answers"][1][1] == "of rank 1: lab =x, F1 .000."


def test_what_all_rows_share_is_above_the_table_and_not_in_the_rows(tmp_path: Path) -> None:
    (section,) = parts(tmp_path, ok(), ok(f1=0.4, detector="rpn")).block("page-data")["sections"]
    assert section["shared"] == "profile cpu; trained on MITOS 2012"
    assert [row["description"] for row in section["rows"]] == ["", ""]
    other = ok(f1=0.3, detector="x").model_copy(update={"profile": "paper"})
    (section,) = parts(tmp_path, other).block("page-data")["sections"]
    assert section["shared"] == "trained on MITOS 2012"
    assert [row["description"] for row in section["rows"]] == ["profile cpu", "profile cpu", "profile paper"]


def test_a_note_is_in_the_page_once_and_rows_have_its_number(tmp_path: Path) -> None:
    records = [
        ok(notes=["slides are shared"]),
        ok(f1=0.4, detector="rpn", notes=["slides are shared"]),
        ok(f1=0.3, detector="x"),
    ]
    found = parts(tmp_path, *records)
    (section,) = found.block("page-data")["sections"]
    assert section["footnotes"] == ["slides are shared"]
    assert [row["notes"] for row in section["rows"]] == [[1], [1], []]


def test_migrated_records_are_marked(tmp_path: Path) -> None:
    note = "migrated from record version 1: no detections on validation; thresholds and options as recorded"
    migrated = ok().model_copy(update={"migrated": [EarlierVersion(schema_version=1, digest="0" * 64)]})
    (section,) = parts(tmp_path / "all", migrated).block("page-data")["sections"]
    assert note in section["notes"]
    (section,) = parts(tmp_path / "some", migrated, ok(f1=0.4, detector="rpn")).block("page-data")["sections"]
    assert note not in section["notes"]
    assert section["footnotes"] == [note]


def test_numbers_have_no_more_digits_than_are_drawn(tmp_path: Path) -> None:
    for row in rows(parts(board(tmp_path)), 1):
        for value in (row["f1"], row["low"], row["high"], row["ap"], *(row["seedSpread"] or [])):
            assert value is None or value == round(value, DIGITS)


# ------------------------------------------------------------------------------------------------- curves


@pytest.mark.parametrize("path", ONE_SPLIT[:3], ids=lambda path: path.name[:24])
def test_a_committed_record_has_its_own_curve_with_fewer_points(tmp_path: Path, path: Path) -> None:
    stored = record.read(path)
    assert stored.test is not None
    add_records([path], tmp_path / "records")
    (curve,) = parts(tmp_path).block("curve-data")
    tp, fp = np.array(curve["tp"]), np.array(curve["fp"])
    assert len(tp) <= MAX_POINTS
    f1 = 2 * tp / (tp + fp + curve["mitoses"])
    assert f1.max() == pytest.approx(stored.test.oracle_f1, abs=1e-9)
    assert tp.max() / curve["mitoses"] == pytest.approx(stored.test.recall_ceiling, abs=1e-9)
    assert curve["chosen"] == [stored.test.tp, stored.test.fp]


@pytest.mark.parametrize(
    ("without_curve", "why"),
    [
        (ok().model_copy(update={"test": metrics(None, oracle_f1=None)}), "no scores"),
        (failed(), "no scores"),
    ],
)
def test_where_a_record_has_no_curve_the_page_says_why(tmp_path: Path, without_curve: Record, why: str) -> None:
    (curve,) = parts(tmp_path, without_curve).block("curve-data")
    assert why in curve["why"]
    assert list(curve) == ["why"]


@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)).filter(any), max_size=300),
    max_points=st.integers(4, 60),
)
def test_thinning_keeps_ends_and_best_f1(steps: list[tuple[int, int]], max_points: int) -> None:
    tp, fp = np.cumsum(np.array(steps, dtype=np.int64).reshape(-1, 2), axis=0).T
    curve = Curve(np.arange(len(tp), 0.0, -1.0), tp, fp, int(tp.max(initial=0)) + 1, 1)
    kept = thinned(curve, max_points)
    assert len(kept) <= max_points
    assert (np.diff(kept) > 0).all()
    if len(tp):
        assert kept[0] == 0
        assert kept[-1] == len(tp) - 1
        assert curve.ratio("f1")[kept].max() == curve.ratio("f1").max()


def test_a_short_curve_keeps_every_turn() -> None:
    curve = Curve(np.arange(6, 0.0, -1.0), np.array([1, 2, 2, 2, 2, 3]), np.array([0, 0, 1, 2, 3, 3]), 4, 1)
    assert thinned(curve).tolist() == [0, 1, 4, 5]


# ------------------------------------------------------------------------------------------------- many


def test_the_work_grows_with_the_number_of_records_and_not_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the records take about four times the calls, plus a constant part; nothing is remembered."""
    monkeypatch.setattr(content_cache, "_open", lambda path: None)
    known.code_digest(page_data.__name__)  # once a process, however many records there are
    found = [read_sections(many(tmp_path / str(n), n) / "records") for n in (60, 240)]
    few, most = (
        n_calls(lambda sections=sections, n=n: page_data.of(tmp_path / str(n), sections))
        for sections, n in zip(found, (60, 240), strict=True)
    )
    assert 3 < most / few < 5

"""index.html: one file, whose data cannot become code, and whose curves are those of the records."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import SCRIPT, board, combinations, thousand
from hypothesis import given
from hypothesis import strategies as st
from records import DETECTIONS, failed, metrics, ok

from mitobench.evaluate import Curve
from mitobench.report import page
from mitobench.report.build import read_sections
from mitobench.report.page_data import MOST_POINTS, thinned
from mitobench.report.table import sections
from mitobench.results import record
from mitobench.results.command import command_of
from mitobench.results.record import Record

pytestmark = pytest.mark.slow

COMMITTED = sorted((Path(__file__).parents[2] / "leaderboard" / "records").glob("*.json"))


class Parts(HTMLParser):
    """Scripts by id (those of the page's own have none), and whatever would be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
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
        return json.loads(dict(self.scripts)[name])


def parts(folder: Path, *records: Record, detections: str = DETECTIONS) -> Parts:
    """The page of these records."""
    for made in records:
        record.write(folder / "records", made, detections if made.status == "ok" else None)
    return Parts(page.render(folder, read_sections(folder / "records")))


def rows(found: Parts, section: int = 0) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = found.block("page-data")["sections"][section]["rows"]
    return made


# ------------------------------------------------------------------------------------------------- one safe file


def test_nothing_is_fetched(tmp_path: Path) -> None:
    found = parts(board(tmp_path))
    assert found.fetched == []
    assert found.policy.startswith("default-src 'none'")
    assert not re.search(r"url\(|@import", (page.TEMPLATES / "page.css").read_text())


def test_the_scripts_that_may_run_are_ours_and_plotly(tmp_path: Path) -> None:
    found = parts(tmp_path, ok())
    ours = [text for name, text in found.scripts if name is None]
    library = gzip.decompress(base64.b64decode(dict(found.scripts)["plotly"])).decode()
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in [*ours, library]]
    assert len(ours) == len(page.SCRIPTS)
    assert found.policy.endswith("script-src " + " ".join(f"'sha256-{digest}'" for digest in digests))


@pytest.mark.parametrize(
    "name", [SCRIPT, "</script><img src=x onerror=alert(1)>", "<!--<script>", "a\u2028b", "'\"&amp;"]
)
def test_a_name_is_data_whatever_it_is(tmp_path: Path, name: str) -> None:
    names = {"dataset": name, "train_on": [name], "detector": name}
    made = [ok(**names), failed(reason=name, seed=1, **names)]
    found = Parts(page.render(tmp_path, sections(_written(tmp_path, made))))
    assert found.fetched == []
    assert len([name for name, _ in found.scripts if name is None]) == len(page.SCRIPTS)
    assert rows(found)[0]["parts"]["detector"] == name
    assert found.block("record-data")[1]["reason"] == name


def _written(folder: Path, made: list[Record]) -> list[Record]:
    records = folder / "records"
    return [record.read(record.write(records, one, DETECTIONS if one.status == "ok" else None)) for one in made]


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    found = read_sections(board(tmp_path, seeds=1) / "records")
    (path,) = page.write(tmp_path, found)
    assert path == tmp_path / "index.html"
    assert path.read_text() == page.render(tmp_path, read_sections(tmp_path / "records"))


def test_another_plotly_leaves_the_rest_of_the_page_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_sections(board(tmp_path, seeds=1) / "records")
    one = page.render(tmp_path, found)
    assert page.library(one) == page.offline.get_plotlyjs()
    assert page.library_version(one) == page.offline.get_plotlyjs_version()
    monkeypatch.setattr(page.offline, "get_plotlyjs", lambda: "/* another */")
    another = page.render(tmp_path, found)
    assert one != another
    assert page.without_library(one) == page.without_library(another)
    assert page.without_library(one) != page.without_library(one.replace("frcnn", "rpn"))


def test_without_a_record_there_is_a_page_that_says_so(tmp_path: Path) -> None:
    assert "There is no record yet." in page.render(tmp_path, [])


# ------------------------------------------------------------------------------------------------- the table


def test_rows_are_those_of_the_sections(tmp_path: Path) -> None:
    found = parts(board(tmp_path))
    made = rows(found, 1)
    assert [row["rank"] for row in made] == [*range(1, 13), None]
    assert [row["parts"]["detector"] for row in made[:12]] == [names["detector"] for names in combinations()]
    assert made[5]["seeds"] == [0, 1]
    assert made[5]["missing"] == [2]
    assert made[12]["failed"] == [0]
    assert [row["tied"] for row in (made[0], made[1], made[11], made[12])] == [True, True, False, False]
    assert [row["rankRange"].split()[0] for row in (made[0], made[12])] == ["1", "–"]
    assert all(row["low"] < row["f1"] < row["high"] for row in made[:12])
    assert len({(row["style"]["colour"], row["style"]["symbol"]) for row in made}) == 13


def test_published_numbers_stand_apart_from_rows(tmp_path: Path) -> None:
    section = parts(tmp_path, ok()).block("page-data")["sections"][0]
    assert "IDSIA" in {method["name"] for method in section["published"]}
    assert len(section["rows"]) == 1


def test_what_a_section_was_measured_on_is_told(tmp_path: Path) -> None:
    (section,) = parts(tmp_path, ok(notes=["trained from scratch"])).block("page-data")["sections"]
    assert section["notes"] == ["trained from scratch"]
    assert section["measured"] == (
        "1 test frames of 1 slides, 3 mitoses; matcher mitos, a hit is closer than 5 um. "
        "Brackets: 95 % interval over 2 frames, as there are fewer than five slides: covers about .75 of other slides' "
        "(simulated)."
    )


def test_f1_says_of_how_many_seeds_it_is_where_others_have_more(tmp_path: Path) -> None:
    made = rows(parts(board(tmp_path)), 1)
    assert "(" not in made[0]["f1Shown"]
    assert re.fullmatch(r"\.\d{3} \(mean of 2\) \[\.\d{3}, \.\d{3}\]", made[5]["f1Shown"])
    assert made[12]["f1Shown"] == "FAILED"


def test_a_record_is_there_with_what_it_takes_to_repeat_it(tmp_path: Path) -> None:
    (made,) = parts(tmp_path, ok()).block("record-data")
    path = f"records/{ok().stem}.json"
    assert list(made["commands"].values()) == [
        command_of(ok()),
        f"mitobench reproduce {path}",
        f"mitobench gallery {path}",
    ]
    assert made["frames"] == [["A00_00", "00", 1, 1, 2]]
    assert made["chosen"] == {
        "threshold": 0.5,
        "candidate threshold": 0.1,
        "detector's own threshold": 0.5,
        "fuser: w": 0.5,
    }
    assert made["file"] == f"{ok().stem}.json"
    assert made["provenance"]["versions"] == {"python": "3.11.0", "torch": "2.6.0"}
    assert made["provenance"]["data"]["mitos2012"]["digest"]["test"] == "d" * 64


# ------------------------------------------------------------------------------------------------- curves


@pytest.mark.parametrize("path", COMMITTED[:3], ids=lambda path: path.name[:24])
def test_a_committed_record_has_its_own_curve_thinned(tmp_path: Path, path: Path) -> None:
    made = record.read(path)
    assert made.test is not None
    detections = gzip.decompress(path.with_suffix(".detections.csv.gz").read_bytes()).decode()
    (curve,) = parts(tmp_path, made, detections=detections).block("curve-data")
    tp, fp = np.array(curve["tp"]), np.array(curve["fp"])
    assert len(tp) <= MOST_POINTS
    f1 = 2 * tp / (tp + fp + curve["mitoses"])
    assert f1.max() == pytest.approx(made.test.oracle_f1, abs=1e-9)
    assert tp.max() / curve["mitoses"] == pytest.approx(made.test.recall_ceiling, abs=1e-9)
    assert curve["chosen"] == [made.test.tp, made.test.fp]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (ok().model_copy(update={"test": metrics(None, oracle_f1=None)}), "no scores"),
        (failed(), "no scores"),
    ],
)
def test_where_a_record_tells_no_curve_the_page_says_why(tmp_path: Path, made: Record, why: str) -> None:
    (curve,) = parts(tmp_path, made).block("curve-data")
    assert why in curve["why"]
    assert list(curve) == ["why"]


@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)).filter(any), max_size=300), most=st.integers(4, 60)
)
def test_thinning_keeps_ends_and_best_f1(steps: list[tuple[int, int]], most: int) -> None:
    tp, fp = np.cumsum(np.array(steps, dtype=np.int64).reshape(-1, 2), axis=0).T
    curve = Curve(np.arange(len(tp), 0.0, -1.0), tp, fp, int(tp.max(initial=0)) + 1, 1)
    kept = thinned(curve, most)
    assert len(kept) <= most
    assert (np.diff(kept) > 0).all()
    if len(tp):
        assert kept[0] == 0
        assert kept[-1] == len(tp) - 1
        assert curve.ratio("f1")[kept].max() == curve.ratio("f1").max()


def test_a_short_curve_keeps_every_turn() -> None:
    curve = Curve(np.arange(6, 0.0, -1.0), np.array([1, 2, 2, 2, 2, 3]), np.array([0, 0, 1, 2, 3, 3]), 4, 1)
    assert thinned(curve).tolist() == [0, 1, 4, 5]


# ------------------------------------------------------------------------------------------------- many


def test_a_thousand_records_are_built_in_five_seconds(tmp_path: Path) -> None:
    thousand(tmp_path)
    start = time.process_time()
    page.write(tmp_path, read_sections(tmp_path / "records"))
    assert time.process_time() - start < 5

"""The index lists every slide with its numbers or the reason why it has none, and links to the reports."""

from __future__ import annotations

from pathlib import Path

from mitobench.model.card import Repacked
from mitobench.model.pages import IndexRow, write_index
from model.pages.test_slide_page import text_of
from model.toy_models import card

ROWS = [
    IndexRow(
        "one", "one.html", "judged", 1017, (9.903, 27.219), 1212, 111.2, 1.906, ("paler than the training frames",)
    ),
    IndexRow("grey <b>", "a b#.html", "not judged", notes=("no colour",)),
    IndexRow("broken", status="failed", notes=("cannot be read",)),
    IndexRow("none", "none.html", "judged", None, None, 0, 0.0, None),
]


def test_it_lists_the_slides(tmp_path: Path) -> None:
    write_index(tmp_path / "index.html", ROWS, 2.0, card(title="a model"), 0.6, len(ROWS))
    html, text = (tmp_path / "index.html").read_text(encoding="utf-8"), text_of(tmp_path / "index.html")
    assert "Mitoses on 4 images a model, threshold .600" in text
    assert "In a test on synthetic it reached F1 .500, where 1 means that every mitosis and nothing else" in text
    assert "2 judged, 1 not judged, 1 failed." in text
    assert "one 1,017 9.9 to 27.2 1,212 111 1.91 paler than the training frames" in text
    assert "not judged no colour" in text
    assert "failed cannot be read" in text
    assert "none – – 0 0 –" in text
    assert 'href="one.html"' in html
    assert 'href="a%20b%23.html"' in html
    assert "grey &lt;b&gt;" in html
    assert "<script" not in html


def test_it_says_if_the_f1_of_the_test_refers_to_another_threshold(tmp_path: Path) -> None:
    chosen_again = {"options": {}, "threshold_before": 0.3, "frames": 1, "mitoses": 1, "matcher": "mitos"}
    numbers = dict.fromkeys(("precision", "recall", "f1", "f1_before"), 0.5)
    repacked = card(repacked=Repacked(**chosen_again, radius_um=7.5, **numbers))
    for one, threshold, measured in ((card(), 0.5, None), (card(), 0.6, ".500"), (repacked, 0.5, ".300")):
        write_index(tmp_path / "index.html", ROWS, 2.0, one, threshold, len(ROWS))
        text = text_of(tmp_path / "index.html")
        assert (f"That is at a threshold of {measured}, not at the one used here." in text) == (measured is not None)
        assert ("at a threshold of" in text) == (measured is not None)


def test_one_image_is_not_called_images(tmp_path: Path) -> None:
    write_index(tmp_path / "index.html", ROWS[:1], 2.0, card(title="a model"), 0.6, 1)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<title>Mitoses on 1 image</title>" in html
    assert "<h1>Mitoses on 1 image</h1>" in html

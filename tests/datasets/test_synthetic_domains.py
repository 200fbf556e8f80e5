"""`synthetic-domains`: the same bytes for a seed, and domains that differ in what they promise."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mitobench.datasets import load, synthetic_domains
from mitobench.datasets.check import check
from mitobench.datasets.splits import assign, load_split
from mitobench.errors import MitobenchError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("domains") / "made"
    synthetic_domains.write(folder, seed=2, size=96, slides=6)
    return folder


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def test_a_copy_is_complete_and_every_split_can_be_used(folder: Path) -> None:
    report = check("synthetic-domains", folder)
    assert report.dataset.coverage is None
    assert [protocol.problem for protocol in report.protocols] == [None]
    assert [row.tumour for row in report.domains] == [*(t.name for t in synthetic_domains.TUMOURS), "all"]
    split = assign(load_split("synthetic-domains", "by-slide"), report.dataset)
    pairs = [
        {tuple(report.dataset.items[id].frame.domains[k] for k in ("tumour", "scanner")) for id in ids}
        for ids in split.parts.values()
    ]
    assert [len(found) for found in pairs] == [6, 6, 6]


def test_scanners_differ_in_um_per_px_sharpness_and_stain(folder: Path) -> None:
    frames = [item.frame for item in load("synthetic-domains", folder).items.values()]
    values: dict[str, list[tuple[float, float]]] = {}
    for frame in frames:
        pixels = frame.read().astype(float)
        sharp = float(np.abs(np.diff(pixels.mean(axis=2), axis=1)).mean())
        values.setdefault(frame.domains["scanner"], []).append(
            (float(pixels[..., 0].mean() - pixels[..., 2].mean()), sharp)
        )
    assert {frame.domains["scanner"]: round(frame.mpp[0], 3) for frame in frames} == {
        scanner.name: scanner.mpp for scanner in synthetic_domains.SCANNERS
    }
    means = {name: np.mean(rows, axis=0) for name, rows in values.items()}
    assert means["Synthetic Two"][1] < 0.8 * means["Synthetic One"][1], "the blurred scanner"
    assert means["Synthetic Two"][0] > means["Synthetic One"][0] > means["Synthetic Three"][0], "from red to blue"


def test_contested_figures_have_votes(folder: Path) -> None:
    items = load("synthetic-domains", folder).items.values()
    sure = {round(float(v), 2) for item in items for v in (item.mitoses.confidence if len(item.mitoses) else ())}
    assert sure == {0.67, 1.0}


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 3)):
        synthetic_domains.write(tmp_path / name, seed=seed, size=96, slides=3)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_it_is_never_taken_for_a_real_data_set(folder: Path) -> None:
    from mitobench.datasets import available

    assert available(folder, labels_only=True) == ["synthetic-domains"]


@pytest.mark.parametrize("wrong", [{"size": 20}, {"slides": 1}, {"seed": -1}])
def test_arguments_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(MitobenchError, match="out of range"):
        synthetic_domains.write(tmp_path / "x", **wrong)


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(MitobenchError, match=r"holds mine\.txt"):
        synthetic_domains.write(tmp_path)

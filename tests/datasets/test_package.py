"""Data sets in other packages: with their own cards and splits, and several of them in one run."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mitobench import datasets, discovery, registry
from mitobench.api import Mitoses
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets import mitos2012, splits, synthesis
from mitobench.errors import MitobenchError, PluginError
from mitobench.pipeline.executors import ProgressListener
from mitobench.report.build import read_sections
from mitobench.reproduce import reproduce
from mitobench.results.check import check

pytestmark = pytest.mark.slow

TOYS = Path(__file__).parents[1] / "toys"
SLIDES = {"train": ["00", "01"], "val": ["02"], "test": ["03"]}
FOLDS = {
    "cv-by-slide-1of2": {"train": ["02"], "val": ["03"], "test": ["00", "01"]},
    "cv-by-slide-2of2": {"train": ["00"], "val": ["01"], "test": ["02", "03"]},
}

READER = """
from mitobench.datasets import mitos2012
from mitobench.datasets.reader import Reader

class Mine(Reader):
    name = "{name}"

    def find(self, root):
        return [root / "{name}"] if (root / "{name}").is_dir() else []

    def read(self, root):
        return mitos2012.read_layout(root / "{name}", self.card())
"""
CARD = """
name = "{name}"
title = "Mine"
radius_um = 5.0
has_masks = true
has_imposters = false
protocols = {protocols}
mpp = {{ A = [0.25, 0.25] }}
"""


def split(name: str, protocol: str, parted: Mapping[str, list[str]] = SLIDES, **more: object) -> str:
    parts = {part: {"groups": slides} for part, slides in parted.items()}
    return json.dumps({"name": f"{name}-{protocol}", "dataset": name, "protocol": protocol, "parts": parts, **more})


@pytest.fixture
def bring(install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a package with a data set in addition to the toys and writes its frames; returns their folder."""
    packages = ["mitobench-toys", "mitobench"]
    monkeypatch.syspath_prepend(TOYS)
    for name in ("ducks_frames", "geese_frames"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def bring(
        name: str,
        protocols: str = '["halves"]',
        reader: str = READER,
        slides: Mapping[str, list[str]] = SLIDES,
        **more: object,
    ) -> Path:
        module = f"{name}_frames"
        install(
            f"package-of-{name}",
            {"mitobench.datasets": {name: f"{module}:Mine"}},
            {
                f"{module}/__init__.py": reader.format(name=name),
                f"{module}/{name}.toml": CARD.format(name=name, protocols=protocols),
                f"{module}/splits/{name}-halves.json": split(name, "halves", slides, **more),
                **{
                    f"{module}/splits/{name}-{fold}.json": split(name, fold, folded, **more)
                    for fold, folded in FOLDS.items()
                },
            },
        )
        packages.append(f"package-of-{name}")
        monkeypatch.setenv("MITOBENCH_PACKAGES", ",".join(packages))
        discovery.found.cache_clear()
        mitos2012.write(tmp_path / "data" / name, _frames(sum(map(ord, name))))
        return tmp_path / "data"

    return bring


def _frames(seed: int) -> list[tuple[str, object, Mitoses, str]]:
    """Four slides of one frame each, the first of its slide with a mitosis."""
    made = ((synthesis.make_frame(seed, n, field, 96) for field in itertools.count()) for n in range(4))
    pictures = [next(picture for picture in fields if len(picture.mitoses)) for fields in made]
    return [(f"A{n:02}_00", p.image, p.mitoses, "test" if n == 3 else "train") for n, p in enumerate(pictures)]


@pytest.mark.thorough
def test_two_packages_data_sets_share_a_run_with_their_own_cards_and_splits(
    bring: Callable[..., Path], tmp_path: Path
) -> None:
    bring("ducks")
    data = bring("geese")
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    roles = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["detector-only"]}
    given = {"data": data, "profile": str(tmp_path / "toys.toml"), "device": "cpu", "store": tmp_path / "store"}
    benchmark = Benchmark.prepare([Grid(roles)], datasets=["ducks", "geese"], train_on=["ducks", "geese"], **given)
    benchmark.run(tmp_path / "out")
    records = {record.combination["dataset"]: record for _, record in benchmark.records}
    assert [record.status for record in records.values()] == ["ok", "ok"]
    assert {name: record.combination["protocol"] for name, record in records.items()} == {
        "ducks": "halves",
        "geese": "halves",
    }
    assert records["ducks"].data["ducks"].frames == {"train": 2, "val": 1, "test": 1}


class TestSplitTogether:
    """Two data sets whose splits belong together: what one row tests on, no other row of the run learns from."""

    @pytest.fixture
    def prepare(self, bring: Callable[..., Path], tmp_path: Path) -> Callable[..., Benchmark]:
        bring("ducks", protocols='["another", "halves", "cv-by-slide"]', together_with=["geese"])
        data = bring("geese", protocols='["another", "halves", "cv-by-slide"]', together_with=["ducks"])
        (tmp_path / "toys.toml").write_text('title = "toys"\n')
        roles = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["detector-only"]}
        given = {"data": data, "profile": str(tmp_path / "toys.toml"), "device": "cpu", "store": tmp_path / "store"}
        return lambda **options: Benchmark.prepare([Grid(roles)], **{"protocol": "halves", **given, **options})

    def test_both_rows_share_one_training_without_any_test_slide(self, prepare: Callable[..., Benchmark]) -> None:
        benchmark = prepare(datasets=["ducks", "geese"], train_on=["ducks", "geese"])
        (fit,) = (stage for stage in benchmark.plan.stages.values() if stage.kind == "fit-detector")
        part = benchmark.workspace.part
        assert fit.frames == {name: part(["ducks", "geese"], name) for name in ("train", "val")}

    def test_a_row_alone_trains_in_the_same_way(self, prepare: Callable[..., Benchmark]) -> None:
        whole = prepare(datasets=["ducks", "geese"], train_on=["ducks", "geese"])
        keys = set(whole.plan.stages)
        for name in ("ducks", "geese"):
            alone = prepare(datasets=[name], train_on=["ducks", "geese"])
            assert set(alone.plan.stages) < keys

    def test_the_record_says_so_and_can_be_checked_and_reproduced(
        self, prepare: Callable[..., Benchmark], tmp_path: Path
    ) -> None:
        benchmark = prepare(datasets=["geese"], train_on=["ducks", "geese"])
        benchmark.run(tmp_path / "out")
        ((path, record),) = benchmark.records
        assert record.data["geese"].split.together_with == ["ducks"]
        assert record.choosing == ("ducks", "geese")
        assert any(note.startswith("ducks: split together with geese; its test slides") for note in record.notes)
        assert not any("all labelled frames" in note for note in record.notes)
        assert check(path).problems == []
        listener = lambda _: contextlib.nullcontext(ProgressListener())  # noqa: E731
        again = reproduce(path, data=tmp_path / "data", show_progress=listener, notify=print)
        assert again.verdict == "equal"

    def test_the_folds_of_each_data_set_are_summed(self, prepare: Callable[..., Benchmark], tmp_path: Path) -> None:
        for fold in FOLDS:
            benchmark = prepare(datasets=["ducks", "geese"], train_on=["ducks", "geese"], protocol=fold)
            benchmark.run(tmp_path / "out")
        found = {section.dataset: section for section in read_sections(tmp_path / "out" / "records")}
        assert set(found) == {"ducks", "geese"}
        for section in found.values():
            (row,) = section.rows
            assert not row.failed
            assert list(row.mitoses_by_slide) == ["00", "01", "02", "03"]

    def test_a_run_whose_training_sets_are_split_together_is_another_row(
        self, prepare: Callable[..., Benchmark], tmp_path: Path
    ) -> None:
        benchmark = prepare(datasets=["geese"], train_on=["ducks", "geese"])
        benchmark.run(tmp_path / "out")
        ((_, joint),) = benchmark.records
        entry = joint.data["geese"]
        alone = entry.model_copy(update={"split": entry.split.model_copy(update={"together_with": []})})
        apart = joint.model_copy(update={"data": {**joint.data, "geese": alone}})
        assert joint.identity != apart.identity

    def test_a_set_that_is_only_tested_on_changes_no_training(self, prepare: Callable[..., Benchmark]) -> None:
        with pytest.raises(
            MitobenchError, match="geese has no protocol 'another'"
        ):  # its own default, not that of ducks
            prepare(datasets=["ducks"], train_on=["geese"])

    def test_a_training_set_that_is_not_named_there_is_learned_from_as_a_whole(
        self, prepare: Callable[..., Benchmark]
    ) -> None:
        benchmark = prepare(datasets=["geese"], train_on=["geese"])
        (fit,) = (stage for stage in benchmark.plan.stages.values() if stage.kind == "fit-detector")
        assert fit.frames["val"] == benchmark.workspace.part(["geese"], "val")
        assert "ducks" not in benchmark.workspace.datasets


@pytest.mark.parametrize(
    ("ducks", "geese"),
    [
        ({"train": [], "val": [], "test": ["03"]}, SLIDES),
        (SLIDES, {"train": ["00", "01", "03"], "val": ["02"], "test": []}),
    ],
    ids=["ducks are only tested on", "geese are only learned from"],
)
def test_a_split_leaves_empty_what_a_run_does_not_need(
    bring: Callable[..., Path], tmp_path: Path, ducks: dict[str, list[str]], geese: dict[str, list[str]]
) -> None:
    bring("ducks", slides=ducks)
    data = bring("geese", slides=geese)
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    roles = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["detector-only"]}
    given = {"data": data, "profile": str(tmp_path / "toys.toml"), "device": "cpu", "store": tmp_path / "store"}
    benchmark = Benchmark.prepare([Grid(roles)], datasets=["ducks"], train_on=["geese"], **given)
    benchmark.run(tmp_path / "out")
    ((path, record),) = benchmark.records
    assert (record.status, check(path).problems) == ("ok", [])
    with pytest.raises(MitobenchError, match=r"no frames, so (ducks cannot be learned from|geese cannot be tested)"):
        Benchmark.prepare([Grid(roles)], datasets=["geese"], train_on=["ducks"], **given)


@pytest.mark.parametrize("one_sided", ["ducks", "geese"])
def test_splits_of_which_only_one_names_the_other_are_refused(
    bring: Callable[..., Path], tmp_path: Path, one_sided: str
) -> None:
    other = {"ducks": "geese", "geese": "ducks"}
    for name in other:
        data = bring(name, **({"together_with": [other[name]]} if name == one_sided else {}))
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    roles = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["detector-only"]}
    given = {"data": data, "profile": str(tmp_path / "toys.toml"), "device": "cpu", "train_on": ["ducks", "geese"]}
    for datasets_ in (["ducks"], ["ducks", "geese"]):
        with pytest.raises(MitobenchError, match="one names the other, and is not named by it"):
            Benchmark.prepare([Grid(roles)], datasets=datasets_, protocol="halves", **given)


def test_a_users_split_cannot_belong_to_that_of_another_data_set(bring: Callable[..., Path], tmp_path: Path) -> None:
    bring("ducks")
    (tmp_path / "mine.json").write_text(split("ducks", "mine", together_with=["geese"]))
    with pytest.raises(MitobenchError, match=r"mine\.json: together_with is for splits of the registry"):
        splits.load_split("ducks", str(tmp_path / "mine.json"))
    (tmp_path / "mine.json").write_text(split("ducks", "mine", together_with=["ducks"]))
    with pytest.raises(MitobenchError, match="names ducks itself"):
        splits.load_split("ducks", str(tmp_path / "mine.json"))


def test_a_package_can_have_its_own_splits(bring: Callable[..., Path]) -> None:
    bring("ducks")
    assert splits.protocols("ducks") == [*FOLDS, "halves"]
    assert splits.load_split("ducks", "halves").path.parent.parent.name == "ducks_frames"
    with pytest.raises(MitobenchError, match=r"ducks has no protocol 'halfs'\. Did you mean halves"):
        splits.load_split("ducks", "halfs")


def test_a_users_split_cannot_take_the_name_of_a_packages_split(bring: Callable[..., Path], tmp_path: Path) -> None:
    bring("ducks")
    (tmp_path / "mine.json").write_text(split("ducks", "halves"))
    with pytest.raises(MitobenchError, match=r"mine\.json: ducks already has a protocol 'halves'"):
        splits.load_split("ducks", str(tmp_path / "mine.json"))


def test_a_card_without_protocols_is_an_error_but_a_users_split_works(
    bring: Callable[..., Path], tmp_path: Path
) -> None:
    data = bring("ducks", protocols="[]")
    roles = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["detector-only"]}
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    given = {"data": data, "datasets": ["ducks"], "profile": str(tmp_path / "toys.toml"), "device": "cpu"}
    with pytest.raises(MitobenchError, match=r"The card of data set 'ducks' lists no protocol \(protocols = \[\]\)"):
        Benchmark.prepare([Grid(roles)], **given)
    (tmp_path / "mine.json").write_text(split("ducks", "mine"))
    made = Benchmark.prepare([Grid(roles)], protocol=str(tmp_path / "mine.json"), **given)
    assert [row.combination.protocol for row in made.plan.rows] == ["mine"]


def test_each_data_set_of_a_run_may_have_a_users_split(bring: Callable[..., Path], tmp_path: Path) -> None:
    bring("ducks")
    data = bring("geese")
    for name in ("ducks", "geese"):
        (tmp_path / f"{name}.json").write_text(split(name, "mine"))
    roles = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["none"], "fuser": ["detector-only"]}
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    given = {"data": data, "datasets": ["ducks", "geese"], "profile": str(tmp_path / "toys.toml"), "device": "cpu"}
    made = Benchmark.prepare([Grid(roles)], protocol=f"{tmp_path}/ducks.json, {tmp_path}/geese.json", **given)
    assert [row.combination.protocol for row in made.plan.rows] == ["mine", "mine"]
    with pytest.raises(MitobenchError, match=r"--protocol: none of .*ducks\.json is a split of 'geese'"):
        Benchmark.prepare([Grid(roles)], protocol=f"{tmp_path}/ducks.json", **given)


def test_a_reader_that_raises_is_reported_with_its_package(bring: Callable[..., Path]) -> None:
    broken = READER.replace("return mitos2012.read_layout", "raise IndexError('tuple index out of range') or str")
    data = bring("ducks", reader=broken)
    with pytest.raises(PluginError, match=r"data set 'ducks' \(package package-of-ducks 1\.0\) raised IndexError"):
        datasets.load("ducks", data)


def test_cards_of_built_in_data_sets_come_from_the_registry() -> None:
    assert datasets.reader("synthetic").card() == datasets.Card.load(registry.entry("datasets", "synthetic"))

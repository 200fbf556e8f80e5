"""Cards of plugins and of members of families, from packages and from the user's folder: what reads and shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery
from mitobench.benchmark import Benchmark, Grid
from mitobench.cards import file_name
from mitobench.errors import MitobenchError
from mitobench.results.check import check
from mitobench.results.record import spelled
from mitobench.results.schema import Record

MODULE = """
from pathlib import Path
from mitobench.api import Detections, Detector, Field, Options

class NetsOptions(Options):
    network: str = Field("", description="Which one.")
    pretrained: str = Field("file", description="file or none")
    mpp: float = Field(0.5, description="um/px")

class Nets(Detector):
    name = "nets"
    version = "1"
    Options = NetsOptions
    argument = "network"
    example = "small"
    uses_boxes = False

    @classmethod
    def pretrained(cls, options):
        return Path(__file__) if options.pretrained == "file" else None

    @classmethod
    def describe(cls, options):
        if options.network == "broken":
            raise RuntimeError("cannot be built")
        return {"parameters": 1234567, "um/px": options.mpp, "licence of weights": "CC-BY-4.0"}

    def fit(self, train, val, context):
        pass

    def predict(self, frame):
        return Detections.from_points([[20, 20], [60, 40]], [0.9, 0.4])
"""
CARD = """\
role = "detector"
title = "Networks"
licence = "MIT"
argument = "network"
accepts = "small, large or any file"
variant = ["mpp"]

[member."large"]
licence = "CC-BY-NC-4.0"
trained_on = ["imagenet", "synthetic"]

[profile.smoke]
mpp = 0.25
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of the user's cards."""
    folder = tmp_path / "cards"
    folder.mkdir()
    monkeypatch.setenv("MITOBENCH_CARDS", str(folder))
    yield folder
    sys.modules.pop("nets_package", None)


@pytest.fixture
def nets(install: Callable[..., None]) -> None:
    install(
        "nets-package",
        {
            "mitobench.detectors": {"nets": "nets_package:Nets"},
            "mitobench.estimators": {"fixed": "mitobench.methods.fixed:Fixed"},
            "mitobench.verifiers": {"none": "mitobench.methods.none:NoVerifier"},
            "mitobench.fusers": {"detector-only": "mitobench.methods.detector_only:DetectorOnly"},
            "mitobench.datasets": {"synthetic": "mitobench.datasets.synthetic:Synthetic"},
        },
        {
            "nets_package/__init__.py": MODULE,
            "nets_package/nets.toml": CARD,
            "nets_package/nets__my_net.toml": 'title = "My network"\n',
        },
    )


def card(spec: str) -> dict[str, Any]:
    return discovery.find("detector", spec).card(spec)


@pytest.mark.usefixtures("nets")
class TestReading:
    def test_a_member_has_the_familys_card_with_its_own_values(self) -> None:
        assert card("nets")["licence"] == card("nets:small")["licence"] == "MIT"
        assert card("nets:large")["licence"] == "CC-BY-NC-4.0"
        assert card("nets:large")["title"] == "Networks"
        assert "trained_on" not in card("nets:small")

    def test_a_member_may_have_a_file_of_its_own(self) -> None:
        assert card("nets:my/net")["title"] == "My network"
        assert card("nets:my/net")["licence"] == "MIT"
        assert file_name("nets", "../a b.py") == "nets__.._a_b.py.toml"

    def test_tables_for_mitobench_are_not_part_of_what_is_shown(self) -> None:
        assert not {"member", "profile"} & set(card("nets:large"))

    def test_the_users_own_cards_win_by_single_values(self, own_folder: Path) -> None:
        (own_folder / "nets.toml").write_text('licence = "mine"\n[member."large"]\nnotes = "tried in May"\n')
        assert card("nets:small")["licence"] == "mine"
        assert card("nets:large")["notes"] == "tried in May"
        assert card("nets:large")["trained_on"] == ["imagenet", "synthetic"]
        (own_folder / "nets__large.toml").write_text('trained_on = ["mitos2012"]\n')
        assert card("nets:large")["trained_on"] == ["mitos2012"]

    @pytest.mark.parametrize("text", ["trained_on = 'mitos2012'", "trained_on = [3]", "title = "])
    def test_a_wrong_card_of_the_user_is_named(self, own_folder: Path, text: str) -> None:
        (own_folder / "nets__large.toml").write_text(text)
        with pytest.raises(MitobenchError, match=r"nets__large\.toml"):
            card("nets:large")

    def test_old_option_names_come_from_the_package_alone(self, own_folder: Path) -> None:
        (own_folder / "nets.toml").write_text('renamed = { a = "b" }\n')
        assert discovery.renamed_options("detector", "nets") == {}


@pytest.mark.usefixtures("nets")
class TestCommands:
    def test_list_shows_families_and_what_they_accept_without_an_import(self, mitobench: Callable[..., Any]) -> None:
        done = mitobench("list", "--role", "detector")
        assert "  nets:NETWORK  nets-package 1.0  Networks\n" in done.out
        assert "NETWORK: small, large or any file\n" in done.out
        assert "nets_package" not in sys.modules

    def test_info_of_a_member_shows_parameters_weights_and_licences(self, mitobench: Callable[..., Any]) -> None:
        done = mitobench("info", "nets:large", "--profile", "smoke")
        assert done.code == 0, done.err
        lines = {line.strip() for line in done.out.splitlines()}
        for name, value in {
            "licence": "CC-BY-NC-4.0",
            "trained_on": "synthetic",
            "starts from": "__init__.py",
            "parameters": "1,234,567",
            "um/px": "0.25",
            "licence of weights": "CC-BY-4.0",
        }.items():
            assert any(line.startswith(name) and line.endswith(f" {value}") for line in lines), name

    def test_info_of_a_family_builds_nothing(self, mitobench: Callable[..., Any]) -> None:
        done = mitobench("info", "nets")
        assert done.code == 0
        assert "parameters" not in done.out

    def test_info_of_a_member_that_does_not_exist_prints_nothing_but_the_error(
        self, mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(argument: str) -> str:
            raise MitobenchError(f"Unknown network {argument!r}.")

        monkeypatch.setattr(discovery.family("detector", "nets"), "resolve", unknown)
        done = mitobench("info", "nets:none")
        assert (done.code, done.out, done.err) == (2, "", "error: Unknown network 'none'.\n")

    def test_a_network_that_cannot_be_built_hides_nothing_else(self, mitobench: Callable[..., Any]) -> None:
        done = mitobench("info", "nets:broken")
        assert done.code == 0
        assert "(not known: RuntimeError: cannot be built)" in done.out
        assert "pretrained: str" in done.out

    def test_check_plugin_takes_options_and_prints_seconds(self, mitobench: Callable[..., Any]) -> None:
        done = mitobench("check-plugin", "nets:large", "--set", "detector.mpp=0.3")
        assert done.code == 0, done.out
        assert "fits and returns valid results" in done.out
        assert done.out.count(" s\n") == done.out.count("  ok  ")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("detector.mpq=1", "no detector of this run has an option 'mpq'. Did you mean mpp?"),
            ("detector.mpp=wide", "valid number"),
            ("detector.net.mpp=1", "unknown detector 'net'"),
            ("mpp", "the value is missing"),
        ],
    )
    def test_check_plugin_refuses_wrong_options(self, mitobench: Callable[..., Any], text: str, message: str) -> None:
        done = mitobench("check-plugin", "nets:large", "--set", text)
        assert done.code == 2
        assert message in done.err


@pytest.mark.usefixtures("nets")
@pytest.mark.slow
class TestTrainedOn:
    @pytest.fixture
    def measured(self, small_data: Path, tmp_path: Path) -> Callable[..., tuple[Path, Record]]:
        def measured(spec: str, *sets: str) -> tuple[Path, Record]:
            (tmp_path / "mine.toml").write_text('title = "mine"\n')
            roles = {"estimator": ["fixed"], "detector": [spec], "verifier": ["none"], "fuser": ["detector-only"]}
            benchmark = Benchmark.prepare(
                [Grid(roles)],
                data=small_data,
                datasets=["synthetic"],
                device="cpu",
                profile=str(tmp_path / "mine.toml"),
                sets=sets,
                store=tmp_path / "store",
            )
            benchmark.run(tmp_path / "out")
            ((path, record),) = benchmark.records
            assert record.status == "ok", record.reason
            return path, record

        return measured

    def test_it_reaches_record_and_row(self, measured: Callable[..., tuple[Path, Record]]) -> None:
        path, record = measured("nets:large")
        assert record.plugins["detector"].trained_on == ["imagenet", "synthetic"]
        note = "nets:large: its weights were trained on synthetic, which is tested on here"
        assert note in record.notes
        assert check(path).problems == []
        from mitobench.report.table import sections

        (section,) = sections([record])
        assert note in [*section.notes, *section.remarks(section.rows[0])]

    def test_a_record_without_the_note_contradicts_itself(self, measured: Callable[..., tuple[Path, Record]]) -> None:
        path, record = measured("nets:large")
        notes = [note for note in record.notes if "which is tested on here" not in note]
        path.write_bytes(spelled(record.model_copy(update={"notes": notes}).sealed()))
        assert any("trained on synthetic" in problem for problem in check(path).problems)

    def test_random_weights_have_seen_nothing(self, measured: Callable[..., tuple[Path, Record]]) -> None:
        _, record = measured("nets:large", "detector.pretrained=none")
        assert record.plugins["detector"].trained_on == []
        assert not any("which is tested on here" in note for note in record.notes)

    def test_records_without_it_are_written_as_before(self, measured: Callable[..., tuple[Path, Record]]) -> None:
        path, _ = measured("nets:small")
        assert not any("trained_on" in plugin for plugin in json.loads(path.read_text())["plugins"].values())

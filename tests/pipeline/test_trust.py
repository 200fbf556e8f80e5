"""Records, models, profiles and experiments of strangers run no program and contact no hub, however they name it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tiny_runs

from mitobench import discovery, hub
from mitobench.errors import MitobenchError, PluginError
from mitobench.methods.calibration import Calibration
from mitobench.methods.external import External
from mitobench.model import Model, pack
from mitobench.model import card as cards
from mitobench.pipeline import trust
from mitobench.results import record as records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("toys")]

TOUCHED = "touched.txt"
TOUCH = f"touch {TOUCHED} {{image}}"
Mitobench = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory; nothing that a stranger names may happen in it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in (hub.ALLOW_DOWNLOAD, trust.FORBID_EXTERNAL):
        monkeypatch.setenv(name, "")  # so that what a command sets is undone
        monkeypatch.delenv(name)
    return folder


def honest(folder: Path, data: Path, detector: str = "toy-boxless", **options: Any) -> Path:
    (path,) = tiny_runs.run(folder, data, {"detector": [detector], "verifier": ["none"]}, **options)
    return path


def with_detector(path: Path, spec: str, **options: Any) -> Path:
    """Forge a record so that it names another detector, and agrees with itself."""

    def change(content: dict[str, Any]) -> None:
        content["combination"]["detector"] = spec
        for entry in tiny_runs.of_detector(content):
            entry["name"] = spec
            entry["options"] = options
        content["plugins"]["detector"]["variant"] = {}

    return tiny_runs.forge(path, change)


HOSTILE = {
    "plainly": (f"external:{TOUCH}", {}),
    "with its own options": (f"external:{TOUCH}", {"command": TOUCH, "words": [None, None, None]}),
    "in a renamed family": (f"toy-program:{TOUCH}", {}),
    "in a union": (f"union:external:{TOUCH}+toy-boxless", {}),
    "in a union of a renamed family": (f"union:toy-boxless+toy-program:{TOUCH}", {}),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_record_runs_no_command(mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path, how: str) -> None:
    spec, options = HOSTILE[how]
    path = with_detector(honest(tmp_path / "board", small_data), spec, **options)
    answer = mitobench("reproduce", path, "--data", small_data)
    assert answer.code == 2, answer.out + answer.err
    assert f"run this command: '{TOUCH}'" in answer.err
    assert "--allow-external" in answer.err
    for command in ("check", "build"):
        assert mitobench("leaderboard", command, path.parent.parent).code in (0, 1)
    assert not (here / TOUCHED).exists()
    mitobench("reproduce", path, "--data", small_data, "--allow-external")
    assert (here / TOUCHED).exists(), "or this test tries nothing"


def test_a_command_in_the_options_of_another_is_refused(
    mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path
) -> None:
    path = with_detector(honest(tmp_path / "board", small_data), "external:true {image}", command=TOUCH)
    for flags in ([], ["--allow-external"]):
        answer = mitobench("reproduce", path, "--data", small_data, *flags)
        assert answer.code == 2
        assert "Input should be 'true {image}'" in answer.err
    assert not (here / TOUCHED).exists()


def test_a_file_that_the_record_brings_is_shown(
    mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path
) -> None:
    """`sh mine.sh {image}` looks harmless where mine.sh is one's own."""
    (here / "mine.sh").write_text(f"touch {TOUCHED}\necho x,y,score\n")
    path = honest(tmp_path / "board", small_data, "external:sh mine.sh {image}")
    assert (here / TOUCHED).exists()
    (here / TOUCHED).unlink()
    (here / "mine.sh").write_text("echo x,y,score\n")
    answer = mitobench("reproduce", path, "--data", small_data)
    assert answer.code == 2, answer.out
    assert "sh mine.sh {image} (mine.sh is a file that it brings, with SHA-256 " in answer.err
    assert not (here / TOUCHED).exists()
    assert mitobench("reproduce", path, "--data", small_data, "--allow-external").code == 0
    assert (here / TOUCHED).exists()


def test_a_file_of_this_machine_that_the_record_names_is_not_used(
    mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path
) -> None:
    """The record of the new run would hold its content."""
    (tmp_path / "key.txt").write_text("secret")
    options = {"command": "true {image}", "words": [None, None], "files": [str(tmp_path / "key.txt")]}
    path = with_detector(honest(tmp_path / "board", small_data), "external:true {image}", **options)
    answer = mitobench("reproduce", path, "--data", small_data, "--allow-external")
    assert answer.code == 2, answer.out
    assert "key.txt, a file of this machine and not one that it brings. It is not used." in answer.err


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("echo \u202egpj.x {image}", r"echo '\u202egpj.x' {image}"),
        ("echo '\x1b[2J\x1b[1A' {image}", r"\x1b[2J\x1b[1A"),
        ("echo 'a\nNothing was run.' {image}", r"a\nNothing was run."),
        ("\u0435cho {image}", r"\u0435cho"),
        ("echo '\u200b\u00a0\ufeff' {image}", r"\u200b\xa0\ufeff"),
        ("echo '\\u202e' {image}", r"\\u202e"),
    ],
)
def test_a_command_is_shown_in_ascii_on_one_line(command: str, shown: str) -> None:
    cls = discovery.load("detector", f"external:{command}")
    with pytest.raises(MitobenchError) as raised:
        trust.check(trust.requests_of("detector", cls, cls.Options()), [], "The record")
    message = str(raised.value)
    assert shown in message
    assert message.isascii()
    assert len(message.splitlines()) == 3


def test_a_long_command_is_shown_whole(mitobench: Mitobench, small_data: Path, tmp_path: Path) -> None:
    spec = f"external:echo {' '.join(['harmless'] * 400)} {{image}} the-end"
    answer = mitobench("reproduce", with_detector(honest(tmp_path / "board", small_data), spec), "--data", small_data)
    assert "the-end" in answer.err


class TestPack:
    """Choosing a threshold again searches frames, with what the record names."""

    def test_a_record_runs_no_command(
        self, mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(External, "inference_options", ("timeout_s",))  # as a verifier's would be
        path = honest(tmp_path / "board", small_data, "blobs")

        def change(content: dict[str, Any]) -> None:  # and keep the keys of stages that are in the store
            content["combination"]["detector"] = f"external:{TOUCH}"
            content["plugins"]["detector"].update(name=f"external:{TOUCH}", options={})

        tiny_runs.reseal(path, change)
        command = ["pack", path, "--store", tmp_path / "board" / "store", "--out", tmp_path / "model"]
        answer = mitobench(*command, "--data", small_data, "--set", "detector.timeout_s=9")
        assert answer.code == 2, answer.out + answer.err
        assert f"run this command: '{TOUCH}'" in answer.err
        assert not (here / TOUCHED).exists()
        assert not (tmp_path / "model").exists()

    def test_a_record_runs_no_config_file(
        self, mitobench: Mitobench, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("mitobench_mmdet")
        config, mark = tmp_path / "evil.py", tmp_path / "was-run"
        config.write_text(f"open({str(mark)!r}, 'w').close()\nmodel = dict(type='RetinaNet')\n")
        path = with_detector(honest(tmp_path / "board", small_data), f"mmdet:{config}")
        monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench-toys,mitobench-mmdet,mitobench")
        discovery.found.cache_clear()
        command = ["pack", path, "--store", tmp_path / "board" / "store", "--out", tmp_path / "model"]
        answer = mitobench(*command, "--data", small_data, "--set", "detector.score_floor=0.1")
        assert answer.code == 2
        assert "must not name a config file" in answer.err
        assert not mark.exists()


class TestModels:
    @pytest.fixture
    def model(self, tmp_path: Path, small_data: Path) -> Path:
        path = honest(tmp_path / "board", small_data)
        pack(path, tmp_path / "board" / "store", tmp_path / "model")
        return tmp_path / "model"

    def hostile(self, model: Path, spec: str, options: dict[str, Any]) -> Path:
        card = cards.read(model)
        part = card.plugins.detector.model_copy(update={"name": spec, "options": options})
        shutil.rmtree(model / "detector", ignore_errors=True)
        if spec.startswith("union:"):
            cls = discovery.load("detector", spec)
            (model / "detector").mkdir()
            names = [each.name for each in cls.requires(cls.Options())["detector"]]
            curve = asdict(Calibration(probabilities=True))
            state = [{"name": name, "options": {}, "files": {}, "calibration": curve} for name in names]
            (model / "detector" / "members.json").write_text(json.dumps({"half_radius_um": 3.75, "members": state}))
        cards.write(model, card.model_copy(update={"plugins": card.plugins.model_copy(update={"detector": part})}))
        return model

    @pytest.mark.parametrize("how", [how for how in HOSTILE if "toy-boxless" not in HOSTILE[how][0]])
    def test_a_model_runs_no_command(
        self, mitobench: Mitobench, model: Path, small_data: Path, tmp_path: Path, here: Path, how: str
    ) -> None:
        image = sorted((small_data / "synthetic").rglob("*.bmp"))[0]
        command = [
            "predict",
            image,
            "--mpp",
            0.25,
            "--model",
            self.hostile(model, *HOSTILE[how]),
            "--out",
            tmp_path / "out",
        ]
        answer = mitobench(*command, "--device", "cpu")
        assert answer.code == 2, answer.out + answer.err
        assert f"run this command: '{TOUCH}'" in answer.err
        assert not (here / TOUCHED).exists()
        with pytest.raises(MitobenchError, match="--allow-external"):
            Model.load(model)
        mitobench(*command, "--device", "cpu", "--allow-external")
        assert (here / TOUCHED).exists(), "or this test tries nothing"

    def test_a_model_runs_no_command_in_a_union(
        self, mitobench: Mitobench, model: Path, small_data: Path, tmp_path: Path, here: Path
    ) -> None:
        image = sorted((small_data / "synthetic").rglob("*.bmp"))[0]
        self.hostile(model, f"union:blobs+external:{TOUCH}", {})
        command = ["predict", image, "--mpp", 0.25, "--model", model, "--out", tmp_path / "out", "--device", "cpu"]
        answer = mitobench(*command)
        assert (answer.code, f"run this command: '{TOUCH}'" in answer.err) == (2, True), answer.err
        assert not (here / TOUCHED).exists()
        mitobench(*command, "--allow-external")
        assert (here / TOUCHED).exists(), "or this test tries nothing"

    @pytest.mark.parametrize("option", ["words", "files"])
    def test_a_file_of_this_machine_that_the_model_names_is_not_used(
        self, model: Path, tmp_path: Path, option: str
    ) -> None:
        """Of a word it would say `a file that it brings`."""
        (tmp_path / "own.sh").write_text("true")
        own = {"words": [None, str(tmp_path / "own.sh"), None], "files": [str(tmp_path / "own.sh")]}[option]
        self.hostile(model, "external:sh mine.sh {image}", {"command": "sh mine.sh {image}", option: own})
        with pytest.raises(PluginError, match=r"own\.sh, a file of this machine and not one that it brings"):
            Model.load(model, allow=["external"])

    @pytest.mark.parametrize("union", ["", "union:blobs+"])
    def test_a_file_that_the_model_brings_is_shown(
        self, mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path, union: str
    ) -> None:
        everywhere = "'x,y,score', *(f'{x},{y},1' for x in range(0, 90, 6) for y in range(0, 90, 6))"
        program = f"open({TOUCHED!r}, 'w').close(); print({everywhere}, sep='\\n')".encode()
        (here / "dark.py").write_bytes(program)
        path = honest(tmp_path / "board", small_data, f"{union}external:{{python}} dark.py {{image}}")
        pack(path, tmp_path / "board" / "store", tmp_path / "model")
        (here / TOUCHED).unlink()
        (here / "dark.py").write_text("print('x,y,score')\n")
        image = sorted((small_data / "synthetic").rglob("*.bmp"))[0]
        command = ["predict", image, "--mpp", 0.25, "--model", tmp_path / "model", "--out", tmp_path / "out"]
        answer = mitobench(*command, "--device", "cpu")
        assert answer.code == 2, answer.out + answer.err
        shown = f"(dark.py is a file that it brings, with SHA-256 {hashlib.sha256(program).hexdigest()})"
        assert f"run this command: '{{python}} dark.py {{image}} {shown}'" in answer.err
        assert not (here / TOUCHED).exists()
        mitobench(*command, "--device", "cpu", "--allow-external")
        assert (here / TOUCHED).exists(), "or this test tries nothing"

    def test_a_hub_is_named(self, mitobench: Mitobench, model: Path, small_data: Path, tmp_path: Path) -> None:
        image = sorted((small_data / "synthetic").rglob("*.bmp"))[0]
        self.hostile(model, "toy-hub:hf-hub:evil/model", {})
        command = ["predict", image, "--mpp", 0.25, "--model", model, "--out", tmp_path / "out", "--device", "cpu"]
        answer = mitobench(*command)
        assert answer.code == 2
        assert "contact a hub: 'place=hf-hub:evil/model'" in answer.err
        assert "--allow-download" in answer.err


class TestDownloads:
    @pytest.mark.parametrize("spec", ["toy-hub:hf-hub:evil/model", "union:blobs+toy-hub:hf-hub:evil/model"])
    def test_a_record_contacts_no_hub(
        self, mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path, spec: str
    ) -> None:
        path = with_detector(honest(tmp_path / "board", small_data), spec)
        for extra in ({}, {hub.ALLOW_DOWNLOAD: "1"}):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in extra.items():
                    patch.setenv(name, value)
                answer = mitobench("reproduce", path, "--data", small_data)
            assert answer.code == 2, answer.out + answer.err
            assert "contact a hub: 'place=hf-hub:evil/model'" in answer.err
            assert not (here / "contacted.txt").exists()
        mitobench("reproduce", path, "--data", small_data, "--allow-download")
        assert (here / "contacted.txt").exists(), "or this test tries nothing"

    @pytest.mark.parametrize("value", ["hf-hub:ORG/NAME@main", "timm", "https://example.org/x"])
    def test_run_needs_the_flag_too(self, mitobench: Mitobench, small_data: Path, here: Path, value: str) -> None:
        command = ["run", "-e", "toy-boxes", "-d", "toy-hub:here", "-v", "none", "-f", "toy-sum", "--dry-run"]
        command += ["--data", small_data, "--dataset", "synthetic", "--set", f"detector.pretrained={value}"]
        answer = mitobench(*command)
        assert answer.code == 2, answer.out + answer.err
        assert f"contact a hub: 'pretrained={value}'" in answer.err
        assert not (here / "contacted.txt").exists()
        assert mitobench(*command, "--allow-download").code == 0
        assert (here / "contacted.txt").exists()


class TestRun:
    @pytest.fixture
    def command(self, small_data: Path, tmp_path: Path) -> list[Any]:
        (tmp_path / "toys.toml").write_text('title = "toys"\n')
        places = ["--data", small_data, "--dataset", "synthetic", "--store", tmp_path / "store", "--out", tmp_path]
        return ["run", "-e", "toy-boxes", "-v", "none", "-f", "toy-sum", "--device", "cpu", *places]

    def test_what_the_user_types_is_run(self, mitobench: Mitobench, command: list[Any], here: Path) -> None:
        answer = mitobench(*command, "-d", f"external:{TOUCH}")
        assert answer.code == 1, "touch writes no CSV"
        shown = " ".join(answer.out.split())  # the console wraps it somewhere, depending on the length of the path
        assert "FAILED detections external:" in shown
        assert "it is empty; if nothing is found, write the header alone" in shown
        assert (here / TOUCHED).exists()

    def test_commas_in_quotes_do_not_separate(self, mitobench: Mitobench, command: list[Any]) -> None:
        answer = mitobench(
            *command,
            "-d",
            "external:echo 'x,y,score' {image},blobs,union:blobs+external:echo 'a+b,c' {image}",
            "--dry-run",
        )
        assert answer.code == 0, answer.err
        assert "3 combinations" in answer.out

    def test_the_command_of_a_record_gives_the_same_detectors(
        self, mitobench: Mitobench, command: list[Any], tmp_path: Path
    ) -> None:
        spec = "external:echo x,y,score {image}"
        mitobench(*command, "-d", f"'{spec}'")
        (path,) = (tmp_path / "records").glob("*.json")
        found = records.read(path)
        assert found.combination["detector"] == "external:echo 'x,y,score' {image}"
        assert discovery.separate(found.combination["detector"], ",") == [found.combination["detector"]]

    def test_a_command_of_a_profile_is_not(
        self, mitobench: Mitobench, command: list[Any], tmp_path: Path, here: Path
    ) -> None:
        profile = tmp_path / "stranger.toml"
        profile.write_text(f'title = "x"\n[defaults]\ndetector = "external:{TOUCH}"\n')
        answer = mitobench(*command, "--profile", profile)
        assert answer.code == 2, answer.out
        assert f"This run would\n  run this command: '{TOUCH}'" in answer.err
        assert not (here / TOUCHED).exists()
        mitobench(*command, "--profile", profile, "--allow-external")
        assert (here / TOUCHED).exists()

    def test_a_profile_cannot_replace_a_file_of_the_command(
        self, mitobench: Mitobench, command: list[Any], tmp_path: Path, here: Path
    ) -> None:
        (here / "mine.sh").write_text("echo x,y,score\n")
        (tmp_path / "evil.sh").write_text(f"touch {TOUCHED}\n")
        profile = tmp_path / "stranger.toml"
        evil = json.dumps([str(tmp_path / "evil.sh")] * 3)
        profile.write_text(f'title = "x"\n[detector.external]\nwords = {evil}\n')
        for detector in ("external:sh mine.sh {image}", "union:blobs+external:sh mine.sh {image}"):
            answer = mitobench(*command, "--profile", profile, "-d", detector)
            assert answer.code == 2, answer.out
            assert "mine.sh is a file that it brings" in answer.err
        assert not (here / TOUCHED).exists()

    def test_a_command_of_an_experiment_is_not(
        self, mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path
    ) -> None:
        (tmp_path / "mine.toml").write_text(
            'title = "Mine"\ndataset = "synthetic"\nprotocol = "by-slide"\nestimator = "toy-boxes"\n'
            f'detector = "external:{TOUCH}"\nverifier = "none"\nfuser = "toy-sum"\n\n[[row]]\nname = "a"\n'
        )
        places = ["--data", small_data, "--store", tmp_path / "store", "--out", tmp_path / "out", "--device", "cpu"]
        answer = mitobench("experiment", tmp_path / "mine.toml", "--profile", "smoke", *places)
        assert answer.code == 2, answer.out + answer.err
        assert f"run this command: '{TOUCH}'" in answer.err
        assert not (here / TOUCHED).exists()


def test_what_a_plugin_does_not_declare_is_stopped_by_the_second_lock(
    mitobench: Mitobench, small_data: Path, tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = f"toy-program:{TOUCH}"
    monkeypatch.setattr(discovery.load("detector", spec), "trusts", lambda options: [])
    path = with_detector(honest(tmp_path / "board", small_data), spec)
    mitobench("reproduce", path, "--data", small_data, "--out", tmp_path / "out")
    assert not (here / TOUCHED).exists()
    (again,) = (tmp_path / "out" / "records").glob("*.json")
    assert "is not allowed here" in str(records.read(again).reason)


def test_a_plugin_that_cannot_say_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = discovery.load("detector", "toy-boxless")
    monkeypatch.setattr(cls, "trusts", lambda options: 1 / 0)
    with pytest.raises(MitobenchError, match=r"detector 'toy-boxless': trusts\(\) raised ZeroDivisionError"):
        trust.requests_of("detector", cls, cls.Options())


@pytest.mark.parametrize("allowed", [[], ["external"], ["download"], ["external", "download"]])
@pytest.mark.parametrize("before", [None, "1"])
def test_the_second_lock_only_closes(monkeypatch: pytest.MonkeyPatch, allowed: list[str], before: str | None) -> None:
    if before:
        monkeypatch.setenv(hub.ALLOW_DOWNLOAD, before)
    with trust.only(allowed):
        assert os.environ.get(hub.ALLOW_DOWNLOAD) == (before if "download" in allowed else None)
        assert os.environ.get(trust.FORBID_EXTERNAL) == (None if "external" in allowed else "1")
    assert os.environ.get(hub.ALLOW_DOWNLOAD) == before
    assert trust.FORBID_EXTERNAL not in os.environ


PROFILE_WITH_TABLE = """
title = "theirs"
[detector."mmdet:{config}"]
lr = 0.1
"""
PROFILE = """
title = "theirs"
[defaults]
estimator = "fixed"
detector = "mmdet:{config}"
verifier = "none"
fuser = "detector-only"
"""
EXPERIMENT = """
title = "theirs"
profile = "smoke"
[[grid]]
name = "one"
dataset = "synthetic"
protocol = "by-slide"
estimator = ["fixed"]
detector = ["mmdet:{config}"]
verifier = ["none"]
fuser = ["detector-only"]
"""


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (PROFILE, ["run", "--dataset", "synthetic", "--profile"]),
        (PROFILE, ["run", "--part", "val", "--dataset", "synthetic", "--profile"]),
        (EXPERIMENT, ["experiment"]),
        (PROFILE_WITH_TABLE, ["info", "mmdet:rtmdet_tiny_8xb32-300e_coco", "--profile"]),
        (PROFILE_WITH_TABLE, ["run", "--dataset", "synthetic", "-e", "fixed", "-d", "mmdet:rtmdet_tiny", "--profile"]),
    ],
)
def test_a_profile_or_experiment_cannot_make_a_config_file_run(
    content: str,
    command: list[str],
    small_data: Path,
    mitobench: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    pytest.importorskip("mitobench_mmdet")
    monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench-mmdet,mitobench")
    discovery.found.cache_clear()
    config, theirs, mark = tmp_path / "my_config.py", tmp_path / "theirs.toml", tmp_path / "was-run"
    config.write_text(f"open({str(mark)!r}, 'w').close()\nmodel = dict(type='RetinaNet')\n")
    theirs.write_text(content.format(config=config))
    places = () if command[0] == "info" else ("--data", small_data, "--out", tmp_path / "out")
    answer = mitobench(*command, theirs, *places)
    assert not mark.exists()
    if command[0] == "info":  # it shows the options of another plugin
        assert answer.code == 0
        return
    assert answer.code == 2
    assert "must not name a config file" in answer.err
    assert f"type it: --detector mmdet:{config}" in "".join(answer.err.splitlines())

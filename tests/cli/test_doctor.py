"""`mitobench doctor`: finds each kind of problem and suggests a fix."""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from mitobench import doctor
from mitobench.api import Mitoses
from mitobench.datasets import mitos2012
from mitobench.doctor import Finding, contents, hardware, installation

CHECKS = """
def fine():
    return [("gears", True, "turn"), ("oil", False, "is low")]

def raises():
    raise RuntimeError("no key")
"""


def states(findings: Iterable[Finding]) -> dict[str, str]:
    return {finding.what: finding.state for finding in findings}


def one(findings: Iterable[Finding], what: str) -> Finding:
    (found,) = [finding for finding in findings if finding.what == what]
    return found


@pytest.fixture
def nothing(install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No plugins, an empty store, and no import of mmdet, which takes seconds."""
    install("empty-package", {})
    monkeypatch.setattr(doctor, "mmdet", lambda: iter(()))
    monkeypatch.setenv("MITOBENCH_STORE", str(tmp_path / "store"))


# --------------------------------------------------------------------------------------------- the command


@pytest.mark.usefixtures("nothing")
def test_without_failures_the_exit_code_is_0(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("doctor")
    assert answer.code == 0, answer.out
    assert "All checks passed." in answer.out
    for what in ("Python", "torch", "torchvision.ops.nms", "cores", "memory", "data", "detectors"):
        assert f" {what} " in answer.out


@pytest.mark.usefixtures("nothing")
def test_failures_are_shown_with_fixes_and_the_other_checks_run(
    install: Callable[..., None], mitobench: Callable[..., Any], tmp_path: Path
) -> None:
    broken = {"broken_for_doctor.py": "raise ImportError('libfoo.so is missing')"}
    install("broken-package", {"mitobench.detectors": {"cracked": "broken_for_doctor:A"}}, broken)
    answer = mitobench("doctor", "--data", tmp_path / "nowhere")
    assert answer.code == 1
    assert "2 of " in answer.out
    shown = " ".join(answer.out.split())
    assert "FAIL detector cracked" in shown
    assert "libfoo.so is missing" in shown
    assert "nowhere: is not a directory" in shown
    assert "with --data or MITOBENCH_DATA" in shown
    assert "torchvision.ops.nms" in shown


# ----------------------------------------------------------------------------------------------- single checks


def test_a_check_that_raises_is_a_failure_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> Any:
        raise AttributeError("torch has no version")

    for name in ("packages", "mmdet", "store", "plugins", "plugin_checks"):
        monkeypatch.setattr(doctor, name, breaks)
    found = list(doctor.examine())
    assert one(found, "packages") == Finding(
        "packages", "FAIL", "AttributeError: torch has no version", one(found, "packages").fix
    )
    assert one(found, "packages").fix
    assert states(found)["cores"] == "ok"


@pytest.mark.parametrize(("version", "state"), [((3, 10), "ok"), ((3, 13), "ok"), ((3, 14), "note")])
def test_an_untested_version_of_python_is_noted(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], state: str
) -> None:
    fields = namedtuple("fields", "major minor micro")
    monkeypatch.setattr(sys, "version_info", fields(*version, 0))
    (found,) = installation.python()
    assert (found.state, bool(found.fix)) == (state, state == "note")


def test_unmet_requirements_are_reported_with_the_command_that_installs_them(install: Callable[..., None]) -> None:
    needs = ["numpy<1", "mitobench-of-nowhere>=2", "typer", 'pywin32; sys_platform == "never"', 'x; extra == "test"']
    install("needy", {"mitobench.fusers": {"f": "needy:F"}}, requires=needs)
    found = one(installation.packages(), "requirements of needy")
    assert found.state == "FAIL"
    assert f"numpy {np.__version__} is installed, <1 is required" in found.detail
    assert "mitobench-of-nowhere is not installed" in found.detail
    assert found.fix == "`pip install 'numpy<1' 'mitobench-of-nowhere>=2'`"


def test_mmcv_satisfies_a_requirement_of_mmcv_lite(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_version", {"mmcv": "2.1.0", "with-mmcv": "1.0"}.get)
    install("with-mmcv", {"mitobench.fusers": {"f": "with_mmcv:F"}}, requires=["mmcv-lite>=2.1,<2.2"])
    assert "requirements of with-mmcv" not in states(installation.packages())
    monkeypatch.setattr(installation, "_version", {"mmcv": "2.2.0", "with-mmcv": "1.0"}.get)
    assert states(installation.packages())["requirements of with-mmcv"] == "FAIL"


def test_mmcv_and_mmcv_lite_together_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_version", {"mmdet": "3.3.0", "mmcv": "2.1.0", "mmcv-lite": "2.1.0"}.get)
    monkeypatch.setitem(sys.modules, "mmdet", sys)
    assert one(installation.mmdet(), "mmcv").fix == "pip uninstall mmcv mmcv-lite, then install one of them."


def test_mmdet_that_refuses_its_mmcv_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "_version", {"mmdet": "3.3.0", "mmcv": "2.2.0"}.get)
    (tmp_path / "mmdet.py").write_text("raise AssertionError('MMCV==2.2.0 is used but incompatible')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mmdet", raising=False)
    for name in ("packages", "torchvision_operators", "store", "plugins", "plugin_checks"):
        monkeypatch.setattr(doctor, name, lambda: iter(()))
    found = one(doctor.examine(), "mmdet")
    assert found.state == "FAIL"
    assert "MMCV==2.2.0 is used but incompatible" in found.detail
    assert "`pip install --force-reinstall ./plugins/mmdet` in a checkout of mitobench" in found.fix


def test_without_mmdet_there_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_version", {}.get)
    (found,) = installation.mmdet()
    assert (found.state, found.fix) == ("note", "`pip install ./plugins/mmdet` in a checkout of mitobench")


@pytest.mark.parametrize(("kept", "state"), [([0, 2], "ok"), ([0, 1, 2], "FAIL")])
def test_torchvisions_operator_is_called_and_its_result_checked(
    monkeypatch: pytest.MonkeyPatch, kept: list[int], state: str
) -> None:
    assert states(installation.torchvision_operators()) == {"torchvision.ops.nms": "ok"}
    monkeypatch.setattr(torchvision.ops, "nms", lambda *_: torch.tensor(kept))
    assert states(installation.torchvision_operators()) == {"torchvision.ops.nms": state}


def test_without_a_gpu_there_is_a_note_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    (found,) = hardware.cuda()
    assert (found.state, found.fix) == ("note", "")
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/nvidia-smi")
    (found,) = hardware.cuda()
    assert found.state == "note"
    assert "install a build of torch for its driver" in found.fix


@pytest.mark.cuda
def test_a_gpu_multiplies() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert states(hardware.cuda())["cuda:0"] == "ok"


def test_little_memory_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_memory", lambda: 2 << 30)
    found = one(hardware.machine(), "memory")
    assert (found.state, found.detail) == ("note", "2.0 GiB; recommended: 6 or more")
    monkeypatch.setattr(hardware, "_memory", lambda: 8 << 30)
    assert states(hardware.machine())["memory"] == "ok"


@pytest.mark.parametrize(("free", "state"), [(100, "ok"), (5, "note"), (0.5, "FAIL")])
def test_the_free_space_in_the_store_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: float, state: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setenv("MITOBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, int(free * (1 << 30))))
    (found,) = hardware.store()
    assert (found.state, "Free some space" in found.fix) == (state, state != "ok")
    assert list((tmp_path / "store").iterdir()) == []


def test_a_store_that_cannot_be_written_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MITOBENCH_STORE", str(tmp_path / "file" / "store"))
    (found,) = hardware.store()
    assert found.state == "FAIL"
    assert "--store or MITOBENCH_STORE" in found.fix


# ------------------------------------------------------------------------------------------------------ data


def write_frame(root: Path) -> Path:
    pixels = np.full((40, 40, 3), 200, dtype=np.uint8)
    mitosis = Mitoses(np.array([[5.0, 5.0]]), (np.array([[5, 5]]),))
    mitos2012.write(root, [("A00_01", pixels, mitosis, "train")])
    return next(root.rglob("A00_01.bmp"))


def test_data_sets_are_read(tmp_path: Path) -> None:
    write_frame(tmp_path)
    (found,) = contents.data_sets(tmp_path)
    assert (found.what, found.state) == ("data set mitos2012", "ok")
    assert found.detail.startswith("1 frames, 1 of 35 A frames")


def test_broken_annotation_fails_with_file_and_line(tmp_path: Path) -> None:
    csv = write_frame(tmp_path).with_suffix(".csv")
    csv.write_text("1,2,3\n")
    (found,) = contents.data_sets(tmp_path)
    assert found.state == "FAIL"
    assert f"{csv}:1: 3 coordinates, which is an odd number" in found.detail


def test_pixels_that_cannot_be_read_fail(tmp_path: Path) -> None:
    image = write_frame(tmp_path)
    image.write_bytes(image.read_bytes()[:1000])
    (found,) = contents.data_sets(tmp_path)
    assert found.state == "FAIL"
    assert str(image) in found.detail


def test_a_folder_without_data_fails_and_no_folder_is_a_note(tmp_path: Path) -> None:
    (found,) = contents.data_sets(tmp_path)
    assert (found.state, "mitos2012" in found.fix) == ("FAIL", True)
    assert states(contents.data_sets(None)) == {"data": "note"}


# --------------------------------------------------------------------------------------------------- plugins


def test_every_plugin_is_loaded_and_two_with_the_same_name_are_a_failure(install: Callable[..., None]) -> None:
    install("one", {"mitobench.verifiers": {"twin": "one:A"}})
    install("two", {"mitobench.verifiers": {"twin": "two:B"}, "mitobench.datasets": {"odd": "json:JSONDecoder"}})
    found = list(contents.plugins())
    assert "declared by" in one(found, "verifier twin").detail
    assert "json:JSONDecoder of package two is not a mitobench.datasets.Reader" in one(found, "dataset odd").detail
    assert states(found) == {
        "estimators": "note",
        "detectors": "note",
        "verifier twin": "FAIL",
        "verifiers": "note",
        "fusers": "note",
        "dataset odd": "FAIL",
        "datasets": "note",
    }


def test_checks_of_packages_are_run(install: Callable[..., None]) -> None:
    points = {"a": "checks_itself:fine", "b": "checks_itself:raises", "c": "checks_itself:absent"}
    install("checks-itself", {"mitobench.doctor": points}, {"checks_itself.py": CHECKS})
    found = list(contents.plugin_checks())
    assert states(found) == {
        "checks-itself: gears": "ok",
        "checks-itself: oil": "FAIL",
        "checks-itself: b": "FAIL",
        "checks-itself: c": "FAIL",
    }
    assert one(found, "checks-itself: b").detail == "RuntimeError: no key"
    assert "checks-itself" in one(found, "checks-itself: oil").fix


def test_checks_of_packages_that_are_not_allowed_are_not_run(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("left-out", {"mitobench.doctor": {"a": "left_out:fine"}}, {"left_out.py": CHECKS})
    monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench")
    assert list(contents.plugin_checks()) == []

"""`mitobench list` and `mitobench info`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BLOB = """
from typing import Literal
from mitobench.api import Detections, Detector, Field, Options

class BlobOptions(Options):
    sigma: float = Field(2.5, gt=0, le=9, description="radius of a nucleus, um")
    mode: Literal["fast", "exact"] = "fast"
    layers: tuple[int, ...] = (3, 4)
    tile: int | None = Field(None, ge=64, description="px; null: no tiles")

class Blob(Detector):
    name = "blob"
    version = "0.3"
    Options = BlobOptions
    uses_boxes = False

    def predict(self, frame):
        return Detections.none()
"""
CARD = """\
name = "blob"
role = "detector"
title = "Laplacian of Gaussian"
paper = "Lindeberg 1998"

[training]
data = "none"
"""


@pytest.fixture
def blob(install: Callable[..., None]) -> None:
    install(
        "blob-detector",
        {"mitobench.detectors": {"blob": "blob_package:Blob"}},
        {"blob_package/__init__.py": BLOB, "blob_package/blob.toml": CARD},
        version="1.5",
    )


@pytest.fixture
def broken(install: Callable[..., None]) -> None:
    install(
        "broken-package",
        {"mitobench.detectors": {"cracked": "broken_package:Cracked"}},
        {"broken_package.py": "raise ImportError('libfoo.so is missing')"},
    )


@pytest.fixture
def conflict(install: Callable[..., None]) -> None:
    install("one-package", {"mitobench.verifiers": {"twin": "one_package:A"}})
    install("two-package", {"mitobench.verifiers": {"twin": "two_package:B"}}, version="2.0")


@pytest.mark.usefixtures("blob")
def test_list_shows_name_package_version_and_title_of_the_card(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("list")
    assert answer.code == 0
    assert "  blob  blob-detector 1.5  Laplacian of Gaussian\n" in answer.out
    assert "  smoke   Synthetic frames on two CPU cores in minutes" in answer.out
    assert "blob_package" not in sys.modules


@pytest.mark.usefixtures("blob", "conflict")
def test_list_of_a_role_shows_only_that_role(mitobench: Callable[..., Any]) -> None:
    assert mitobench("list", "--role", "detector").out.splitlines()[0] == "detectors"
    assert "twin" not in mitobench("list", "--role", "detector").out


def test_list_of_an_unknown_role_is_an_error_with_the_closest_names(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("list", "--role", "detecter")
    assert answer.code == 2
    assert "Did you mean detector?" in answer.err


@pytest.mark.usefixtures("blob", "conflict")
def test_list_shows_both_claimants_of_a_name(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("list")
    assert answer.code == 0
    assert "twin  one-package 1.0 and two-package 2.0" in answer.out
    assert "CONFLICT: claimed by one-package (one_package:A) and two-package (two_package:B)" in answer.out
    assert "blob" in answer.out


@pytest.mark.usefixtures("blob", "broken")
def test_list_works_with_a_broken_package(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("list")
    assert answer.code == 0
    assert "cracked  broken-package 1.0" in answer.out
    assert "BROKEN" not in answer.out


@pytest.mark.usefixtures("blob", "broken")
def test_list_check_reports_what_is_broken_and_lists_the_others(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("list", "--check")
    assert answer.code == 1
    (line,) = [line for line in answer.out.splitlines() if "BROKEN" in line]
    assert "package broken-package 1.0" in line
    assert "ImportError: libfoo.so is missing" in line
    assert "blob-detector 1.5" in answer.out


@pytest.mark.usefixtures("blob")
def test_list_check_reports_nothing_if_all_plugins_work(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("list", "--check")
    assert (answer.code, "BROKEN" in answer.out) == (0, False)


def test_an_invalid_card_is_reported_in_its_row(install: Callable[..., None], mitobench: Callable[..., Any]) -> None:
    files = {"card_package/__init__.py": "", "card_package/odd.toml": "title ="}
    install("card-package", {"mitobench.fusers": {"odd": "card_package:Odd"}}, files)
    answer = mitobench("list")
    assert answer.code == 0
    assert "odd  card-package 1.0  (no title:" in answer.out
    assert "odd.toml: is not valid TOML" in answer.out


def test_the_card_of_another_role_is_not_used(install: Callable[..., None], mitobench: Callable[..., Any]) -> None:
    files = {"two_roles/__init__.py": "", "two_roles/same.toml": 'role = "fuser"\ntitle = "Fuses"\n'}
    roles = {"mitobench.fusers": {"same": "two_roles:A"}, "mitobench.verifiers": {"same": "two_roles:B"}}
    install("two-roles", roles, files)
    assert mitobench("list", "--role", "fuser").out == "fusers\n  same  two-roles 1.0  Fuses\n"
    assert mitobench("list", "--role", "verifier").out == "verifiers\n  same  two-roles 1.0\n"


@pytest.mark.usefixtures("blob")
def test_info_shows_card_interface_and_every_option(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("info", "blob")
    assert answer.code == 0
    assert [" ".join(line.split()) for line in answer.out.splitlines()] == [
        "detector blob",
        "package blob-detector 1.5",
        "class blob_package:Blob",
        "version 0.3",
        "title Laplacian of Gaussian",
        "paper Lindeberg 1998",
        "training.data none",
        "learns False",
        "uses_boxes False",
        "options (set with --set detector.OPTION=VALUE):",
        "sigma: float > 0, <= 9; default 2.5",
        "radius of a nucleus, um",
        "mode: Literal['fast', 'exact']; default \"fast\"",
        "layers: tuple[int, ...]; default [3, 4]",
        "tile: int | None >= 64; default null",
        "px; null: no tiles",
    ]


@pytest.mark.usefixtures("blob")
def test_info_shows_the_options_in_a_profile(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text("[detector.blob]\nsigma = 4\nlayers = [5]\n")
    answer = mitobench("info", "blob", "--profile", profile)
    assert "sigma: float > 0, <= 9; default 2.5; in this profile 4.0" in answer.out
    assert "layers: tuple[int, ...]; default [3, 4]; in this profile [5]" in answer.out


@pytest.mark.usefixtures("blob")
def test_info_of_an_invalid_profile_is_an_error(mitobench: Callable[..., Any], tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text("[detector.blob]\nsigma = 40\n")
    answer = mitobench("info", "blob", "--profile", profile)
    assert answer.code == 2
    assert "mine.toml: [detector.blob] sigma" in answer.err


@pytest.mark.usefixtures("broken")
def test_info_of_a_broken_plugin_shows_its_reason_and_package(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("info", "cracked")
    assert answer.code == 1
    assert "BROKEN" in answer.out
    assert "libfoo.so is missing" in answer.out
    assert "Fix or uninstall broken-package" in answer.out


@pytest.mark.usefixtures("conflict")
def test_info_of_a_name_claimed_twice_shows_both(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("info", "twin")
    assert answer.code == 1
    assert "one-package 1.0 and two-package 2.0" in answer.out


@pytest.mark.usefixtures("blob", "conflict")
def test_info_of_an_unknown_name_lists_the_closest_names_of_all_roles(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("info", "twim")
    assert answer.code == 2
    assert "Unknown plugin, data set or model 'twim'. Did you mean twin? " in answer.err
    assert answer.err.endswith(": blob, lite, twin.\n")
    assert "'twim'. Did you mean twin? " in mitobench("info", "twim:blob").err, "the argument is not part of the name"


def test_info_of_a_data_set_shows_card_protocols_and_notes(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("info", "mitos2012")
    assert answer.code == 0
    shown = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert shown[0] == "dataset mitos2012"
    assert "radius_um 5.0" in shown
    assert "mpp.A [0.2456, 0.2456]" in shown
    assert "complete A test 15 frames, 101 mitoses" in shown
    assert any(line.startswith("notes All five slides") for line in shown)
    assert any(line.startswith("protocol official Official test frames.") for line in shown)

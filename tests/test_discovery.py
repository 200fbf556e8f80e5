"""Plugins are found by the metadata of installed packages, and imported when they are first used."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mitobench import __version__, discovery
from mitobench.api import API_VERSION, Plugin
from mitobench.errors import MitobenchError, PluginError

FUSER = """
from mitobench.api import Fuser

class Mean(Fuser):
    name = "mean"
    version = "1"

    def fuse(self, detector, verifier):
        return (detector + verifier) / 2
"""


def fusers(**named: str) -> dict[str, dict[str, str]]:
    return {"mitobench.fusers": named}


def test_a_package_is_found_by_its_metadata_and_not_imported(install: Callable[..., None]) -> None:
    install("mean-fuser", fusers(mean="mean_fuser:Mean"), {"mean_fuser.py": FUSER}, version="2.5")
    assert discovery.names("fuser") == ["mean"]
    item = discovery.find("fuser", "mean")
    assert (item.package, item.version, item.target) == ("mean-fuser", "2.5", "mean_fuser:Mean")
    assert "mean_fuser" not in sys.modules


def test_a_plugin_is_imported_when_it_is_used(install: Callable[..., None]) -> None:
    install("mean-fuser", fusers(mean="mean_fuser_used:Mean"), {"mean_fuser_used.py": FUSER})
    assert discovery.load("fuser", "mean").version == "1"
    assert "mean_fuser_used" in sys.modules


def test_only_the_packages_named_are_seen(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install("one", fusers(first="one:A"))
    install("two", fusers(second="two:B"))
    assert discovery.names("fuser") == ["first", "second"]
    monkeypatch.setenv("MITOBENCH_PACKAGES", "two, mitobench")
    discovery.found.cache_clear()
    assert "second" in discovery.names("fuser")
    assert "first" not in discovery.names("fuser")
    assert "mitos2012" in discovery.names("dataset")


def test_two_packages_of_one_name_are_both_shown(install: Callable[..., None]) -> None:
    install("one", fusers(same="one:A"), version="1.5")
    install("two", fusers(same="two:B"), version="2.5")
    with pytest.raises(MitobenchError, match="Uninstall one of them") as error:
        discovery.find("fuser", "same")
    assert "one 1.5 (one:A)" in str(error.value)
    assert "two 2.5 (two:B)" in str(error.value)


def test_one_name_in_two_roles_is_no_conflict(install: Callable[..., None]) -> None:
    install("both", {"mitobench.fusers": {"same": "both:A"}, "mitobench.detectors": {"same": "both:B"}})
    assert discovery.find("fuser", "same").target == "both:A"
    assert discovery.find("detector", "same").target == "both:B"


def test_an_unknown_name_lists_the_nearest_and_all(install: Callable[..., None]) -> None:
    install("some", fusers(linear="some:A", product="some:B", other="some:C"))
    with pytest.raises(MitobenchError, match=r"Unknown fuser 'linaer'\. Did you mean linear\? ") as error:
        discovery.find("fuser", "linaer")
    assert str(error.value).endswith("Available: linear, other, product.")


def test_a_broken_package_hurts_only_who_uses_it(install: Callable[..., None]) -> None:
    install("bad", fusers(bad="bad_on_import:A"), {"bad_on_import.py": "raise RuntimeError('no licence key')"})
    install("mean-fuser", fusers(mean="mean_fuser_beside:Mean"), {"mean_fuser_beside.py": FUSER})
    assert discovery.names("fuser") == ["bad", "mean"]
    assert discovery.load("fuser", "mean").name == "mean"
    with pytest.raises(PluginError, match="RuntimeError: no licence key") as error:
        discovery.load("fuser", "bad")
    assert "package bad 1.0 is broken" in str(error.value)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("\nimport no_such_module", r"ModuleNotFoundError: No module named 'no_such_module' \(FILE:2\)\. Fix"),
        ("class Mean:\n    pass\nclass Other(\n", r"SyntaxError: '\(' was never closed \(FILE:3\)\. Fix"),
        (
            "from importlib import import_module\nimport_module('no_such')",
            r"No module named 'no_such' \(FILE:2\)\. Fix",
        ),
    ],
)
def test_an_error_of_an_import_has_the_place_in_the_packages_code(
    install: Callable[..., None], module: str, message: str
) -> None:
    install("some", fusers(mean="placed_in_code:Mean"), {"placed_in_code.py": module})
    with pytest.raises(PluginError) as error:
        discovery.load("fuser", "mean")
    assert re.search(message.replace("FILE", r"\S+placed_in_code\.py"), str(error.value))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("", "raised AttributeError"),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("class Mean: name = 'mean'", "is not a mitobench.api.Fuser"),
        ("Mean = 3", "is not a mitobench.api.Fuser"),
        (FUSER.replace('"mean"', '"median"'), "has the name 'median', but its entry point is 'mean'"),
        (FUSER.replace("fuse(self", "merge(self"), r"does not implement fuse\(\)"),
        (FUSER.replace("(Fuser)", ""), "is not a mitobench.api.Fuser"),
        (FUSER.replace('version = "1"', 'version, schedule = "1", ("steps",)'), "unknown options.*: steps"),
    ],
)
def test_a_class_that_is_not_a_fuser_is_reported_with_its_package(
    install: Callable[..., None], tmp_path: Path, module: str, message: str
) -> None:
    name = f"wrong_{abs(hash(module))}"
    install("wrong", fusers(mean=f"{name}:Mean"), {f"{name}.py": module})
    with pytest.raises(PluginError, match=message) as error:
        discovery.load("fuser", "mean")
    assert "package wrong" in str(error.value)


def written_for(version: str) -> dict[str, str]:
    """The fuser, with an `api_version`."""
    return {"mean_fuser.py": FUSER.replace('version = "1"', f'version = "1"\n    api_version = {version}')}


def load_mean(install: Callable[..., None], modules: dict[str, str]) -> object:
    sys.modules.pop("mean_fuser", None)
    install("mean-fuser", fusers(mean="mean_fuser:Mean"), modules, version="2.5")
    try:
        return discovery.load("fuser", "mean")
    finally:
        sys.modules.pop("mean_fuser", None)


OPTION = """
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, FilePath

from mitobench import api

class Inner(BaseModel):
    again: "Inner | None" = None
    file: Path | None = None

@dataclass
class Data:
    file: Path

class Options(api.Options):
    table: TYPE = api.Field(DEFAULT, description="A table.")

class Mean(api.Fuser):
    name, version, Options = "mean", "1", Options

    def fuse(self, detector, verifier):
        return detector
"""


@pytest.mark.parametrize(
    ("type", "default"),
    [
        ("Path", "Path('x')"),
        ("Path | None", "None"),
        ("FilePath | None", "None"),
        ("os.PathLike[str] | None", "None"),
        ("tuple[FilePath, ...]", "()"),
        ("list[tuple[int, Path]]", "[]"),
        ("dict[str, Path | None]", "{}"),
        ("Inner", "Inner()"),
        ("tuple[Data, ...]", "()"),
        ("Any", "Path('x')"),
    ],
)
def test_an_option_that_is_a_path_is_refused(install: Callable[..., None], type: str, default: str) -> None:
    module = f"option_{uuid.uuid4().hex}"
    source = OPTION.replace("TYPE", type).replace("DEFAULT", default)
    install("mean-fuser", fusers(mean=f"{module}:Mean"), {f"{module}.py": source})
    with pytest.raises(PluginError, match=r"the option table is a path, .* type mitobench\.api\.File"):
        discovery.load("fuser", "mean")


@pytest.mark.parametrize(
    ("type", "default"),
    [
        ("api.File | None", "None"),
        ("tuple[api.File, ...]", "()"),
        ("str", "'x'"),
        ("dict[str, float]", "{}"),
        ("Any", "None"),
    ],
)
def test_other_options_are_not_taken_for_paths(install: Callable[..., None], type: str, default: str) -> None:
    module = f"option_{uuid.uuid4().hex}"
    source = OPTION.replace("TYPE", type).replace("DEFAULT", default)
    install("mean-fuser", fusers(mean=f"{module}:Mean"), {f"{module}.py": source})
    assert discovery.load("fuser", "mean").version == "1"


def test_a_plugin_names_the_api_version_it_is_written_for(install: Callable[..., None]) -> None:
    assert load_mean(install, written_for(str(API_VERSION)))


def test_a_plugin_that_names_none_is_written_for_the_first(install: Callable[..., None]) -> None:
    assert Plugin.api_version == 1
    assert load_mean(install, {"mean_fuser.py": FUSER})


def test_a_plugin_for_a_newer_api_says_what_to_install(install: Callable[..., None]) -> None:
    with pytest.raises(PluginError) as error:
        load_mean(install, written_for(str(API_VERSION + 1)))
    message = str(error.value)
    assert "fuser 'mean' of package mean-fuser 2.5" in message
    assert f"version {API_VERSION + 1} of mitobench.api; mitobench {__version__} has version {API_VERSION}" in message
    assert "`pip install --upgrade .` in a checkout of mitobench" in message


def test_an_unknown_plugin_may_be_in_a_package_of_networks_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    more = r"More come with `pip install \./plugins/networks` in a checkout of mitobench\."
    monkeypatch.setenv("MITOBENCH_PACKAGES", "mitobench,mitobench-mmdet")
    discovery.found.cache_clear()
    with pytest.raises(MitobenchError, match=rf"Unknown verifier 'resnet50'\. Available: none\. {more}"):
        discovery.find("verifier", "resnet50")
    with pytest.raises(MitobenchError, match=r"Available: .*[a-z-]\.$"):
        discovery.find("dataset", "mitos")
    discovery.found.cache_clear()


def test_a_plugin_for_an_older_api_says_what_to_install(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mitobench.api.API_VERSION", 3)
    with pytest.raises(PluginError, match=r"version 2 of mitobench\.api; .* has version 3\. .*--upgrade mean-fuser"):
        load_mean(install, written_for("2"))


@pytest.mark.parametrize("version", ["0", "-1", "'1'", "1.0", "True", "None"])
def test_an_api_version_that_is_none_is_refused(install: Callable[..., None], version: str) -> None:
    with pytest.raises(PluginError, match=r"is not a version\. Set `api_version` of mean_fuser:Mean"):
        load_mean(install, written_for(version))

"""`new-plugin` writes a package that installs and passes all checks; `check-plugin` reports failures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mitobench import contract, registry
from mitobench.contract.subject import subject
from mitobench.discovery import ROLES

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from mitobench.cli import main; main()"]


@pytest.fixture(autouse=True)
def _forget():
    subject.cache_clear()
    yield
    subject.cache_clear()


@pytest.fixture
def install_package(install):
    """Installs a package's folder according to its pyproject.toml, much faster than pip."""

    def install_folder(folder: Path) -> None:
        project = registry.read_toml(folder / "pyproject.toml")
        (module,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        files = {p.relative_to(folder).as_posix(): p.read_text() for p in (folder / module).iterdir() if p.is_file()}
        meta = project["project"]
        install(meta["name"], meta["entry-points"], files, version=meta["version"], requires=meta["dependencies"])

    return install_folder


@pytest.mark.parametrize("kind", ROLES)
def test_a_new_plugin_keeps_the_contract_as_it_is_written(kind, mitobench, install_package, tmp_path):
    written = mitobench("new-plugin", f"new-{kind}", "--kind", kind, "--folder", tmp_path)
    assert written.code == 0
    install_package(tmp_path / f"new-{kind}")
    checked = mitobench("check-plugin", f"new-{kind}")
    assert checked.code == 0, checked.out
    assert f"new-{kind} passes all checks." in checked.out
    shown = re.findall(r"  ok  \d+\.\d s\n", checked.out)
    assert len(shown) == len(contract.checks(kind, f"new-{kind}")), "each check has its seconds"


@pytest.mark.parametrize("kind", ROLES)
def test_a_new_plugin_has_a_card_and_a_test_of_its_own(kind, mitobench, install_package, tmp_path):
    mitobench("new-plugin", f"carded-{kind}", "--kind", kind, "--folder", tmp_path)
    folder = tmp_path / f"carded-{kind}"
    install_package(folder)
    card = registry.read_toml(folder / f"mitobench_carded_{kind}" / f"carded-{kind}.toml")
    assert (card["name"], card["role"]) == (f"carded-{kind}", kind)
    assert card["title"] in mitobench("info", f"carded-{kind}").out
    compile((folder / "tests" / "test_contract.py").read_text(), "test_contract.py", "exec")


def test_the_commands_as_they_are_typed(install_package, tmp_path):
    written = _typed("new-plugin", "typed", "--kind", "detector", cwd=tmp_path)
    assert written.stdout.splitlines()[-5:] == [
        "  pip install -e typed",
        "  mitobench check-plugin typed",
        "  mitobench run --detector blobs,typed --verifier none --out my-leaderboard",
        "",
        "The code is an example: replace it, and its title in mitobench_typed/typed.toml.",
    ]
    install_package(tmp_path / "typed")
    checked = _typed("check-plugin", "typed", cwd=tmp_path, path=tmp_path / "site-packages")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith("typed passes all checks.\n")


def _typed(*arguments, cwd, path=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": str(path)} if path else {})}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_if_a_plugin_cannot_be_loaded_the_other_checks_are_not_run(mitobench, install_package, tmp_path):
    mitobench("new-plugin", "bad", "--kind", "detector", "--folder", tmp_path)
    source = tmp_path / "bad" / "mitobench_bad" / "__init__.py"
    source.write_text(source.read_text().replace("def predict(self", "def predict_not(self"))
    install_package(tmp_path / "bad")
    answer = mitobench("check-plugin", "bad")
    assert answer.code == 1
    assert answer.out.count("does not implement predict()") == 1
    assert answer.out.count("FAILED") == 1
    assert answer.out.endswith("The other 15 checks were not run: they need this one.\n")


def test_a_plugin_that_breaks_the_contract_has_each_reason_reported_once(mitobench, install_package, tmp_path):
    mitobench("new-plugin", "faulty", "--kind", "detector", "--folder", tmp_path)
    source = tmp_path / "faulty" / "mitobench_faulty" / "__init__.py"
    signature = "def predict(self, frame: api.Frame) -> api.Detections:"
    source.write_text(source.read_text().replace(signature, f"{signature}\n        1 / 0"))
    install_package(tmp_path / "faulty")
    answer = mitobench("check-plugin", "faulty")
    assert answer.code == 1
    line = source.read_text().splitlines().index("        1 / 0") + 1
    assert answer.out.count("ZeroDivisionError: division by zero (") == 1
    assert f"/mitobench_faulty/__init__.py:{line})" in answer.out
    assert answer.out.count("  FAILED  ") > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Mine"], "lower-case letters, digits, single dashes"),
        (["2fast"], "starting with a letter"),
        (["mine_too"], "lower-case letters"),
        (["../mine"], "lower-case letters"),
        (["all"], "The names all and none are reserved"),
        (["mine", "--kind", "detecter"], "Did you mean detector"),
        (["taken"], "Package others already has a detector 'taken'"),
        (["elsewhere"], "A module mitobench_elsewhere already exists"),
        (["here"], "exists already, and is not overwritten"),
    ],
)
def test_invalid_names_are_refused_and_nothing_is_written(mitobench, install, tmp_path, arguments, message):
    install("others", {"mitobench.detectors": {"taken": "x:Y"}}, {"mitobench_elsewhere.py": ""})
    folder = tmp_path / "folder"
    (folder / "here").mkdir(parents=True)
    answer = mitobench("new-plugin", *arguments, "--folder", folder)
    assert answer.code == 2
    assert message in answer.err
    assert [path.name for path in folder.rglob("*")] == ["here"]


def test_a_name_in_two_roles_needs_the_role(mitobench, install):
    install("others", {"mitobench.detectors": {"two": "x:Y"}, "mitobench.fusers": {"two": "x:Z"}})
    answer = mitobench("check-plugin", "two")
    assert answer.code == 2
    assert "Choose one with --role" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"), [(["twi"], "Did you mean two"), (["two", "--role", "fusor"], "Did you mean fuser")]
)
def test_an_unknown_plugin_or_role_is_an_error_with_the_closest_names(mitobench, install, arguments, message):
    install("others", {"mitobench.detectors": {"two": "x:Y"}})
    answer = mitobench("check-plugin", *arguments)
    assert answer.code == 2
    assert message in answer.err

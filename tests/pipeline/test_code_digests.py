"""The code in a key: all that a stage, a plugin or a reader imports, and nothing else."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mitobench
from mitobench import discovery
from mitobench.benchmark import Benchmark, Grid
from mitobench.errors import PluginError
from mitobench.pipeline import code, code_digests
from mitobench.pipeline.code_digests import plugin_code, reader_code, stage_code
from mitobench.pipeline.stages import kinds

pytestmark = pytest.mark.slow

ROOT = Path(mitobench.__file__).parent
FITS = {"fit-estimator", "fit-detector", "fit-verifier"}
CHOICE = {"fusion", "evaluation"}
SCORED = CHOICE | {"verifier-scores"}
ALL = set(kinds.KINDS)

# The kinds of stages whose keys change with a module. A module that is not listed changes no key.
API = ("__init__", "coordinates", "detections", "fitting", "frames", "plugin", "roles")
CHANGES = {
    **dict.fromkeys((f"api.{name}" for name in API), ALL),
    **dict.fromkeys(("__init__", "cards", "content", "discovery", "errors", "registry", "weights_search"), ALL),
    **dict.fromkeys(("foreign.__init__", "foreign.files", "foreign.limits"), ALL),
    **dict.fromkeys(("foreign.packed", "foreign.parsing", "foreign.specs", "foreign.text", "foreign.versions"), ALL),
    **dict.fromkeys(("datasets.dataset", "datasets.card", "mpp"), ALL),
    **dict.fromkeys(("file_cache", "installing"), ALL),
    **dict.fromkeys(("pipeline.__init__", "pipeline.arrays", "pipeline.canonical"), ALL),
    **dict.fromkeys(("pipeline.plugin_ref", "pipeline.workspace"), ALL),
    **dict.fromkeys(("pipeline.stages.__init__", "pipeline.stages.job", "pipeline.stages.stage"), ALL),
    **dict.fromkeys(("pipeline.checks", "pipeline.rounding"), ALL),
    "pipeline.saved_files": FITS | {"embeddings", "encoder", "fusion"},
    "pipeline.frame_prediction": CHOICE,
    "evaluate.matching": FITS | CHOICE,
    **dict.fromkeys(
        (
            "evaluate.matchers.__init__",
            "evaluate.matchers.by_rank",
            "evaluate.matchers.by_truth",
            "evaluate.matchers.hungarian",
            "evaluate.matchers.matcher",
            "evaluate.matchers.suppression",
        ),
        FITS | CHOICE,
    ),
    "evaluate.agreement": CHOICE,
    "evaluate.case_counts": CHOICE,
    "evaluate.domains": CHOICE,
    "evaluate.curve": FITS | CHOICE,
    "evaluate.jackknife": CHOICE,
    "evaluate.metrics": FITS | CHOICE,
    "evaluate.operating_point": FITS | CHOICE,
    "evaluate.stored": CHOICE,
    "evaluate.summary": CHOICE,
    "evaluate.uncertainty": CHOICE,
    "evaluate.boxes": {"box-scores"},
    "foreign.tensors": FITS,
    "pipeline.stages.boxes": {"boxes", "box-scores"},
    "pipeline.stages.box_scores": {"box-scores"},
    "pipeline.stages.scored_candidates": CHOICE,
    "pipeline.stages.candidate_threshold": SCORED,
    "pipeline.stages.tensorboard": FITS,
    "pipeline.stages.detection": {"detections"},
    "pipeline.stages.embedding": FITS | {"embeddings", "encoder"},
    "pipeline.stages.evaluation": {"evaluation"},
    "pipeline.stages.fitting": FITS,
    "pipeline.stages.distributed_fit": FITS,
    "pipeline.stages.selection": {"fusion"},
    "pipeline.stages.verification": {"verifier-scores"},
    "pipeline.starting": FITS,
}
# Modules that run in a stage and do not affect its output: they call its function and report its progress.
NEUTRAL = {"mitobench.pipeline.stages.kinds", "mitobench.pipeline.executors.base"}
# Packages that only re-export names: they count by the names that are imported from them.
RE_EXPORTING = {"evaluate.__init__", "datasets.__init__", "training.__init__"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def name_of(module: str) -> str:
    """Returns the name that a module is imported by."""
    return f"mitobench.{module}".removesuffix(".__init__")


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py")) if "templates" not in path.parts}


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Changes the source of one module, only for the digests."""
    read = functools.cache(code.read_source)  # no file changes during a test, so each is read once
    resolved = functools.cache(Path.resolve)

    def change(path: Path, old: str = "", new: str = "") -> None:
        def changed(file: Path) -> bytes:
            content = read(file)
            if resolved(file) != resolved(path):
                return content
            assert old.encode() in content
            return content.replace(old.encode(), new.encode()) if old else content + b"\nCHANGED = True\n"

        monkeypatch.setattr(code, "read_source", changed)
        code_digests._code.cache_clear()

    yield change
    code_digests._code.cache_clear()


def digests() -> dict[str, str]:
    return {kind: stage_code(kind).digest for kind in kinds.KINDS}


@pytest.mark.thorough
def test_a_changed_module_changes_the_keys_of_the_stages_that_import_it_and_no_others(
    change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: set[Path] = set()  # all that the digests depend on; a change of another file cannot change them
    read = code.read_source
    code_digests._code.cache_clear()
    monkeypatch.setattr(code, "read_source", lambda file: files.add(file.resolve()) or read(file))
    before = digests()
    monkeypatch.setattr(code, "read_source", read)
    tried: set[frozenset[str]] = set()
    for module, path in MODULES.items():
        if path.resolve() not in files:
            assert module not in CHANGES, module
        elif module not in RE_EXPORTING:
            named = frozenset(kind for kind in ALL if name_of(module) in stage_code(kind).parts)
            expected = CHANGES.get(module, set())
            if named in tried:  # a digest is over the parts: one module in the same parts was changed before
                assert named == expected, module
                continue
            change(path)
            after = digests()
            assert {kind for kind in ALL if before[kind] != after[kind]} == expected, module
            monkeypatch.setattr(code, "read_source", read)
            code_digests._code.cache_clear()
            if named:  # not a package that only re-exports
                assert named == expected, module
                tried.add(named)
    assert set(CHANGES) <= set(MODULES)
    assert len(tried) > 8


def test_changing_the_comparison_with_the_candidate_threshold_changes_the_keys(change: Any) -> None:
    before = digests()
    change(MODULES["pipeline.stages.candidate_threshold"], "score > candidate", "score >= candidate")
    after = digests()
    assert {kind for kind in ALL if before[kind] != after[kind]} == SCORED


def test_comments_docstrings_and_layout_change_no_key(change: Any) -> None:
    before = digests()
    change(
        MODULES["pipeline.stages.detection"], "    plugin = job.plugin()", "    # new\n\n    plugin = (job.plugin())"
    )
    assert digests() == before


@pytest.mark.usefixtures("toys")
def test_all_code_of_mitobench_that_runs_in_a_stage_is_in_its_key(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: dict[str, set[str]] = {}
    run_job = kinds.run_job

    def traced(job: Any) -> None:
        files = ran.setdefault(job.stage.kind, set())
        sys.setprofile(lambda frame, event, argument: files.add(frame.f_code.co_filename) if event == "call" else None)
        try:
            run_job(job)
        finally:
            sys.setprofile(None)

    monkeypatch.setattr(kinds, "run_job", traced)
    (tmp_path / "toys.toml").write_text('title = "toys"\n')
    roles = {"estimator": ["toy-boxes"], "detector": ["toy-dark"], "verifier": ["toy-mean"], "fuser": ["toy-sum"]}
    benchmark = Benchmark.prepare(
        [Grid(roles)],
        data=small_data,
        datasets=["synthetic"],
        profile=str(tmp_path / "toys.toml"),
        device="cpu",
        store=tmp_path / "store",
    )
    benchmark.run(tmp_path / "out")
    assert set(ran) == ALL - {"fit-estimator", "encoder", "embeddings"}
    paths = {str(path): name_of(module) for module, path in MODULES.items()}
    readers = set(reader_code("synthetic").parts)
    for kind, files in ran.items():
        modules = {paths[file] for file in files if file in paths} - NEUTRAL
        assert f"{kinds.module(kind)}" in modules
        assert modules <= set(stage_code(kind).parts) | readers, kind


# --------------------------------------------------------------------------------------------------- plugins

PLUGIN = """
from mitobench.api import Detections, Detector
{imports}

class Mine(Detector):
    name, version = "mine", "1"

    def predict(self, frame):
        {body}
        return Detections.none()
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site-packages"


@pytest.fixture
def digest(install: Any, site: Path) -> Any:
    """Installs a plugin with these imports; returns a function that computes its digest."""

    def installed(imports: str, modules: dict[str, str], body: str = "pass", init: str = "") -> Any:
        text = PLUGIN.format(imports=imports, body=body)
        files = {"keys_mine/__init__.py": init, "keys_mine/plugin.py": text, **modules}
        install("keys-mine", {"mitobench.detectors": {"mine": "keys_mine.plugin:Mine"}}, files)
        return lambda: code.code_of(["keys_mine.plugin"], "keys-mine").digest

    return installed


def changes(digest: Any, file: Path, text: str = "CHANGED = True\n") -> bool:
    """Returns whether the digest changes if this text is appended to a file."""
    before = digest()
    file.write_text(file.read_text() + text if file.is_file() else text)
    return bool(digest() != before)


IMPORTS = {
    "absolute": "import keys_mine.helper",
    "from": "from keys_mine import helper",
    "name": "from keys_mine.helper import NUMBER",
    "star": "from keys_mine.helper import *",
    "relative": "from . import helper",
    "relative name": "from .helper import NUMBER as N",
    "literal": "import importlib\nhelper = importlib.import_module('keys_mine.helper')",
    "relative literal": "import importlib\nhelper = importlib.import_module('.helper', __package__)",
    "attempt": "try:\n    from keys_mine import helper\nexcept ImportError:\n    helper = None",
}


@pytest.mark.parametrize("how", IMPORTS)
def test_a_module_that_a_plugin_imports_counts(digest: Any, site: Path, how: str) -> None:
    compute = digest(IMPORTS[how], {"keys_mine/helper.py": "NUMBER = 1\n"})
    assert changes(compute, site / "keys_mine" / "helper.py")


def test_imports_in_functions_and_imports_of_imported_modules_count(digest: Any, site: Path) -> None:
    helpers = {"keys_mine/helper.py": "from .far import FAR\n", "keys_mine/far.py": "FAR = 1\n"}
    compute = digest("", helpers, body="from keys_mine.helper import FAR")
    assert changes(compute, site / "keys_mine" / "far.py")


def test_the_package_of_an_imported_module_counts(digest: Any, site: Path) -> None:
    compute = digest("", {})
    assert changes(compute, site / "keys_mine" / "__init__.py")


@pytest.mark.parametrize("file", ["mine.toml", "sibling.py", "README.md", "table.csv"])
def test_cards_and_files_that_a_module_does_not_name_do_not_count(digest: Any, site: Path, file: str) -> None:
    compute = digest("", {f"keys_mine/{file}": "# a = 1\n"})
    assert not changes(compute, site / "keys_mine" / file, "a = 1\n")


def test_a_sibling_that_the_package_only_re_exports_does_not_count(digest: Any, site: Path) -> None:
    init = "from keys_mine.plugin import Mine\nfrom keys_mine.sibling import Other\n__all__ = ['Mine', 'Other']\n"
    compute = digest("", {"keys_mine/sibling.py": "class Other: ...\n"}, init=init)
    assert not changes(compute, site / "keys_mine" / "sibling.py")


LAZY = """
from typing import TYPE_CHECKING
from keys_mine.plugin import Mine
from keys_mine.sibling import Other
if TYPE_CHECKING:
    from keys_mine.loop import train
__all__ = ['Mine', 'Other', 'train']
def __getattr__(name):
    from keys_mine import loop
    return getattr(loop, name)
"""


def test_a_package_that_imports_some_names_on_first_use_counts_by_names_too(digest: Any, site: Path) -> None:
    compute = digest("", {"keys_mine/sibling.py": "class Other: ...\n", "keys_mine/loop.py": ""}, init=LAZY)
    assert not changes(compute, site / "keys_mine" / "sibling.py")
    assert changes(compute, site / "keys_mine" / "loop.py")


def test_a_module_that_the_package_imports_for_its_side_effects_counts(digest: Any, site: Path) -> None:
    compute = digest("", {"keys_mine/compat.py": "import json\n"}, init="from keys_mine import compat\n")
    assert changes(compute, site / "keys_mine" / "compat.py")


def test_an_import_for_type_checkers_does_not_count(digest: Any, site: Path) -> None:
    imports = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from keys_mine import helper"
    compute = digest(imports, {"keys_mine/helper.py": ""})
    assert not changes(compute, site / "keys_mine" / "helper.py")


def test_a_file_that_a_module_names_counts(digest: Any, site: Path) -> None:
    imports = "from pathlib import Path\nTABLE = Path(__file__).parent / 'tables' / 'table.csv'"
    compute = digest(imports, {"keys_mine/tables/table.csv": "1,2\n"})
    assert changes(compute, site / "keys_mine" / "tables" / "table.csv", "3,4\n")


@pytest.mark.parametrize(
    ("claim", "counts"),
    [
        ({}, True),
        ({"top_level.txt": "keys_helpers\n"}, False),
        ({"top_level.txt": "keys_helpers\n", "direct_url.json": '{"url": "file:///home/me/helpers"}'}, True),
        ({"top_level.txt": "keys_helpers\n", "direct_url.json": '{"url": "https://example.org/helpers"}'}, False),
        ({"top_level.txt": "keys_helpers\n", "requires": "mitobench"}, True),
    ],
    ids=["a folder on the path", "from an index", "from a local path", "from elsewhere", "builds on mitobench"],
)
def test_a_helper_counts_by_content_where_its_package_is_local(
    install: Any, digest: Any, site: Path, claim: dict[str, str], counts: bool
) -> None:
    compute = digest("import keys_helpers", {})
    files = {"keys_helpers/__init__.py": "", "keys_helpers/norm.py": ""}
    install("keys-helpers", {}, files, requires=[claim["requires"]] if "requires" in claim else [])
    for name in claim.keys() - {"requires"}:
        (site / "keys_helpers-1.0.dist-info" / name).write_text(claim[name])
    assert changes(compute, site / "keys_helpers" / "__init__.py") == counts
    versions = code.code_of(["keys_mine.plugin"], "keys-mine").versions
    assert ("keys-helpers" in versions) == (not counts)


def test_a_network_of_torch_counts_by_version_alone(install: Any) -> None:
    text = """
from torch import nn
from mitobench.api import Verifier

class Net(nn.Module, Verifier):
    name, version = "net", "1"

    def score(self, frame, detections):
        return detections.score
"""
    install("keys-net", {"mitobench.verifiers": {"net": "keys_net:Net"}}, {"keys_net.py": text})
    found = plugin_code("verifier", discovery.load("verifier", "net"))
    assert not [part for part in found.parts if part.startswith("torch")]
    assert {"torch", "python"} <= set(found.versions)


def test_a_class_without_a_file_is_refused(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        "keys-mine",
        {"mitobench.detectors": {"mine": "keys_mine:Mine"}},
        {"keys_mine.py": PLUGIN.format(imports="", body="")},
    )
    cls: Any = discovery.load("detector", "mine")
    monkeypatch.setattr(cls, "__module__", "keys_nowhere")
    with pytest.raises(PluginError, match="keys_nowhere has no source file"):
        plugin_code("detector", cls)

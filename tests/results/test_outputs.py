"""What the stages of a combination left in the store, and outputs that this version did not write."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_runs

from mitobench.errors import StoreError
from mitobench.pipeline import store
from mitobench.pipeline.store import verify

pytestmark = pytest.mark.slow


def run_again_with(kind: str, file: str, content: str, data: Path, folder: Path) -> None:
    """Run the toys, change a file of a stored output, and run them again."""
    tiny_runs.run(folder, data)
    for output in (folder / "store" / "stages" / kind).iterdir():
        (output / file).write_text(content)
    tiny_runs.run(folder, data)


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", '{"test": {"f1": 1}, "detector_alone": {}}', '{"test": 3, "detector_alone": 3}'],
    ids=["nothing", "a list", "fields missing", "a number"],
)
def test_an_output_that_this_version_did_not_write_is_an_error_of_the_store(
    content: str, small_data: Path, toys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "verify", lambda folder: (None, verify(folder)[1]))  # as if it had been written so
    with pytest.raises(StoreError, match=r"output of .*toy-dark.* this version of mitobench did not write"):
        run_again_with("evaluation", "metrics.json", content, small_data, tmp_path)


def test_a_fault_of_the_code_that_makes_records_is_not_taken_for_one_of_the_store(
    small_data: Path, toys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> dict[str, str]:
        raise TypeError("a fault")

    monkeypatch.setattr("mitobench.results.provenance.versions", broken)
    with pytest.raises(TypeError, match="a fault"):
        tiny_runs.run(tmp_path, small_data)

"""`--log tensorboard` writes the curves of each fit, and changes neither keys nor outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mitobench.errors import MitobenchError
from mitobench.pipeline.stages import tensorboard

STAGE: Any = SimpleNamespace(
    plugin=SimpleNamespace(role="detector", name="heatmap:a/b"), settings={"seed": 3}, key="0123456789abcdef"
)


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Returns (step, value) of each curve."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.util import tensor_util

    events = accumulators.EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [
            (event.step, round(float(tensor_util.make_ndarray(event.tensor_proto)), 4)) for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }


def test_curves_are_written_to_a_folder_of_the_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tensorboard.FOLDER, str(tmp_path))
    with tensorboard.curves(STAGE) as log_scalar:
        log_scalar("loss", 0.5, 1)
        log_scalar("loss", 0.25, 20)
        log_scalar("validation F1", 0.7, 20)
    (folder,) = tmp_path.iterdir()
    assert folder.name == "detector-heatmap-a-b-seed3-01234567"
    assert read(folder) == {"loss": [(1, 0.5), (20, 0.25)], "validation F1": [(20, 0.7)]}


@pytest.mark.parametrize(("folder", "rank"), [("", 0), ("set", 1)])
def test_nothing_is_written_unless_asked_for_or_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, rank: int
) -> None:
    monkeypatch.setenv(tensorboard.FOLDER, folder and str(tmp_path))
    with tensorboard.curves(STAGE, rank) as log_scalar:
        log_scalar("loss", 0.5, 1)
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_error_says_what_to_install(
    mitobench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)
    with pytest.raises(MitobenchError, match=r"pip install 'mitobench\[tensorboard\]'"):
        tensorboard.check_installed()
    answer = mitobench("run", "--log", "tensorboard")
    assert answer.code == 2
    assert "pip install 'mitobench[tensorboard]'" in answer.err


def test_another_name_is_refused(mitobench: Callable[..., Any]) -> None:
    answer = mitobench("run", "--log", "wandb")
    assert answer.code == 2
    assert "tensorboard" in answer.err


@pytest.mark.slow
def test_a_run_shows_what_a_fit_logs_and_has_the_same_keys(
    toys: object, small_data: Path, mitobench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mitobench_toys

    monkeypatch.setenv(tensorboard.FOLDER, "")  # restored afterwards: the command sets it
    original = mitobench_toys.ToyDark.fit

    def fit(self: Any, train: Any, val: Any, context: Any) -> None:
        context.log_scalar("loss", 0.5, 1)
        original(self, train, val, context)

    monkeypatch.setattr(mitobench_toys.ToyDark, "fit", fit)
    options = ["--data", small_data, "--dataset", "synthetic", "--estimator", "toy-boxes", "--detector", "toy-dark"]
    options += ["--verifier", "none", "--fuser", "detector-only", "--store", tmp_path / "store", "--device", "cpu"]
    answer = mitobench("run", *options, "--log", "tensorboard", "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    (folder,) = (tmp_path / "out" / "tb").iterdir()
    assert folder.name.startswith("detector-toy-dark-seed0-")
    assert read(folder) == {"loss": [(1, 0.5)]}
    monkeypatch.setenv(tensorboard.FOLDER, "")
    assert mitobench("run", *options, "--out", tmp_path / "other").code == 0
    assert len(list((tmp_path / "store" / "stages" / "fit-detector").iterdir())) == 1, "the same key"
    assert not (tmp_path / "other" / "tb").exists()

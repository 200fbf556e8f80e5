"""How long missing stages will take: from equal stages before others, scaled by steps or frames, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mitobench.pipeline import canonical
from mitobench.pipeline.estimate import FRAMES, STEPS, StageTime, estimate
from mitobench.pipeline.plugin_ref import PluginRef
from mitobench.pipeline.saved_files import MANIFEST
from mitobench.pipeline.stages.stage import Stage
from mitobench.pipeline.store import Store

pytestmark = pytest.mark.usefixtures("toys")

BLOBS = PluginRef("detector", "toy-boxless", "1", "mitobench-toys", "source", {"most": 40})


def stage(plugin: PluginRef = BLOBS, kind: str = "detections", frames: int = 10, device: str = "cpu") -> Stage:
    keys = tuple(f"synthetic/{number}" for number in range(frames))
    return Stage(kind, plugin, {"frames": keys}, {"device": device}, {}, {"frames": f"digest of {frames}"})


def ran(store: Store, one: Stage, seconds: float, n_frames: Mapping[str, int] | None = None) -> None:
    """Puts a stage into the store that took so many seconds, once more with each call."""
    spec = {**one.spec, "again": len(list((store.root / "stages").glob("*/*")))}
    counts = {part: len(keys) for part, keys in one.frames.items()} if n_frames is None else n_frames
    key = canonical.digest(spec)
    with store.write(one.kind, key, spec, counts):
        pass
    path = store.root / "stages" / one.kind / key / MANIFEST
    manifest: dict[str, Any] = {"spec": spec, "seconds": seconds, "n_frames": counts, "files": {}}
    path.write_text(canonical.dumps(manifest))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path).open()


def only(missing: list[Stage], store: Store) -> StageTime:
    (time,) = estimate(missing, store)
    return time


def test_seconds_grow_with_the_number_of_frames(store: Store) -> None:
    for seconds in (10.0, 20.0, 60.0):
        ran(store, stage(), seconds)
    time = only([stage(frames=20), stage(frames=5)], store)
    assert (time.seconds, time.low, time.high) == (50, 25, 150), "the median, the fastest, and the slowest"
    assert (time.n_stages, time.n_earlier, time.scaled_by) == (2, 3, FRAMES)


def test_stages_with_the_same_options_count_before_others(store: Store) -> None:
    ran(store, stage(replace(BLOBS, options={"most": 99})), 500.0)
    assert only([stage()], store).seconds == 500
    ran(store, stage(), 10.0)
    assert (only([stage()], store).seconds, only([stage()], store).n_earlier) == (10, 1)


def test_a_fit_grows_with_its_training_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BLOBS.cls(), "schedule", ("iterations",))
    fits = {steps: stage(replace(BLOBS, options={"iterations": steps}), "fit-detector") for steps in (100, 300)}
    ran(store, fits[100], 10.0)
    time = only([fits[300]], store)
    assert (time.seconds, time.scaled_by) == (30, STEPS)


@pytest.mark.parametrize("other", [stage(device="cuda"), stage(replace(BLOBS, name="toy-dark")), stage(kind="fusion")])
def test_another_device_plugin_or_kind_says_nothing(store: Store, other: Stage) -> None:
    ran(store, other, 10.0)
    time = only([stage(), stage()], store)
    assert (time.n_unknown, time.n_earlier, time.seconds) == (2, 0, 0)


def test_stages_of_earlier_versions_are_not_scaled(store: Store) -> None:
    ran(store, stage(), 10.0, {})
    time = only([stage(frames=20)], store)
    assert (time.seconds, time.scaled_by) == (10, "")


def test_damaged_manifests_are_left_out(store: Store) -> None:
    ran(store, stage(), 10.0)
    for number, text in enumerate(("", "[]", '{"spec": 1}', '{"spec": {"kind": "detections", "plugin": "x"}}')):
        folder = store.root / "stages" / "detections" / str(number)
        folder.mkdir()
        (folder / MANIFEST).write_text(text)
    assert only([stage()], store).n_earlier == 1


def test_the_longest_come_first_and_the_unknown_last(store: Store) -> None:
    ran(store, stage(), 10.0)
    ran(store, stage(kind="boxes"), 90.0)
    times = estimate([stage(), stage(kind="fusion"), stage(kind="boxes")], store)
    assert [time.kind for time in times] == ["boxes", "detections", "fusion"]


def test_a_fit_that_takes_a_network_over_says_nothing_on_one_that_trains(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BLOBS.cls(), "schedule", ("iterations", "warmup"))
    options = {steps: {"iterations": steps, "warmup": 50} for steps in (0, 300)}
    copied, trained = (stage(replace(BLOBS, options=options[steps]), "fit-detector") for steps in (0, 300))
    ran(store, copied, 0.5)
    assert only([trained], store).n_unknown == 1
    ran(store, trained, 60.0)
    assert (only([copied], store).seconds, only([trained], store).seconds) == (0.5, 60)

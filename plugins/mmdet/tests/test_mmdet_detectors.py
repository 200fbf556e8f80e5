"""The detectors learn, give identical results for a seed, resume, and can be saved and loaded."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet_scene import make_sample

from mitobench.api import Context, Detections, Detector, PluginError, Sample
from mitobench.training import runner
from mitobench_mmdet.engine import ops
from mitobench_mmdet.paper.detectors import RPN, FasterRCNN, RPNExtracted

pytestmark = pytest.mark.slow

ops.install()

from mitobench_mmdet.engine import fitting  # noqa: E402 - needs the operators

TINY: dict[str, Any] = {
    "iterations": 6,
    "batch_size": 2,
    "optimizer": "adamw",
    "lr": 1e-3,
    "lr_steps": (5,),
    "warmup": 2,
    "clip_norm": 10.0,
    "width": 0.1,
    "norm": "batch",
    "patch": 96,
    "patch_stride": None,
    "rpn_channels": 16,
    "anchor_scales": (2.0, 4.0),
}
ROI: dict[str, Any] = {"fc": (16, 16), "train_proposals_after": 100, "roi_batch": 32}


def tiny(cls: type[Detector], **changes: Any) -> Detector:
    options = {**TINY, **(ROI if cls is FasterRCNN else {}), **changes}
    return cls(cls.Options(**options))


def weights(detector: Any) -> dict[str, torch.Tensor]:
    return detector.network.state_dict()


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


def assert_same_detections(a: Detections, b: Detections) -> None:
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.score, b.score)


@pytest.mark.parametrize("cls", [FasterRCNN, RPN])
def test_the_same_seed_gives_the_same_detector(
    cls: type[Detector], samples: list[Sample], context: Callable[..., Context]
) -> None:
    first, second, other = tiny(cls), tiny(cls), tiny(cls)
    first.fit(samples, [], context("first"))
    torch.manual_seed(99)  # what ran before must not matter
    np.random.seed(99)
    second.fit(samples, [], context("second"))
    assert_same(weights(first), weights(second))
    third = context("other")
    third.seed = 1
    other.fit(samples, [], third)
    assert any(not torch.equal(value, weights(other)[key]) for key, value in weights(first).items())
    work = context("taken-over").work
    work.mkdir(parents=True, exist_ok=True)
    first.save(work)
    taken_over = tiny(cls, iterations=0)
    taken_over.fit([], [], context("again", pretrained=work / "weights.safetensors"))
    assert_same(weights(first), weights(taken_over))


@pytest.mark.parametrize("options", [{}, {"hard_negative_rounds": 1, "ema": 0.9}])
def test_an_interrupted_fit_ends_with_the_same_weights(
    options: dict[str, Any], samples: list[Sample], context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed, resumed = (tiny(FasterRCNN, **options) for _ in range(3))
    whole.fit(samples, [], context("whole"))

    def die(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        killed.fit(samples, [], context("resumed", progress=die))
    done: list[int] = []
    resumed.fit(samples, [], context("resumed", progress=lambda now, total: done.append(now)))
    assert done[0] in (4, 5), "it must go on, not start anew"
    assert_same(weights(whole), weights(resumed))


def test_hard_negative_mining_trains_in_equal_rounds_on_the_false_positives_so_far(
    samples: list[Sample], context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[dict[str, Any], int]] = []

    def train(network: Any, stream: Any, context: Context, **how: Any) -> None:
        calls.append((how, sum(map(len, stream._false_positives))))
        network.eval()

    monkeypatch.setattr(fitting, "train", train)
    monkeypatch.setattr(fitting, "false_positives", lambda found, sample: np.array([[80.0, 80.0]]))
    monkeypatch.setattr(FasterRCNN, "predict", lambda self, frame: Detections.none())
    tiny(FasterRCNN, hard_negative_rounds=2, iterations=60, lr_steps=(50,), warmup=6).fit(samples, [], context())
    assert [(how["iterations"], n_false_positives) for how, n_false_positives in calls] == [
        (20, 0),
        (20, len(samples)),
        (20, len(samples)),
    ]
    assert [entry.get("milestones", entry.get("end")) for entry in calls[2][0]["schedule"]] == [2, [16]]


def test_false_positives_are_the_detections_away_from_every_mitosis(samples: list[Sample]) -> None:
    sample = samples[0]
    assert sample.boxes is not None
    beside = np.array([[0.0, 0.0, 4.0, 4.0]])
    found = Detections.from_boxes(np.concatenate([sample.boxes + 3, beside]), np.ones(len(sample.boxes) + 1))
    np.testing.assert_array_equal(fitting.false_positives(found, sample), [[2.0, 2.0]])


@pytest.mark.parametrize("cls", [FasterRCNN, RPN])
def test_a_loaded_detector_predicts_as_the_saved_one(
    cls: type[Detector], samples: list[Sample], context: Callable[..., Context], tmp_path: Path
) -> None:
    detector = tiny(cls, score_floor=0.0)
    detector.fit(samples, [], context())
    found = detector.predict(samples[0].frame)
    assert 0 < len(found) <= 100
    assert (np.diff(found.score) <= 0).all()
    assert (found.boxes >= -0.5).all()
    assert (found.boxes <= 159.5).all()
    detector.save(tmp_path)
    loaded = tiny(cls, score_floor=0.0)
    loaded.load(tmp_path)
    assert_same_detections(found, loaded.predict(samples[0].frame))


def test_rpn_extracted_is_the_rpn_of_its_frcnn(
    samples: list[Sample], context: Callable[..., Context], tmp_path: Path
) -> None:
    upstream = tiny(FasterRCNN)
    upstream.fit(samples, [], context())
    extracted = RPNExtracted()
    assert extracted.requires(extracted.options)["detector"].name == "frcnn"
    extracted.fit([], [], context(upstream={"detector": upstream}))
    assert torch.equal(weights(extracted)["bbox_head.rpn_cls.weight"], weights(upstream)["rpn_head.rpn_cls.weight"])
    extracted.save(tmp_path)
    loaded = RPNExtracted()
    loaded.load(tmp_path)
    found = extracted.predict(samples[0].frame)
    assert 0 < len(found) <= 100
    assert_same_detections(found, loaded.predict(samples[0].frame))


@pytest.mark.parametrize("cls", [FasterRCNN, RPN])
def test_options_read_only_at_prediction_change_no_weights(
    cls: type[Detector], samples: list[Sample], context: Callable[..., Context], tmp_path: Path
) -> None:
    other = {"tile": 64, "proposals_before": 50, "proposals_after": 5, "score_floor": 0.0, "test_nms": 0.6}
    other |= {"max_per_image": 3, "tta_views": 4}
    assert set(other) == set(cls.inference_options)
    plain, changed = tiny(cls), tiny(cls, **other)
    plain.fit(samples, [], context("plain"))
    changed.fit(samples, [], context("changed"))
    assert_same(weights(plain), weights(changed))
    plain.save(tmp_path)
    loaded = tiny(cls, **other)
    loaded.load(tmp_path)
    assert_same_detections(loaded.predict(samples[0].frame), changed.predict(samples[0].frame))
    assert len(loaded.predict(samples[0].frame)) == 3


def test_rpn_extracted_searches_by_its_own_options(
    samples: list[Sample], context: Callable[..., Context], tmp_path: Path
) -> None:
    upstream = tiny(FasterRCNN, proposals_after=2, tile=64)
    upstream.fit(samples, [], context())
    extracted = RPNExtracted()
    extracted.fit([], [], context(upstream={"detector": upstream}))
    assert extracted.network.backbone.tile is None
    extracted.save(tmp_path)
    many = extracted.predict(samples[0].frame)
    assert len(many) > 2
    few = RPNExtracted(RPNExtracted.Options(proposals_after=2, tile=96))
    few.load(tmp_path)
    assert few.network.backbone.tile == 96
    np.testing.assert_allclose(few.predict(samples[0].frame).boxes[0], many.boxes[0], atol=1)
    assert len(few.predict(samples[0].frame)) <= 2


def test_a_shortened_schedule_shortens_what_is_counted_in_steps() -> None:
    assert set(FasterRCNN.schedule) == set(RPN.schedule) == {"iterations", "lr_steps", "warmup"}


def test_workers_read_no_frame_and_draw_the_same_patches(
    samples: list[Sample], context: Callable[..., Context]
) -> None:
    alone, helped = tiny(RPN, workers=0), tiny(RPN, workers=2)
    parent = os.getpid()

    def read_by(pixels: np.ndarray) -> np.ndarray:
        assert os.getpid() == parent, "frames must be in memory before the workers are forked"
        return pixels

    watched = [replace(s, frame=replace(s.frame, reader=functools.partial(read_by, s.frame.read()))) for s in samples]
    alone.fit(samples, [], context("alone"))
    helped.fit(watched, [], context("helped"))
    assert_same(weights(alone), weights(helped))


@pytest.mark.parametrize(
    ("option", "device", "processes", "workers"),
    [(None, "cpu", 1, 0), (None, "cuda", 1, 8), (None, "cuda", 4, 3), (3, "cpu", 1, 3), (0, "cuda", 1, 0)],
)
def test_the_number_of_workers_follows_option_device_and_processes(
    option: int | None, device: str, processes: int, workers: int, context: Callable[..., Context],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    given = context(world_size=processes)
    given.device = device
    assert fitting.workers(RPN.Options(workers=option), given) == workers


def test_prediction_needs_a_fit(samples: list[Sample]) -> None:
    with pytest.raises(PluginError, match="fit or load"):
        tiny(RPN).predict(samples[0].frame)


@pytest.mark.parametrize(
    "options",
    [
        {"roi_pooling": "align", "norm": "lrn", "optimizer": "sgd"},
        pytest.param({"stride": 8}, marks=pytest.mark.thorough),
    ],
)
def test_variants_train(options: dict[str, Any], samples: list[Sample], context: Callable[..., Context]) -> None:
    detector = tiny(FasterRCNN, **{**options, "iterations": 1})
    detector.fit(samples, [], context())
    detector.predict(samples[0].frame)


def test_patches_without_a_mitosis_train_too(context: Callable[..., Context]) -> None:
    detector = tiny(FasterRCNN, positive_share=0.0, iterations=1)
    detector.fit([make_sample([])], [], context())
    assert all(torch.isfinite(value).all() for value in weights(detector).values())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("roi_pooling", ["pool", "align"])
def test_it_trains_and_predicts_on_a_gpu(
    roi_pooling: str, samples: list[Sample], context: Callable[..., Context]
) -> None:
    detector = tiny(FasterRCNN, score_floor=0.0, roi_pooling=roi_pooling)
    on_gpu = context(amp=True)
    on_gpu.device = "cuda"
    detector.fit(samples, [], on_gpu)
    assert len(detector.predict(samples[0].frame)) > 0


@pytest.mark.thorough
def test_it_learns_to_find_squares(samples: list[Sample], context: Callable[..., Context]) -> None:
    detector = tiny(FasterRCNN, iterations=80, lr_steps=(), width=0.2, fc=(64, 64))
    detector.fit(samples, [], context())
    for sample in samples:
        found = detector.predict(sample.frame)
        distance = np.linalg.norm(found.xy[:, None] - sample.mitoses.xy, axis=2)
        assert (distance.min(axis=0) < 10).all()

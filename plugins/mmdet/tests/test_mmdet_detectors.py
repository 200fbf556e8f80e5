"""The detectors learn, repeat themselves to the bit, resume, and survive a disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet_scene import make_sample

from mitobench.api import Context, Detections, Detector, PluginError, Sample
from mitobench.training import runner
from mitobench_mmdet.detectors import RPN, FasterRCNN, RPNExtracted

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
def test_one_seed_gives_one_detector(
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


def test_a_fit_that_was_killed_ends_as_one_that_was_not(
    samples: list[Sample], context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed, resumed = tiny(FasterRCNN), tiny(FasterRCNN), tiny(FasterRCNN)
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


@pytest.mark.parametrize("cls", [FasterRCNN, RPN])
def test_a_loaded_detector_predicts_as_the_saved_one(
    cls: type[Detector], samples: list[Sample], context: Callable[..., Context], tmp_path: Path
) -> None:
    detector = tiny(cls, score_floor=0.0)
    detector.fit(samples, [], context())
    found = detector.predict(samples[0].frame)
    assert 0 < len(found) <= 100
    assert (np.diff(found.score) <= 0).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= 160).all()
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


def test_prediction_needs_a_fit(samples: list[Sample]) -> None:
    with pytest.raises(PluginError, match="fit or load"):
        tiny(RPN).predict(samples[0].frame)


@pytest.mark.parametrize("options", [{"roi_pooling": "align"}, {"stride": 8}, {"norm": "lrn", "optimizer": "sgd"}])
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


@pytest.mark.slow
def test_it_learns_to_find_squares(samples: list[Sample], context: Callable[..., Context]) -> None:
    detector = tiny(FasterRCNN, iterations=80, lr_steps=(), width=0.2, fc=(64, 64))
    detector.fit(samples, [], context())
    for sample in samples:
        found = detector.predict(sample.frame)
        distance = np.linalg.norm(found.xy[:, None] - sample.mitoses.xy, axis=2)
        assert (distance.min(axis=0) < 10).all()

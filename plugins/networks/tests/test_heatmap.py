"""`heatmap:ENCODER`: targets, loss, peaks and the network's place in a frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mitobench import discovery
from mitobench.api import Context, Frame, MitobenchError, Mitoses, PluginError, Sample
from mitobench.benchmark import Benchmark, Grid
from mitobench.datasets import synthetic
from mitobench_networks.heatmap.network import HeatmapNet, focal_loss
from mitobench_networks.heatmap.options import HeatmapOptions
from mitobench_networks.heatmap.point_patches import HeatmapStream, target_map

pytestmark = pytest.mark.slow

ENCODER = "tf_efficientnet_lite0"


def frame(pixels: np.ndarray, mpp: float = 0.25, dataset: str = "d", id: str = "f") -> Frame:
    return Frame(id, dataset, "g", "A", (mpp, mpp), (pixels.shape[1], pixels.shape[0]), lambda: pixels)


def blank(side: int = 200) -> np.ndarray:
    return np.full((side, side, 3), 230, np.uint8)


def detector(**options: Any) -> Any:
    cls: Any = discovery.load("detector", f"heatmap:{ENCODER}")
    return cls(cls.Options(pretrained="none", **options), "cpu")


class TestTargetMap:
    def test_a_point_is_1_at_the_nearest_pixel_and_falls_off_as_a_gaussian(self) -> None:
        target = target_map(np.array([[21.0, 40.6]]), 32, stride=2, sigma=1.5)
        assert target.shape == (32, 32)
        assert np.unravel_index(target.argmax(), target.shape) == (20, 10)
        assert target.max() == 1
        assert target[20, 11] == pytest.approx(np.exp(-1 / (2 * 1.5**2)))

    def test_of_two_near_points_the_greater_value_counts(self) -> None:
        both = target_map(np.array([[20.5, 20.5], [24.5, 20.5]]), 32, stride=2, sigma=2)
        assert (both == 1).sum() == 2
        assert both.max() == 1

    def test_a_point_outside_has_no_peak(self) -> None:
        assert target_map(np.array([[-20.0, 10.0]]), 32, stride=2, sigma=1).max() < 1


class TestLoss:
    def test_it_falls_as_the_map_nears_the_target(self) -> None:
        target = torch.from_numpy(target_map(np.array([[20.5, 20.5]]), 16, 2, 1.5))[None]
        wrong, better = torch.zeros(1, 16, 16), torch.where(target == 1, 6.0, -6.0)
        assert focal_loss(better, target) < 0.1 * focal_loss(wrong, target)

    def test_a_patch_without_a_mitosis_has_a_finite_loss(self) -> None:
        assert torch.isfinite(focal_loss(torch.zeros(2, 8, 8), torch.zeros(2, 8, 8)))


class TestNetwork:
    @pytest.mark.parametrize("stride", [1, 2, 4])
    def test_the_map_has_the_resolution_of_its_stride(self, stride: int) -> None:
        network = HeatmapNet(ENCODER, (32, 16, 16, 8, 8), stride).eval()
        with torch.inference_mode():
            logits = network(torch.zeros(2, 64, 96, 3, dtype=torch.uint8))
        assert logits.shape == (2, 64 // stride, 96 // stride)

    def test_padding_is_that_of_timm(self) -> None:
        from segmentation_models_pytorch.encoders import get_encoder

        network = HeatmapNet(ENCODER, (32, 16, 16, 8, 8), 2).eval()
        encoder = get_encoder(f"tu-{ENCODER}", in_channels=3, depth=5, weights=None).eval()
        encoder.load_state_dict(network.encoder.state_dict())
        images = torch.rand(1, 3, 96, 160)
        with torch.inference_mode():
            for ours, theirs in zip(network.encoder(images), encoder(images), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=0)

    def test_an_encoder_without_feature_maps_is_refused_with_the_reason(self) -> None:
        with pytest.raises(PluginError, match="cannot be an encoder of a U-Net"):
            HeatmapNet("mixer_b16_224", (32, 16, 16, 8, 8), 2)

    @pytest.mark.parametrize("encoder", ["mixer_b16_224", "vit_base_patch16_224"])
    def test_such_an_encoder_is_refused_when_a_run_is_planned(self, encoder: str) -> None:
        cls: Any = discovery.load("detector", f"heatmap:{encoder}")
        with pytest.raises(MitobenchError, match=r"cannot be an encoder.*such as resnet18") as raised:
            cls.pretrained(cls.Options(pretrained="none"))
        assert not isinstance(raised.value, PluginError), "the user's choice is wrong, not the plugin"

    def test_patience_without_evaluations_is_refused(self) -> None:
        cls: Any = discovery.load("detector", f"heatmap:{ENCODER}")
        assert cls.Options(patience=3, evaluate_every=100).patience == 3
        with pytest.raises(ValueError, match="patience=3 counts evaluations, and evaluate_every is not set"):
            cls.Options(patience=3)

    def test_an_unknown_encoder_is_refused_with_similar_names(self) -> None:
        with pytest.raises(MitobenchError, match=r"timm has no network 'resnet81'.*resnet18"):
            discovery.load("detector", "heatmap:resnet81")


class TestStream:
    def samples(self) -> list[Sample]:
        xy = np.array([[100.0, 60.0]])
        empty = Sample(frame(blank(), dataset="e", id="empty"), Mitoses(np.zeros((0, 2))))
        return [Sample(frame(blank()), Mitoses(xy)), empty]

    def test_a_patch_drawn_for_a_mitosis_holds_it(self) -> None:
        options = HeatmapOptions(mpp=0.25, patch=64, positive_share=1)
        stream = HeatmapStream(self.samples(), options)
        for seed in range(20):
            item = stream.draw(np.random.default_rng(seed))
            assert item["inputs"].shape == (64, 64, 3)
            assert item["targets"].max() == 1

    def test_hard_negatives_are_drawn_once_there_are_any(self) -> None:
        options = HeatmapOptions(mpp=0.25, patch=64, positive_share=0, hard_share=1, jpeg=None, hed_jitter=0)
        pixels = blank()
        pixels[150:154, 30:34] = 0
        sample = Sample(frame(pixels), Mitoses(np.array([[100.0, 60.0]])))
        nothing = (np.zeros((0, 2)), np.zeros(0))
        stream = HeatmapStream([sample, self.samples()[1]], options, [(np.array([[31.5, 151.5]]), np.ones(1)), nothing])
        drawn = [stream.draw(np.random.default_rng(seed))["inputs"] for seed in range(20)]
        assert all(patch.min() == 0 for patch in drawn)

    def test_frames_without_a_mitosis_are_refused(self) -> None:
        with pytest.raises(PluginError, match=r"None of the 1 training frames of .* has an annotated mitosis"):
            HeatmapStream([self.samples()[1]], HeatmapOptions(mpp=0.25))


class TestPrediction:
    @pytest.fixture
    def dark(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A detector whose network answers how dark each pixel of the map is."""
        made = detector(mpp=0.25, tile=128, distance_um=3.0)

        class Darkness(torch.nn.Module):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                grey = images.float().mean(dim=3)
                return torch.nn.functional.avg_pool2d(10 - grey[:, None] / 10, 2)[:, 0]

        made._network = Darkness()
        return made

    def test_peaks_are_found_where_they_are_whatever_the_tile(self, dark: Any) -> None:
        pixels = blank(300)
        for x, y in ((40, 50), (127, 128), (250, 20), (2, 297)):
            pixels[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 0
        found = dark.predict(frame(pixels))
        centres = np.array([[40, 50], [127, 128], [250, 20], [2, 297]])
        distance = np.linalg.norm(found.xy[:, None] - centres[None], axis=2)
        assert len(found) == 4
        assert (distance.min(axis=0) < 1.5).all()

    def test_tiles_that_are_seen_at_once_have_the_map_of_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mitobench_networks.heatmap.detector.HALO", 32)
        made = detector(mpp=0.25, tile=128)
        torch.manual_seed(0)
        made._network = made.untrained().eval()
        calls: list[int] = []
        made._network.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
        pixels = np.random.default_rng(0).integers(0, 256, (128, 400, 3)).astype(np.uint8)
        alone, together = (made._map(pixels, at_once=at_once) for at_once in (None, 2))
        assert calls == [1, 1, 1, 1, 2, 1, 1], "three tiles of one size and a narrow one"
        assert alone.std() > 0
        np.testing.assert_allclose(alone, together, atol=1e-5)

    def test_an_empty_frame_gives_no_detection(self, dark: Any) -> None:
        assert len(dark.predict(frame(blank(100)))) == 0

    def test_what_only_shows_the_surroundings_is_not_searched(self, dark: Any) -> None:
        pixels = blank(400)
        for x, y in ((200, 200), (101, 300), (298, 102), (20, 200), (200, 390)):
            pixels[y - 2 : y + 3, x - 2 : x + 3] = 0
        whole = dark.predict(frame(pixels))
        inner = dark.predict(replace(frame(pixels), context=(100, 100, 100, 100)))
        assert len(whole) == 5
        kept = ((whole.xy > 99) & (whole.xy < 300)).all(axis=1)
        assert kept.sum() == len(inner) == 3
        np.testing.assert_array_equal(inner.xy, whole.xy[kept])
        np.testing.assert_array_equal(inner.score, whole.score[kept])

    @pytest.mark.parametrize("side", [33, 64, 131])
    def test_frames_of_any_size_are_searched_whole(self, dark: Any, side: int) -> None:
        pixels = blank(side)
        pixels[side - 4 : side - 1, side - 4 : side - 1] = 0
        found = dark.predict(frame(pixels))
        assert len(found) == 1
        assert (np.abs(found.xy - (side - 3)) < 1.5).all()


def test_info_knows_parameters_resolution_and_licences() -> None:
    cls: Any = discovery.load("detector", f"heatmap:{ENCODER}")
    facts = cls.describe(cls.Options(mpp=0.4))
    assert facts["parameters"] == sum(tensor.numel() for tensor in detector().untrained().parameters())
    assert facts["um/px"] == 0.4
    assert facts["licence of weights"] in ("apache-2.0", "not stated by timm"), "older versions of timm do not state it"
    assert ENCODER in facts["published weights"]


class TestTraining:
    @pytest.mark.thorough
    def test_it_learns_to_find_synthetic_mitoses(self, tmp_path: Path) -> None:
        synthetic.write(tmp_path / "data", seed=1, frames=3, size=256)
        roles = {"estimator": "fixed", "detector": f"heatmap:{ENCODER}", "verifier": "none", "fuser": "detector-only"}
        schedule = {"iterations": 60, "patch": 96, "ema": 0.9, "lr": 2e-3, "hard_negative_rounds": 0}
        benchmark = Benchmark.prepare(
            [Grid({role: [name] for role, name in roles.items()})],
            **{"data": tmp_path / "data", "datasets": ["synthetic"], "profile": "smoke", "device": "cpu"},
            sets=[f"detector.{name}={value}" for name, value in schedule.items()],
            store=tmp_path / "store",
        )
        benchmark.run(tmp_path / "out")
        ((_, record),) = benchmark.records
        assert record.test is not None, record.reason
        assert record.test.f1 >= 0.5

    def test_it_keeps_the_weights_of_the_best_validation_f1_of_each_round(self, tmp_path: Path) -> None:
        scores = iter([0.5, 0.25, 0.5, 0.75])
        context = Context(seed=0, device="cpu", work=tmp_path, validation_f1=lambda detect: next(scores))
        options = {"iterations": 4, "patch": 64, "batch_size": 1, "hard_negative_rounds": 1, "evaluate_every": 1}
        learner = detector(**options, patience=9, decoder_channels=(8, 8, 8, 8, 8))
        learner.fit([Sample(frame(blank()), Mitoses(np.array([[100.0, 90.0]])))], [], context)
        assert context.training_info["validation of round-0"]["at step"] == 1
        assert context.training_info["validation of round-1"]["at step"] == 2

    def test_it_continues_from_the_weights_of_another_fit(self, tmp_path: Path) -> None:
        one, other = (detector(decoder_channels=(8, 8, 8, 8, 8)) for _ in range(2))
        one._network, other._network = one.untrained(), other.untrained()
        one.save(tmp_path)
        other._start(tmp_path / "weights.safetensors")
        theirs = other._network.state_dict()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in one._network.state_dict().items())

    def test_without_steps_it_takes_over_the_network_of_another_fit(self, tmp_path: Path) -> None:
        one = detector(decoder_channels=(8, 8, 8, 8, 8))
        one._network = one.untrained().eval()
        one.save(tmp_path)
        other = detector(decoder_channels=(8, 8, 8, 8, 8), iterations=0)
        other.fit([], [], Context(seed=0, device="cpu", work=tmp_path, pretrained=tmp_path / "weights.safetensors"))
        seen = frame(blank())
        np.testing.assert_array_equal(one.predict(seen).score, other.predict(seen).score)
        with pytest.raises(PluginError, match="iterations = 0"):
            other.fit([], [], Context(seed=0, device="cpu", work=tmp_path))

"""`timm:MODEL`: any classifier of timm as a verifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from verifier_scene import IMPOSTERS, MITOSES, sample

from mitobench import discovery
from mitobench.api import Context, Detections, MitobenchError, PluginError, Sample
from mitobench_networks.verifiers.timm_classifier import TimmVerifier

pytestmark = pytest.mark.slow

TINY = {"patch": 32, "mpp": None, "iterations": 2, "batch_size": 4, "pretrained": "none"}


def verifier(model: str, **options: Any) -> TimmVerifier:
    cls: Any = discovery.load("verifier", f"timm:{model}")
    made: TimmVerifier = cls(cls.Options(**{**TINY, **options}))
    return made


@pytest.mark.parametrize("model", ["test_efficientnet", "test_convnext", "test_vit", "test_resnet.r160_in1k"])
def test_it_fits_and_scores_the_same_after_loading(
    model: str, samples: list[Sample], context: Context, tmp_path: Path
) -> None:
    made = verifier(model, ensemble_size=2, tta_views=4)
    made.fit(samples, [], context)
    made.save(tmp_path)
    again = verifier(model, ensemble_size=2, tta_views=4)
    again.load(tmp_path)
    found = samples[0].candidates
    assert found is not None
    score = made.score(samples[0].frame, found)
    assert score.shape == (len(found),)
    assert ((score > 0) & (score < 1)).all()
    np.testing.assert_array_equal(score, again.score(samples[0].frame, found))


@pytest.mark.thorough
def test_it_learns_to_distinguish_mitoses_from_imposters(samples: list[Sample], context: Context) -> None:
    made = verifier("test_resnet", iterations=40, batch_size=8, lr=3e-3, normalise="patch")
    made.fit(samples, [], context)
    found = Detections.from_points(np.concatenate([MITOSES, IMPOSTERS]), np.zeros(4))
    score = made.score(sample(99).frame, found)
    assert score[:2].min() > score[2:].max()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("resnet81", r"timm has no network 'resnet81'.*resnet18"),
        ("resnet18.no_such_tag", r"timm has no weights 'resnet18.no_such_tag'.*resnet18.a1_in1k"),
        ("vit_small_patch14_dinov2", r"no layer that classifies.*probe:vit_small_patch14_dinov2"),
    ],
)
def test_what_is_not_a_classifier_of_timm_is_refused(model: str, reason: str) -> None:
    with pytest.raises(MitobenchError, match=reason):
        discovery.load("verifier", f"timm:{model}")


class TestInput:
    def test_it_is_normalised_as_the_weights_expect(self) -> None:
        made = verifier("test_efficientnet")
        made.untrained()
        grey = torch.full((1, 32, 32, 3), 255, dtype=torch.uint8)
        config = timm.models.get_pretrained_cfg("test_efficientnet")
        expected = (1 - torch.tensor(config.mean)) / torch.tensor(config.std)
        torch.testing.assert_close(made.prepare(grey)[0, :, 0, 0], expected)

    @pytest.mark.parametrize(
        ("model", "enlarged", "side"),
        [("test_resnet", None, 32), ("test_resnet", 48, 48), ("test_vit", None, 160), ("test_vit", 96, 96)],
    )
    def test_patches_are_resized_only_where_the_network_needs_it(
        self, model: str, enlarged: int | None, side: int
    ) -> None:
        made = verifier(model, enlarged=enlarged)
        network = made.untrained()
        images = made.prepare(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))
        assert images.shape == (2, 3, side, side)
        assert network(images).shape == (2, 1)

    def test_a_size_to_which_the_network_cannot_be_changed_is_refused(self) -> None:
        with pytest.raises(PluginError, match=r"mixer_s32_224 takes 224 px.*enlarged=96.*Leave enlarged out"):
            verifier("mixer_s32_224", enlarged=96).untrained()

    def test_a_patch_that_the_network_cannot_take_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(timm, "create_model", lambda name, **_: Picky())
        with pytest.raises(PluginError, match=r"cannot classify patches of 32 px \(at least 64\)"):
            verifier("test_resnet").untrained()


class Picky(torch.nn.Module):
    pretrained_cfg = None

    def reset_classifier(self, classes: int) -> None:
        """Does nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise ValueError("at least 64")


class TestWeights:
    @pytest.mark.parametrize("enlarged", [None, 96])
    def test_all_layers_but_the_last_start_from_the_file(self, enlarged: int | None, tmp_path: Path) -> None:
        published = timm.create_model("test_vit")
        path = tmp_path / "start.safetensors"
        save_file(published.state_dict(), path)
        made = verifier("test_vit", enlarged=enlarged)
        network = made.untrained()
        head = network.state_dict()["head.weight"].clone()
        made.start(network, path)
        ours = network.state_dict()
        name = "blocks.0.attn.qkv.weight"
        assert torch.equal(ours[name], published.state_dict()[name])
        assert torch.equal(ours["head.weight"], head)
        if enlarged:
            published.set_input_size(img_size=enlarged)  # resamples the embedding of positions
        assert torch.equal(ours["pos_embed"], published.state_dict()["pos_embed"])

    def test_a_file_of_another_network_is_refused_with_its_tensors(self, tmp_path: Path) -> None:
        path = tmp_path / "start.safetensors"
        save_file(timm.create_model("test_resnet").state_dict(), path)
        made = verifier("test_efficientnet")
        with pytest.raises(PluginError, match="does not fit the model: missing"):
            made.start(made.untrained(), path)

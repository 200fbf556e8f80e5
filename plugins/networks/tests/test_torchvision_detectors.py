"""`torchvision:NAME`: every box detector fits, saves and loads; what does not fit is refused with the reason."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import box_scene
import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from mitobench import discovery
from mitobench.api import Context, MitobenchError, PluginError, Sample
from mitobench.training.timm_models import features_at, whole_names
from mitobench_networks.torchvision_detectors.detector import TorchvisionDetector
from mitobench_networks.torchvision_detectors.names import FIXED_SIDE, NETWORKS
from mitobench_networks.torchvision_detectors.networks import BoxNetwork
from mitobench_networks.torchvision_detectors.search import search
from mitobench_networks.torchvision_detectors.training import schedule
from mitobench_networks.torchvision_detectors.weights import start_from

pytestmark = pytest.mark.slow

SMALL = {"backbone": "timm:resnet10t", "channels": 32}


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Fails a test that opens a socket, even if the error was caught."""
    opened: list[Any] = []

    def refuse(*arguments: Any, **options: Any) -> None:
        opened.append(arguments)
        raise OSError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    yield
    assert not opened


def boxed(seed: int) -> Sample:
    """A frame of 128 px with two mitoses and their boxes."""
    one = box_scene.sample(seed)
    return replace(one, boxes=np.concatenate([one.mitoses.xy - 12, one.mitoses.xy + 12], axis=1))


def options(name: str, **more: Any) -> Any:
    cls: Any = discovery.load("detector", f"torchvision:{name}")
    return cls.Options(**{"pretrained": "none", **more})


def detector(name: str, **more: Any) -> TorchvisionDetector:
    short = {"iterations": 2, "warmup": 1, "batch_size": 2, "hard_negative_rounds": 0, "ema": None}
    patch = {} if name in FIXED_SIDE else {"patch": 128}
    cls: Any = discovery.load("detector", f"torchvision:{name}")
    made: TorchvisionDetector = cls(options(name, **{**short, **patch, **more}), "cpu")
    return made


QUICK = ("fcos_resnet50_fpn", "ssdlite320_mobilenet_v3_large")  # `make test-thorough` takes the others


class TestEveryDetector:
    @pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.thorough]) for name in NETWORKS]
    )
    def test_it_fits_and_finds_the_same_after_loading(self, name: str, context: Context, tmp_path: Path) -> None:
        backbone = {} if name in FIXED_SIDE else {**SMALL, "channels": 64}  # to save time
        found_at_most = {"score_floor": 0.0, "detections_per_tile": 300}
        made = detector(name, pretrained="auto", **found_at_most, **backbone)
        assert made.pretrained(made.options) is None
        made.fit([boxed(0), boxed(1)], [], context)
        frame = boxed(9).frame
        found = made.predict(frame)
        made.save(tmp_path)
        again = type(made)(made.options, "cpu")
        again.load(tmp_path)
        loaded = again.predict(frame)
        assert len(found) > 0
        np.testing.assert_array_equal(found.boxes, loaded.boxes)
        np.testing.assert_array_equal(found.score, loaded.score)
        taken_over = detector(name, pretrained="auto", **{**found_at_most, **backbone, "iterations": 0})
        taken_over.fit([], [], replace(context, pretrained=tmp_path / "weights.safetensors"))
        np.testing.assert_array_equal(found.score, taken_over.predict(frame).score)

    def test_they_are_all_that_torchvision_has(self) -> None:
        known = set(torchvision.models.list_models(module=torchvision.models.detection))
        assert known - set(NETWORKS) == {name for name in known if name.startswith(("maskrcnn_", "keypointrcnn_"))}
        assert set(NETWORKS) <= known


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("maskrcnn_resnet50_fpn", "learns from a mask of every object"),
            ("keypointrcnn_resnet50_fpn", "learns from the keypoints of people"),
            ("fcos_resnet5_fpn", "no box detector 'fcos_resnet5_fpn'. Did you mean fcos_resnet50_fpn"),
        ],
    )
    def test_names_that_are_not_of_box_detectors(self, name: str, reason: str) -> None:
        with pytest.raises(MitobenchError, match=reason):
            discovery.load("detector", f"torchvision:{name}")

    @pytest.mark.parametrize(
        ("name", "wrong", "reason"),
        [
            ("ssd300_vgg16", {"backbone": "timm:resnet18"}, "backbone of ssd300_vgg16 cannot be replaced"),
            ("fcos_resnet50_fpn", {"backbone": "timm:resnet81"}, "timm has no network 'resnet81'"),
            ("fcos_resnet50_fpn", {"backbone": "resnet18"}, "must be timm:NAME"),
            ("fcos_resnet50_fpn", {"channels": 64}, "channels=64 needs a backbone"),
            ("ssd300_vgg16", {"patch": 256}, "ssd300_vgg16 takes 300 px"),
            ("ssdlite320_mobilenet_v3_large", {"batch_size": 1}, "needs 2 or more"),
        ],
    )
    def test_options_that_the_network_cannot_have(self, name: str, wrong: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            options(name, **wrong)

    def test_such_a_backbone_is_refused_when_a_run_is_planned(self) -> None:
        given = options("fcos_resnet50_fpn", backbone="timm:test_vit", pretrained="none")
        with pytest.raises(MitobenchError, match=r"has feature maps at strides 16.*such as resnet18") as raised:
            TorchvisionDetector.pretrained(given)
        assert not isinstance(raised.value, PluginError), "the user's choice is wrong, not the plugin"

    def test_a_backbone_without_maps_at_the_strides_of_the_pyramid(self) -> None:
        with pytest.raises(PluginError, match=r"at strides 16, .* needs 8, 16, 32"):
            BoxNetwork(options("fcos_resnet50_fpn", backbone="timm:test_vit"))

    def test_frames_without_mitoses(self, context: Context) -> None:
        empty = replace(boxed(0), mitoses=type(boxed(0).mitoses)(np.zeros((0, 2))), boxes=np.zeros((0, 4)))
        with pytest.raises(PluginError, match="training frames have none"):
            detector("fcos_resnet50_fpn", **SMALL).fit([empty], [], context)


class TestNetwork:
    @pytest.mark.parametrize(
        "name",
        [
            "fasterrcnn_resnet50_fpn",
            "fasterrcnn_resnet50_fpn_v2",
            "fasterrcnn_mobilenet_v3_large_320_fpn",
            "retinanet_resnet50_fpn",
            "retinanet_resnet50_fpn_v2",
        ],
    )
    def test_the_smallest_anchor_has_the_side_of_a_mitosis(self, name: str) -> None:
        network: Any = BoxNetwork(options(name, mpp=0.25, scale=2.0, anchor_um=7.5, **SMALL)).network
        generator = getattr(network, "rpn", network).anchor_generator
        assert min(min(of_level) for of_level in generator.sizes) == pytest.approx(60)

    def test_so_has_the_smallest_box_of_an_ssd(self) -> None:
        network: Any = BoxNetwork(options("ssdlite320_mobilenet_v3_large", mpp=0.25, anchor_um=8.0)).network
        assert network.anchor_generator._wh_pairs[0][0].tolist() == pytest.approx([0.1, 0.1])

    @pytest.mark.parametrize("training", [True, False])
    def test_images_are_not_resized(self, training: bool) -> None:
        made = BoxNetwork(options("retinanet_resnet50_fpn", **SMALL)).train(training)
        seen = []
        made.network.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
        image = torch.zeros(96, 160, 3, dtype=torch.uint8)
        if training:
            losses = made.losses([image], [torch.tensor([[10.0, 10.0, 40.0, 40.0]])])
            assert all(torch.isfinite(loss) for loss in losses.values())
        else:
            made(image)
        assert seen == [(1, 3, 96, 160)]

    def test_patches_without_a_mitosis_have_finite_losses(self) -> None:
        image, none = torch.zeros(64, 64, 3, dtype=torch.uint8), torch.zeros(0, 4)
        for name in ("fasterrcnn_resnet50_fpn", "fcos_resnet50_fpn", "retinanet_resnet50_fpn_v2"):
            losses = BoxNetwork(options(name, **SMALL)).losses([image, image], [none, none])
            assert all(torch.isfinite(loss) for loss in losses.values())

    def test_the_rate_rises_then_falls_to_the_end(self) -> None:
        rise, fall = schedule(100, 10)
        assert (rise["end"], fall["begin"], fall["end"], fall["T_max"]) == (10, 10, 100, 90)
        assert [entry["type"] for entry in schedule(10, 0)] == ["CosineAnnealingLR"]
        assert schedule(4, 100)[0]["end"] == 2


class TestWeights:
    def file(self, folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
        path = folder / "start.safetensors"
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
        return path

    @pytest.mark.parametrize("backbone", ["resnet10t", "convnext_atto", "tf_efficientnet_lite0"])
    def test_every_tensor_of_a_backbone_of_timm_is_found_in_the_whole_network(self, backbone: str) -> None:
        features = features_at(backbone, (8, 16, 32)).state_dict()
        into, others = whole_names(backbone, features)
        assert len(into) == len(features)
        assert not into.keys() & set(others)

    def test_a_detector_starts_from_another_fit_of_its_own(self, tmp_path: Path) -> None:
        of = options("fcos_resnet50_fpn", **SMALL)
        fitted, made = BoxNetwork(of), BoxNetwork(of)
        start_from(self.file(tmp_path, fitted.state_dict()), made, of)
        ours, theirs = made.state_dict(), fitted.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)

    def test_a_backbone_of_timm_starts_from_its_weights(self, tmp_path: Path) -> None:
        whole = timm.create_model("convnext_atto")
        made = BoxNetwork(options("fcos_resnet50_fpn", backbone="timm:convnext_atto", channels=32))
        start_from(
            self.file(tmp_path, whole.state_dict()),
            made,
            options("fcos_resnet50_fpn", **{**SMALL, "backbone": "timm:convnext_atto"}),
        )
        ours, theirs = made.network.backbone.body.state_dict(), whole.state_dict()
        assert torch.equal(ours["stages_2.blocks.0.mlp.fc1.weight"], theirs["stages.2.blocks.0.mlp.fc1.weight"])

    @pytest.mark.parametrize("name", ["fasterrcnn_mobilenet_v3_large_fpn", "ssdlite320_mobilenet_v3_large"])
    def test_a_backbone_of_torchvision_starts_from_its_weights(self, name: str, tmp_path: Path) -> None:
        whole = torchvision.models.mobilenet_v3_large()
        made = BoxNetwork(options(name))
        start_from(self.file(tmp_path, whole.state_dict()), made, options(name))
        ours = made.network.state_dict()
        same = next(key for key in ours if key.endswith(".12.block.1.0.weight"))
        assert torch.equal(ours[same], whole.state_dict()["features.12.block.1.0.weight"])

    def test_the_convolutions_of_vgg16_start_from_its_weights(self, tmp_path: Path) -> None:
        layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
        convolutions = {f"features.{key}": of for key, of in layers.state_dict().items()}
        made = BoxNetwork(options("ssd300_vgg16"))
        start_from(self.file(tmp_path, convolutions), made, options("ssd300_vgg16"))
        ours = made.network.state_dict()
        assert torch.equal(ours["backbone.features.21.weight"], convolutions["features.21.weight"])
        assert torch.equal(ours["backbone.extra.0.5.bias"], convolutions["features.28.bias"])

    def test_a_whole_detector_gives_all_but_the_layers_of_its_classes(self, tmp_path: Path) -> None:
        name = "fasterrcnn_mobilenet_v3_large_320_fpn"
        coco: Any = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None, num_classes=91)
        made = BoxNetwork(options(name))
        path = self.file(tmp_path, coco.state_dict())
        start_from(path, made, options(name))
        assert torch.equal(made.network.state_dict()["rpn.head.cls_logits.weight"], coco.rpn.head.cls_logits.weight)
        assert made.network.state_dict()["roi_heads.box_predictor.cls_score.bias"].shape == (2,)
        with pytest.raises(PluginError, match="has another backbone"):
            start_from(path, made, options(name, **SMALL))

    def test_a_file_of_another_network_is_refused_with_its_tensors(self, tmp_path: Path) -> None:
        path = self.file(tmp_path, timm.create_model("test_resnet").state_dict())
        with pytest.raises(PluginError, match=r"does not fit the model: unexpected layer3.0.bn3.bias"):
            start_from(path, BoxNetwork(options("fcos_resnet50_fpn", **SMALL)), options("fcos_resnet50_fpn", **SMALL))


class DarkSquares:
    """A network that finds every black square of 10 px in what it sees."""

    def __init__(self, side: int | None = None) -> None:
        self.side = side
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen.append(tuple(image.shape))
        dark = (image[..., 0] == 0).float()[None, None]
        corners = torch.nonzero(torch.nn.functional.avg_pool2d(dark, 10, stride=1)[0, 0] == 1).flip(1).float()
        return torch.cat([corners, corners + 10], dim=1), torch.ones(len(corners))

    def several(self, images: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [self(image) for image in images]


class TestSearch:
    def squares(self) -> tuple[np.ndarray, np.ndarray]:
        image = np.full((300, 420, 3), 230, np.uint8)
        corners = np.array([[10, 20], [95, 95], [100, 200], [250, 5], [200, 150], [405, 285]])
        for x, y in corners:
            image[y : y + 10, x : x + 10] = 0
        return image, corners

    @pytest.mark.parametrize(("tile", "side"), [(100, None), (1000, None), (100, 300)])
    def test_what_lies_on_the_edge_of_tiles_is_found_once(self, tile: int, side: int | None) -> None:
        image, corners = self.squares()
        network: Any = DarkSquares(side)
        boxes, scores = search(network, image, tile, 0.3, "cpu")
        assert len(scores) == len(corners)
        np.testing.assert_array_equal(sorted(boxes.tolist()), sorted([x, y, x + 10, y + 10] for x, y in corners))

    @pytest.mark.parametrize(
        "name", ["fcos_resnet50_fpn", pytest.param("fasterrcnn_resnet50_fpn", marks=pytest.mark.thorough)]
    )
    def test_tiles_that_are_seen_at_once_are_searched_as_one_by_one(self, name: str) -> None:
        torch.manual_seed(0)
        network = BoxNetwork(options(name, **SMALL, score_floor=0.0, detections_per_tile=100)).eval()
        calls: list[int] = []
        network.network.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
        image = np.random.default_rng(0).integers(0, 256, (64, 220, 3)).astype(np.uint8)
        alone, together = (search(network, image, 64, 0.3, "cpu", at_once) for at_once in (None, 3))
        assert calls == [1, 1, 1, 1, 3, 1], "three tiles of one size and a narrow one"
        assert len(alone[1]) > 5
        np.testing.assert_allclose(alone[1], together[1], atol=1e-5)
        np.testing.assert_allclose(alone[0], together[0], atol=1e-5 * 220)  # of the width, in px

    def test_a_network_of_a_fixed_side_sees_no_other(self) -> None:
        network: Any = DarkSquares(300)
        search(network, np.full((64, 420, 3), 230, np.uint8), 512, 0.3, "cpu")
        assert set(network.seen) == {(300, 300, 3)}

    def test_detections_come_back_at_the_scale_of_the_frame(self) -> None:
        image = np.full((120, 120, 3), 230, np.uint8)
        image[60:65, 40:45] = 0
        made = detector("fcos_resnet50_fpn", scale=2.0, mpp=None, **SMALL)
        made._network = Everything()  # type: ignore[assignment]
        frame = replace(boxed(0).frame, reader=lambda: image, size=(120, 120))
        found = made.predict(frame)
        np.testing.assert_allclose(found.xy, [[42, 62]], atol=0.6)

    def test_several_boxes_on_one_cell_are_one_detection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Boxes that overlap too little for non-maximum suppression, with centres 4 um apart."""
        from mitobench_networks.torchvision_detectors import detector as module

        boxes = np.array([[40.0, 24, 72, 72], [20, 20, 60, 60], [90, 90, 110, 110]])
        monkeypatch.setattr(module, "search", lambda *_: (boxes, np.array([0.8, 0.6, 0.3])))
        one, all_ = (detector("fcos_resnet50_fpn", mpp=None, **SMALL, **more) for more in ({}, {"distance_um": 0}))
        one._network = all_._network = Everything()  # type: ignore[assignment]
        assert one.predict(boxed(0).frame).score.tolist() == [0.8, 0.3]
        assert len(all_.predict(boxed(0).frame)) == 3


class Everything(torch.nn.Module):
    """A network that answers with the box around all dark pixels."""

    side = None

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows, columns = torch.nonzero(image[..., 0] < 100, as_tuple=True)
        box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
        return box[None], torch.ones(1)

    def several(self, images: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [self(image) for image in images]


def test_hard_negatives_are_detections_away_from_every_mitosis(monkeypatch: pytest.MonkeyPatch) -> None:
    from mitobench.api import Detections

    sample = boxed(0)
    xy = np.concatenate([sample.mitoses.xy + 5, [[100.0, 20.0]]])
    made = detector("fcos_resnet50_fpn", **SMALL)
    monkeypatch.setattr(made, "predict", lambda frame: Detections.from_points(xy, [0.9, 0.8, 0.7]))
    np.testing.assert_array_equal(made._hard_negatives(sample), [[100, 20]])

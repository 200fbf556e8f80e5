"""`mmdet:CONFIG` is fitted, saved and loaded with equal predictions, contacts no server, and names what is wrong."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from mmdet_scene import make_sample
from mmdet_zoo import zoo_detector, zoo_samples
from safetensors.torch import save_file

from mitobench.api import Context, Detections, Detector, MitobenchError, PluginError

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def assert_same(a: Detections, b: Detections) -> None:
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.score, b.score)


def fitted(context: Callable[..., Context], spec: str, work: str = "work", **changes: Any) -> Any:
    detector = zoo_detector(spec, **changes)
    detector.fit(zoo_samples(), [], context(work))
    return detector


def assert_saved_and_loaded_alike(detector: Detector, folder: Path) -> None:
    frame = zoo_samples()[0].frame
    found = detector.predict(frame)
    assert len(found) > 0
    assert np.isfinite(found.score).all()
    folder.mkdir()
    detector.save(folder)
    loaded = type(detector)(detector.options)
    loaded.load(folder)
    assert_same(found, loaded.predict(frame))


@pytest.mark.parametrize("spec", ["mmdet:retinanet_r18_fpn", "mmdet:rtmdet_tiny"])
def test_it_fits_and_a_loaded_one_predicts_the_same(spec: str, context: Callable[..., Context], tmp_path: Path) -> None:
    assert_saved_and_loaded_alike(fitted(context, spec), tmp_path / "saved")


# The heads, necks and transformers are those of the config; the backbone is one of timm's smallest, to save time.
# benchmarks/zoo_mmdet.py tries all configs with their own backbones.
ARCHITECTURES = {
    "FCOS": "fcos_r50-caffe_fpn_gn-head_1x_coco",
    "ATSS": "atss_r50_fpn_1x_coco",
    "GFL": "gfl_r50_fpn_1x_coco",
    "TOOD": "tood_r50_fpn_1x_coco",
    "YOLOX": "yolox_tiny_8xb8-300e_coco",
    "CenterNet": "centernet-update_r18_fpn_8xb8-amp-lsj-200e_coco",
    "CenterNet with deformable convolutions": "centernet_r18-dcnv2_8xb16-crop512-140e_coco",
    "Faster R-CNN": "faster-rcnn_r50_fpn_1x_coco",
    "Cascade R-CNN": "cascade-rcnn_r50_fpn_1x_coco",
    "Conditional DETR": "conditional-detr_r50_8xb2-50e_coco",
    "Deformable DETR": "deformable-detr_r50_16xb2-50e_coco",
    "DINO": "dino-4scale_r50_8xb2-12e_coco",
    "Sparse R-CNN": "sparse-rcnn_r50_fpn_1x_coco",
}


QUICK = ("Deformable DETR",)  # `make test-thorough` takes the others


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, id=name, marks=[] if name in QUICK else [pytest.mark.thorough])
        for name, config in ARCHITECTURES.items()
    ],
)
def test_each_architecture_fits_and_a_loaded_one_predicts_the_same(
    config: str, context: Callable[..., Context], tmp_path: Path
) -> None:
    detector = fitted(context, f"mmdet:{config}", backbone="timm:test_resnet")
    assert_saved_and_loaded_alike(detector, tmp_path / "saved")


def test_the_same_seed_gives_the_same_weights(context: Callable[..., Context]) -> None:
    first, second = (fitted(context, "mmdet:rtmdet_tiny", name)._network.state_dict() for name in ("a", "b"))
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


class TestBackbone:
    def test_a_timm_network_replaces_the_backbone(self, context: Callable[..., Context], tmp_path: Path) -> None:
        detector = fitted(context, "mmdet:retinanet_r18_fpn", backbone="timm:test_efficientnet")
        assert type(detector._network.backbone).__name__ == "TimmFeatures"
        assert_saved_and_loaded_alike(detector, tmp_path / "saved")

    def test_a_detector_starts_from_another_fit_of_its_own(
        self, context: Callable[..., Context], tmp_path: Path
    ) -> None:
        spec, backbone = "mmdet:retinanet_r18_fpn", "timm:test_efficientnet"
        first = fitted(context, spec, "first", backbone=backbone)
        first.save(tmp_path)
        (stored,) = tmp_path.glob("*.safetensors")
        second = zoo_detector(spec, backbone=backbone, pretrained=str(stored), lr=1e-12)
        second.fit(zoo_samples(), [], context("second", pretrained=stored))
        ours, theirs = (one._network.state_dict()["bbox_head.retina_cls.weight"] for one in (second, first))
        torch.testing.assert_close(ours, theirs)
        third = zoo_detector(spec, backbone=backbone, pretrained=str(stored), iterations=0)
        third.fit([], [], context("third", pretrained=stored))
        frame = zoo_samples()[0].frame
        assert_same(first.predict(frame), third.predict(frame))

    @pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext"])
    def test_its_pretrained_weights_are_copied(
        self, name: str, context: Callable[..., Context], tmp_path: Path
    ) -> None:
        torch.manual_seed(3)
        whole = timm.create_model(name, pretrained=False)
        weights = tmp_path / "weights.safetensors"
        save_file({key: tensor.clone() for key, tensor in whole.state_dict().items()}, weights)
        detector = zoo_detector("mmdet:retinanet_r18_fpn", backbone=f"timm:{name}", pretrained=str(weights), lr=1e-12)
        assert detector.pretrained(detector.options) == weights
        detector.fit(zoo_samples(), [], context(pretrained=weights))
        images = torch.randn(1, 3, 64, 64)
        with torch.inference_mode():
            expected = whole.eval().forward_intermediates(images, intermediates_only=True)[-1]
            found = detector._network.backbone.network.eval()(images)[-1]
        assert found.shape == expected.shape
        kernels = [key for key, tensor in whole.state_dict().items() if tensor.ndim == 4]
        ours = detector._network.backbone.network.state_dict()
        first = next(iter(key for key in ours if ours[key].ndim == 4))
        torch.testing.assert_close(ours[first], whole.state_dict()[kernels[0]], atol=1e-6, rtol=1e-6)

    def test_weights_of_another_network_are_refused_with_the_tensors(
        self, context: Callable[..., Context], tmp_path: Path
    ) -> None:
        weights = tmp_path / "weights.safetensors"
        save_file({"conv.weight": torch.zeros(1)}, weights)
        detector = zoo_detector("mmdet:retinanet_r18_fpn", backbone="timm:test_efficientnet", pretrained=str(weights))
        with pytest.raises(PluginError, match=r"does not fit the model: missing .*conv_stem"):
            detector.fit(zoo_samples(), [], context(pretrained=weights))

    @pytest.mark.parametrize(
        ("spec", "backbone", "message"),
        [
            ("mmdet:retinanet_r18_fpn", "timm:resnet81", r"timm has no network 'resnet81'.*resnet18"),
            ("mmdet:retinanet_r18_fpn", "timm:mixer_b16_224", r"has feature maps of strides \[16, 16, 16\], but"),
            ("mmdet:faster-rcnn_r50-caffe_c4-1x_coco", "timm:resnet18", r"no neck with `in_channels`"),
        ],
    )
    def test_what_is_impossible_is_said(self, spec: str, backbone: str, message: str) -> None:
        with pytest.raises(MitobenchError, match=message):
            zoo_detector(spec, backbone=backbone).model()


class TestWholeDetector:
    def test_its_tensors_are_copied_except_those_of_other_classes(
        self, context: Callable[..., Context], tmp_path: Path
    ) -> None:
        first = fitted(context, "mmdet:rtmdet_tiny")
        tensors = {key: tensor.clone() for key, tensor in first._network.state_dict().items()}
        tensors["bbox_head.rtm_cls.0.weight"] = torch.zeros(80, 96, 1, 1)
        weights = tmp_path / "coco.safetensors"
        save_file(tensors, weights)
        second = zoo_detector("mmdet:rtmdet_tiny", pretrained=str(weights), iterations=1, lr=1e-12)
        started = context("second", pretrained=weights)
        second.fit(zoo_samples(), [], started)
        assert started.training_info["tensors copied"] == f"{len(tensors) - 1} of {len(tensors)}"
        key = "backbone.stem.0.conv.weight"
        torch.testing.assert_close(second._network.state_dict()[key], tensors[key], atol=1e-6, rtol=0)

    def test_another_backbone_is_refused(self, context: Callable[..., Context], tmp_path: Path) -> None:
        weights = tmp_path / "coco.safetensors"
        save_file({"backbone.stem.0.conv.weight": torch.zeros(1)}, weights)
        detector = zoo_detector("mmdet:rtmdet_tiny", pretrained=str(weights))
        with pytest.raises(PluginError, match=r"does not fit the model: .*backbone\.stem\.0\.conv\.weight"):
            detector.fit(zoo_samples(), [], context(pretrained=weights))


class TestSearch:
    """A network that finds dark squares wherever they are in its tile."""

    @pytest.fixture
    def found_in(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Detections]:
        from skimage.measure import label, regionprops

        from mitobench_mmdet.zoo import network
        from mitobench_mmdet.zoo.options import MMDetOptions

        def forward(_: Any, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            regions = regionprops(label(image[1].numpy() < 130))
            boxes = [[r.bbox[1], r.bbox[0], r.bbox[3], r.bbox[2]] for r in regions]
            # a square that a border cuts off scores higher, so it would win if borders were not left to neighbours
            scores = [0.9 - 0.2 * r.area / (24 * image.shape[1] / 128) ** 2 for r in regions]
            return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(scores, dtype=torch.float32)

        monkeypatch.setattr(network, "forward", forward)

        def found_in(centres: list[tuple[int, int]], size: int, **options: Any) -> Detections:
            o = MMDetOptions(mpp=0.2456, **{"patch": 128, **options})
            return network.find_in(None, make_sample(centres, size=size).frame, o, "cpu")  # type: ignore[arg-type]

        return found_in

    @pytest.mark.parametrize("scale", [1.0, 2.0])
    @pytest.mark.parametrize("views", [1, 8])
    @pytest.mark.parametrize("size", [100, 128, 129, 300])
    def test_every_square_is_found_once_and_whole_whatever_the_tiles(
        self, size: int, views: int, scale: float, found_in: Callable[..., Detections]
    ) -> None:
        places = [20, 60] if size < 200 else [20, 60, 100, 128, 156, 200, 260]
        centres = [(x, places[-i - 1]) for i, x in enumerate(places)]
        found = found_in(centres, size, tta_views=views, scale=scale)
        assert len(found) == len(centres)
        order = np.argsort(found.xy[:, 0])
        np.testing.assert_allclose(found.xy[order] + 0.5, sorted(centres), atol=0.6)
        np.testing.assert_allclose(found.boxes[:, 2:] - found.boxes[:, :2], 24, atol=1.1)

    def test_a_frame_without_squares_has_no_detection(self, found_in: Callable[..., Detections]) -> None:
        assert len(found_in([], 150)) == 0

    def test_at_most_the_greatest_number_of_candidates_is_kept(self, found_in: Callable[..., Detections]) -> None:
        centres = [(x, y) for x in range(20, 400, 40) for y in range(20, 400, 40)]
        area = (400 * 0.2456e-3) ** 2
        assert len(found_in(centres, 400)) == 20
        assert len(found_in(centres, 400, max_per_mm2=30 / area)) == 30

    def test_several_boxes_on_one_cell_are_one_candidate(
        self, found_in: Callable[..., Detections], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Boxes that overlap too little for non-maximum suppression, with centres 4 um apart."""
        from mitobench_mmdet.zoo import network

        boxes = torch.tensor([[20.0, 20, 60, 60], [40, 24, 72, 72], [90, 90, 110, 110]])
        monkeypatch.setattr(network, "forward", lambda *_: (boxes, torch.tensor([0.6, 0.8, 0.3])))
        assert found_in([], 128).score.tolist() == pytest.approx([0.8, 0.3])
        assert len(found_in([], 128, distance_um=0)) == 3

    def test_an_overlap_of_a_whole_tile_is_refused(self, found_in: Callable[..., Detections]) -> None:
        with pytest.raises(ValueError, match="must be smaller than a tile"):
            found_in([], 150, overlap=128)


def test_search_options_change_no_weights_and_a_loaded_one_obeys_its_own(
    context: Callable[..., Context], tmp_path: Path
) -> None:
    detector = fitted(context, "mmdet:rtmdet_tiny")
    folder = tmp_path / "saved"
    folder.mkdir()
    detector.save(folder)
    strict = zoo_detector("mmdet:rtmdet_tiny", score_floor=0.9)
    strict.load(folder)
    assert len(strict.predict(zoo_samples()[0].frame)) == 0


def test_a_missing_operator_is_named(context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> None:
    from mitobench_mmdet.engine import operators, ops

    monkeypatch.setattr(operators, "__all__", [name for name in operators.__all__ if name != "nms"])
    if not isinstance(__import__("sys").modules[ops.NAME], ops._Extension):
        pytest.skip("compiled mmcv is installed")
    detector = fitted(context, "mmdet:rtmdet_tiny")
    with pytest.raises(PluginError, match=r"mmdet:rtmdet_tiny.*The operator 'nms' is missing"):
        detector.predict(zoo_samples()[0].frame)


def test_prediction_needs_a_fit() -> None:
    with pytest.raises(PluginError, match="fit or load"):
        zoo_detector("mmdet:rtmdet_tiny").predict(zoo_samples()[0].frame)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param("mmdet:ssdlite_mobilenetv2-scratch_8xb24-600e_coco", id="an SSD, whose search asks for its loss"),
        pytest.param("mmdet:crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman", id="a head that asks for ignored boxes"),
        pytest.param("mmdet:faster-rcnn_r50_fpn-carafe_1x_coco", id="layers whose order is a tuple"),
        pytest.param("mmdet:faster-rcnn_r50_fpn_pisa_1x_coco", id="boxes in groups"),
        pytest.param("mmdet:retinanet_effb3_fpn_8xb4-crop896-1x_coco", id="a backbone that counts from 1"),
    ],
)
def test_configs_with_demands_of_their_own_fit(spec: str, context: Callable[..., Context]) -> None:
    assert len(fitted(context, spec).predict(zoo_samples()[0].frame))


def test_a_model_of_a_fixed_least_size_says_which(context: Callable[..., Context]) -> None:
    with pytest.raises(PluginError, match=r"at least 300 px, but patch=128.*Set patch=300"):
        fitted(context, "mmdet:ssd300_coco")

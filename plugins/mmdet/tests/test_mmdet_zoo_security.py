"""A model that arrives as data builds registered types only: no module, file, address or code is reached through it."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery
from mitobench.api import PluginError
from mitobench_mmdet.zoo import configs
from mitobench_mmdet.zoo.validation import MAX_DEPTH, MAX_NODES, check

NAME = "retinanet_r18_fpn_1x_coco"


@pytest.fixture
def model() -> dict[str, Any]:
    return copy.deepcopy(dict(configs.shipped_model(NAME)))


def test_a_shipped_model_passes(model: dict[str, Any]) -> None:
    assert check(model) == model


def put(place: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(model: dict[str, Any]) -> None:
        *inner, last = place.split(".")
        for key in inner:
            model = model[key]
        model[last] = value

    return change


HOSTILE = {
    "a module by its dotted name": put("backbone.type", "os.system"),
    "a type that is not registered": put("backbone.type", "Popen"),
    "a type that is not a text": put("neck.type", ["FPN"]),
    "a layer as the whole detector": put("type", "ResNet"),
    "code in the suppression": put("test_cfg.nms.type", "__import__('os').system('true')"),
    "another scope": put("bbox_head._scope_", "mmpretrain"),
    "an imported module": put("custom_imports", {"imports": ["os"]}),
    "a checkpoint": put("backbone.init_cfg", {"type": "Pretrained", "checkpoint": "http://example.org/x.pth"}),
    "a checkpoint of no type": put("backbone.init_cfg", {"type": "Kaiming", "checkpoint": "x.pkl"}),
    "torchvision's weights": put("backbone.pretrained", "torchvision://resnet18"),
    "timm's own weights": put("backbone", {"type": "TIMMBackbone", "model_name": "resnet18", "pretrained": True}),
    "class weights from a file": put("bbox_head.loss_cls.class_weight", "weights.pkl"),
    "a path": put("bbox_head.loss_cls.reduction", "/etc/passwd"),
    "an address": put("bbox_head.loss_cls.reduction", "http://example.org"),
    "a text encoder from a hub": put("language_model", {"type": "BertModel", "name": "org/name"}),
    "a mask head": put("mask_head", {"type": "FCNMaskHead"}),
    "a teacher": put("teacher_config", "configs/x.py"),
    "a huge layer": put("neck.out_channels", 10**8),
    "a huge stack": put("bbox_head.stacked_convs", 10**6),
    "an endless number": put("bbox_head.loss_cls.gamma", float("inf")),
    "a name with dunders": put("bbox_head.__class__", "x"),
    "many values": put("bbox_head.anchor_generator.strides", [1] * (MAX_NODES + 1)),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_model_is_refused_before_anything_is_built(
    change: Callable[[dict[str, Any]], None], model: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mitobench_mmdet.zoo import network

    monkeypatch.setattr(network, "build", lambda config: pytest.fail("it was built"))
    monkeypatch.setattr(socket, "socket", lambda *args, **kwargs: pytest.fail("a socket was opened"))
    change(model)
    (tmp_path / "model.json").write_text(json.dumps(model))
    detector: Any = discovery.load("detector", f"mmdet:{NAME}")()
    with pytest.raises(PluginError):
        detector.load(tmp_path)


def test_a_deep_model_is_refused(model: dict[str, Any]) -> None:
    for _ in range(MAX_DEPTH + 1):
        model["bbox_head"]["loss_cls"] = {"type": "FocalLoss", "loss_cls": model["bbox_head"]["loss_cls"]}
    with pytest.raises(PluginError, match="levels"):
        check(model)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000])
def test_a_file_that_is_not_a_model_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    detector: Any = discovery.load("detector", f"mmdet:{NAME}")()
    with pytest.raises(PluginError):
        detector.load(tmp_path)


def test_no_config_is_read_to_load_a_model(
    model: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.json").write_text(json.dumps({**model, "type": "os.system"}))
    detector: Any = discovery.load("detector", f"mmdet:{NAME}")()
    monkeypatch.setattr(configs, "_read", lambda path: pytest.fail("a config was run"))
    with pytest.raises(PluginError):
        detector.load(tmp_path)

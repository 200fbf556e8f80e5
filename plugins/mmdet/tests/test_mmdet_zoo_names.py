"""`mmdet:ARGUMENT`: which config an argument means, and what is refused, with the reason and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mitobench import discovery
from mitobench.api import MitobenchError, PluginError
from mitobench.foreign.specs import typed_specs
from mitobench_mmdet.zoo import configs, names

FULL = "retinanet_r18_fpn_1x_coco"


def spelled(argument: str) -> str:
    """The full spelling of what a user typed."""
    with typed_specs():
        return discovery.spelled("detector", f"mmdet:{argument}")


@pytest.mark.parametrize("argument", [FULL, f"{FULL}.py", f"retinanet/{FULL}", f"retinanet/{FULL}.py"])
def test_folder_and_ending_may_be_left_out(argument: str) -> None:
    assert spelled(argument) == f"mmdet:{FULL}"


@pytest.mark.parametrize(
    ("prefix", "full"),
    [("retinanet_r18_fpn", FULL), ("retinanet_r18", FULL), ("rtmdet_tiny", "rtmdet_tiny_8xb32-300e_coco")],
)
def test_a_prefix_of_configs_that_build_the_same_model_is_the_first_of_them(prefix: str, full: str) -> None:
    assert spelled(prefix) == f"mmdet:{full}"


def test_the_configs_of_a_prefix_build_the_same_model_and_their_names_continue_after_it() -> None:
    found = names.beginning_with("retinanet_r18_fpn")
    assert len(found) > 1
    assert {str(configs.shipped_model(name)) for name in found} == {str(configs.shipped_model(FULL))}
    assert names.beginning_with("retinanet_r18_fp") == []


def test_a_prefix_of_different_models_is_refused_with_the_candidates() -> None:
    with pytest.raises(
        MitobenchError, match=r"mmdet:tood .*different models.*tood_r50_fpn_1x_coco, tood_r50_fpn_anchor"
    ):
        spelled("tood")


def test_names_of_two_folders_keep_the_folder() -> None:
    assert "override_category" not in names.shipped()
    assert all(name.count("/") for name in names.shipped() if name.endswith("/override_category"))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("retinanet_r19_fpn_1x_coco", r"Unknown config.*Did you mean.*retinanet_r18_fpn_1x_coco"),
        ("RTMDET_TINY", r"Unknown config.*Did you mean.*rtmdet_tiny_8xb32-300e_coco"),
        ("", r"needs an argument, its config"),
        ("missing/file.py", r"File 'missing/file\.py' does not exist\. MMDetection ships"),
        ("mask-rcnn_r50_fpn_1x_coco", r"cannot be fitted: it segments masks"),
        ("mask-rcnn_r50", r"different models|cannot be fitted: it segments masks"),
        ("mask2former", r"^mmdet:mask2former cannot be fitted: it segments masks.*; or it tracks"),
        ("rtmdet-ins_tiny_8xb32-300e_coco", r"cannot be fitted: it segments masks"),
        ("panoptic-fpn_r50_fpn_1x_coco", r"cannot be fitted: it segments masks"),
        ("glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365", r"cannot be fitted: it needs a text encoder"),
        ("grounding_dino_swin-t_finetune_16xb2_1x_coco", r"cannot be fitted: it needs a text encoder"),
        ("qdtrack_faster-rcnn_r50_fpn_4e_base", r"cannot be fitted: it tracks"),
        ("fast-rcnn_r50_fpn_1x_coco", r"cannot be fitted: it needs proposals"),
        ("ld_r18-gflv1-r101_fpn_1x_coco", r"cannot be fitted: it learns from a trained teacher"),
        ("faster-rcnn_r50_fpn_dpool_1x_coco", r"needs the operator 'deform_roi_pool_forward'"),
        ("retinanet_timm-efficientnet-b1_fpn_1x_coco", r"needs the package mmpretrain"),
        ("retinanet_tta", r"it has no model of its own"),
        ("faster-rcnn_r50_fpn_8xb2-4e_mot17train_test-mot17train", r"a file that it is based on is missing"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(argument: str, message: str) -> None:
    with pytest.raises(MitobenchError, match=message):
        spelled(argument)


@pytest.mark.parametrize("argument", ["mask-rcnn_r50_fpn_1x_cocoo", "rtmdet-ins_tinny", "retinanet_r19_fpn_1x_coco"])
def test_the_nearest_names_are_those_of_configs_that_can_be_fitted(argument: str) -> None:
    with pytest.raises(MitobenchError, match="Unknown config") as raised:
        spelled(argument)
    listed = str(raised.value).partition("Did you mean ")[2].partition("?")[0].split(", ")
    assert 1 <= len(listed) <= names.MAX_NEAREST
    for name in listed:
        assert configs.shipped_model(name)


@pytest.mark.parametrize("argument", ["retinanet_r19_fpn", "mask-rcnn_r50_fpn_1x_coco"])
def test_a_refused_config_is_one_message_and_exit_code_2(mitobench: Callable[..., Any], argument: str) -> None:
    answer = mitobench("run", "--detector", f"mmdet:{argument}", "--verifier", "none")
    assert answer.code == 2
    assert "Traceback" not in answer.err + answer.out
    assert argument in answer.err


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("resnt18", r"backbone=timm:resnt18: timm has no network 'resnt18'. Did you mean resnet18"),
        ("test_vit", "backbone=timm:test_vit: has feature maps of strides .*but the config's neck takes 4"),
    ],
)
def test_a_backbone_that_the_config_cannot_have_is_refused_when_a_run_is_planned(backbone: str, message: str) -> None:
    cls: Any = discovery.load("detector", f"mmdet:{FULL}")
    with pytest.raises(MitobenchError, match=message) as raised:
        cls.pretrained(cls.Options(backbone=f"timm:{backbone}", pretrained="none"))
    assert not isinstance(raised.value, PluginError), "the user's choice is wrong, not the plugin"


@pytest.mark.thorough
def test_a_fitted_detector_with_a_timm_backbone_is_built_in_a_process_of_its_own() -> None:
    code = (
        "from mitobench_mmdet.zoo.network import built; from mitobench_mmdet.zoo.validation import _registered; "
        "print('TimmFeatures' in _registered())"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


SMALL = """
_base_ = []
model = dict(
    type='RetinaNet',
    backbone=dict(type='ResNet', depth=18, num_stages=4, out_indices=(0, 1, 2, 3),
                  init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')),
    neck=dict(type='FPN', in_channels=[64, 128, 256, 512], out_channels=32, num_outs=5),
    bbox_head=dict(
        type='RetinaHead', num_classes=80, in_channels=32, stacked_convs=1, feat_channels=32,
        anchor_generator=dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1, ratios=[1.0],
                              strides=[4, 8, 16, 32, 64])),
    train_cfg=dict(assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0),
                   sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1),
    test_cfg=dict(nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),
                  max_per_img=100))
"""


@pytest.fixture
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MITOBENCH_WEIGHTS", str(tmp_path / "weights"))
    path = tmp_path / "my_config.py"
    path.write_text(SMALL + f"\nopen({str(tmp_path / 'was-run')!r}, 'w').close()\n")
    return path


def test_a_file_of_the_user_is_stored_as_data_under_its_name_and_digest(own_config: Path) -> None:
    name = spelled(str(own_config))
    assert names.OF_FILE.fullmatch(name.removeprefix("mmdet:"))
    assert name.startswith("mmdet:my_config@")
    assert (own_config.parent / "was-run").exists()
    options = discovery.load("detector", name).Options()
    assert "torchvision://" not in options.resolved.read_text()
    assert discovery.load("detector", name)(options).model()["bbox_head"]["num_classes"] == 1


@pytest.mark.parametrize("name", ["rtmdet_tiny.py", f"{FULL}.py"])
def test_a_file_of_the_user_comes_before_a_shipped_config_of_that_name(
    own_config: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    own_config.rename(own_config.with_name(name))
    monkeypatch.chdir(own_config.parent)
    assert names.OF_FILE.fullmatch(spelled(name).removeprefix("mmdet:"))


def test_another_content_is_another_member(own_config: Path) -> None:
    before = spelled(str(own_config))
    own_config.write_text(SMALL.replace("out_channels=32", "out_channels=64"))
    configs._read.cache_clear()
    assert spelled(str(own_config)) != before


def test_a_record_or_model_cannot_make_a_config_file_run(own_config: Path) -> None:
    with pytest.raises(MitobenchError, match="must not name a config file"):
        discovery.spelled("detector", f"mmdet:{own_config}")
    assert not (own_config.parent / "was-run").exists()


def test_a_file_that_the_user_typed_may_be_named_again(own_config: Path) -> None:
    """A profile has options for it, or `--set` names it."""
    assert spelled(str(own_config)) == discovery.spelled("detector", f"mmdet:{own_config}")


def test_a_config_that_ends_the_program_is_refused(own_config: Path) -> None:
    own_config.write_text("raise SystemExit(3)\n")
    with pytest.raises(MitobenchError, match=r"my_config\.py cannot be fitted: reading it raised SystemExit: 3"):
        spelled(str(own_config))


def test_a_config_with_functions_is_named(own_config: Path) -> None:
    own_config.write_text(SMALL + "\nmodel['backbone']['act'] = lambda x: x\n")
    with pytest.raises(MitobenchError, match=r"my_config\.py cannot be fitted: .*is not plain data"):
        spelled(str(own_config))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(MitobenchError, match=r"File 'nothere\.py' does not exist"):
        spelled("nothere.py")


def test_a_stored_model_with_another_digest_is_refused(own_config: Path) -> None:
    name = spelled(str(own_config))
    cls: Any = discovery.load("detector", name)
    other = own_config.with_name("other.json")
    other.write_text(cls.Options().resolved.read_text().replace('"RetinaHead"', '"FCOSHead"'))
    with pytest.raises(MitobenchError, match="another digest"):
        cls(cls.Options(resolved=other)).model()


def test_a_config_of_someone_else_whose_content_is_missing_is_named(own_config: Path) -> None:
    cls: Any = discovery.load("detector", "mmdet:theirs@0123456789abcdef")
    with pytest.raises(MitobenchError, match=r"content is not here.*FILE\.py"):
        cls(cls.Options()).model()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("type='RetinaNet'", r"cannot be fitted: it has no model"),
        ("model = dict(", r"cannot be fitted: reading it raised"),
        ("out_channels=32", r"cannot be fitted: .*not the name"),
    ],
)
def test_a_wrong_file_is_one_message(own_config: Path, change: str, message: str) -> None:
    new = {"out_channels=32": "out_channels='/etc/passwd'", "model = dict(": "raise ValueError('x')\nmodel = dict("}
    own_config.write_text(SMALL.replace(change, new.get(change, "nothing=0")))
    configs._read.cache_clear()
    with pytest.raises(MitobenchError, match=message):
        spelled(str(own_config))


def test_listing_a_spec_imports_neither_torch_nor_mmdet() -> None:
    code = "import sys; from mitobench_mmdet.zoo import names; names.exact('x'); print('torch' in sys.modules)"
    import sys

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"

"""Describes an encoder: its architecture in timm, and the input that it expects. Read from timm's config.json.

A description may come from anywhere. It is data: nothing of it is imported or run, and only the arguments of networks
that are listed here are passed on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from timm.models import get_pretrained_cfg

from mitobench.api import PluginError, nearest
from mitobench.training import read_bytes
from mitobench.training.timm_models import check_model

FILE = "config.json"
MAX_BYTES = 1 << 20
MAX_DEPTH = 64  # of `depth` and `depths`
MAX_INTEGER = 1 << 14  # of an argument: far above the sides, depths and widths of any network

# What config.json or the option `model_args` may pass to a network's constructor.
ARGUMENTS = (
    *("act_layer", "class_token", "depth", "depths", "dynamic_img_pad", "dynamic_img_size", "embed_dim", "fc_norm"),
    *("final_norm", "global_pool", "img_size", "init_values", "mlp_layer", "mlp_ratio", "no_embed_class", "norm_layer"),
    *("num_heads", "patch_size", "pos_embed", "pre_norm", "qk_norm", "qkv_bias", "reg_tokens", "window_size"),
)
DROPPED = ("num_classes", "in_chans")  # an encoder has no classes, and three channels
MLP_LAYERS = ("Mlp", "GluMlp", "SwiGLU", "SwiGLUPacked")  # classes of timm.layers that `mlp_layer` may name

Positive = Annotated[float, Field(gt=0)]
Moments = tuple[float, float, float]
Scalar = bool | int | float | Annotated[str, Field(pattern=r"^\w{0,40}$")]


class EncoderConfig(BaseModel):
    """What decides an encoder besides its weights.

    Attributes:
        architecture: its name in timm, without the tag of weights.
        arguments: of its constructor.
        mean, std: of R, G and B between 0 and 1, which its weights expect.
        side: side of its input, px.
        fixed: whether it accepts no other side.
        classifier: names of the modules that it has for classes, whose tensors are left out.
        width: numbers of an embedding; 0 before the encoder was built.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    architecture: str
    arguments: dict[str, Scalar | list[int] | None] = {}
    mean: Moments
    std: tuple[Positive, Positive, Positive]
    side: Annotated[int, Field(ge=8, le=MAX_INTEGER)]
    fixed: bool
    classifier: tuple[str, ...]
    width: Annotated[int, Field(ge=0)] = 0

    @classmethod
    def of_timm(cls, name: str, arguments: Mapping[str, Any]) -> EncoderConfig:
        """Returns the description of a network of timm, with or without the tag of its weights."""
        return cls._of(name, get_pretrained_cfg(name).to_dict(), arguments, f"timm's {name}")

    @classmethod
    def of_folder(cls, folder: Path, arguments: Mapping[str, Any]) -> EncoderConfig:
        """Returns the description in a folder's config.json, in timm's format; `arguments` override those in it.

        Raises PluginError for a file that cannot be read, or describes no network of timm.
        """
        path = folder / FILE
        try:
            content = json.loads(read_bytes(path, MAX_BYTES, "encoder's description", PluginError))
        except (ValueError, RecursionError) as reason:
            raise PluginError(f"{path}: is not JSON: {reason}. Copy the encoder again.") from reason
        name = content.get("architecture") if isinstance(content, dict) else None
        if not isinstance(name, str):
            raise PluginError(
                f"{path}: names no `architecture`, so it is not an encoder of timm. Write the name of the network in "
                'timm, for example {"architecture": "vit_small_patch16_224"}.'
            )
        check_model(name, str(path), PluginError)
        given = content.get("pretrained_cfg", content)
        own = content.get("model_args") or {}
        if not isinstance(given, dict) or not isinstance(own, dict):
            raise PluginError(f"{path}: pretrained_cfg and model_args must be objects. Copy the encoder again.")
        base = get_pretrained_cfg(name.partition(".")[0]).to_dict()
        config = cls._of(name, {**base, **given}, {**own, **arguments}, str(path))
        width = content.get("num_features")
        return config.model_copy(update={"width": width}) if type(width) is int and width > 0 else config

    @classmethod
    def _of(cls, name: str, given: Mapping[str, Any], arguments: Mapping[str, Any], where: str) -> EncoderConfig:
        arguments = {key: value for key, value in arguments.items() if key not in DROPPED}
        _check_arguments(arguments, where)
        size = given.get("input_size")
        if not (isinstance(size, list | tuple) and len(size) == 3 and size[0] == 3 and size[1] == size[2]):
            raise PluginError(
                f"{where}: an encoder needs square images of three channels; its input_size is {size!r}. Choose "
                "another encoder."
            )
        side = arguments.get("img_size", size[1])
        classifier = given.get("classifier") or ()
        try:
            return cls.model_validate(
                {
                    "architecture": name.partition(".")[0],
                    "arguments": arguments,
                    "mean": given.get("mean"),
                    "std": given.get("std"),
                    "side": side,
                    "fixed": bool(given.get("fixed_input_size")) and not arguments.get("dynamic_img_size"),
                    "classifier": (classifier,) if isinstance(classifier, str) else classifier,
                }
            )
        except ValidationError as reason:
            first = reason.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise PluginError(f"{where}: {place}: {first['msg']}. Correct it, or choose another encoder.") from reason

    def write(self, folder: Path) -> None:
        """Writes config.json in timm's format, from which `of_folder` reads the same description."""
        content = {
            "architecture": self.architecture,
            "num_classes": 0,
            "num_features": self.width,
            "model_args": self.arguments,
            "pretrained_cfg": {
                "input_size": [3, self.side, self.side],
                "fixed_input_size": self.fixed,
                "mean": self.mean,
                "std": self.std,
                "classifier": self.classifier,
            },
        }
        (folder / FILE).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _check_arguments(arguments: Mapping[str, Any], where: str) -> None:
    for name in arguments.keys() - set(ARGUMENTS):
        raise PluginError(f"{where}: an encoder takes no argument {str(name)[:40]!r}. {nearest(str(name), ARGUMENTS)}")
    for name, value in arguments.items():
        most = MAX_DEPTH if name in ("depth", "depths") else MAX_INTEGER
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and not abs(number) <= most:  # nor is NaN
                raise PluginError(f"{where}: {name} {number}: must be at most {most}.")
    layer = arguments.get("mlp_layer")
    if layer is not None and layer not in MLP_LAYERS:
        raise PluginError(f"{where}: mlp_layer {str(layer)[:40]!r}: must be one of {', '.join(MLP_LAYERS)}.")

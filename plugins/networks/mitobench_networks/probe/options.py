"""Options of the `probe` family."""

from __future__ import annotations

from typing import Literal

from mitobench.api import Field, Options

Scalar = bool | int | float | str


class ProbeOptions(Options):
    """Options of the encoder, of what is embedded, and of the logistic regression."""

    model: str = Field(
        "",
        description="The encoder: a name in timm, hf-hub:ORG/NAME[@REVISION], or a folder with config.json and "
        "model.safetensors.",
    )
    pretrained: str = Field(
        "auto",
        description="Weights of the encoder: a .safetensors or .npz FILE of its tensors as timm names them, `none` for "
        "random ones, or `auto`: those of the repository or folder; for a name in timm, ImageNet weights if they are "
        "available.",
    )
    model_args: dict[str, Scalar] = Field(
        {},
        description="Arguments with which timm builds the encoder, besides those in its config.json, for example "
        '{"init_values": 1e-5, "mlp_layer": "SwiGLUPacked"}.',
    )
    patch: int = Field(64, ge=16, le=4_096, description="Side of a patch, px at `mpp`.")
    mpp: float | None = Field(
        0.25, ge=0.05, le=10, description="Resolution of the patches, um/px; null: that of the frame."
    )
    enlarged: int | None = Field(
        None,
        ge=16,
        le=4_096,
        description="Side to which a patch is resized for the encoder, px; null: the encoder's side if it needs a "
        "certain one, otherwise the patch is not resized.",
    )
    views: Literal[1, 4, 8] = Field(
        1, description="Views whose embeddings are averaged: 1, 4 (rotations) or 8 (mirrored too)."
    )
    C: float = Field(0.01, gt=0, description="Inverse strength of the regularisation of the logistic regression.")
    class_weight: Literal["balanced"] | None = Field(
        "balanced", description="`balanced`: mitoses and others count equally in total; null: every patch does."
    )
    max_iter: int = Field(1_000, ge=1, le=1_000_000, description="Greatest number of steps of the solver (L-BFGS).")
    candidates_floor: float = Field(
        0.0, description="Candidates with this detector score or less are not used in training."
    )

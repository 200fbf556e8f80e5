"""Runs plugins on fake CUDA tensors: they have shapes, types and devices but no content, and need no GPU.

Where a tensor of the CPU meets one of CUDA, torch raises an error. What depends on the content of a tensor (non-maximum
suppression, boolean masks) cannot run; such a step ends there, and `Left` says why.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.model.base_model import data_preprocessor
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.nn.functional import pad
from torch.overrides import TorchFunctionMode

from mitobench.api import Detections
from mitobench.contract import frames
from mitobench.contract.subject import Subject
from mitobench.contract.subject import subject as cached_subject
from mitobench.training import LossModule, runner

DEPENDS_ON_DATA = (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException)
STEPS = ("batch", "forward", "loss", "prediction")


class Reached(BaseException):
    """A result left torch: all of the work on the device is done. Not an Exception, so that plugins do not catch it."""


@dataclass
class Outcome:
    """What ran on fake CUDA tensors.

    Attributes:
        done: names of the steps that ran to their end.
        left: for each step that did not, the operator that depends on the data.
    """

    done: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Notes whether the block ran to its end. All errors but dependence on data are raised."""
        try:
            yield
        except DEPENDS_ON_DATA as reason:
            self.left.setdefault(name, str(getattr(reason, "func", None) or reason))
        else:
            if name not in self.left:
                self.done.add(name)


def check(role: str, spec: str, options: Mapping[str, Any] | None = None) -> Outcome:
    """Fits a plugin without training, and repeats its training step and its prediction on fake CUDA tensors.

    The training step is that of every `mitobench.training.train` that its fit calls.
    """
    outcome = Outcome()
    subject = Subject(role, spec, options or {})
    cached_subject.cache_clear()  # the plugins that it requires are not trained here
    try:
        with _repeated_training(Outcome()):
            subject._upstream()
        with _repeated_training(outcome):
            plugin = subject.fit()
        _predict(role, plugin, outcome)
    finally:
        cached_subject.cache_clear()
    return outcome


# ---------------------------------------------------------------------------------------------------- training


@contextmanager
def _repeated_training(outcome: Outcome) -> Iterator[None]:
    """Replaces mmengine's runner: instead of training, one step is run on fake CUDA tensors."""

    class OneStep:
        def __init__(self, model: Any, train_dataloader: Any, **config: Any) -> None:
            self.model, self.loader = model, train_dataloader

        def train(self) -> None:
            loader = self.loader
            numbers = list(loader.sampler)[: loader.batch_size]
            batch = loader.collate_fn([loader.dataset[number] for number in numbers])
            training_step(self.model, batch, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_Runner", OneStep)
        yield


def training_step(model: Any, batch: Any, outcome: Outcome) -> None:
    """Moves a batch of the CPU to fake CUDA as the training does, and runs the model and its loss."""
    with _fake_mode() as mode, pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_preprocessor, "stack_batch", _stacked)
        model = on_fake_cuda(model, mode).train()
        with outcome.step("batch"):
            data = model.data_preprocessor(batch, True)
        if "batch" not in outcome.done:
            return
        with outcome.step("forward"):
            _on_cuda(_forward(model, data))
        with outcome.step("loss"):
            losses, _ = model.parse_losses(model._run_forward(data, mode="loss"))
            _on_cuda(losses)


def _forward(model: Any, data: Any) -> Any:
    """Runs backbone, neck and heads. Of a two-stage detector of mmdet, the second gets fixed regions, not proposals."""
    if isinstance(model, LossModule):  # while it trains, such a network needs the targets, and returns its losses
        return model._run_forward(data, mode="loss")
    if not isinstance(getattr(getattr(model, "roi_head", None), "bbox_head", None), nn.Module):
        return model._run_forward(data, mode="tensor")
    features = model.extract_feat(data["inputs"])
    regions = torch.tensor([[0.0, 8, 8, 40, 40], [0, 16, 16, 60, 50]], device="cuda")
    return [model.rpn_head(features), model.roi_head._bbox_forward(features, regions)]


def _stacked(images: list[torch.Tensor], divisor: int = 1, value: float = 0) -> torch.Tensor:
    """Pads and stacks images as mmengine's function does, which reads their sizes from the content of tensors."""
    height, width = (-(-max(image.shape[axis] for image in images) // divisor) * divisor for axis in (1, 2))
    padded = [pad(image, (0, width - image.shape[2], 0, height - image.shape[1]), value=value) for image in images]
    return torch.stack(padded)


def on_fake_cuda(module: Any, mode: FakeTensorMode) -> Any:
    """Returns a copy of a module whose parameters and buffers are fake CUDA tensors."""
    with torch._C._DisableTorchDispatch():
        moved = copy.deepcopy(module)
    for part in moved.modules():
        for name, tensor in list(part._parameters.items()):
            if tensor is not None:
                fake = mode.from_tensor(tensor.detach()).to("cuda")
                part._parameters[name] = nn.Parameter(fake, tensor.requires_grad)
        for name, tensor in list(part._buffers.items()):
            if tensor is not None:
                part._buffers[name] = mode.from_tensor(tensor).to("cuda")
        if hasattr(part, "_device"):  # mmengine's models and preprocessors move their input there
            part._device = torch.device("cuda")
    return moved


class FakeFirst(TorchFunctionMode):
    """Makes a tensor of the CPU fake before it is moved: in inference mode, torch would look for a GPU otherwise."""

    def __init__(self, mode: FakeTensorMode) -> None:
        super().__init__()
        self.mode = mode

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.Tensor.to, torch.Tensor.cuda) and not isinstance(args[0], FakeTensor):
            args = (self.mode.from_tensor(args[0]), *args[1:])
        return func(*args, **(kwargs or {}))


@contextmanager
def _fake_mode() -> Iterator[FakeTensorMode]:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, FakeFirst(mode):
        yield mode


def _on_cuda(result: Any) -> None:
    """Checks that all tensors of a result are on CUDA."""
    if isinstance(result, torch.Tensor):
        assert result.device.type == "cuda", result.device
    elif isinstance(result, Mapping):
        _on_cuda(list(result.values()))
    elif isinstance(result, list | tuple):
        for part in result:
            _on_cuda(part)


# -------------------------------------------------------------------------------------------------- prediction


def _predict(role: str, plugin: Any, outcome: Outcome) -> None:
    """Predicts on one frame, up to where the result leaves torch."""
    (sample, *_) = frames.val(masks=role == "estimator", candidates=role == "verifier")
    with _fake_mode() as mode, pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "numpy", functools.partialmethod(_reached))
        patch.setattr(torch.Tensor, "item", functools.partialmethod(_reached))
        patch.setattr(torch.Tensor, "tolist", functools.partialmethod(_reached))
        found = _moved(plugin, mode)
        if not found:
            return
        plugin.device = "cuda"
        with outcome.step("prediction"):
            try:
                if role == "estimator":
                    plugin.boxes(sample.frame, sample.mitoses)
                elif role == "detector":
                    plugin.predict(sample.frame)
                else:
                    found = sample.candidates
                    plugin.score(sample.frame, Detections(found.xy, found.boxes, found.score))
            except Reached:
                return
            raise AssertionError(f"{plugin.name}: the prediction did not reach a result on CUDA")


def _reached(tensor: torch.Tensor, *arguments: Any, **options: Any) -> Any:
    if isinstance(tensor, FakeTensor):
        assert tensor.device.type == "cpu", "a tensor must be on the CPU before it becomes an array"
        raise Reached
    return np.asarray(torch._C._TensorBase.detach(tensor))


def _moved(plugin: Any, mode: FakeTensorMode) -> int:
    """Moves the networks among a plugin's attributes; returns their number."""
    networks = {name: value for name, value in vars(plugin).items() if isinstance(value, nn.Module)}
    for name, network in networks.items():
        setattr(plugin, name, on_fake_cuda(network, mode).eval())
    return len(networks)


os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

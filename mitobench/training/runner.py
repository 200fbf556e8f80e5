"""The training loop of all learned plugins: mmengine's Runner, made resumable and reproducible.

Every training item is drawn from a generator seeded by (seed, number of the item), never from a global state that
depends on what ran before. A training that was killed and resumed therefore sees the same items and the same dropout
masks as one that ran through, and ends with the same weights.
"""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.model.wrappers import MMDistributedDataParallel
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from mitobench.api import Context, PluginError
from mitobench.atomic import atomic_file
from mitobench.training.evaluation import Evaluation
from mitobench.training.stream import Stream

CHECKPOINT_SECONDS = 20.0
CHECKPOINT = "training.pt"
LOG_EVERY = 20
NO_HOOKS = dict.fromkeys(("runtime_info", "timer", "sampler_seed", "logger", "checkpoint"))  # of mmengine


class Supervised(BaseModel):
    """Wraps a plain network and a loss as an mmengine model. Items are dicts with `inputs` and `targets`.

    Args:
        network: called with the stacked inputs, on the training device.
        loss: takes (network output, stacked targets) and returns a scalar tensor.
        prepare: turns stacked uint8 inputs into the network's input, on the training device.
    """

    def __init__(
        self, network: nn.Module, loss: Callable[[Any, Any], Tensor], prepare: Callable[[Tensor], Tensor] = torch.clone
    ) -> None:
        super().__init__()
        self.network, self.loss, self.prepare = network, loss, prepare

    def forward(self, inputs: Tensor, targets: Tensor, mode: str = "loss") -> Any:
        """Returns the loss, as mmengine's `train_step` expects it, or the network's output in mode `tensor`."""
        output = self.network(self.prepare(inputs))
        return {"loss": self.loss(output, targets)} if mode == "loss" else output


class LossModule(BaseModel):
    """Wraps a network that returns its losses in training mode, as torchvision's detectors do.

    `Supervised` is for a network and a loss apart: its loss takes the output of the network and stacked targets. With
    `LossModule`, the network takes the targets too: `network(inputs, targets)` returns a mapping of losses by name, and
    their sum is minimised. Use it with `collate=as_lists` where targets have different sizes.

    Args:
        network: the network; in evaluation mode it is called with the inputs alone.
        prepare: turns the batch's inputs and targets into the network's arguments, on the training device.
    """

    def __init__(
        self,
        network: nn.Module,
        prepare: Callable[[Any, Any], tuple[Any, Any]] = lambda inputs, targets: (inputs, targets),
    ) -> None:
        super().__init__()
        self.network, self.prepare = network, prepare

    def forward(self, inputs: Any, targets: Any = None, mode: str = "loss") -> Any:
        """Returns the losses, under names with `loss`, which are added up; in mode `tensor` the network's output."""
        inputs, targets = self.prepare(inputs, targets)
        if mode != "loss":
            return self.network(inputs)
        losses: Mapping[str, Any] = self.network(inputs, targets)
        return {name if "loss" in name else f"loss_{name}": value for name, value in losses.items()}


def as_lists(items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Combines items into a batch of lists, for items whose arrays differ in size. Items are dicts of tensors."""
    return {name: [item[name] for item in items] for name in items[0]}


def train(
    model: BaseModel,
    stream: Stream,
    context: Context,
    *,
    iterations: int,
    batch_size: int,
    optimizer: Mapping[str, Any],
    schedule: Sequence[Mapping[str, Any]] = (),
    clip_norm: float | None = None,
    ema: float | None = None,
    evaluate: Callable[[], float] | None = None,
    evaluate_every: int = 500,
    patience: int | None = None,
    collate: Callable[[list[Any]], Any] = default_collate,
    workers: int = 0,
    name: str = "",
) -> None:
    """Trains `model` in place; afterwards it is in evaluation mode on `context.device`.

    Args:
        model: an mmengine BaseModel (wrap a plain network in `Supervised`).
        stream: source of the training items.
        context: seed, device, work folder (checkpoints), progress, precision and processes.
        iterations: number of optimizer steps.
        batch_size: items per step, over all processes together.
        optimizer: an mmengine optimizer configuration, `{"type": "SGD", "lr": 1e-3, ...}`.
        schedule: mmengine `param_scheduler` configurations, with `by_epoch=False`.
        clip_norm: greatest norm of the gradient; None: no clipping.
        ema: decay per step of an exponential moving average of the weights, which `model` ends with; None: it ends with
            the last weights. With `evaluate`, it is the average that is evaluated.
        evaluate: returns F1 on validation with the model as it is then, usually
            `lambda: context.validation_f1(self.predict)`. `model` ends with the weights of the best F1, and
            `context.training_info` gets the F1 of each evaluation. None: it ends with its last weights.
        evaluate_every: steps between two evaluations; there is one more after the last step.
        patience: number of evaluations without a better F1 after which the training stops; None: it never stops early.
        collate: combines items into a batch.
        workers: number of processes that draw items; 0: this process. The items are the same for any number.
        name: distinguishes several trainings within one fit.

    Raises:
        PluginError: the loss is not finite, or `batch_size` is not a multiple of the number of processes, or
            `evaluate_every` or `patience` is less than 1, or there is `patience` without `evaluate`.
    """
    _check_numbers(context, batch_size, evaluate is not None, evaluate_every, patience)
    work = context.work / (name or "training")
    work.mkdir(parents=True, exist_ok=True)
    average = _Average(ema) if ema is not None else None
    evaluation = None
    if evaluate:
        tensors = average and average.tensors
        evaluation = Evaluation(evaluate, evaluate_every, patience, iterations, tensors, context, name)
    resume = _Resume(work / CHECKPOINT, context, average, evaluation)
    with warnings.catch_warnings(), _quiet_logging():
        warnings.filterwarnings("ignore", module=r"(mmengine|torch)(\..*)?")
        _Runner(
            device=context.device,
            evaluation=evaluation,
            model=model,
            work_dir=str(work / "mmengine"),
            train_dataloader=_loader(stream, context, iterations, batch_size, collate, workers, resume.iteration),
            train_cfg={"type": _Loop, "max_iters": iterations},
            optim_wrapper=_optimisation(context, optimizer, clip_norm),
            param_scheduler=[dict(entry) for entry in schedule] or None,
            default_hooks=dict(NO_HOOKS),
            custom_hooks=_hooks(context, iterations, average, evaluation, resume),
            launcher="pytorch" if context.world_size > 1 else "none",
            randomness={"seed": context.seed},
            log_level="ERROR",
            experiment_name=f"{name or 'training'}-{os.getpid()}-{time.monotonic_ns()}",
        ).train()
    if evaluation:
        evaluation.finish(model)
    model.to(context.device).eval()


def _check_numbers(
    context: Context, batch_size: int, evaluates: bool, evaluate_every: int, patience: int | None
) -> None:
    if batch_size % context.world_size:
        raise PluginError(
            f"batch_size {batch_size} is not a multiple of {context.world_size} processes. Change batch_size."
        )
    if evaluates and min(evaluate_every, 1 if patience is None else patience) < 1:
        raise PluginError(f"evaluate_every {evaluate_every} and patience {patience} must be 1 or more.")
    if patience is not None and not evaluates:
        raise PluginError(f"patience {patience} counts evaluations, and there are none. Give evaluate too.")


def _optimisation(context: Context, optimizer: Mapping[str, Any], clip_norm: float | None) -> dict[str, Any]:
    """Returns mmengine's configuration of a step: the optimizer, mixed precision and the clipping of the gradient."""
    return {
        "type": "AmpOptimWrapper" if context.amp else "OptimWrapper",
        "optimizer": dict(optimizer),
        "clip_grad": {"max_norm": clip_norm} if clip_norm is not None else None,
    }


def _hooks(
    context: Context, iterations: int, average: _Average | None, evaluation: Evaluation | None, resume: _Resume
) -> list[Hook]:
    """Returns what happens around each step, in this order where priorities are equal."""
    averaging = [average] if average else []
    evaluating = [_Evaluate(evaluation)] if evaluation else []
    return [_Reseed(context.seed), _ProgressHook(context, iterations), *averaging, *evaluating, resume]


class _quiet_logging:
    """Restores the root logger, which mmengine changes as a side effect."""

    def __enter__(self) -> None:
        self.level = logging.root.level
        self.handlers = list(logging.root.handlers)

    def __exit__(self, *exc: object) -> None:
        logging.root.setLevel(self.level)
        logging.root.handlers[:] = self.handlers


class _Runner(Runner):
    """mmengine's Runner on the requested device; mmengine itself would take the best one."""

    def __init__(self, device: str, evaluation: Evaluation | None, **config: Any) -> None:
        self.device, self.evaluation = device, evaluation
        super().__init__(**config)

    @property
    def stopped(self) -> bool:
        """Whether the evaluations say that the training has to stop early."""
        return self.evaluation is not None and self.evaluation.stopped

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> Any:
        """Moves the model to its device, and wraps it if there are several processes."""
        model = model.to(self.device)
        if not self.distributed:
            return model
        return MMDistributedDataParallel(
            module=model,
            device_ids=None if self.device == "cpu" else [torch.cuda.current_device()],
            broadcast_buffers=False,
            find_unused_parameters=True,
        )

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        """Logs nothing: the environment is in the record."""


class _Loop(IterBasedTrainLoop):
    """mmengine's loop, but resuming does not draw the items of iterations that are done, and it may stop early."""

    def run(self) -> Any:
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        batches = iter(self.dataloader)
        self.runner.model.train()
        while self._iter < self._max_iters and not self.runner.stopped:
            self.run_iter(next(batches))
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model


class _Items(Dataset[Any]):
    """The items of a training by number: each is the same whichever process draws it, and when."""

    def __init__(self, stream: Stream, seed: int) -> None:
        self.stream, self.seed = stream, seed

    def __getitem__(self, index: int) -> Any:
        return self.stream.draw(np.random.default_rng([self.seed, index]))


class _FromIteration(Sampler[int]):
    """Yields the numbers of this process's items, from iteration `start` to the last."""

    def __init__(self, context: Context, iterations: int, batch_size: int, start: int) -> None:
        self.context, self.iterations, self.batch_size, self.start = context, iterations, batch_size, start

    def __iter__(self) -> Iterator[int]:
        for iteration in range(self.start, self.iterations):
            first = iteration * self.batch_size
            yield from range(first + self.context.rank, first + self.batch_size, self.context.world_size)

    def __len__(self) -> int:
        return (self.iterations - self.start) * self.batch_size // self.context.world_size


def _loader(
    stream: Stream,
    context: Context,
    iterations: int,
    batch_size: int,
    collate: Callable[[list[Any]], Any],
    workers: int,
    start: int,
) -> DataLoader[Any]:
    return DataLoader(
        _Items(stream, context.seed),
        batch_size=batch_size // context.world_size,
        sampler=_FromIteration(context, iterations, batch_size, start),
        collate_fn=collate,
        num_workers=workers,
        pin_memory=context.device != "cpu",
    )


class _Reseed(Hook):
    """Seeds torch from (seed, iteration), so that dropout and sampling do not depend on what ran before."""

    priority = "HIGHEST"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        state = np.random.SeedSequence([self.seed, batch_idx]).generate_state(2, np.uint32)
        torch.manual_seed(int(state[0]))
        np.random.seed(int(state[1]))  # mmdet draws its samples from numpy's global generator


class _ProgressHook(Hook):
    """Reports progress, logs the loss, and stops at a loss that is not finite."""

    def __init__(self, context: Context, iterations: int) -> None:
        self.context, self.iterations = context, iterations

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        done = batch_idx + 1
        if done % LOG_EVERY == 0 or done in (1, self.iterations):  # reading the loss waits for the device
            loss = float(outputs["loss"].detach())
            if not math.isfinite(loss):
                raise PluginError(
                    f"The loss is {loss} at iteration {done}; lower the learning rate or clip the gradient (clip_norm)."
                )
            self.context.log.info("iteration %d of %d: loss %.4f", done, self.iterations, loss)
            if not self.context.rank:
                for name, value in outputs.items():
                    self.context.log_scalar(name, float(value.detach()), done)
        self.context.progress(done, self.iterations)


class _Average(Hook):
    """Keeps a moving average of parameters and buffers, which replaces the last ones at the end."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def before_train(self, runner: Runner) -> None:
        self.model = AveragedModel(_unwrapped(runner), multi_avg_fn=get_ema_multi_avg_fn(self.decay), use_buffers=True)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.model.update_parameters(_unwrapped(runner))

    def after_train(self, runner: Runner) -> None:
        _unwrapped(runner).load_state_dict(self.tensors())

    def tensors(self) -> dict[str, Tensor]:
        """Returns the averages by name."""
        averages: dict[str, Tensor] = self.model.module.state_dict()
        return averages


class _Evaluate(Hook):
    """Calls the evaluation after each step: after the moving average, before checkpoints."""

    priority = "LOW"

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.evaluation.after_step(batch_idx + 1, _unwrapped(runner))


class _Resume(Hook):
    """Writes checkpoints of tensors, numbers and strings only, so that no objects are unpickled when it loads them."""

    priority = "LOWEST"

    def __init__(self, path: Path, context: Context, average: _Average | None, evaluation: Evaluation | None) -> None:
        self.path, self.context, self.average, self.evaluation = path, context, average, evaluation
        self.saved = time.monotonic()
        self.state = self._read()
        self.iteration: int = self.state["iteration"] if self.state else 0

    def _read(self) -> dict[str, Any] | None:
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as reason:  # a damaged checkpoint costs time, but does not change the result
            self.context.log.warning(
                "%s cannot be read (%s): training starts again from the beginning", self.path.name, reason
            )
            return None
        return state

    def before_train(self, runner: Runner) -> None:
        if self.state is None:
            return
        _unwrapped(runner).load_state_dict(self.state["model"])
        runner.optim_wrapper.load_state_dict(self.state["optimizer"])
        for scheduler, state in zip(runner.param_schedulers or [], self.state["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        if self.average:
            self.average.model.load_state_dict(self.state["average"])
        if self.evaluation:
            self.evaluation.restore(self.state["evaluation"])
        runner.train_loop._iter = self.iteration
        self.context.log.info("resumed at iteration %d", self.iteration)
        self.state = None

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if self.context.rank or time.monotonic() - self.saved < CHECKPOINT_SECONDS:
            return
        state = {
            "iteration": batch_idx + 1,
            "model": _unwrapped(runner).state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "schedulers": [_plain(s.state_dict()) for s in runner.param_schedulers or []],
            "average": self.average.model.state_dict() if self.average else None,
            "evaluation": self.evaluation.state() if self.evaluation else None,
        }
        with atomic_file(self.path) as aside:
            torch.save(state, aside)
        self.saved = time.monotonic()


def _unwrapped(runner: Runner) -> Any:
    return getattr(runner.model, "module", runner.model)


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a scheduler's state without objects, which its configuration restores."""
    kept = (bool, int, float, str, list, type(None))
    return {key: value for key, value in state.items() if isinstance(value, kept)}

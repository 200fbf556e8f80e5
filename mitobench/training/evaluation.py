"""Evaluation during a training: keeps the weights with the best F1 on validation, and stops early."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mitobench.api import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

State = dict[str, Any]


class Evaluation:
    """Measures F1 on validation every few steps and after the last, and ends with the best weights so far.

    The best weights are those of the first of several equal F1. With an F1 of NaN (no mitosis on validation) nothing is
    kept and nothing stops early. With a moving average of the weights, the average is measured and kept.

    With several processes the first measures, and all keep their weights of the same step.

    Args:
        measure: returns F1 on validation with the model as it is, in evaluation mode.
        every: number of steps between two evaluations.
        patience: number of evaluations without a better F1 after which the training stops; None: it never stops early.
        iterations: number of steps of the training.
        average: returns the tensors of the moving average; None: there is none.
        context: context of the fit; `training_info` gets the F1 of each evaluation.
        name: name of the training.
    """

    def __init__(
        self,
        measure: Callable[[], float],
        every: int,
        patience: int | None,
        iterations: int,
        average: Callable[[], Mapping[str, Tensor]] | None,
        context: Context,
        name: str,
    ) -> None:
        self.measure, self.every, self.patience, self.iterations = measure, every, patience, iterations
        self.average, self.context, self.name = average, context, name
        self.curve: list[list[float]] = []  # [step, F1] of each evaluation
        self.best: State | None = None

    @property
    def stopped(self) -> bool:
        """Whether the last `patience` evaluations were not better than the best before them."""
        if self.patience is None or not self.scores:
            return False
        return len(self.scores) > self.patience + self.scores.index(max(self.scores))

    @property
    def scores(self) -> list[float]:
        """The F1 of each evaluation that gave one."""
        return [f1 for _, f1 in self.curve if not math.isnan(f1)]

    def state(self) -> State:
        """Returns what a checkpoint keeps: tensors, numbers and lists."""
        return {"curve": self.curve, "best": self.best}

    def restore(self, state: State) -> None:
        """Takes over what `state` returned."""
        self.curve, self.best = [list(point) for point in state["curve"]], state["best"]

    def after_step(self, step: int, model: nn.Module) -> None:
        """Evaluates after every `every`-th step and after the last."""
        if step % self.every and step != self.iterations:
            return
        with self._evaluated(model):
            f1 = self._f1(model)
            if f1 > max(self.scores, default=-math.inf):  # never for NaN
                self.best = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        self.curve.append([step, f1])
        self.context.log.info("iteration %d of %d: validation F1 %.4f", step, self.iterations, f1)
        if not self.context.rank:
            self.context.log_scalar("validation F1", f1, step)

    @contextmanager
    def _evaluated(self, model: nn.Module) -> Iterator[None]:
        """The model in evaluation mode, with the moving average if there is one; then as it was before."""
        last = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()} if self.average else None
        try:
            if self.average:
                model.load_state_dict(self.average())
            model.eval()
            with torch.no_grad():
                yield
        finally:
            if last is not None:
                model.load_state_dict(last)
            model.train()

    def _f1(self, model: nn.Module) -> float:
        """Measures in the first process; the others wait for its result, so that all decide alike."""
        f1 = float(self.measure()) if not self.context.rank else math.nan
        if self.context.world_size == 1:
            return f1
        result = torch.tensor([f1], dtype=torch.float64, device=next(model.parameters()).device)
        torch.distributed.broadcast(result, src=0)
        return float(result[0])

    def finish(self, model: nn.Module) -> None:
        """Loads the best weights into `model`, and reports the evaluations in `training_info`."""
        if self.best is not None:
            model.load_state_dict(self.best)
        best = max(self.scores, default=None)
        report = {
            "best F1": best,
            "at step": next((int(step) for step, f1 in self.curve if f1 == best), None),
            "stopped early": self.stopped,
            "F1 by step": {str(int(step)): None if math.isnan(f1) else round(f1, 4) for step, f1 in self.curve},
        }
        self.context.training_info[f"validation of {self.name}" if self.name else "validation"] = report

"""`logit-linear`: a weighted sum of the logits of both scores, with the weight chosen on validation."""

from __future__ import annotations

from scipy.special import expit

from mitobench.api import Field, Floats
from mitobench.methods.calibration import logits
from mitobench.methods.linear import Linear, LinearOptions


class LogitLinearOptions(LinearOptions):
    """Options of `logit-linear`."""

    eps: float = Field(
        1e-6, gt=0, lt=0.5, description="Scores are clipped to [eps, 1 - eps], so that their logits are finite."
    )


class LogitLinear(Linear):
    """The weighted sum of both logits, as a probability. Differences between scores close to 1 keep their weight.

    Both scores must be probabilities: others are refused.
    """

    name = "logit-linear"
    version = "1"
    Options = LogitLinearOptions
    _takes_logits = True

    def _sum(self, w: float, detector: Floats, verifier: Floats) -> Floats:
        fused: Floats = expit(super()._sum(w, *(logits(scores, self.options.eps) for scores in (detector, verifier))))
        return fused

"""AdamW with a one-cycle schedule over one flat vector of parameters.

The same numbers as torch's own `AdamW` and `OneCycleLR`, which load torch's compiler with them: 70 MB and two seconds
that a search on a small computer can use better.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

BETA2, EPSILON = 0.999, 1e-8
WARM_UP = 0.3
START_DIVISOR, END_DIVISOR = 25.0, 1e4
MOMENTUM_LOW, MOMENTUM_HIGH = 0.85, 0.95


class OneCycleAdamW:
    """Optimiser of ``module``'s parameters for exactly ``steps`` steps.

    AdamW after Loshchilov and Hutter, ICLR 2019; one cycle after Smith and Topin, arXiv:1708.07120: the rate rises to
    ``peak`` over the first 30 % of the steps while the momentum falls, then both return, along cosines.
    """

    def __init__(self, module: nn.Module, *, peak: float, weight_decay: float, steps: int) -> None:
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._peak, self._weight_decay, self._steps = peak, weight_decay, max(2, steps)
        self._values = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self._gradients = torch.zeros_like(self._values)
        self._first = torch.zeros_like(self._values)
        self._second = torch.zeros_like(self._values)
        self._done = 0
        at = 0
        for parameter in parameters:
            end = at + parameter.numel()
            parameter.data = self._values[at:end].view(parameter.shape)
            parameter.grad = self._gradients[at:end].view(parameter.shape)
            at = end

    def clear(self) -> None:
        """Set all gradients to zero; backward passes add to them."""
        self._gradients.zero_()

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters along their gradients."""
        rate, momentum = one_cycle(self._done, self._steps, self._peak)
        self._done += 1
        self._values.mul_(1 - rate * self._weight_decay)
        self._first.lerp_(self._gradients, 1 - momentum)
        self._second.mul_(BETA2).addcmul_(self._gradients, self._gradients, value=1 - BETA2)
        spread = self._second.sqrt().div_(math.sqrt(1 - BETA2**self._done)).add_(EPSILON)
        self._values.addcdiv_(self._first, spread, value=-rate / (1 - momentum**self._done))


def one_cycle(step: int, steps: int, peak: float) -> tuple[float, float]:
    """Learning rate and momentum of ``step``, counted from 0."""
    turn, end = WARM_UP * steps - 1, steps - 1
    if step <= turn:
        share = step / turn if turn else 1.0
        rates, momenta = (peak / START_DIVISOR, peak), (MOMENTUM_HIGH, MOMENTUM_LOW)
    else:
        share = (step - turn) / (end - turn)
        rates, momenta = (peak, peak / START_DIVISOR / END_DIVISOR), (MOMENTUM_LOW, MOMENTUM_HIGH)
    return _cosine(share, *rates), _cosine(share, *momenta)


def _cosine(share: float, start: float, end: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

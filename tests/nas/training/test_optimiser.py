"""The optimiser computes what torch's own does, without loading torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from edgetune_nas.training.optimiser import OneCycleAdamW, one_cycle  # noqa: E402


@pytest.mark.parametrize("steps", [2, 3, 10, 47])
def test_learning_rate_and_momentum_follow_torchs_one_cycle(steps: int) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    reference = torch.optim.AdamW([parameter], lr=0.04)
    schedule = torch.optim.lr_scheduler.OneCycleLR(reference, 0.04, total_steps=steps)
    for step in range(steps):
        group = reference.param_groups[0]
        assert one_cycle(step, steps, 0.04) == pytest.approx((group["lr"], group["betas"][0]), abs=1e-12)
        reference.step()
        if step < steps - 1:
            schedule.step()


def test_parameters_move_as_under_torchs_adamw() -> None:
    torch.manual_seed(3)
    nets = [torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    x, y = torch.randn(20, 40, 5), torch.randint(3, (20, 40))
    ours = OneCycleAdamW(nets[0], peak=0.03, weight_decay=0.1, steps=20)
    theirs = torch.optim.AdamW(nets[1].parameters(), lr=0.03, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.03, total_steps=20)
    for step in range(20):
        losses = [torch.nn.functional.cross_entropy(net(x[step]), y[step]) for net in nets]
        ours.clear()
        theirs.zero_grad()
        for loss in losses:
            loss.backward()
        ours.step()
        theirs.step()
        if step < 19:
            schedule.step()
    for mine, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_training_leaves_torchs_compiler_unloaded() -> None:
    code = """
import sys, numpy as np
from edgetune_nas.model import Conv, Dense, GlobalPool, Softmax
from edgetune_nas.training.estimator import TrainingSet
from edgetune_nas.training.task_profile import FAULT
from edgetune_nas.training.trainer import train
x = np.random.default_rng(0).normal(size=(40, 1, 64)).astype("f4")
layers = (Conv(4, 16, 8, 8), GlobalPool(), Dense(2), Softmax())
train(layers, TrainingSet(x, np.arange(40) % 2, 2), recipe=FAULT.recipe, epochs=2, seed=0)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

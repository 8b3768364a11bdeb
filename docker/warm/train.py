"""Train a small network, so that what this imports is compiled, and that what is left of torch is shown to suffice."""

import numpy as np
import torch
from torch.nn import functional

LEARNT = 0.1

torch.set_num_threads(1)
torch.manual_seed(0)
net = torch.nn.Sequential(
    torch.nn.Conv1d(1, 4, 8, stride=4),
    torch.nn.BatchNorm1d(4),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(60, 2),
)
label = torch.from_numpy(np.arange(64) % 2)
x = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 1, 64)).astype(np.float32)) + label.view(-1, 1, 1)
for _ in range(40):
    loss = functional.cross_entropy(net(x), label)
    net.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.sub_(parameter.grad, alpha=0.1)
if not loss.item() < LEARNT:
    raise SystemExit(f"torch does not learn: loss {loss.item()}")

"""A layer list as a torch module, and a trained module as a `Network` with its batch norms folded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgetune_nas.model.layers import (
    GRAM_SHARE,
    ClassMax,
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Gram,
    Layer,
    Log,
    LpPool,
    MaxPool,
    Network,
    Norm,
    Shape,
    Softmax,
    output_shape,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[np.float32]]


class LayerNet(nn.Module):
    """Module of a layer list; takes ``(windows, channels, length)``, gives logits ``(windows, classes)``.

    Inside, tensors are ``(windows, length, channels)``, so that a convolution is one matrix product over frames: on one
    core twice as fast as the general convolution at this size. The softmax stays outside (`Softmax.temperature` is set
    after training).
    """

    def __init__(self, layers: tuple[Layer, ...], input_shape: Shape) -> None:
        super().__init__()
        self.layers = layers
        self.input_shape = input_shape
        modules: list[nn.Module] = []
        shape = input_shape
        for layer in layers:
            modules.append(_module(layer, shape))
            shape = output_shape(layer, shape)
        self.steps = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of windows ``x``."""
        result: Tensor = self.steps(x.transpose(1, 2))
        return result.squeeze(1)


def to_network(net: LayerNet) -> Network:
    """Layers with their weights as numpy arrays, batch norms folded into the convolutions before them."""
    weights = tuple(
        step.folded() if isinstance(step, _Conv | _Dense) else {}  # everything else has no weights
        for step in net.steps
    )
    return Network(net.input_shape, net.layers, weights)


def from_network(network: Network) -> LayerNet:
    """Make the module that computes a `Network`: the reference that exported files are compared with."""
    layers = tuple(replace(layer, norm=False) if isinstance(layer, Conv) else layer for layer in network.layers)
    net = LayerNet(layers, network.input_shape)
    with torch.no_grad():
        for step, weights in zip(net.steps, network.weights, strict=True):
            for name, value in weights.items():
                getattr(step, name).copy_(torch.from_numpy(value))
    return net.eval()


class _Conv(nn.Module):
    def __init__(self, layer: Conv, channels: int) -> None:
        super().__init__()
        self.layer = layer
        self.depthwise = layer.groups > 1
        if self.depthwise and channels != layer.groups:
            raise ValueError(f"{layer} is neither a full nor a depthwise convolution of {channels} channels")
        template = nn.Conv1d(channels, layer.filters, layer.kernel, groups=layer.groups)
        self.weight = template.weight
        self.bias = None if layer.norm or layer.frozen else template.bias
        self.norm = nn.BatchNorm1d(layer.filters) if layer.norm else None
        self.weight.requires_grad_(not layer.frozen)

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        if layer.padding:
            x = functional.pad(x, (0, 0, layer.padding, layer.padding))
        if layer.kernel == 1 and not self.depthwise:
            x = x[:, :: layer.stride] @ self.weight[:, :, 0].t()
        else:
            frames = x.unfold(1, layer.kernel, layer.stride)  # (windows, frames, channels, taps)
            if self.depthwise:
                taps = self.weight.view(layer.groups, -1, layer.kernel)  # (channels, filters a channel, taps)
                if taps.shape[1] == 1:
                    x = (frames * taps[:, 0]).sum(3)
                else:
                    x = (frames.unsqueeze(3) * taps).sum(4).flatten(2)
            else:
                x = frames.flatten(2) @ self.weight.flatten(1).t()
        if self.norm is not None:
            x = self.norm(x.flatten(0, 1)).view(x.shape)
        if self.bias is not None:
            x = x + self.bias
        return functional.relu(x) if layer.relu else x

    def folded(self) -> Weights:
        weight = self.weight.detach()
        bias = self.bias.detach() if self.bias is not None else torch.zeros(len(weight))
        if self.norm is not None:
            assert self.norm.running_var is not None  # noqa: S101 - for the type checker: the norm keeps statistics
            assert self.norm.running_mean is not None  # noqa: S101
            gain = self.norm.weight.detach() / torch.sqrt(self.norm.running_var + self.norm.eps)
            weight = weight * gain[:, None, None]
            bias = self.norm.bias.detach() - gain * self.norm.running_mean
        arrays = {"weight": _array(weight)}
        if not self.layer.frozen:
            arrays["bias"] = _array(bias)
        return arrays


class _Dense(nn.Linear):
    def folded(self) -> Weights:
        return {"weight": _array(self.weight.detach()), "bias": _array(self.bias.detach())}


class _LpPool(nn.Module):
    def __init__(self, layer: LpPool, length: int) -> None:
        super().__init__()
        self.p, self.kernel, self.stride = layer.p, layer.kernel or length, layer.stride

    def forward(self, x: Tensor) -> Tensor:
        magnitude = x.abs() if self.p == 1 else x * x
        pooled = magnitude.unfold(1, self.kernel, self.stride).sum(3)
        return pooled if self.p == 1 else pooled.sqrt()


class _Log(nn.Module):
    def __init__(self, layer: Log) -> None:
        super().__init__()
        self.offset = layer.offset

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x + self.offset)


class _Gram(nn.Module):
    def __init__(self, layer: Gram) -> None:
        super().__init__()
        self.offset = layer.offset

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.square().sum(1, keepdim=True).sqrt() + self.offset)
        alike = torch.atanh(GRAM_SHARE * (scaled.transpose(1, 2) @ scaled))
        row, column = torch.triu_indices(x.shape[2], x.shape[2])
        return alike[:, row, column].unsqueeze(1)


class _MaxPool(nn.Module):
    def __init__(self, layer: MaxPool) -> None:
        super().__init__()
        self.kernel, self.stride = layer.kernel, layer.stride

    def forward(self, x: Tensor) -> Tensor:
        return x.unfold(1, self.kernel, self.stride).amax(3)


class _GlobalPool(nn.Module):
    def __init__(self, layer: GlobalPool) -> None:
        super().__init__()
        self.kind = layer.kind

    def forward(self, x: Tensor) -> Tensor:
        parts = [x.mean(1, keepdim=True)] if self.kind != "max" else []
        if self.kind != "average":
            parts.append(x.amax(1, keepdim=True))
        return torch.cat(parts, 2)


class _ClassMax(nn.Module):
    def __init__(self, layer: ClassMax) -> None:
        super().__init__()
        self.kinds = layer.kinds

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([part.amax(2) for part in torch.split(x, list(self.kinds), 2)], 2)


class _Flatten(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(1).unsqueeze(1)  # channel by channel, as ONNX flattens


class _Norm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square().sum(dim=2, keepdim=True).sqrt()


def _module(layer: Layer, shape: Shape) -> nn.Module:
    channels, length = shape
    match layer:
        case Conv():
            return _Conv(layer, channels)
        case LpPool():
            return _LpPool(layer, length)
        case Log():
            return _Log(layer)
        case Gram():
            return _Gram(layer)
        case MaxPool():
            return _MaxPool(layer)
        case GlobalPool():
            return _GlobalPool(layer)
        case Flatten():
            return _Flatten()
        case Dense():
            return _Dense(channels, layer.outputs)
        case ClassMax():
            return _ClassMax(layer)
        case Softmax():
            return nn.Identity()
        case Norm():
            return _Norm()


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.numpy(), np.float32)

"""Modules: parameters with names, and the four layers a GPT is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.autograd.watch import inside, observers
from scratchgpt.errors import UserError


class Parameter(Tensor):
    """A Tensor that the optimizer updates; requires a gradient from the start."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        super().__init__(data, requires_grad=True)


class Module:
    """Something with parameters, in itself or in the modules it holds as attributes (or in lists of them).

    A parameter's name is the path of attributes that leads to it: ``transformer.h.0.ln_1.weight``.
    """

    training: bool = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if observers:
            with inside(self):
                return self.forward(*args, **kwargs)
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names; a list's members are numbered."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list):
                yield from ((f"{name}.{i}", member) for i, member in enumerate(value) if isinstance(member, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths; the root's path is ``prefix``."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its path, in the order of definition."""
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self) -> list[Parameter]:
        """Every parameter, in the order of :meth:`named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def num_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(parameter.size for parameter in self.parameters())

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on (or off) here and below; returns the module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch dropout off here and below; returns the module."""
        return self.train(False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameter arrays by name."""
        return {name: parameter.data.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy arrays into the parameters, in place; each keeps its own dtype.

        Raises:
            UserError: naming the entries that are missing, unexpected or of another shape. Nothing is
                changed then.
        """
        parameters = dict(self.named_parameters())
        missing, unexpected = sorted(parameters.keys() - state.keys()), sorted(state.keys() - parameters.keys())
        if missing or unexpected:
            raise UserError(f"weights do not fit the model: missing {missing[:5]}, unexpected {unexpected[:5]}")
        for name, parameter in parameters.items():
            if state[name].shape != parameter.shape:
                raise UserError(
                    f"weights do not fit the model: {name} is {state[name].shape}, the model wants {parameter.shape}"
                )
        for name, parameter in parameters.items():
            parameter.data[...] = state[name]


class Linear(Module):
    """y = x @ effective_weight + bias; weight (in_features, out_features), as GPT-2 stores it.

    A subclass that stores its weight in another way (a sum, a product of factors) says with
    :attr:`effective_weight` what it comes to; one that computes something else overrides ``forward``.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self.weight = Parameter(weight)
        self.bias = Parameter(bias)

    @property
    def effective_weight(self) -> Tensor:
        """What the layer multiplies by, (in_features, out_features): here the weight itself.

        Whoever computes the layer's product in its place (a fused operation, the decoder) asks here.
        """
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in_features) -> (..., out_features)"""
        return ag.linear(x, self.effective_weight, self.bias)


def computes_linear(layer: Module) -> bool:
    """Whether calling the layer is ``x @ effective_weight + bias`` and no more, so that a fused operation may do it."""
    return isinstance(layer, Linear) and getattr(layer.forward, "__func__", None) is Linear.forward


class Embedding(Module):
    """A table (num_embeddings, C) whose rows are looked up by id."""

    def __init__(self, weight: np.ndarray) -> None:
        self.weight = Parameter(weight)

    def forward(self, ids: np.ndarray) -> Tensor:
        """ids (...) integers -> (..., C)"""
        return ag.embedding(self.weight, ids)


class LayerNorm(Module):
    """Normalisation of the last axis, length C, with a learned scale and shift."""

    def __init__(self, features: int, eps: float, dtype: np.dtype | type = np.float32) -> None:
        self.weight = Parameter(np.ones(features, dtype))
        self.bias = Parameter(np.zeros(features, dtype))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x (..., C) -> (..., C)"""
        return ag.layernorm(x, self.weight, self.bias, eps=self.eps)


class Dropout(Module):
    """Zeroes elements with probability ``p`` while training; each call draws its mask's seed from ``rng``."""

    def __init__(self, p: float, rng: np.random.Generator) -> None:
        self.p = p
        self.rng = rng

    def forward(self, x: Tensor) -> Tensor:
        """x (...) -> (...)"""
        if not self.training or self.p == 0:
            return x
        return ag.dropout(x, p=self.p, seed=int(self.rng.integers(2**63)))

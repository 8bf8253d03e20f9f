"""Optimizers: what every one of them does (clip, count, save), and the rules by which a parameter moves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.nn.modules import Parameter


class Optimizer:
    """Moves parameters along their gradients; a subclass says in :meth:`update` how far and where to.

    Args:
        named_parameters: pairs of name and parameter, such as ``model.named_parameters()``. Those that are frozen
            at this moment are left out for good: nothing is kept for them, and they are not moved.
        lr: learning rate.

    Attributes:
        parameters: those that are trained, by name.
        lr: learning rate of the steps to come; set it to follow a schedule.
        lr_scale: what every learning rate is multiplied by, whatever the schedule: 1 unless a run went back.
        step_count: steps made so far.
    """

    def __init__(self, named_parameters: Iterable[tuple[str, Parameter]], lr: float) -> None:
        self.parameters = {name: parameter for name, parameter in named_parameters if parameter.requires_grad}
        self.lr = lr
        self.lr_scale = 1.0
        self.step_count = 0
        self._running: dict[str, dict[str, np.ndarray]] = {}

    def running(self, name: str) -> dict[str, np.ndarray]:
        """Zeros in the shape of every parameter, by the parameter's name, which are saved under ``name``."""
        self._running[name] = {key: np.zeros_like(parameter.data) for key, parameter in self.parameters.items()}
        return self._running[name]

    @property
    def rate(self) -> float:
        """The learning rate that a step moves by: ``lr * lr_scale``."""
        return self.lr * self.lr_scale

    def update(self, name: str, parameter: Parameter, scale: float) -> None:
        """Move one parameter, in place, along its gradient times ``scale`` (what clipping leaves of it)."""
        raise NotImplementedError

    def gradient_norm(self) -> float:
        """Euclidean norm over the gradients of all parameters together."""
        gradients = [p.grad.reshape(-1) for p in self.parameters.values() if p.grad is not None]
        return math.sqrt(sum(float(g @ g) for g in gradients))

    def step(self, max_norm: float | None = None) -> float:
        """Clip all gradients together to ``max_norm`` (Pascanu et al. 2013), then update every parameter.

        Returns:
            the gradient norm before clipping.

        Raises:
            ValueError: if ``max_norm`` is not positive, which would turn descent into ascent.
            FloatingPointError: if the norm is not finite; the parameters are left as they were.
        """
        if max_norm is not None and not max_norm > 0:
            raise ValueError(f"max_norm must be positive, it is {max_norm}")
        norm = self.gradient_norm()
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient norm is {norm}: the run has diverged, try a smaller learning rate")
        # PyTorch's clip_grad_norm_ divides by norm + 1e-6; the same here, so that the two can be compared.
        scale = 1.0 if max_norm is None else min(1.0, max_norm / (norm + 1e-6))
        self.step_count += 1
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                self.update(name, parameter, scale)
        return norm

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Step count and everything :meth:`running` by name, ready for a safetensors file."""
        state = {"step": np.array(self.step_count, dtype=np.int64)}
        for running, arrays in self._running.items():
            state.update({f"{running}.{name}": array for name, array in arrays.items()})
        return state

    def load_state_arrays(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up where :meth:`state_arrays` left off.

        Raises:
            UserError: if the arrays belong to other parameters or to another kind of optimizer.
        """
        own = self.state_arrays()
        if own.keys() != state.keys() or any(own[key].shape != state[key].shape for key in own):
            raise UserError("the optimizer state belongs to another model; start the stage anew without --resume")
        self.step_count = int(state["step"])
        for running, arrays in self._running.items():
            for name, array in arrays.items():
                array[...] = state[f"{running}.{name}"]


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    Args:
        named_parameters: pairs of name and parameter, such as ``model.named_parameters()``.
        lr: learning rate; set the attribute to follow a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root of the second mean.
        weight_decay: shrinks matrices by ``lr * weight_decay`` a step; vectors (biases, layernorm) are
            left alone, as is usual.

    Attributes:
        exp_avg, exp_avg_sq: the two running means by the parameters' names.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Parameter]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
    ) -> None:
        super().__init__(named_parameters, lr)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.exp_avg = self.running("exp_avg")
        self.exp_avg_sq = self.running("exp_avg_sq")

    def update(self, name: str, parameter: Parameter, scale: float) -> None:
        """Move by the running mean of the gradient over the root of that of its square, each freed of its bias."""
        kernels.adamw_step(
            parameter.data.reshape(-1),
            np.ascontiguousarray(parameter.grad).reshape(-1),
            self.exp_avg[name].reshape(-1),
            self.exp_avg_sq[name].reshape(-1),
            self.rate,
            self.betas[0],
            self.betas[1],
            self.eps,
            self.weight_decay if parameter.ndim > 1 else 0.0,
            self.step_count,
            scale,
        )


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013, eq. 1-2, in PyTorch's scaling).

    The velocity is a running sum of gradients, v = momentum v + g, and the parameter follows it: p = p - lr v. Every
    number moves in proportion to its gradient, where AdamW moves all of them about as far.

    Args:
        named_parameters: pairs of name and parameter, such as ``model.named_parameters()``.
        lr: learning rate; set the attribute to follow a schedule.
        momentum: how much of the velocity is left after a step; 0 for plain descent.

    Attributes:
        velocity: by the parameters' names.
    """

    def __init__(
        self, named_parameters: Iterable[tuple[str, Parameter]], lr: float = 0.1, momentum: float = 0.9
    ) -> None:
        super().__init__(named_parameters, lr)
        self.momentum = momentum
        self.velocity = self.running("velocity")

    def update(self, name: str, parameter: Parameter, scale: float) -> None:
        """Let the velocity take in the gradient, and the parameter follow it."""
        assert parameter.grad is not None
        velocity = self.velocity[name]
        velocity *= self.momentum
        velocity += scale * parameter.grad
        parameter.data -= self.rate * velocity

"""AdamW with gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from scratchgpt import kernels
from scratchgpt.errors import UserError
from scratchgpt.nn.modules import Parameter


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    Args:
        named_parameters: pairs of name and parameter, such as ``model.named_parameters()``.
        lr: learning rate; set the attribute to follow a schedule.
        betas: decay rates of the running means of the gradient and of its square.
        eps: added to the root of the second mean.
        weight_decay: shrinks matrices by ``lr * weight_decay`` a step; vectors (biases, layernorm) are
            left alone, as is usual.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Parameter]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
    ) -> None:
        self.parameters = dict(named_parameters)
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.step_count = 0
        self.exp_avg = {name: np.zeros_like(p.data) for name, p in self.parameters.items()}
        self.exp_avg_sq = {name: np.zeros_like(p.data) for name, p in self.parameters.items()}

    def gradient_norm(self) -> float:
        """Euclidean norm over the gradients of all parameters together."""
        gradients = [p.grad.reshape(-1) for p in self.parameters.values() if p.grad is not None]
        return math.sqrt(sum(float(g @ g) for g in gradients))

    def step(self, max_norm: float | None = None) -> float:
        """Clip all gradients together to ``max_norm`` (Pascanu et al. 2013), then update every parameter.

        Returns:
            the gradient norm before clipping.

        Raises:
            FloatingPointError: if the norm is not finite; the parameters are left as they were.
        """
        norm = self.gradient_norm()
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient norm is {norm}: the run has diverged, try a smaller learning rate")
        # PyTorch's clip_grad_norm_ divides by norm + 1e-6; the same here, so that the two can be compared.
        scale = 1.0 if max_norm is None else min(1.0, max_norm / (norm + 1e-6))
        self.step_count += 1
        for name, p in self.parameters.items():
            if p.grad is None:
                continue
            kernels.adamw_step(
                p.data.reshape(-1),
                np.ascontiguousarray(p.grad).reshape(-1),
                self.exp_avg[name].reshape(-1),
                self.exp_avg_sq[name].reshape(-1),
                self.lr,
                self.betas[0],
                self.betas[1],
                self.eps,
                self.weight_decay if p.ndim > 1 else 0.0,
                self.step_count,
                scale,
            )
        return norm

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters.values():
            p.grad = None

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Step count and both running means by name, ready for a safetensors file."""
        state = {"step": np.array(self.step_count, dtype=np.int64)}
        state.update({f"exp_avg.{name}": array for name, array in self.exp_avg.items()})
        state.update({f"exp_avg_sq.{name}": array for name, array in self.exp_avg_sq.items()})
        return state

    def load_state_arrays(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up where :meth:`state_arrays` left off.

        Raises:
            UserError: if the arrays belong to other parameters.
        """
        own = self.state_arrays()
        if own.keys() != state.keys() or any(own[key].shape != state[key].shape for key in own):
            raise UserError("the optimizer state belongs to another model; start the stage anew without --resume")
        self.step_count = int(state["step"])
        for name in self.parameters:
            self.exp_avg[name][...] = state[f"exp_avg.{name}"]
            self.exp_avg_sq[name][...] = state[f"exp_avg_sq.{name}"]

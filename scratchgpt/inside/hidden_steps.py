"""What a fused operation hides: the steps inside it, computed by the plain references of the kernels.

Attention never holds its weights, the feed-forward layer never its activation, the loss never its probabilities:
that is why they are fast. Whoever wants to see these numbers gets them here from the operation's arguments. The
last step of each list is what the fused operation itself returned; a test holds the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scratchgpt import kernels
from scratchgpt.autograd.equations import Equation
from scratchgpt.autograd.tensor import Array
from scratchgpt.inside.source_lines import SourceLine, source_of


@dataclass(frozen=True, eq=False)
class HiddenStep:
    """One step inside a fused operation.

    Attributes:
        name: what it computes; in the backward pass ``grad_x`` is the gradient of x.
        equation: in plain text and in LaTeX.
        array: the result; what belongs to the heads of attention is (B, H, T, D) or (B, H, T, T).
        source: the reference that computes it.
    """

    name: str
    equation: Equation
    array: Array
    source: SourceLine


class _Steps:
    """A list of steps that share a source; only the matrix products beside the fused kernel have one of their own."""

    def __init__(self, reference: Callable[..., Any]) -> None:
        self.source = source_of(reference)
        self.list: list[HiddenStep] = []

    def add(self, name: str, plain: str, latex: str, array: Array) -> Array:
        return self._append(name, plain, latex, array, self.source)

    def add_product(self, name: str, plain: str, latex: str, array: Array) -> Array:
        return self._append(name, plain, latex, array, source_of(kernels.matmul.reference))

    def _append(self, name: str, plain: str, latex: str, array: Array, source: SourceLine) -> Array:
        self.list.append(HiddenStep(name, Equation(plain, latex), array, source))
        return array


def _heads(x: Array, num_heads: int) -> Array:
    """(B, T, C) -> (B, H, T, D)"""
    batch, time, channels = x.shape
    return x.reshape(batch, time, num_heads, channels // num_heads).transpose(0, 2, 1, 3)


def _joined(x: Array) -> Array:
    """(B, H, T, D) -> (B, T, C)"""
    batch, _, time, _ = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, time, -1)


# -- attention ----------------------------------------------------------------------------------------------
def _attention(arrays: Sequence[Any], settings: Mapping[str, Any]) -> list[HiddenStep]:
    (qkv,), heads = arrays, settings["num_heads"]
    steps = _Steps(kernels.attention_forward.reference)
    add = steps.add
    q, k, v = (_heads(part, heads) for part in np.split(qkv, 3, axis=-1))
    add("queries", "Q = qkv[:, 0:C]", r"Q = \mathrm{qkv}_{:,\,0:C}", q)
    add("keys", "K = qkv[:, C:2C]", r"K = \mathrm{qkv}_{:,\,C:2C}", k)
    add("values", "V = qkv[:, 2C:3C]", r"V = \mathrm{qkv}_{:,\,2C:3C}", v)
    scale = qkv.dtype.type(1 / math.sqrt(q.shape[-1]))
    scores = add("scores", "S = Q Kᵀ / √D", r"S = \frac{Q K^\top}{\sqrt{D}}", q @ k.swapaxes(-1, -2) * scale)
    hidden = np.triu(np.ones(scores.shape[-2:], bool), 1)
    masked = add(
        "masked_scores",
        "Sᵢⱼ = -∞  (j > i)",
        r"S_{ij} = -\infty\quad (j > i)",
        np.where(hidden, qkv.dtype.type(-np.inf), scores),
    )
    exponentials = add(
        "exponentials",
        "Eᵢⱼ = exp(Sᵢⱼ - maxⱼ Sᵢⱼ)",
        r"E_{ij} = e^{S_{ij} - \max_j S_{ij}}",
        np.exp(masked - masked.max(axis=-1, keepdims=True)),
    )
    weights = add(
        "weights",
        "Pᵢⱼ = Eᵢⱼ / Σⱼ Eᵢⱼ",
        r"P_{ij} = \frac{E_{ij}}{\sum_j E_{ij}}",
        exponentials / exponentials.sum(axis=-1, keepdims=True),
    )
    mixed = add("mixed", "O = P V", r"O = P V", weights @ v)
    add("output", "Y = [O₁, O₂, …]", r"Y = [O_1, O_2, \ldots, O_H]", _joined(mixed))
    return steps.list


def _attention_backward(arrays: Sequence[Any], settings: Mapping[str, Any], gradient: Array) -> list[HiddenStep]:
    forward = {step.name: step.array for step in _attention(arrays, settings)}
    steps = _Steps(kernels.attention_backward.reference)
    add = steps.add
    q, k, v, weights = (forward[name] for name in ("queries", "keys", "values", "weights"))
    scale = q.dtype.type(1 / math.sqrt(q.shape[-1]))
    grad = _heads(gradient, settings["num_heads"])
    add("grad_mixed", "[dO₁, dO₂, …] = dY", r"[dO_1, dO_2, \ldots, dO_H] = dY", grad)
    grad_v = add("grad_values", "dV = Pᵀ dO", r"dV = P^\top dO", weights.swapaxes(-1, -2) @ grad)
    grad_weights = add("grad_weights", "dP = dO Vᵀ", r"dP = dO\,V^\top", grad @ v.swapaxes(-1, -2))
    delta = (grad_weights * weights).sum(axis=-1, keepdims=True)
    grad_scores = add(
        "grad_scores",
        "dSᵢⱼ = Pᵢⱼ · (dPᵢⱼ - Σⱼ dPᵢⱼ Pᵢⱼ)",
        r"dS_{ij} = P_{ij}\,(dP_{ij} - \sum_j dP_{ij} P_{ij})",
        weights * (grad_weights - delta),
    )
    grad_q = add("grad_queries", "dQ = dS K / √D", r"dQ = \frac{dS\,K}{\sqrt{D}}", grad_scores @ k * scale)
    grad_k = add(
        "grad_keys", "dK = dSᵀ Q / √D", r"dK = \frac{dS^\top Q}{\sqrt{D}}", grad_scores.swapaxes(-1, -2) @ q * scale
    )
    joined = np.concatenate([_joined(part) for part in (grad_q, grad_k, grad_v)], axis=-1)
    add("grad_qkv", "dqkv = [dQ, dK, dV]", r"d\mathrm{qkv} = [dQ, dK, dV]", joined)
    return steps.list


# -- feed-forward -------------------------------------------------------------------------------------------
def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _product(a: Array, b: Array, bias: Array | None, shape: tuple[int, ...]) -> Array:
    """a @ b + bias with the leading axes of ``shape``, rounded as the precision in use rounds."""
    product: Array = kernels.matmul.reference(_rows(a), b, bias)
    return product.reshape(*shape[:-1], b.shape[1])


def _feed_forward(arrays: Sequence[Any], settings: Mapping[str, Any]) -> list[HiddenStep]:
    x, weight_in, bias_in, weight_out, bias_out = arrays
    steps = _Steps(kernels.matmul_gelu.reference)
    pre = steps.add("pre_activation", "A = X W₁ + b₁", r"A = X W_1 + b_1", _product(x, weight_in, bias_in, x.shape))
    activation: Array = kernels.gelu_forward.reference(pre)
    hidden = steps.add("activation", "G = gelu(A)", r"G = \mathrm{gelu}(A)", activation)
    steps.add_product("output", "Y = G W₂ + b₂", r"Y = G W_2 + b_2", _product(hidden, weight_out, bias_out, x.shape))
    return steps.list


def _feed_forward_backward(arrays: Sequence[Any], settings: Mapping[str, Any], gradient: Array) -> list[HiddenStep]:
    x, weight_in, bias_in, weight_out, _ = arrays
    pre = _product(x, weight_in, bias_in, x.shape)
    steps = _Steps(kernels.matmul_gelu_backward.reference)
    grad_hidden = steps.add(
        "grad_activation", "dG = dY W₂ᵀ", r"dG = dY\,W_2^\top", _product(gradient, weight_out.T, None, x.shape)
    )
    grad_pre = steps.add(
        "grad_pre_activation",
        "dA = dG · gelu'(A)",
        r"dA = dG \odot \mathrm{gelu}'(A)",
        kernels.gelu_backward.reference(grad_hidden, pre),
    )
    steps.add_product("grad_x", "dX = dA W₁ᵀ", r"dX = dA\,W_1^\top", _product(grad_pre, weight_in.T, None, x.shape))
    return steps.list


# -- layernorm ----------------------------------------------------------------------------------------------
def _layernorm(arrays: Sequence[Any], settings: Mapping[str, Any]) -> list[HiddenStep]:
    x, weight, bias = arrays
    steps = _Steps(kernels.layernorm_forward.reference)
    mean = steps.add("mean", "μ = Σ x / C", r"\mu = \frac{1}{C}\sum_c x_c", x.mean(axis=-1, keepdims=True))
    variance = steps.add(
        "variance",
        "σ² = Σ (x - μ)² / C",
        r"\sigma^2 = \frac{1}{C}\sum_c (x_c - \mu)^2",
        x.var(axis=-1, keepdims=True),
    )
    normalised = steps.add(
        "normalised",
        "n = (x - μ) / √(σ² + ε)",
        r"n = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}",
        (x - mean) / np.sqrt(variance + x.dtype.type(settings.get("eps", 1e-5))),
    )
    steps.add("output", "y = n · w + b", r"y = n\,w + b", normalised * weight + bias)
    return steps.list


def _layernorm_backward(arrays: Sequence[Any], settings: Mapping[str, Any], gradient: Array) -> list[HiddenStep]:
    forward = {step.name: step.array for step in _layernorm(arrays, settings)}
    normalised = forward["normalised"]
    deviation = np.sqrt(forward["variance"] + normalised.dtype.type(settings.get("eps", 1e-5)))
    steps = _Steps(kernels.layernorm_backward.reference)
    grad = steps.add("grad_normalised", "dn = dy · w", r"dn = dy\,w", gradient * arrays[1])
    along = grad.mean(axis=-1, keepdims=True) + normalised * (grad * normalised).mean(axis=-1, keepdims=True)
    steps.add(
        "grad_x",
        "dx = (dn - mean(dn) - n · mean(dn · n)) / √(σ² + ε)",
        r"dx = \frac{dn - \overline{dn} - n\,\overline{dn\,n}}{\sqrt{\sigma^2 + \epsilon}}",
        (grad - along) / deviation,
    )
    return steps.list


# -- losses -------------------------------------------------------------------------------------------------
def _probabilities(steps: _Steps, logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return steps.add(
        "probabilities",
        "pᵥ = exp(zᵥ) / Σ exp(z)",
        r"p_v = \frac{e^{z_v}}{\sum_u e^{z_u}}",
        exponentials / exponentials.sum(axis=-1, keepdims=True),
    )


def _losses(logits: Array, targets: Array, ignore_index: int) -> Array:
    losses: Array = kernels.cross_entropy_forward.reference(_rows(logits), targets.reshape(-1), ignore_index)[0]
    return losses.reshape(targets.shape)


def _grad_logits(probabilities: Array, targets: Array, share: Array) -> Array:
    """share (...) times probabilities minus one-hot; the share of an ignored target is 0."""
    grad = probabilities.copy()
    _rows(grad)[np.arange(targets.size), np.where(share == 0, 0, targets).reshape(-1)] -= 1
    return grad * share[..., None]


def _token_losses(arrays: Sequence[Any], settings: Mapping[str, Any]) -> list[HiddenStep]:
    logits, targets = arrays[0], np.asarray(arrays[1])
    steps = _Steps(kernels.cross_entropy_forward.reference)
    _probabilities(steps, logits)
    losses = _losses(logits, targets, settings.get("ignore_index", -100))
    steps.add("output", "loss = -ln p[target]", r"\ell = -\ln p_{\mathrm{target}}", losses)
    return steps.list


def _token_losses_backward(arrays: Sequence[Any], settings: Mapping[str, Any], gradient: Array) -> list[HiddenStep]:
    probabilities, targets = _token_losses(arrays, settings)[0].array, np.asarray(arrays[1])
    share = np.where(targets == settings.get("ignore_index", -100), 0, gradient).astype(gradient.dtype)
    steps = _Steps(kernels.cross_entropy_backward.reference)
    steps.add(
        "grad_logits",
        "dz = dloss · (p - onehot(target))",
        r"dz_v = d\ell\,(p_v - [v = \mathrm{target}])",
        _grad_logits(probabilities, targets, share),
    )
    return steps.list


def _shares(arrays: Sequence[Any], settings: Mapping[str, Any]) -> tuple[Array, Array]:
    """Targets, and what the loss of each counts."""
    targets = np.asarray(arrays[2])
    share = (targets != settings.get("ignore_index", -100)).astype(arrays[0].dtype)
    return targets, share / share.dtype.type(settings.get("count") or share.sum() or 1)


def _linear_cross_entropy(arrays: Sequence[Any], settings: Mapping[str, Any]) -> list[HiddenStep]:
    hidden, weight = arrays[:2]
    targets, share = _shares(arrays, settings)
    steps = _Steps(kernels.cross_entropy_gradient.reference)
    logits = steps.add_product("logits", "z = h Wᵀ", r"z = h\,W^\top", _product(hidden, weight.T, None, hidden.shape))
    _probabilities(steps, logits)
    losses = _losses(logits, targets, settings.get("ignore_index", -100))
    steps.add("token_losses", "lossₜ = -ln pₜ[targetₜ]", r"\ell_t = -\ln p_t(\mathrm{target}_t)", losses)
    steps.add("output", "L = Σₜ lossₜ / n", r"L = \frac{1}{n} \sum_t \ell_t", (losses * share).sum())
    return steps.list


def _linear_cross_entropy_backward(
    arrays: Sequence[Any], settings: Mapping[str, Any], gradient: Array
) -> list[HiddenStep]:
    hidden, weight = arrays[:2]
    targets, share = _shares(arrays, settings)
    probabilities = _linear_cross_entropy(arrays, settings)[1].array
    steps = _Steps(kernels.cross_entropy_gradient.reference)
    grad = steps.add(
        "grad_logits",
        "dzₜ = dL / n · (pₜ - onehot(targetₜ))",
        r"dz_t = \frac{dL}{n}\,(p_t - \mathrm{onehot}(\mathrm{target}_t))",
        _grad_logits(probabilities, targets, share * gradient),
    )
    steps.add_product("grad_hidden", "dh = dz W", r"dh = dz\,W", _product(grad, weight, None, hidden.shape))
    grad_weight: Array = kernels.matmul.reference(_rows(grad).T, _rows(hidden))
    steps.add_product("grad_weight", "dW = dzᵀ h", r"dW = dz^\top h", grad_weight)
    return steps.list


# -- dropout ------------------------------------------------------------------------------------------------
def _dropout(arrays: Sequence[Any], settings: Mapping[str, Any]) -> list[HiddenStep]:
    (x,) = arrays
    steps = _Steps(kernels.dropout_forward.reference)
    scale: Array = kernels.dropout_forward.reference(np.ones_like(x), settings["p"], settings["seed"])
    keep = steps.add(
        "keep", "keepᵢ = [hash(seed, i) ≥ p]", r"k_i = [\mathrm{hash}(\mathrm{seed}, i) \geq p]", scale > 0
    )
    steps.add("output", "y = x · keep / (1 - p)", r"y_i = \frac{k_i\,x_i}{1 - p}", x * scale * keep)
    return steps.list


FORWARD: dict[str, Callable[[Sequence[Any], Mapping[str, Any]], list[HiddenStep]]] = {
    "causal_attention": _attention,
    "feed_forward": _feed_forward,
    "layernorm": _layernorm,
    "token_losses": _token_losses,
    "linear_cross_entropy": _linear_cross_entropy,
    "dropout": _dropout,
}
"""By the name of the operation: values of the arguments, settings -> the steps, the last of which is the output."""

BACKWARD: dict[str, Callable[[Sequence[Any], Mapping[str, Any], Array], list[HiddenStep]]] = {
    "causal_attention": _attention_backward,
    "feed_forward": _feed_forward_backward,
    "layernorm": _layernorm_backward,
    "token_losses": _token_losses_backward,
    "linear_cross_entropy": _linear_cross_entropy_backward,
}
"""The same for the backward pass, with the gradient of the output; a step ``grad_x`` is that of the argument x."""

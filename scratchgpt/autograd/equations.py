r"""The equation of every operation, forward and back, in plain text and in LaTeX.

``y`` is the operation's result and ``dx`` stands for the gradient :math:`\partial L / \partial x` of the loss L with
respect to x; so ``dy`` is what the way back begins with. Where NumPy has stretched an argument, its gradient is
summed over the stretched axes. The LaTeX keeps to what Matplotlib's mathtext can draw, so pictures need no LaTeX.

An operation without a row here fails a test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Equation:
    """One equation twice: ``plain`` for a terminal, ``latex`` without the dollar signs."""

    plain: str
    latex: str


@dataclass(frozen=True)
class OperationEquations:
    """What an operation computes: its result (``forward``) and its arguments' gradients (``backward``)."""

    forward: Equation
    backward: Equation


def _row(plain: str, latex: str, backward: str, backward_latex: str) -> OperationEquations:
    return OperationEquations(Equation(plain, latex), Equation(backward, backward_latex))


EQUATIONS: dict[str, OperationEquations] = {
    # -- every element by itself
    "add": _row("y = a + b", r"y = a + b", "da = dy,  db = dy", r"da = dy,\quad db = dy"),
    "sub": _row("y = a - b", r"y = a - b", "da = dy,  db = -dy", r"da = dy,\quad db = -dy"),
    "mul": _row("y = a · b", r"y = a \cdot b", "da = dy · b,  db = dy · a", r"da = dy \cdot b,\quad db = dy \cdot a"),
    "div": _row(
        "y = a / b",
        r"y = \frac{a}{b}",
        "da = dy / b,  db = -dy · a / b²",
        r"da = \frac{dy}{b},\quad db = -dy\,\frac{a}{b^2}",
    ),
    "pow": _row(
        "y = aᵇ",
        r"y = a^b",
        "da = dy · b · aᵇ⁻¹,  db = dy · y · ln a",
        r"da = dy\; b\, a^{b-1},\quad db = dy\; y \ln a",
    ),
    "neg": _row("y = -x", r"y = -x", "dx = -dy", r"dx = -dy"),
    "exp": _row("y = eˣ", r"y = e^x", "dx = dy · y", r"dx = dy \cdot y"),
    "log": _row("y = ln x", r"y = \ln x", "dx = dy / x", r"dx = \frac{dy}{x}"),
    "sqrt": _row("y = √x", r"y = \sqrt{x}", "dx = dy / (2y)", r"dx = \frac{dy}{2y}"),
    "tanh": _row("y = tanh x", r"y = \tanh x", "dx = dy · (1 - y²)", r"dx = dy\,(1 - y^2)"),
    "sigmoid": _row("y = 1 / (1 + e⁻ˣ)", r"y = \frac{1}{1 + e^{-x}}", "dx = dy · y · (1 - y)", r"dx = dy\; y\,(1 - y)"),
    "relu": _row("y = max(x, 0)", r"y = \max(x, 0)", "dx = dy · [x > 0]", r"dx = dy\,[x > 0]"),
    "gelu": _row(
        "y = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))",
        r"y = \frac{x}{2}\left(1 + \tanh\left(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right)\right)",
        "dx = dy · (s + x s (1 - s) · 2u'),  s = sigmoid(2u),  u = √(2/π) · (x + 0.044715 x³)",
        r"dx = dy\,(s + 2 x s (1 - s) u'),\quad s = \sigma(2u),\quad u = \sqrt{2/\pi}\,(x + 0.044715\,x^3)",
    ),
    "dropout": _row(
        "y = x · keep / (1 - p),  keep = [hash(seed, i) ≥ p]",
        r"y_i = \frac{k_i\,x_i}{1 - p},\quad k_i = [\mathrm{hash}(\mathrm{seed}, i) \geq p]",
        "dx = dy · keep / (1 - p)",
        r"dx_i = \frac{k_i\,dy_i}{1 - p}",
    ),
    "minimum": _row(
        "y = min(a, b)",
        r"y = \min(a, b)",
        "da = dy · ([a < b] + [a = b]/2),  db = dy · ([b < a] + [a = b]/2)",
        r"da = dy\,([a < b] + [a = b]/2),\quad db = dy\,([b < a] + [a = b]/2)",
    ),
    "maximum": _row(
        "y = max(a, b)",
        r"y = \max(a, b)",
        "da = dy · ([a > b] + [a = b]/2),  db = dy · ([b > a] + [a = b]/2)",
        r"da = dy\,([a > b] + [a = b]/2),\quad db = dy\,([b > a] + [a = b]/2)",
    ),
    "clip": _row(
        "y = min(max(x, low), high)",
        r"y = \min(\max(x, \mathrm{low}), \mathrm{high})",
        "dx = dy · [low ≤ x ≤ high]",
        r"dx = dy\,[\mathrm{low} \leq x \leq \mathrm{high}]",
    ),
    "where": _row(
        "y = c · a + (1 - c) · b,  c = [condition]",
        r"y = c\,a + (1 - c)\,b,\quad c = [\mathrm{condition}]",
        "da = dy · c,  db = dy · (1 - c)",
        r"da = dy\,c,\quad db = dy\,(1 - c)",
    ),
    # -- elements moved, not changed
    "reshape": _row(
        "y = reshape(x)",
        r"y = \mathrm{reshape}(x)",
        "dx = reshape(dy)",
        r"dx = \mathrm{reshape}(dy)",
    ),
    "transpose": _row("y = xᵀ", r"y = x^\top", "dx = dyᵀ", r"dx = dy^\top"),
    "concatenate": _row(
        "y = [x₁, x₂, …]",
        r"y = [x_1, x_2, \ldots]",
        "[dx₁, dx₂, …] = dy",
        r"[dx_1, dx_2, \ldots] = dy",
    ),
    "getitem": _row(
        "y = x[index]",
        r"y = x[\mathrm{index}]",
        "dx[index] += dy",
        r"dx_i = \sum_{j:\,\mathrm{index}_j = i} dy_j",
    ),
    # -- an axis folded
    "sum": _row("y = Σᵢ xᵢ", r"y = \sum_i x_i", "dxᵢ = dy", r"dx_i = dy"),
    "mean": _row("y = Σᵢ xᵢ / n", r"y = \frac{1}{n} \sum_i x_i", "dxᵢ = dy / n", r"dx_i = \frac{dy}{n}"),
    "max": _row(
        "y = maxᵢ xᵢ",
        r"y = \max_i x_i",
        "dxᵢ = dy · [xᵢ = y] / Σⱼ [xⱼ = y]",
        r"dx_i = dy\,\frac{[x_i = y]}{\sum_j [x_j = y]}",
    ),
    "logsumexp": _row(
        "y = ln Σᵢ exp(xᵢ)", r"y = \ln \sum_i e^{x_i}", "dxᵢ = dy · exp(xᵢ - y)", r"dx_i = dy\, e^{x_i - y}"
    ),
    "softmax": _row(
        "yᵢ = exp(xᵢ) / Σⱼ exp(xⱼ)",
        r"y_i = \frac{e^{x_i}}{\sum_j e^{x_j}}",
        "dxᵢ = yᵢ · (dyᵢ - Σⱼ dyⱼ yⱼ)",
        r"dx_i = y_i\,(dy_i - \sum_j dy_j\,y_j)",
    ),
    "log_softmax": _row(
        "yᵢ = xᵢ - ln Σⱼ exp(xⱼ)",
        r"y_i = x_i - \ln \sum_j e^{x_j}",
        "dxᵢ = dyᵢ - exp(yᵢ) · Σⱼ dyⱼ",
        r"dx_i = dy_i - e^{y_i} \sum_j dy_j",
    ),
    # -- what a transformer is made of
    "matmul": _row("Y = A B", r"Y = A B", "dA = dY Bᵀ,  dB = Aᵀ dY", r"dA = dY\,B^\top,\quad dB = A^\top dY"),
    "linear": _row(
        "Y = X W + b",
        r"Y = X W + b",
        "dX = dY Wᵀ,  dW = Xᵀ dY,  db = Σₙ dYₙ",
        r"dX = dY\,W^\top,\quad dW = X^\top dY,\quad db = \sum_n dY_n",
    ),
    "feed_forward": _row(
        "Y = gelu(X W₁ + b₁) W₂ + b₂",
        r"Y = \mathrm{gelu}(X W_1 + b_1)\,W_2 + b_2",
        "dA = (dY W₂ᵀ) · gelu'(A),  A = X W₁ + b₁;  dX = dA W₁ᵀ,  dW₁ = Xᵀ dA,  dW₂ = gelu(A)ᵀ dY",
        r"dA = (dY\,W_2^\top) \odot \mathrm{gelu}'(A),\quad dX = dA\,W_1^\top,\quad dW_1 = X^\top dA,"
        r"\quad dW_2 = \mathrm{gelu}(A)^\top dY",
    ),
    "layernorm": _row(
        "y = n · w + b,  n = (x - mean) / √(var + ε)",
        r"y = n\,w + b,\quad n = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}",
        "dx = (dn - mean(dn) - n · mean(dn · n)) / √(var + ε),  dn = dy · w;  dw = Σ dy · n,  db = Σ dy",
        r"dx = \frac{dn - \overline{dn} - n\,\overline{dn\,n}}{\sqrt{\sigma^2 + \epsilon}},\quad dn = dy\,w,"
        r"\quad dw = \sum dy\,n,\quad db = \sum dy",
    ),
    "embedding": _row(
        "yₜ = W[idₜ]",
        r"y_t = W_{\mathrm{id}_t}",
        "dW[v] = Σₜ dyₜ  (idₜ = v)",
        r"dW_v = \sum_{t:\,\mathrm{id}_t = v} dy_t",
    ),
    "causal_attention": _row(
        "O = softmax(Q Kᵀ / √D + M) V,  Mᵢⱼ = -∞  (j > i)",
        r"O = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{D}} + M\right) V,\quad M_{ij} = -\infty\ (j > i)",
        "dV = Pᵀ dO,  dP = dO Vᵀ,  dS = P · (dP - Σⱼ dPⱼ Pⱼ),  dQ = dS K / √D,  dK = dSᵀ Q / √D",
        r"dV = P^\top dO,\quad dP = dO\,V^\top,\quad dS = P \odot (dP - \sum_j dP_j P_j),"
        r"\quad dQ = \frac{dS\,K}{\sqrt{D}},\quad dK = \frac{dS^\top Q}{\sqrt{D}}",
    ),
    "token_losses": _row(
        "loss = -ln softmax(z)[target]",
        r"\ell = -\ln \frac{e^{z_{\mathrm{target}}}}{\sum_v e^{z_v}}",
        "dz = dloss · (softmax(z) - onehot(target))",
        r"dz_v = d\ell\,(p_v - [v = \mathrm{target}])",
    ),
    "linear_cross_entropy": _row(
        "L = Σₜ (-ln softmax(hₜ Wᵀ)[targetₜ]) / n",
        r"L = \frac{1}{n} \sum_t -\ln p_t(\mathrm{target}_t),\quad p_t = \mathrm{softmax}(h_t W^\top)",
        "dzₜ = dL / n · (pₜ - onehot(targetₜ)),  dh = dz W,  dW = dzᵀ h",
        r"dz_t = \frac{dL}{n}\,(p_t - \mathrm{onehot}(\mathrm{target}_t)),"
        r"\quad dh = dz\,W,\quad dW = dz^\top h",
    ),
}
"""By the operation's name, as in ``OPERATIONS``."""

"""Training in bf16 against float32, and against PyTorch's bf16: the model stays the same, the rounding is bounded."""

import numpy as np
import pytest

from scratchgpt import kernels
from scratchgpt.config import GPTConfig
from scratchgpt.kernels.runtime.precision import has_bf16
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.optimizers import AdamW

pytestmark = pytest.mark.skipif(not has_bf16(), reason="this CPU has no avx512_bf16")
CONFIG = GPTConfig(vocab_size=90, emb_dim=64, num_heads=4, num_layers=2, context_size=32, dropout=0.0)


@pytest.fixture(autouse=True)
def as_before():
    before = kernels.precision()
    yield
    kernels.set_precision(before)


def batch():
    ids = np.random.default_rng(0).integers(0, CONFIG.vocab_size, (6, 33))
    return ids[:, :-1], ids[:, 1:]


def loss_and_gradients(precision: str):
    kernels.set_precision(precision)
    model = GPT(CONFIG, seed=0)
    loss = model.loss(*batch())
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


def test_loss_and_every_gradient_are_those_of_float32_up_to_the_rounding():
    """Stated tolerances: 1e-3 for the loss, 2% of the largest element for each gradient."""
    exact_loss, exact = loss_and_gradients("float32")
    loss, gradients = loss_and_gradients("bf16")
    assert loss != exact_loss and abs(loss - exact_loss) < 1e-3
    for name, gradient in gradients.items():
        assert gradient.dtype == np.float32
        assert np.abs(gradient - exact[name]).max() < 0.02 * np.abs(exact[name]).max(), name


def test_forty_steps_in_bf16_learn_as_in_float32():
    losses = {}
    for precision in ("float32", "bf16"):
        kernels.set_precision(precision)
        model = GPT(CONFIG, seed=0)
        optimizer = AdamW(model.named_parameters(), lr=3e-3)
        for _ in range(40):
            loss = model.loss(*batch())
            loss.backward()
            optimizer.step(1.0)
            optimizer.zero_grad()
        losses[precision] = loss.item()
        assert all(p.data.dtype == np.float32 for p in model.parameters())
    assert losses["float32"] < 2.0
    assert abs(losses["bf16"] / losses["float32"] - 1) < 0.02


def test_bf16_is_as_near_to_float32_as_pytorch_autocast():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((64, 96), np.float32), rng.standard_normal((96, 80), np.float32)
    kernels.set_precision("bf16")
    ours = np.abs(kernels.matmul(x, weight) - x.astype(np.float64) @ weight).max()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs = (torch.tensor(x) @ torch.tensor(weight)).float().numpy()
    assert ours <= np.abs(theirs - x.astype(np.float64) @ weight).max()

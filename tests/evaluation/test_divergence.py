"""The estimators of the KL divergence against PyTorch and against the divergence itself."""

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.evaluation.divergence import kl_k1, kl_k3


@pytest.fixture
def numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    old = -rng.random(400) * 3
    return {"old": old, "new": old + rng.normal(0, 0.3, 400)}


def test_kl_estimators_equal_pytorch(numbers):
    torch = pytest.importorskip("torch")
    log_ratio = numbers["old"] - numbers["new"]
    given = Tensor(log_ratio, requires_grad=True)
    estimate = kl_k3(given)
    estimate.mean().backward()

    other = torch.tensor(log_ratio, requires_grad=True)
    expected = torch.expm1(other) - other
    expected.mean().backward()
    np.testing.assert_allclose(estimate.data, expected.detach().numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(given.grad, other.grad.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(kl_k1(log_ratio), numbers["new"] - numbers["old"])


def test_kl_estimators_are_unbiased():
    rng = np.random.default_rng(0)
    q, p = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(7))
    divergence = np.sum(q * np.log(q / p))
    log_ratio = np.log(p / q)
    assert np.sum(q * kl_k1(log_ratio)) == pytest.approx(divergence)
    assert np.sum(q * kl_k3(log_ratio).data) == pytest.approx(divergence)
    assert kl_k3(log_ratio).data.min() >= 0 > kl_k1(log_ratio).min()

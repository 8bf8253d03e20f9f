import numpy as np
import pytest

from scratchgpt.kernels import adamw_step
from tests.kernels import agreement

SETTINGS = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1}


@pytest.mark.parametrize("size", [1, 33, 4096, 9001])
def test_equals_reference(size, normal):
    arrays = [normal(size) for _ in range(4)]
    arrays[3] = np.abs(arrays[3])

    def three_steps(update, *arrays):
        for step in (1, 2, 3):
            update(*arrays, *SETTINGS.values(), step, 0.5)
        param, grad, m, v = arrays
        return param, grad, m, v

    scales = agreement.sensitivity(lambda *given: three_steps(adamw_step.reference, *given), *arrays)
    ours = three_steps(adamw_step.compiled, *(a.copy() for a in arrays))
    theirs = three_steps(adamw_step.reference, *(a.copy() for a in arrays))
    for parts in zip(ours, theirs, scales, strict=True):
        agreement.assert_near(*parts)


def test_equals_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(6)
    start = rng.standard_normal(50)
    parameter = torch.nn.Parameter(torch.tensor(start))
    theirs = torch.optim.AdamW([parameter], lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    ours, m, v = start.copy(), np.zeros(50), np.zeros(50)
    for step in range(1, 6):
        grad = rng.standard_normal(50)
        parameter.grad = torch.tensor(grad)
        theirs.step()
        adamw_step(ours, grad, m, v, *SETTINGS.values(), step, 1.0)
    np.testing.assert_allclose(ours, parameter.detach().numpy(), rtol=1e-12)


def test_arrays_that_would_be_copied_are_refused():
    a = np.zeros(10)
    with pytest.raises(ValueError, match="contiguous"):
        adamw_step(np.zeros(20)[::2], a, a.copy(), a.copy(), *SETTINGS.values(), 1, 1.0)
    with pytest.raises(ValueError, match="one length and dtype"):
        adamw_step(np.zeros(10, np.float32), a, a.copy(), a.copy(), *SETTINGS.values(), 1, 1.0)


@pytest.mark.parametrize("place", range(4), ids=["param", "grad", "m", "v"])
@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (np.zeros(9), "one length and dtype"),
        (np.zeros((10, 1)), "four flat arrays"),
        (np.zeros(10, np.float32), "one length and dtype"),
        (np.zeros(20)[::2], "contiguous"),
    ],
)
def test_each_array_that_does_not_fit_is_refused(place, wrong, complaint):
    arrays = [np.zeros(10) for _ in range(4)]
    arrays[place] = wrong
    with pytest.raises(ValueError, match=complaint):
        adamw_step(*arrays, *SETTINGS.values(), 1, 1.0)


def test_four_matrices_fit_each_other_but_are_not_flat():
    with pytest.raises(ValueError, match="four flat arrays"):
        adamw_step(*(np.zeros((5, 2)) for _ in range(4)), *SETTINGS.values(), 1, 1.0)


def test_steps_count_from_1():
    with pytest.raises(ValueError, match="step counts from 1, not 0"):
        adamw_step(*(np.zeros(3) for _ in range(4)), *SETTINGS.values(), 0, 1.0)

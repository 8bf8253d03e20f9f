import numpy as np
import pytest

from scratchgpt.kernels import cross_entropy_backward, cross_entropy_forward, cross_entropy_gradient
from tests.kernels import agreement


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (5, 33), (64, 257), (3, 6400)])
def test_equals_reference(shape, normal, agree):
    logits = 5 * normal(*shape)
    targets = np.arange(shape[0]) * 7 % shape[1]
    targets[1::3] = -100
    _, logsumexp = agree(cross_entropy_forward, logits, targets, -100)
    agree(cross_entropy_backward, normal(shape[0]), logits, targets, logsumexp, -100)


@pytest.mark.parametrize("shape", [(1, 1), (5, 33), (64, 257), (3, 6400)])
def test_losses_and_gradient_in_one_pass(shape, normal):
    logits, grad = 5 * normal(*shape), normal(shape[0])
    targets = np.arange(shape[0]) * 7 % shape[1]
    targets[1::3] = -100
    losses, logsumexp = cross_entropy_forward.reference(logits, targets, -100)
    wanted = cross_entropy_backward.reference(grad, logits, targets, logsumexp, -100)

    def both(logits, grad):
        losses, logsumexp = cross_entropy_forward.reference(logits, targets, -100)
        return losses, cross_entropy_backward.reference(grad, logits, targets, logsumexp, -100)

    of_losses, of_gradient = agreement.sensitivity(both, logits, grad)
    for implementation in (cross_entropy_gradient.compiled, cross_entropy_gradient.reference):
        overwritten = logits.copy()
        agreement.assert_near(implementation(overwritten, targets, grad, -100), losses, of_losses)
        agreement.assert_near(overwritten, wanted, of_gradient)
    with pytest.raises(ValueError, match="in place"):
        cross_entropy_gradient(np.asfortranarray(normal(2, 3)), np.array([0, 1]), np.ones(2, logits.dtype), -100)


def test_ignored_rows_and_huge_logits(dtype):
    logits = np.array([[1e4, 0, -1e4], [0, 0, 0]], dtype)
    targets = np.array([0, -1])
    losses, logsumexp = cross_entropy_forward(logits, targets, -1)
    np.testing.assert_array_equal(losses, [0, 0])
    grad = cross_entropy_backward(np.ones(2, dtype), logits, targets, logsumexp, -1)
    np.testing.assert_array_equal(grad, np.zeros_like(logits))


def test_gradient_is_that_of_forward(slope):
    rng = np.random.default_rng(4)
    logits, grad, targets = rng.standard_normal((3, 5)), rng.standard_normal(3), np.array([4, -100, 0])
    _, logsumexp = cross_entropy_forward(logits, targets, -100)
    got = cross_entropy_backward(grad, logits, targets, logsumexp, -100)
    expected = slope(lambda a: float((cross_entropy_forward(a, targets, -100)[0] * grad).sum()), logits)
    np.testing.assert_allclose(got, expected, atol=1e-8)


def test_bad_target_and_nan(dtype):
    logits = np.zeros((2, 3), dtype)
    with pytest.raises(ValueError, match=r"0\.\.2"):
        cross_entropy_forward(logits, np.array([0, 3]), -100)
    logits[1, 2] = np.nan
    losses, _ = cross_entropy_forward(logits, np.array([0, 1]), -100)
    assert np.isfinite(losses[0]) and np.isnan(losses[1])


def refusals(dtype):
    """(logits, targets, complaint) that none of the three kernels takes."""
    logits = np.zeros((2, 3), dtype)
    return [
        (np.zeros(3, dtype), np.zeros(3, np.int64), r"expected \(N, V\) and \(N,\)"),
        (np.zeros((2, 1, 3), dtype), np.zeros(2, np.int64), r"expected \(N, V\)"),
        (np.zeros((2, 0), dtype), np.full(2, -100), r"expected \(N, V\)"),
        (logits, np.zeros(3, np.int64), r"expected \(N, V\)"),
        (logits, np.zeros((2, 1), np.int64), r"expected \(N, V\)"),
        (logits, np.array([0, 3]), r"must lie in 0\.\.2 or be -100"),
        (logits, np.array([-1, 0]), r"must lie in 0\.\.2 or be -100"),
    ]


def test_what_does_not_fit_is_refused_by_all_three(dtype):
    for logits, targets, complaint in refusals(dtype):
        ones = np.ones(targets.shape, dtype)
        with pytest.raises(ValueError, match=complaint):
            cross_entropy_forward(logits, targets, -100)
        with pytest.raises(ValueError, match=complaint):
            cross_entropy_backward(ones, logits, targets, ones, -100)
        with pytest.raises(ValueError, match=complaint):
            cross_entropy_gradient(logits, targets, ones, -100)


def test_gradients_of_another_length_and_logits_that_cannot_be_written_are_refused(dtype):
    logits, targets, two, three = np.zeros((2, 3), dtype), np.array([0, 2]), np.ones(2, dtype), np.ones(3, dtype)
    for grad, logsumexp in ((three, two), (two, three), (three, three)):
        with pytest.raises(ValueError, match="one gradient and logsumexp a row"):
            cross_entropy_backward(grad, logits, targets, logsumexp, -100)
    with pytest.raises(ValueError, match="one gradient a row"):
        cross_entropy_gradient(logits, targets, three, -100)
    logits.flags.writeable = False
    with pytest.raises(ValueError, match="in place"):
        cross_entropy_gradient(logits, targets, two, -100)


def test_rows_that_are_all_ignored_are_no_mistake(dtype):
    losses, _ = cross_entropy_forward(np.zeros((2, 3), dtype), np.full(2, -100), -100)
    assert losses.tolist() == [0, 0]

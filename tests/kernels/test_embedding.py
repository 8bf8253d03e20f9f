import numpy as np
import pytest

from scratchgpt.kernels import embedding_backward


@pytest.mark.parametrize(("rows", "channels", "vocabulary"), [(1, 1, 1), (7, 63, 3), (300, 130, 50), (0, 4, 2)])
def test_equals_reference(rows, channels, vocabulary, normal, agree):
    ids = np.random.default_rng(5).integers(0, vocabulary, rows)
    agree(embedding_backward, normal(rows, channels), ids, vocabulary)


def test_id_outside_is_refused(normal):
    for ids in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match=r"ids must lie in 0\.\.2"):
            embedding_backward(normal(2, 4), np.array(ids), 3)


def test_shapes_that_do_not_fit_are_refused(normal):
    for grad, ids in ((normal(2, 4), [0, 1, 2]), (normal(4), [0, 1, 2, 0]), (normal(2, 2, 4), [0, 1]), (normal(2, 4), [[0, 1]])):
        with pytest.raises(ValueError, match=r"embedding: grad .* and ids"):
            embedding_backward(grad, np.array(ids), 3)

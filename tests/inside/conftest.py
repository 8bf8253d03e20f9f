"""What several tests of the room share: the same check on the compiled kernels and on their references."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scratchgpt import kernels


@pytest.fixture(params=["numba", "numpy"])
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    before = kernels.backend()
    kernels.use(request.param)
    yield
    kernels.use(before)

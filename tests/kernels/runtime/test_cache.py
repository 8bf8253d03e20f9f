"""What Numba keeps on disk, and what happens where it cannot or where it is damaged."""

import numba

from scratchgpt.kernels.runtime import cache


def test_a_function_that_cannot_be_kept_is_compiled_all_the_same_and_that_is_known(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_kept", True)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))

    @cache.cached
    @numba.njit
    def double(x):
        return 2 * x

    assert cache.is_kept() and double(2) == 4 and list((tmp_path / "cache").rglob("*.nbi"))

    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])

    @cache.cached
    @numba.njit
    def triple(x):
        return 3 * x

    assert not cache.is_kept() and triple(2) == 6

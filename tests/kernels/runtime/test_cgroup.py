"""The CPU quota and the memory limit of a container, in both versions of Linux's control groups."""

import pytest

from scratchgpt.kernels.runtime import cgroup, threads


@pytest.fixture
def linux(monkeypatch, tmp_path):
    """linux(membership, files): a system whose /proc/self/cgroup and /sys/fs/cgroup say this."""

    def build(membership, files):
        (tmp_path / "cgroup").write_text(membership)
        for name, content in files.items():
            path = tmp_path / "mount" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "cgroup")
        monkeypatch.setattr(cgroup, "MOUNT", tmp_path / "mount")

    return build


V1 = "cpu.cfs_quota_us", "cpu.cfs_period_us"
CASES = {
    "version 2": ("0::/\n", {"cpu.max": "200000 100000"}, 2),
    "no limit": ("0::/\n", {"cpu.max": "max 100000"}, None),
    "part of a CPU": ("0::/\n", {"cpu.max": "20000 100000"}, 1),
    "rounded up": ("0::/\n", {"cpu.max": "150000 100000"}, 2),
    "another period": ("0::/\n", {"cpu.max": "30000 10000"}, 3),
    "the group itself": ("0::/a/b\n", {"a/b/cpu.max": "100000 100000", "a/cpu.max": "max 100000"}, 1),
    "a group around it": ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, 2),
    "a group beside it": ("0::/a/b\n", {"a/c/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, None),
    "a path of the host's": ("0::/docker/123\n", {"cpu.max": "100000 100000"}, 1),
    "a path above the namespace": ("0::/../../a\n", {"a/cpu.max": "100000 100000"}, 1),
    "version 1": ("4:cpu,cpuacct:/a\n0::/\n", {f"cpu,cpuacct/a/{V1[0]}": 250000, f"cpu,cpuacct/a/{V1[1]}": 100000}, 3),
    "version 1 by its short name": ("4:cpuacct,cpu:/\n", {f"cpu/{V1[0]}": 100000, f"cpu/{V1[1]}": 100000}, 1),
    "version 1 without a limit": ("1:cpu:/\n", {f"cpu/{V1[0]}": -1, f"cpu/{V1[1]}": 100000}, None),
    "another controller": ("3:cpuset:/a\n", {f"cpuset/a/{V1[0]}": 100000, f"cpuset/a/{V1[1]}": 100000}, None),
    "both versions": ("1:memory:/\n0::/a\n", {"unified/a/cpu.max": "100000 100000"}, 1),
    "a colon in a path": ("0::/a:b\n", {"a:b/cpu.max": "100000 100000"}, 1),
    "nonsense": ("0::/\n", {"cpu.max": "many"}, None),
    "nonsense in the list": ("nothing\n", {"cpu.max": "100000 100000"}, None),
    "a period of nothing": ("0::/\n", {"cpu.max": "100000 0"}, None),
}


@pytest.mark.parametrize(("membership", "files", "quota"), CASES.values(), ids=CASES)
def test_the_quota_is_the_least_of_all_groups(linux, membership, files, quota):
    linux(membership, files)
    assert cgroup.cpu_quota() == quota


MEMORY = {
    "version 2": ("0::/\n", {"memory.max": 1 << 30}, 1 << 30),
    "no limit": ("0::/\n", {"memory.max": "max"}, None),
    "a group around it": ("0::/a/b\n", {"a/b/memory.max": 3000, "a/memory.max": 2000}, 2000),
    "version 1": ("4:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": 4096}, 4096),
    "version 1 without a limit": ("4:memory:/\n", {"memory/memory.limit_in_bytes": 9223372036854771712}, None),
    "another controller": ("4:cpu:/a\n", {"cpu/a/memory.limit_in_bytes": 4096}, None),
    "nonsense": ("0::/\n", {"memory.max": "much"}, None),
}


@pytest.mark.parametrize(("membership", "files", "limit"), MEMORY.values(), ids=MEMORY)
def test_the_memory_limit_is_the_least_of_all_groups(linux, membership, files, limit):
    linux(membership, files)
    assert cgroup.memory_limit() == limit


def test_another_system_has_none(monkeypatch, tmp_path):
    monkeypatch.setattr(cgroup, "MEMBERSHIP", tmp_path / "nothing")
    assert cgroup.cpu_quota() is None
    assert cgroup.memory_limit() is None


def test_a_container_has_as_many_threads_as_its_quota(linux, monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads.numba.config, "NUMBA_NUM_THREADS", 8)
    monkeypatch.setattr(threads, "physical_cores", lambda: 6)
    for limit, default in (("max 100000", 6), ("250000 100000", 3), ("900000 100000", 6), ("1000 100000", 1)):
        linux("0::/\n", {"cpu.max": limit})
        assert threads.default_threads() == default
    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")
    assert threads.default_threads() == 8

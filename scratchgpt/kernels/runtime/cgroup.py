"""What Linux lets this process's control groups use: a container has fewer CPUs and less memory than its host.

A container limited by `--cpus=1.5` may run on every CPU of the host, but altogether for no more than 1.5 seconds a
second: more threads than that are stopped in the middle of every period. One limited by `--memory=2g` sees all of the
host's memory, and is killed without a word when it has used 2 GiB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
"""In which groups this process is: a line `number:controllers:/path` for each hierarchy; no controllers: version 2."""

MOUNT = Path("/sys/fs/cgroup")
"""Where the hierarchies lie."""


NO_LIMIT = 1 << 60
"""Bytes from which on a limit is none: version 1 writes the largest multiple of a page that it can count to."""


def _groups(wanted: str) -> Iterator[Path]:
    """The folders that may limit what a controller shares out to this process, "cpu" or "memory": its groups, and all
    groups around them, of both versions.

    Inside a container a path may be the host's, which is not to be seen there; what is, is the container's own group,
    at the top."""
    for line in MEMBERSHIP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and wanted not in controllers.split(","):
            continue
        inner = Path(*(part for part in path.split("/") if part not in ("", "..")))
        for hierarchy in (controllers, wanted) if controllers else ("", "unified"):
            yield from (MOUNT / hierarchy / group for group in (inner, *inner.parents))


def _quota(group: Path) -> float:
    """The CPUs that one group may use; infinity where it says nothing, or nothing that can be read."""
    try:
        if (limit := group / "cpu.max").is_file():  # version 2: "50000 100000" or "max 100000"
            quota, period = limit.read_text().split()
        else:  # version 1: two files; no limit is -1
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def cpu_quota() -> int | None:
    """The CPUs that this process's groups may use altogether, rounded up; None where there is no limit."""
    try:
        least = min(map(_quota, _groups("cpu")), default=math.inf)
    except (OSError, ValueError):  # another system, or no /proc
        return None
    return None if least == math.inf else math.ceil(least)


def _most_memory(group: Path) -> float:
    """The bytes that one group may use; infinity where it says nothing, or nothing that can be read."""
    try:
        limit = group / "memory.max"  # version 2: a number or "max"
        if not limit.is_file():
            limit = group / "memory.limit_in_bytes"  # version 1
        most = int(limit.read_text())
        return most if most < NO_LIMIT else math.inf
    except (OSError, ValueError):
        return math.inf


def memory_limit() -> int | None:
    """The bytes that this process's groups may use altogether; None where there is no limit."""
    try:
        least = min(map(_most_memory, _groups("memory")), default=math.inf)
    except (OSError, ValueError):  # another system, or no /proc
        return None
    return None if least == math.inf else int(least)

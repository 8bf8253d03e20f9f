"""What Linux lets this process's control groups use: a container has fewer CPUs than its host.

A container limited by `--cpus=1.5` may run on every CPU of the host, but altogether for no more than 1.5 seconds a
second: more threads than that are stopped in the middle of every period.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
"""In which groups this process is: a line `number:controllers:/path` for each hierarchy; no controllers: version 2."""

MOUNT = Path("/sys/fs/cgroup")
"""Where the hierarchies lie."""


def _groups() -> Iterator[Path]:
    """The folders that may limit this process's CPUs: its groups, and all groups around them, of both versions.

    Inside a container a path may be the host's, which is not to be seen there; what is, is the container's own group,
    at the top."""
    for line in MEMBERSHIP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        inner = Path(*(part for part in path.split("/") if part not in ("", "..")))
        for hierarchy in (controllers, "cpu") if controllers else ("", "unified"):
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
        least = min(map(_quota, _groups()), default=math.inf)
    except (OSError, ValueError):  # another system, or no /proc
        return None
    return None if least == math.inf else math.ceil(least)

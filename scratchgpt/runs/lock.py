"""One run at a time writes to a folder.

The lock is the operating system's, on ``<out>/run.lock``: it ends with the process that holds it, however that ends.
So a file that a killed run left is no obstacle, whatever process has its number by now.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from scratchgpt.errors import UserError
from scratchgpt.training.checkpoints import full_disk_is_a_user_error

LOCK_FILE = "run.lock"
FAR_OFF = 1 << 20
"""The byte that Windows locks: what it locks, nobody else can read."""


@contextlib.contextmanager
def only_run_at(out: Path) -> Iterator[None]:
    """Hold the folder for this run while the block lasts.

    Args:
        out: the folder; made if it is not there.

    Raises:
        UserError: if another run holds it, naming its process; or if the folder may not be written.
    """
    path = out / LOCK_FILE
    with full_disk_is_a_user_error(path):
        out.mkdir(parents=True, exist_ok=True)
        descriptor = _opened_and_locked(path)
    try:
        with full_disk_is_a_user_error(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        yield
    finally:
        try:
            path.unlink()
        except OSError:  # where an open file cannot be removed, it stays, and does no harm
            pass
        finally:
            os.close(descriptor)


def _opened_and_locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, path)
            if _lies_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it between our opening and our locking it: open the next one


def _lock(descriptor: int, path: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, FAR_OFF, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}:
            return  # a file system without locks: better one run without one than none at all
        raise UserError(
            f"{path.parent}: another run{_holder(path)} is writing there; wait for it, end it, or name another --out"
        ) from None


def _holder(path: Path) -> str:
    """Whose lock it is, in words; empty where that cannot be read."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {holder['pid']} on {holder['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _lies_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one that lies there."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False

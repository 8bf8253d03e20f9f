"""Files and folders that are the old ones or the new ones, whatever ends the program or the power in between.

A file is written beside its place, flushed to the disk, then renamed; after that the folder is flushed, which is where
the new name stands. Without the first flush a power cut can leave the new name on an empty file, without the second
the old name is still there after whoever wrote has told others that it is not.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Replace a file in one step.

    Yields:
        A path beside it to write to; what is written takes the place of ``path`` if the block succeeds.

    Raises:
        OSError: if the disk is full or may not be written; ``path`` is unchanged then.
    """
    fresh = path.with_name(path.name + ".writing")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield fresh
        sync(fresh)
        os.replace(fresh, path)
        sync(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step: UTF-8, a line ends with "\\n" on every platform.

    A lone surrogate, which UTF-8 has no bytes for, is written as Python's escape of it, which is JSON's too.

    Raises:
        OSError: if the disk is full or may not be written; the file is unchanged then.
    """
    with replacing_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def previous(directory: Path) -> Path:
    """Where :func:`replacing_directory` puts the old directory for the moment between its two renames."""
    return directory.with_name(directory.name + ".previous")


@contextmanager
def replacing_directory(directory: Path) -> Iterator[Path]:
    """Replace a directory as a whole: it appears filled or not at all.

    No system renames one directory over another that is filled: the old one steps aside first. A program that is
    ended between the two renames leaves it there, see :func:`previous`.

    Yields:
        An empty directory to fill; it takes the place of ``directory`` if the block succeeds.

    Raises:
        OSError: if the disk is full or may not be written; ``directory`` is unchanged then.
    """
    fresh, aside = directory.with_name(directory.name + ".writing"), previous(directory)
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        for path in [*fresh.rglob("*"), fresh]:
            sync(path)
        if directory.exists():
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(directory, aside)
        os.rename(fresh, directory)
        sync(directory.parent)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk.

    Raises:
        OSError: if the disk could not take it.
    """
    windows = os.name == "nt"
    if path.is_dir() and windows:  # a folder cannot be opened there; its names are kept by the journal
        return
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)  # Windows flushes only what it may write
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in {errno.EINVAL, errno.ENOTSUP}):  # not every file system can
            raise
    finally:
        os.close(descriptor)

"""Files as bytes, unpacked where they are packed: .gz, .xz, .bz2 and .zst."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from scratchgpt.errors import UserError

LARGEST = 2 * 1024**3
"""Bytes that one file may hold, unpacked: a few kilobytes of a packed file can become more than there is memory."""
MAGIC = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\x00": ".xz", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst"}
"""What a packed file begins with, and the ending of its name."""


def content_suffix(path: Path) -> str:
    """The ending of the name in small letters, without that of the packing: ".jsonl" for a.JSONL.gz; "" if none."""
    inner = path.with_suffix("") if path.suffix.lower() in MAGIC.values() else path
    return inner.suffix.lower()


def read_bytes(path: Path) -> bytes:
    """What a file holds, unpacked if it is packed.

    Args:
        path: of the file. Its first bytes say how it is packed, and its name must not say otherwise.

    Raises:
        UserError: if it cannot be read, is damaged, holds more than ``LARGEST`` bytes, or needs a library that is not
            installed.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(max(map(len, MAGIC)))
            file.seek(0)
            packing = next((suffix for magic, suffix in MAGIC.items() if beginning.startswith(magic)), None)
            if path.suffix.lower() in MAGIC.values() and path.suffix.lower() != packing:
                raise UserError(
                    f"{path}: holds no {path.suffix.lower()} data, whatever its name says; unpack it yourself"
                )
            content = _all_of(file if packing is None else _opener(packing, path)(file), path)
    except OSError as error:  # a damaged .gz or .bz2 is one too, without a number
        if error.errno is None:
            raise _damaged(path, error) from None
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    return content


def _all_of(file: BinaryIO, path: Path) -> bytes:
    """What is left of the file, piece by piece: a packed one gives what is asked for, however much follows."""
    pieces, size = [], 0
    while piece := file.read(1 << 18):
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST:
            raise UserError(f"{path}: holds more than {LARGEST:,} bytes; split it into smaller files")
    return b"".join(pieces)


def _opener(packing: str, path: Path) -> Callable[[Any], Any]:
    if packing != ".zst":
        openers: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
        return openers[packing]
    zstd = _zstd()
    if zstd is None:
        raise UserError(f"{path}: .zst needs a library; install it with: pip install 'scratchgpt[files]'")
    return zstd.open


def _zstd() -> Any:
    """The module for .zst: Python's own from 3.14 on, before that the same code as a package; None if not there."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_DAMAGE: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError)
if (_module := _zstd()) is not None:
    _DAMAGE += (_module.ZstdError,)


def _damaged(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"{path}: cannot be unpacked, it is damaged or cut off ({reason}); copy or download it again")

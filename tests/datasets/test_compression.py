"""Packed files: each kind is unpacked, and what is damaged, cut off or far too large is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchgpt.datasets import compression
from scratchgpt.datasets.compression import content_suffix, read_bytes
from scratchgpt.errors import UserError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONTENT = "一行字\n".encode() * 5000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}


@pytest.mark.parametrize("suffix", PACKERS)
def test_each_packing_is_opened_also_in_several_parts_and_under_another_name(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix](CONTENT)
    for name, data, content in (("a.txt", packed, CONTENT), (f"A.TXT{suffix.upper()}", packed * 2, CONTENT * 2)):
        (tmp_path / name).write_bytes(data)
        assert read_bytes(tmp_path / name) == content


@pytest.mark.parametrize("suffix", PACKERS)
def test_what_is_cut_off_or_damaged_is_refused(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix](bytes(i * i % 251 for i in range(5000)))
    middle = len(packed) // 2
    damaged = packed[:middle] + bytes(255 - byte for byte in packed[middle : middle + 20]) + packed[middle + 20 :]
    for data in (packed[:-9], damaged):
        (tmp_path / f"a{suffix}").write_bytes(data)
        with pytest.raises(UserError, match=r"a\.\w+: cannot be unpacked") as caught:
            read_bytes(tmp_path / f"a{suffix}")
        assert "\n" not in str(caught.value)
    (tmp_path / f"a{suffix}").write_bytes(b"not packed at all")
    with pytest.raises(UserError, match=f"holds no {suffix} data"):
        read_bytes(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_file_that_unpacks_to_far_too_much_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(PACKERS[suffix](bytes(24_000_000)))
    monkeypatch.setattr(compression, "LARGEST", 100_000)
    tracemalloc.start()
    with pytest.raises(UserError, match="more than 100,000 bytes"):
        read_bytes(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000  # the dictionary of .xz takes 8 million


def test_without_its_library_a_zst_file_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zst"
    path.write_bytes(zstd.compress(CONTENT))
    monkeypatch.setitem(sys.modules, "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", None)
    with pytest.raises(UserError, match=r"pip install 'scratchgpt\[files\]'"):
        read_bytes(path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read .No such file"):
        read_bytes(tmp_path / "a.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_bytes(tmp_path)


def test_the_kind_of_a_file_is_its_inner_ending() -> None:
    names = {"a.TXT": ".txt", "b.JsonL.GZ": ".jsonl", "c.zst": "", "d.tar.xz": ".tar", "README": ""}
    assert {name: content_suffix(Path(name)) for name in names} == names

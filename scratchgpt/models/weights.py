"""Weights on disk: ``model.safetensors``, or the shards that ``model.safetensors.index.json`` lists.

What a file holds is known from its header, before any of it is read: a name, a shape and a number format each.
"""

from __future__ import annotations

import json
import math
import os
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from scratchgpt.errors import UserError
from scratchgpt.models.huggingface import CONFIG_FILE, WEIGHTS_FILE, read_json_object

INDEX_FILE = "model.safetensors.index.json"
NAMED = 5
"""How many arrays an error names at most."""

# bfloat16 is the upper half of a float32, and NumPy knows only its bits
_FORMATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class StoredArray:
    """One array of a safetensors file, not read yet.

    Attributes:
        path: the file.
        name: what the file calls it.
        shape: its shape.
        format: how its numbers are stored, in the words of safetensors: ``F32``, ``BF16``, ``I8``.
        offset: where it begins, in bytes from the beginning of the file.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    format: str
    offset: int

    def read(self) -> np.ndarray:
        """The array; 16-bit floats come as float32, which holds every one of them exactly.

        Raises:
            UserError: if its numbers are no floats of 16, 32 or 64 bits.
        """
        if self.format not in _FORMATS:
            known = ", ".join(_FORMATS)
            raise UserError(
                f"{self.path}: {self.name!r} is stored as {self.format}; weights are read from {known} only, "
                "convert the checkpoint to one of them"
            )
        dtype = np.dtype(_FORMATS[self.format])
        stored: np.ndarray = np.fromfile(self.path, dtype, math.prod(self.shape), offset=self.offset)
        if self.format == "BF16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        elif self.format == "F16":
            stored = stored.astype(np.float32)
        return stored.reshape(self.shape)


def stored_arrays(directory: str | Path) -> dict[str, StoredArray]:
    """All arrays of a directory's weights, by name, from one file or from shards.

    Raises:
        UserError: if there are no weights, or a file of them is missing or damaged.
    """
    directory = Path(directory)
    if (directory / WEIGHTS_FILE).is_file():
        return _arrays_of_file(directory / WEIGHTS_FILE)
    if (directory / INDEX_FILE).is_file():
        return _arrays_of_shards(directory / INDEX_FILE)
    raise UserError(f"{directory}: no weights here (there is neither {WEIGHTS_FILE} nor {INDEX_FILE})")


def read_arrays(stored: Mapping[str, StoredArray]) -> dict[str, np.ndarray]:
    """Read all of them.

    Raises:
        UserError: naming the one whose numbers are of another format than is read here.
    """
    return {name: array.read() for name, array in stored.items()}


def require_fit(
    stored: Mapping[str, StoredArray], wanted: Iterable[tuple[str, tuple[int, ...]]], directory: str | Path
) -> None:
    """See that a file holds a model's parameters, before the model is made or anything of the file is read.

    Args:
        stored: what the file holds, under the names of the model's parameters.
        wanted: name and shape of every parameter; asked for one at a time, and no further than it takes to refuse,
            so that a config of any size costs no more than the file it lies beside.
        directory: where the file lies, for the message.

    Raises:
        UserError: naming the arrays that are missing, unexpected or of another shape.
    """
    missing: list[str] = []
    unexpected = dict.fromkeys(stored)
    for name, shape in wanted:
        if name not in stored:
            missing.append(name)
        elif stored[name].shape != shape:
            raise UserError(
                f"{directory}: the weights do not fit {CONFIG_FILE}: {name} is {stored[name].shape}, "
                f"the model wants {shape}"
            )
        unexpected.pop(name, None)
        if len(missing) == NAMED:
            break
    if missing:
        raise UserError(f"{directory}: the weights do not fit {CONFIG_FILE}: missing {missing}")
    if unexpected:
        raise UserError(f"{directory}: the weights do not fit {CONFIG_FILE}: unexpected {list(unexpected)[:NAMED]}")


def save_weights(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Write arrays as safetensors, marked as PyTorch's so that ``transformers`` takes them."""
    save_arrays(path, state, {"format": "pt"})


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write a safetensors file that whoever the umask allows may read, as they may every other file.

    safetensors makes it readable by its owner alone (mode 0600), whatever the umask says. A file that is replaced
    keeps its mode.
    """
    mode, is_new = _mode_of_file(path)
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # it does not see strides
    try:
        safetensors.numpy.save_file(contiguous, path, metadata)
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise
    path.chmod(mode)


def _mode_of_file(path: Path) -> tuple[int, bool]:
    """The mode of a file, which is made if there is none, and whether it was: so the umask is asked, not changed."""
    is_new = not path.exists()
    path.touch()
    return stat.S_IMODE(path.stat().st_mode), is_new


def _arrays_of_file(path: Path) -> dict[str, StoredArray]:
    try:
        # refuses a file whose header and length do not agree; it cannot give bfloat16 to NumPy
        with safetensors.safe_open(path, framework="numpy"), path.open("rb") as file:
            (header_size,) = struct.unpack("<Q", file.read(8))
            header: dict[str, Any] = json.loads(file.read(header_size))
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: damaged weights file ({error})") from None
    header.pop("__metadata__", None)
    return {
        name: StoredArray(path, name, tuple(e["shape"]), e["dtype"], 8 + header_size + e["data_offsets"][0])
        for name, e in header.items()
    }


def _arrays_of_shards(index: Path) -> dict[str, StoredArray]:
    weight_map = read_json_object(index, "an index of weights").get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise UserError(f"{index}: not an index of weights (it has no 'weight_map' from names to files)")
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        if shard in {"", ".", ".."} or any(character in shard for character in "/\\:\0"):
            raise UserError(f"{index}: {shard!r} is no name of a file in this folder")
    arrays: dict[str, StoredArray] = {}
    for shard in shards:
        path = index.with_name(shard)
        if not os.path.isfile(path):  # Path.is_file raises if the name is too long
            raise UserError(f"{index}: the shard {shard!r} is missing; fetch the checkpoint again")
        found = _arrays_of_file(path)
        listed = {name for name, place in weight_map.items() if place == shard}
        if odd := sorted(listed ^ found.keys()):
            raise UserError(f"{path}: index and shard do not agree about {odd[:NAMED]}; fetch the checkpoint again")
        arrays |= found
    return arrays

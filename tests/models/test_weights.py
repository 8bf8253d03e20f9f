"""Weights as other people store them: in half the bits, in shards, or in formats that are refused by name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from scratchgpt.autograd import no_grad
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.models.weights import INDEX_FILE, read_arrays, save_arrays, stored_arrays

CONFIG = GPTConfig(vocab_size=97, emb_dim=48, num_heads=3, num_layers=2, context_size=40, dropout=0.1)
IDS = np.random.default_rng(1).integers(0, 97, (3, 37))
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def write_arrays(path: Path, arrays: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """A safetensors file of any number formats: name -> (format, shape, bytes)."""
    header, data = {}, b""
    for name, (number_format, shape, content) in arrays.items():
        header[name] = {"dtype": number_format, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A directory whose weights lie in two shards."""
    model = GPT(CONFIG, seed=3)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    state = model.state_dict()
    places = {name: (FIRST, SECOND)[i % 2] for i, name in enumerate(state)}
    for shard in (FIRST, SECOND):
        safetensors.numpy.save_file({n: a for n, a in state.items() if places[n] == shard}, tmp_path / shard)
    (tmp_path / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return tmp_path


def change_index(directory: Path, **places: str | None) -> None:
    """Write other places into the index; None takes the name out."""
    index = json.loads((directory / INDEX_FILE).read_text())
    changed = {**index["weight_map"], **{name.replace("__", "."): place for name, place in places.items()}}
    index["weight_map"] = {name: place for name, place in changed.items() if place is not None}
    (directory / INDEX_FILE).write_text(json.dumps(index))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("shard_size", ["1GB", "50KB"])
def test_what_transformers_saves_in_any_float_and_in_shards_gives_its_logits(
    dtype: str, shard_size: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 97, "n_embd": 48, "n_head": 3, "n_layer": 2, "n_positions": 40}
    config = transformers.GPT2Config(**sizes, initializer_range=0.2, bos_token_id=2, eos_token_id=3)
    theirs = transformers.GPT2LMHeadModel(config).to(getattr(torch, dtype))
    theirs.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (tmp_path / INDEX_FILE).is_file() == (shard_size == "50KB")
    with torch.no_grad(), no_grad():
        expected = theirs.float().eval()(torch.from_numpy(IDS)).logits.numpy()
        np.testing.assert_allclose(GPT.from_pretrained(tmp_path)(IDS)[0].data, expected, atol=1e-4)


def test_every_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    bits = np.arange(2**16, dtype=np.uint16)
    write_arrays(tmp_path / "model.safetensors", {"all": ("BF16", (256, 256), bits.tobytes())})
    found = read_arrays(stored_arrays(tmp_path))["all"]
    expected = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).float().numpy().reshape(256, 256)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)  # NaN equals NaN here


@pytest.mark.parametrize("number_format", ["F8_E4M3", "F8_E5M2", "I32", "I64", "I8", "U8", "BOOL"])
@pytest.mark.parametrize("load", [GPT.from_pretrained, RewardModel.from_pretrained])
def test_numbers_that_are_no_such_floats_are_refused_by_name(number_format: str, load, tmp_path: Path) -> None:
    model = GPT(CONFIG)
    model.save_pretrained(tmp_path)
    width = {"I32": 4, "I64": 8}.get(number_format, 1)
    arrays = {n: ("F32", a.shape, a.tobytes()) for n, a in model.state_dict().items()}
    arrays["transformer.ln_f.bias"] = (number_format, (48,), bytes(48 * width))
    write_arrays(tmp_path / "model.safetensors", arrays)
    message = f"model.safetensors: 'transformer.ln_f.bias' is stored as {number_format}; weights are read from F64, F32"
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_a_mask_that_is_no_weight_may_be_of_any_format(tmp_path: Path) -> None:
    model = GPT(CONFIG)
    model.save_pretrained(tmp_path)
    arrays = {n: ("F32", a.shape, a.tobytes()) for n, a in model.state_dict().items()}
    arrays["transformer.h.0.attn.bias"] = ("BOOL", (1, 1, 40, 40), bytes(1600))
    write_arrays(tmp_path / "model.safetensors", arrays)
    np.testing.assert_array_equal(GPT.from_pretrained(tmp_path).state_dict()["transformer.wte.weight"],
                                  model.state_dict()["transformer.wte.weight"])  # fmt: skip


@pytest.mark.parametrize("load", [GPT.from_pretrained, RewardModel.from_pretrained])
def test_shards_load(sharded: Path, load) -> None:
    found = load(sharded).state_dict()
    for name, array in GPT(CONFIG, seed=3).state_dict().items():
        np.testing.assert_array_equal(found[name], array)


def test_a_missing_shard_is_named(sharded: Path) -> None:
    (sharded / SECOND).unlink()
    with pytest.raises(UserError, match=f"{INDEX_FILE}: the shard '{SECOND}' is missing"):
        GPT.from_pretrained(sharded)


@pytest.mark.parametrize("place", [SECOND, None])
def test_an_array_that_is_not_where_the_index_says_is_named(sharded: Path, place: str | None) -> None:
    change_index(sharded, transformer__wte__weight=place)
    with pytest.raises(UserError, match=r"index and shard do not agree about \['transformer.wte.weight'\]"):
        GPT.from_pretrained(sharded)


@pytest.mark.parametrize("place", ["../a.safetensors", "/etc/passwd", "..", ".", "", "sub/a", "..\\a", "C:a", "a\0"])
def test_an_index_does_not_lead_out_of_its_folder(sharded: Path, place: str) -> None:
    (sharded.parent / "a.safetensors").write_bytes((sharded / FIRST).read_bytes())
    change_index(sharded, transformer__wte__weight=place)
    with pytest.raises(UserError, match="is no name of a file in this folder"):
        GPT.from_pretrained(sharded)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "[" * 100_000])
def test_an_index_that_is_none_is_refused(sharded: Path, content: str) -> None:
    (sharded / INDEX_FILE).write_text(content)
    with pytest.raises(UserError, match=f"{INDEX_FILE}: not an index of weights") as caught:
        GPT.from_pretrained(sharded)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
@pytest.mark.parametrize("kind", [GPT, RewardModel])
def test_files_get_the_mode_that_the_umask_says(kind, umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        kind(CONFIG).save_pretrained(tmp_path)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}
        (tmp_path / "model.safetensors").chmod(0o604)  # the owner's word counts when it is written again
        kind(CONFIG).save_pretrained(tmp_path)
        assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(before)


def test_a_failed_save_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "some.safetensors"
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(safetensors.numpy, "save_file", full)
        save_arrays(path, {}, {})
    assert not path.exists()
    save_arrays(path, {"a": np.arange(6.0).reshape(2, 3).T}, {})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(safetensors.numpy, "save_file", full)
        save_arrays(path, {}, {})
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["a"], [[0, 3], [1, 4], [2, 5]])

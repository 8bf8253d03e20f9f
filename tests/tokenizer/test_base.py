"""What all tokenizers share: decoding, the two files on disk, and what is said of a file that is none."""

import json
from pathlib import Path

import numpy as np
import pytest

from scratchgpt.errors import UserError
from scratchgpt.tokenizer import CHAT_TEMPLATE, SPECIAL_TOKENS, BPETokenizer, CharTokenizer, load_tokenizer
from scratchgpt.tokenizer.base import ids_in_order
from tests.tokenizer.texts import OWN_TEXT

# --- decoding ---


def test_half_a_character_decodes_to_the_replacement_character(tokenizer: BPETokenizer) -> None:
    ids = tokenizer.encode_bytes("好".encode()[:2])
    assert tokenizer.decode(ids) == "\ufffd"
    assert tokenizer.decode_bytes(ids) == "好".encode()[:2]


def test_special_ids_are_left_out_or_spelled(tokenizer: BPETokenizer) -> None:
    ids = [2, *tokenizer.encode("你好"), 5]
    assert tokenizer.decode(ids) == "你好"
    assert tokenizer.decode(np.array(ids), skip_special_tokens=False) == "<BOS>你好<|im_end|>"
    assert [tokenizer.token_bytes(i).decode() for i in range(6)] == list(SPECIAL_TOKENS)


@pytest.mark.parametrize("ids", [[1000], [-1], [7, 7, 99_999]])
def test_an_unknown_id_is_named(tokenizer: BPETokenizer, ids: list[int]) -> None:
    with pytest.raises(UserError, match=f"unknown token id {ids[-1]}: .*0 to 999"):
        tokenizer.decode(ids)


@pytest.mark.parametrize("kind", [BPETokenizer, CharTokenizer])
def test_without_a_vocabulary_nothing_is_done(kind: type, tmp_path: Path) -> None:
    untrained = kind()
    assert len(untrained) == 0
    for use in (
        lambda: untrained.encode(""),
        lambda: untrained.decode([7]),
        lambda: untrained.token_bytes(0),
        lambda: untrained.save(tmp_path),
    ):
        with pytest.raises(UserError, match=f"this {kind.__name__} has no vocabulary yet: call fit"):
            use()
    assert not list(tmp_path.iterdir())


# --- files ---


@pytest.mark.parametrize("name", ["tokenizer.json", "other.json", "directory"])
def test_save_and_load(tokenizer: BPETokenizer, tmp_path: Path, name: str) -> None:
    tokenizer.save(tmp_path / "new" / name)
    loaded = BPETokenizer.load(tmp_path / "new" / name)
    assert loaded.merges == tokenizer.merges
    assert loaded.vocab_size == 1000
    assert loaded.encode(OWN_TEXT) == tokenizer.encode(OWN_TEXT)
    assert isinstance(load_tokenizer(str(tmp_path / "new" / name)), BPETokenizer)


def test_save_pretrained_writes_what_auto_tokenizer_reads(tokenizer: BPETokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    named = [config[f"{name}_token"] for name in ("pad", "unk", "bos", "eos")] + config["additional_special_tokens"]
    assert named == list(SPECIAL_TOKENS)
    assert config["chat_template"] == CHAT_TEMPLATE
    added = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    assert [(entry["id"], entry["content"], entry["special"]) for entry in added] == [
        (i, token, True) for i, token in enumerate(SPECIAL_TOKENS)
    ]


def test_a_failed_save_keeps_the_old_file(
    tokenizer: BPETokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer.save(tmp_path)
    before = (tmp_path / "tokenizer.json").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UserError, match=r"cannot write the tokenizer .*No space left"):
        tokenizer.save(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for load in (BPETokenizer.load, CharTokenizer.load, load_tokenizer):
        with pytest.raises(UserError, match=r"cannot read the tokenizer .*tokenizer.json: No such file"):
            load(tmp_path)


def test_ids_in_order() -> None:
    assert ids_in_order({"b": 1, "a": 0}) == ["a", "b"]
    for vocab in ({"a": 0, "b": 0}, {"a": 1}, {"a": 0, "b": 2}, {"a": -1, "b": 0}):
        with pytest.raises(ValueError, match="each once"):
            ids_in_order(vocab)


def broken(contents: dict, how: str) -> str:
    model = contents["model"]
    if how == "no JSON":
        return "{"
    if how == "no object":
        return "[]"
    if how == "no model":
        del contents["model"]
    if how == "model a list":
        contents["model"] = []
    if how == "WordPiece":
        model["type"] = "WordPiece"
    if how == "no vocab":
        del model["vocab"]
    if how == "id twice":
        model["vocab"]["!"] = 7
    if how == "ids are text":
        model["vocab"] = {key: str(value) for key, value in model["vocab"].items()}
    if how == "id is true":
        model["vocab"]["<UNK>"] = True
    if how == "id is 1.0":
        model["vocab"]["<UNK>"] = 1.0
    if how == "special missing":
        contents["added_tokens"].pop()
    if how == "special renamed":
        contents["added_tokens"][2]["content"] = "<s>"
    return json.dumps(contents)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("no JSON", "Expecting"),
        ("no object", "no JSON object"),
        ("no model", "no entry 'model'"),
        ("model a list", "list indices"),
        ("WordPiece", "type 'WordPiece'"),
        ("no vocab", "no entry 'vocab'"),
        ("id twice", "ids of its vocab"),
        ("ids are text", "ids of its vocab"),
        ("id is true", "ids of its vocab are not all whole numbers"),
        ("id is 1.0", "ids of its vocab are not all whole numbers"),
        ("special missing", "special tokens are not <PAD>"),
        ("special renamed", "special tokens are not <PAD>"),
    ],
)
def test_a_malformed_file_says_what_and_where(tokenizer: BPETokenizer, tmp_path: Path, how: str, reason: str) -> None:
    file = tmp_path / "tokenizer.json"
    tokenizer.save(file)
    file.write_text(broken(json.loads(file.read_text(encoding="utf-8")), how), encoding="utf-8")
    for load in (BPETokenizer.load, load_tokenizer):
        with pytest.raises(UserError, match=f"malformed tokenizer .*tokenizer.json: .*{reason}") as raised:
            load(file)
        assert "\n" not in str(raised.value)


ODD = [
    None, True, 7, -1, 1.5, 10**400, "x", "\ud800", [], [[]], {}, {"a": 1}, [1, 2], float("nan"), ["a", "b", "c"]
]  # fmt: skip


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Where in a JSON value anything stands; of a long list or object only the ends."""
    members = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    below = [place for key, member in members[:7] + members[-1:] for place in places(member, (*path, key))]
    return [path, *below]


def put(value: object, path: tuple, new: object) -> object:
    """The JSON value with another at a place."""
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


@pytest.mark.parametrize("kind", [BPETokenizer, CharTokenizer])
def test_another_value_anywhere_loads_the_same_or_is_one_line(kind: type, tmp_path: Path) -> None:
    tokenizer = kind(300 if kind is BPETokenizer else None)
    tokenizer.fit([OWN_TEXT])
    whole, refused = tokenizer.contents(), 0
    for place in places(whole):
        for odd in ODD:
            (tmp_path / "tokenizer.json").write_text(json.dumps(put(whole, place, odd)))
            try:
                found = load_tokenizer(tmp_path)
            except UserError as error:
                assert str(error).isprintable() and len(str(error)) < 600
                refused += 1
            else:
                assert found.contents() == whole, (place, odd)
    assert refused > 200


@pytest.mark.parametrize(
    "content", ["[" * 200_000, '{"model":' * 200_000, '{"model": {"type": ' + "9" * 5000 + "}}", '{"a": "\x00"}']
)
def test_deep_nesting_and_long_numbers_are_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    for load in (BPETokenizer.load, CharTokenizer.load, load_tokenizer):
        with pytest.raises(UserError, match="malformed tokenizer") as raised:
            load(tmp_path)
        assert str(raised.value).isprintable()

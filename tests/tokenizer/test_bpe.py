"""BPETokenizer: training and encoding as a user calls them, its part of the file, and parity with transformers."""

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.errors import UserError
from scratchgpt.tokenizer import SPECIAL_TOKENS, BPETokenizer, load_tokenizer
from tests.tokenizer.texts import HARD_CHARACTERS, SEEDED, corpus

# --- training ---


def test_fit_takes_an_iterator_and_replaces_what_it_learned_before() -> None:
    tokenizer = BPETokenizer(263)
    assert tokenizer.vocab_size == 263
    tokenizer.fit(iter(["xx xx"]))
    tokenizer.fit(text for text in ["abab", "ab"])
    assert [tokenizer.token_bytes(262)] == [b"ab"]
    assert tokenizer.merges == [(tokenizer.encode("a")[0], tokenizer.encode("b")[0])]


def test_no_token_is_longer_than_asked() -> None:
    text = "春眠不觉晓处处闻啼鸟" * 50
    free, limited = BPETokenizer(400), BPETokenizer(400, max_token_length=6)
    for tokenizer in (free, limited):
        tokenizer.fit([text])
    assert max(len(free.token_bytes(i)) for i in range(262, free.vocab_size)) == 30 * 50
    assert max(len(limited.token_bytes(i)) for i in range(262, limited.vocab_size)) == 6


def test_a_small_corpus_gives_fewer_ids() -> None:
    tokenizer = BPETokenizer(6400)
    tokenizer.fit("abc")
    assert tokenizer.vocab_size == len(tokenizer) == 264


# --- encoding ---


@SEEDED
@given(st.text())
def test_any_text_survives(tokenizer: BPETokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@SEEDED
@given(st.text(st.characters(codec=None, categories=("Cs", "Lo", "Nd", "Zs"))))
def test_lone_surrogates_survive(tokenizer: BPETokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text


@SEEDED
@given(st.binary())
def test_any_bytes_survive(tokenizer: BPETokenizer, data: bytes) -> None:
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data


@SEEDED
@given(st.text())
def test_bytes_of_a_text_have_the_ids_of_the_text(tokenizer: BPETokenizer, text: str) -> None:
    assert tokenizer.encode_bytes(text.encode()) == tokenizer.encode(text)


def test_encoding_compresses_and_digits_stay_single(tokenizer: BPETokenizer) -> None:
    text = "".join(corpus())
    ids = tokenizer.encode(text)
    assert len(ids) < 0.5 * len(text.encode())
    assert max(ids) == 999
    assert all(len(tokenizer.token_bytes(i)) == 1 for i in tokenizer.encode("1234567890" * 9))


def test_special_spellings_are_plain_text(tokenizer: BPETokenizer) -> None:
    for token in SPECIAL_TOKENS:
        ids = tokenizer.encode(f"前{token}后")
        assert min(ids) >= len(SPECIAL_TOKENS)
        assert tokenizer.decode(ids) == f"前{token}后"


def test_training_text_cannot_make_a_special_spelling_one_token() -> None:
    tokenizer = BPETokenizer(400)
    tokenizer.fit(["".join(SPECIAL_TOKENS) * 50])
    assert all(len(tokenizer.encode(token)) > 1 for token in SPECIAL_TOKENS)


# --- files ---


def test_errors_of_a_user() -> None:
    for size in (0, 261, 2**20 + 1):
        with pytest.raises(UserError, match=f"vocab_size {size} is out of range .* 262"):
            BPETokenizer(size)
    for texts in ([], ["", ""], ""):
        with pytest.raises(UserError, match="empty corpus"):
            BPETokenizer().fit(texts)


def broken(contents: dict, how: str) -> str:
    model = contents["model"]
    if how == "merge of nothing known":
        model["merges"][3] = ["no", "such"]
    if how == "merge of three":
        model["merges"][3] = ["a", "b", "c"]
    if how == "merges swapped":
        model["merges"][0], model["merges"][-1] = model["merges"][-1], model["merges"][0]
    if how == "merge missing":
        model["merges"].pop()
    if how == "merge of a special token":
        last = next(token for token, i in model["vocab"].items() if i == len(model["vocab"]) - 1)
        model["vocab"]["<PAD>!"] = model["vocab"].pop(last)
        model["merges"][-1] = ["<PAD>", "!"]
    if how == "other split":
        contents["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\S+"
    if how == "no pre_tokenizer":
        contents["pre_tokenizer"] = None
    return json.dumps(contents)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("merge of nothing known", "no entry 'no'"),
        ("merge of three", "no pair of tokens"),
        ("merges swapped", "order of the merges"),
        ("merge missing", "order of the merges"),
        ("merge of a special token", "contains a special token"),
        ("other split", "SPLIT_PATTERN"),
        ("no pre_tokenizer", "NoneType"),
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


# --- transformers ---


def spells_no_special_token(text: str) -> bool:
    """transformers turns such spellings in plain text into the special ids; we never do."""
    return not any(token in text for token in SPECIAL_TOKENS)


@pytest.fixture(scope="module")
def peer(tokenizer: BPETokenizer, tmp_path_factory: pytest.TempPathFactory):
    """What transformers makes of the directory, with the model's config beside it as in a checkpoint."""
    transformers = pytest.importorskip("transformers")
    directory = tmp_path_factory.mktemp("checkpoint")
    tokenizer.save_pretrained(directory)
    (directory / "config.json").write_text('{"model_type": "gpt2", "vocab_size": 1000}', encoding="utf-8")
    return transformers.AutoTokenizer.from_pretrained(directory)


def test_transformers_gives_the_same_ids_on_real_text(tokenizer: BPETokenizer, peer) -> None:
    for text in corpus():
        assert peer(text)["input_ids"] == tokenizer.encode(text)


@settings(SEEDED, max_examples=200)
@given(st.one_of(st.text(), st.text(st.sampled_from(HARD_CHARACTERS))).filter(spells_no_special_token))
def test_transformers_gives_the_same_ids_for_any_text(tokenizer: BPETokenizer, peer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert peer(text)["input_ids"] == ids
    assert peer.decode(ids) == text


@SEEDED
@given(st.lists(st.integers(6, 999)))
def test_transformers_decodes_any_ids_alike(tokenizer: BPETokenizer, peer, ids: list[int]) -> None:
    if not any("\ud800" <= character <= "\udfff" for character in tokenizer.decode(ids)):
        assert peer.decode(ids) == tokenizer.decode(ids)


def test_transformers_leaves_spaces_before_punctuation(tokenizer: BPETokenizer, peer) -> None:
    text = "is n't it , is it ?"
    assert peer.decode(tokenizer.encode(text)) == text


def test_transformers_knows_the_special_tokens(peer) -> None:
    assert (peer.pad_token_id, peer.unk_token_id, peer.bos_token_id, peer.eos_token_id) == (0, 1, 2, 3)
    assert peer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(6))
    assert peer.decode([2, 5], skip_special_tokens=True) == ""


def test_merges_that_double_take_no_memory(tmp_path: Path) -> None:
    tokenizer = BPETokenizer(262)
    tokenizer.fit(["a"])
    contents = tokenizer.contents()
    names = ["a", *(f"x{i}" for i in range(60))]
    contents["model"]["vocab"] |= {name: 261 + i for i, name in enumerate(names) if i}
    contents["model"]["merges"] = [[name, name] for name in names[:-1]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(contents))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="order of the merges"):
            load_tokenizer(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()

"""BPETokenizer: round trips, the merges of `tokenizers` one for one, the split, the file, the errors."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchgpt.errors import UserError
from scratchgpt.tokenizer import SPECIAL_TOKENS, BPETokenizer, CharTokenizer, bpe_training, load_tokenizer
from scratchgpt.tokenizer.bpe_merging import build_merge_table, encode_chunks, merge_reference
from scratchgpt.tokenizer.bpe_training import replace_pair, train, train_reference
from scratchgpt.tokenizer.byte_level import BYTE_IDS, FIRST_MERGE_ID, spell
from scratchgpt.tokenizer.split_pattern import SPLIT_PATTERN, compile_splitter

SEEDED = settings(derandomize=True, deadline=None)

PASSAGES = Path(__file__).parent.parent.parent / "data" / "sources" / "passages"

HARD_CHARACTERS = "的是一了 \n\t\r'stl12，。a\u3000\u0301😀"

OWN_TEXT = """清晨的菜市场里，卖豆腐的老人先把木板擦干净，再把豆腐一块一块摆好。小女孩问他：
“豆腐为什么是白的？”
老人笑着说：“因为黄豆泡了一夜水，把颜色留在水里了。”女孩算了算，3 块豆腐 6 元，7 块就是 14 元。
The old man's scale is wrong by 5 grams, but nobody minds; they'll come back tomorrow, won't they?
下午下了一场雨，雨水顺着屋檐滴下来，滴答，滴答，滴答……猫在窗台上睡着了，尾巴一动一动的。
"""


def corpus() -> list[str]:
    """Real Chinese text: the passages that the training data is made of."""
    return [OWN_TEXT, *(file.read_text(encoding="utf-8") for file in sorted(PASSAGES.glob("*.txt")))]


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    tokenizer = BPETokenizer(vocab_size=1000)
    tokenizer.fit(corpus())
    return tokenizer


def random_chunks(seed: int) -> dict[bytes, int]:
    """Words over few letters, so that runs, overlaps and ties abound."""
    rng = random.Random(seed)
    letters = "abc"[: rng.randint(1, 3)]
    words = ("".join(rng.choices(letters, k=rng.randint(1, 25))) for _ in range(30))
    return dict(Counter(word.encode() for word in words))


# --- split ---


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("今天，天气很好。", ["今天", "，", "天气很好", "。"]),
        ("我用Python写code", ["我用", "Python", "写", "code"]),
        ("the dog's tail", ["the", " dog", "'s", " tail"]),
        ("they'll\n'summer'", ["they", "'ll", "\n", "'", "summer", "'"]),
        ("15 + 27=42", ["1", "5", " +", " ", "2", "7", "=", "4", "2"]),
        ("a\n\n  b\r\nc ", ["a", "\n", "\n", " ", " b", "\r", "\n", "c", " "]),
        ("二〇二六年", ["二〇二六年"]),
        ("हिन्दी 한국어 かな", ["हिन्दी", " 한국어", " かな"]),
    ],
)
def test_split(text: str, chunks: list[str]) -> None:
    assert compile_splitter()(text) == chunks


def test_split_leaves_no_character_out() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert "".join(compile_splitter()(everything)) == everything


@SEEDED
@given(st.text(), st.text())
def test_split_begins_afresh_after_a_newline(before: str, after: str) -> None:
    split = compile_splitter()
    assert split(before + "\n" + after) == split(before + "\n") + split(after)


# --- training ---


@pytest.mark.parametrize("seed", range(30))
def test_training_equals_the_reference(seed: int) -> None:
    chunks = random_chunks(seed)
    assert train(chunks, 60) == train_reference(chunks, 60)
    assert train(chunks, 60, max_token_length=3) == train_reference(chunks, 60, max_token_length=3)


def test_training_equals_the_reference_on_text() -> None:
    chunks = Counter(chunk.encode() for chunk in compile_splitter()(OWN_TEXT))
    assert train(chunks, 10_000) == train_reference(chunks, 10_000)


@pytest.mark.parametrize("size", [1, 2, 3, 50, 20_000])
def test_training_stays_within_the_room_for_pairs(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code checks no bounds: what lies behind the arrays must stay as it was."""
    allocated = []

    def with_guard(capacity: int) -> bpe_training._Pairs:
        pairs = bpe_training._Pairs._make(np.full(capacity + 100, -7, dtype=dtype) for dtype in "iiqii")
        allocated.append((capacity, pairs))
        return bpe_training._Pairs._make(column[:capacity] for column in pairs)

    monkeypatch.setattr(bpe_training, "_empty_pairs", with_guard)
    train({random.Random(size).randbytes(size): 1}, 60_000)
    ((capacity, pairs),) = allocated
    assert all((column[capacity:] == -7).all() for column in pairs)


def test_equal_counts_fall_to_the_smallest_ids() -> None:
    assert train({b"yz": 2, b"ab": 2, b"ac": 2}, 1) == [(BYTE_IDS[ord("a")], BYTE_IDS[ord("b")])]
    assert train({b"yz": 3, b"ab": 2}, 1) == [(BYTE_IDS[ord("y")], BYTE_IDS[ord("z")])]


def test_replace_pair_takes_overlaps_from_the_left() -> None:
    assert replace_pair([1, 1, 1, 2, 1, 1], (1, 1), 9) == [9, 1, 2, 9]


def test_merges_equal_those_of_tokenizers_on_real_text(tokenizer: BPETokenizer) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(SPLIT_PATTERN), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator(corpus(), trainer)
    theirs = json.loads(peer.to_str())["model"]
    names = [*SPECIAL_TOKENS, *(spell(tokenizer.token_bytes(i)) for i in range(6, len(tokenizer)))]
    assert [[names[left], names[right]] for left, right in tokenizer.merges] == theirs["merges"]
    assert {name: i for i, name in enumerate(names)} == theirs["vocab"]


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


@pytest.mark.parametrize("seed", range(10))
def test_compiled_merging_equals_the_reference_for_short_and_long_chunks(seed: int) -> None:
    merges = train(random_chunks(seed), 60)
    merged_ids = {pair: FIRST_MERGE_ID + rank for rank, pair in enumerate(merges)}
    table = build_merge_table(merges, BYTE_IDS, FIRST_MERGE_ID)
    rng = random.Random(seed)
    chunks = [bytes(rng.choices(b"abc", k=size)) for size in (1, 2, 3, 40, 191, 192, 193, 700)]
    expected = [i for chunk in chunks for i in merge_reference(BYTE_IDS[list(chunk)].tolist(), merged_ids)]
    ends = np.cumsum([len(chunk) for chunk in chunks])
    assert encode_chunks(np.frombuffer(b"".join(chunks), np.uint8), ends, table).tolist() == expected


@pytest.mark.parametrize("seed", range(10))
def test_a_chunk_seen_before_has_the_ids_of_a_new_one(seed: int) -> None:
    merges = train(random_chunks(seed), 60)
    table = build_merge_table(merges, BYTE_IDS, FIRST_MERGE_ID)
    rng = random.Random(seed)
    distinct = [bytes(rng.choices(b"abc", k=rng.choice((1, 2, 3, 5, 8, 200)))) for _ in range(50)]
    chunks = rng.choices(distinct, k=300)
    alone = (encode_chunks(np.frombuffer(chunk, np.uint8), np.array([len(chunk)]), table) for chunk in chunks)
    ends = np.cumsum([len(chunk) for chunk in chunks])
    together = encode_chunks(np.frombuffer(b"".join(chunks), np.uint8), ends, table)
    assert together.tolist() == np.concatenate(list(alone)).tolist()


def test_special_spellings_are_plain_text(tokenizer: BPETokenizer) -> None:
    for token in SPECIAL_TOKENS:
        ids = tokenizer.encode(f"前{token}后")
        assert min(ids) >= len(SPECIAL_TOKENS)
        assert tokenizer.decode(ids) == f"前{token}后"


def test_training_text_cannot_make_a_special_spelling_one_token() -> None:
    tokenizer = BPETokenizer(400)
    tokenizer.fit(["".join(SPECIAL_TOKENS) * 50])
    assert all(len(tokenizer.encode(token)) > 1 for token in SPECIAL_TOKENS)


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


# --- files ---


@pytest.mark.parametrize("name", ["tokenizer.json", "other.json", "directory"])
def test_save_and_load(tokenizer: BPETokenizer, tmp_path: Path, name: str) -> None:
    tokenizer.save(tmp_path / "new" / name)
    loaded = BPETokenizer.load(tmp_path / "new" / name)
    assert loaded.merges == tokenizer.merges
    assert loaded.vocab_size == 1000
    assert loaded.encode(OWN_TEXT) == tokenizer.encode(OWN_TEXT)
    assert isinstance(load_tokenizer(str(tmp_path / "new" / name)), BPETokenizer)


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


def test_errors_of_a_user() -> None:
    for size in (0, 261, 2**20 + 1):
        with pytest.raises(UserError, match=f"vocab_size {size} is out of range .* 262"):
            BPETokenizer(size)
    for texts in ([], ["", ""], ""):
        with pytest.raises(UserError, match="empty corpus"):
            BPETokenizer().fit(texts)
    untrained = BPETokenizer()
    for use in (
        lambda: untrained.encode(""),
        lambda: untrained.decode([7]),
        lambda: untrained.save("nowhere"),
    ):
        with pytest.raises(UserError, match="no vocabulary yet: call fit"):
            use()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for load in (BPETokenizer.load, CharTokenizer.load, load_tokenizer):
        with pytest.raises(UserError, match=r"cannot read the tokenizer .*tokenizer.json: No such file"):
            load(tmp_path)


def _broken(contents: dict, how: str) -> str:
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
        ("merge of nothing known", "no entry 'no'"),
        ("merge of three", "too many values"),
        ("merges swapped", "index out of range"),
        ("merge missing", "order of the merges"),
        ("merge of a special token", "contains a special token"),
        ("other split", "SPLIT_PATTERN"),
        ("no pre_tokenizer", "NoneType"),
        ("special missing", "special tokens are not <PAD>"),
        ("special renamed", "special tokens are not <PAD>"),
    ],
)
def test_a_malformed_file_says_what_and_where(
    tokenizer: BPETokenizer, tmp_path: Path, how: str, reason: str
) -> None:
    file = tmp_path / "tokenizer.json"
    tokenizer.save(file)
    file.write_text(_broken(json.loads(file.read_text(encoding="utf-8")), how), encoding="utf-8")
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

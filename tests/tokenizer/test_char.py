"""CharTokenizer: one character, one id; its file in the `tokenizers` format; its errors."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchgpt.errors import UserError
from scratchgpt.tokenizer import (
    SPECIAL_TOKENS,
    UNK_ID,
    BPETokenizer,
    CharTokenizer,
    encode_chat,
    load_tokenizer,
)
from tests.tokenizer.texts import SEEDED

TEXT = "小猫说：“今天有 3 条鱼！”\n小狗说：“不，是 4 条。” system user assistant\n"


@pytest.fixture(scope="module")
def tokenizer() -> CharTokenizer:
    tokenizer = CharTokenizer()
    tokenizer.build_vocab([TEXT, "是是是"])
    return tokenizer


def test_ids_follow_count_then_code_point() -> None:
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["cab", "bb"])
    assert tokenizer.encode("bac") == [6, 7, 8]
    assert tokenizer.vocab_size == len(tokenizer) == 9


def test_fit_is_build_vocab_and_replaces_what_was_there() -> None:
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["xyz"])
    tokenizer.fit(text for text in ["a"])
    assert tokenizer.encode("ax") == [6, UNK_ID]
    assert tokenizer.vocab_size == 7


def test_vocab_size_keeps_the_most_frequent() -> None:
    tokenizer = CharTokenizer(vocab_size=8)
    tokenizer.build_vocab(["aaabbc"])
    assert tokenizer.encode("abc") == [6, 7, UNK_ID]


@SEEDED
@given(st.text(st.sampled_from(TEXT)))
def test_round_trip(tokenizer: CharTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text


def test_unknown_and_special(tokenizer: CharTokenizer) -> None:
    assert tokenizer.encode("鱼龘") == [*tokenizer.encode("鱼"), UNK_ID]
    assert tokenizer.decode([2, *tokenizer.encode("龘鱼龘𠮷"), 3]) == "�鱼��"
    assert tokenizer.decode([2, *tokenizer.encode("鱼龘")], skip_special_tokens=False) == "<BOS>鱼<UNK>"
    for token in SPECIAL_TOKENS:
        assert len(tokenizer.encode(token)) == len(token)
    with pytest.raises(UserError, match="unknown token id 999"):
        tokenizer.decode([999])


def test_lone_surrogates_get_no_id() -> None:
    tokenizer = CharTokenizer()
    tokenizer.build_vocab(["a\ud800"])
    assert tokenizer.encode("\ud800a") == [UNK_ID, 6]


def test_save_and_load(tokenizer: CharTokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    for loaded in (CharTokenizer.load(tmp_path), load_tokenizer(tmp_path / "tokenizer.json")):
        assert isinstance(loaded, CharTokenizer)
        assert loaded.encode(TEXT + "龘") == tokenizer.encode(TEXT + "龘")
    with pytest.raises(UserError, match="type 'WordLevel', BPETokenizer needs 'BPE'"):
        BPETokenizer.load(tmp_path)


def test_errors_of_a_user(tokenizer: CharTokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="vocab_size 6 is too small"):
        CharTokenizer(6)
    for texts in ([], [""], ["\ud800"]):
        with pytest.raises(UserError, match="empty corpus"):
            CharTokenizer().build_vocab(texts)
    with pytest.raises(UserError, match="no vocabulary yet"):
        CharTokenizer().encode("a")
    tokenizer.save(tmp_path)
    file = tmp_path / "tokenizer.json"
    contents = json.loads(file.read_text(encoding="utf-8"))
    contents["model"]["vocab"]["两个"] = len(tokenizer)
    file.write_text(json.dumps(contents), encoding="utf-8")
    with pytest.raises(UserError, match=r"malformed tokenizer .*'两个' is not one character"):
        CharTokenizer.load(file)


@pytest.fixture(scope="module")
def peer(tokenizer: CharTokenizer, tmp_path_factory: pytest.TempPathFactory):
    transformers = pytest.importorskip("transformers")
    directory = tmp_path_factory.mktemp("checkpoint")
    tokenizer.save_pretrained(directory)
    (directory / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    return transformers.AutoTokenizer.from_pretrained(directory)


@SEEDED
@given(st.text(st.one_of(st.sampled_from(TEXT), st.characters(codec="utf-8", exclude_characters="<"))))
def test_transformers_gives_the_same_ids(tokenizer: CharTokenizer, peer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert peer(text)["input_ids"] == ids
    known = [token_id for token_id in ids if token_id != UNK_ID]  # they leave <UNK> out, we show that there was something
    assert peer.decode(ids, skip_special_tokens=True) == tokenizer.decode(known)
    assert len(tokenizer.decode(ids)) == len(text)


def test_transformers_gives_the_same_chat(tokenizer: CharTokenizer, peer) -> None:
    messages = [{"role": "user", "content": "有 3 条鱼"}, {"role": "assistant", "content": "是 4 条。"}]
    theirs = peer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert theirs == encode_chat(tokenizer, messages, add_generation_prompt=True)

"""TextGenerator: text in, text out, in pieces, in chats, up to its limits."""

import warnings

import numpy as np
import pytest

from scratchgpt.config import GPTConfig
from scratchgpt.errors import ContextWindowWarning, UserError
from scratchgpt.inference import text
from scratchgpt.inference.beam_search import beam_search
from scratchgpt.inference.engine import Completion
from scratchgpt.inference.generate import generate_batch
from scratchgpt.inference.sequences import Sequences
from scratchgpt.inference.text import TextGenerator
from scratchgpt.inference.text_stream import TextStream
from scratchgpt.models.gpt2 import GPT
from scratchgpt.tokenizer import END_IDS, BPETokenizer, CharTokenizer, encode_chat

pytestmark = pytest.mark.filterwarnings("ignore::scratchgpt.errors.ContextWindowWarning")

TEXT = "小明有三个苹果，吃了一个。还剩几个？两个。The cat sat on the mat. 今天天气很好，我们去公园散步吧。\n" * 3


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    tokenizer = BPETokenizer(vocab_size=300)
    tokenizer.fit([TEXT])
    return tokenizer


@pytest.fixture(scope="module")
def generator(tokenizer) -> TextGenerator:
    """A random model: it produces bytes in any order, so characters are cut everywhere."""
    config = GPTConfig(vocab_size=tokenizer.vocab_size, emb_dim=16, num_heads=2, num_layers=1, context_size=64)
    model = GPT(config, seed=0)
    model.transformer.wte.weight.data *= 3
    return TextGenerator(model, tokenizer)


def push_all(stream: TextStream, ids: list[int]) -> list[str]:
    pieces = []
    for token in ids:
        stream.push(token)
        pieces.append(stream.take())
    stream.close()
    return [*pieces, stream.take()]


# -- plain text ---------------------------------------------------------------------------------------------
def test_generate_returns_prompt_and_continuation(generator, tokenizer):
    ids = generate_batch(
        generator.model, [tokenizer.encode("今天")], 12, temperature=0.8, top_k=50, seed=4, stop_ids=END_IDS
    )[0]
    text = generator.generate("今天", max_length=12, temperature=0.8, top_k=50, seed=4)
    assert text.startswith("今天") and len(text) > 2
    assert text == "今天" + "".join(push_all(TextStream(tokenizer), ids))


def test_what_nobody_sees_in_a_prompt_changes_nothing(generator):
    options = {"max_length": 12, "temperature": 0}
    plain = generator.generate("今天", **options)
    assert generator.generate("\ufeff今\u200b天", **options) == generator.generate(["今\xad天"], **options)[0] == plain
    assert "今天" + "".join(generator.stream("今\u200b天", **options)) == plain
    asked, hidden = ([{"role": "user", "content": text}] for text in ("今天\n", "\u200b今天\r\n"))
    answer = generator.chat(asked, **options)
    assert generator.chat(hidden, **options) == "".join(generator.stream_chat(hidden, **options)) == answer
    with pytest.raises(UserError, match="prompt is empty"):
        generator.generate("\u200b")


def test_a_list_of_prompts_gives_a_list(generator):
    prompts = ["今天", "The cat sat on", "小"]
    texts = generator.generate(prompts, max_length=10, temperature=0)
    assert texts == [generator.generate(prompt, max_length=10, temperature=0) for prompt in prompts]
    assert generator.generate(["今天"], max_length=3) == [generator.generate("今天", max_length=3)]


def test_the_stream_says_what_generate_returns(generator):
    for seed in range(8):
        pieces = list(generator.stream("天气", max_length=60, seed=seed))
        assert "天气" + "".join(pieces) == generator.generate("天气", max_length=60, seed=seed)
        assert all(pieces)
    assert len(pieces) > 10


def test_without_cache_the_text_is_the_same(generator):
    plain = TextGenerator(generator.model, generator.tokenizer, use_cache=False)
    for temperature in (0.0, 1.0):
        options = {"max_length": 20, "temperature": temperature}
        assert plain.generate(["小明", "The"], **options) == generator.generate(["小明", "The"], **options)


def test_stop_strings(generator):
    free = generator.generate("天气", max_length=40, seed=1)
    stop = free[len("天气") + 3 : len("天气") + 5]
    expected = free[: free.index(stop, len("天气"))]
    assert generator.generate("天气", max_length=40, seed=1, stop=[stop]) == expected
    assert generator.generate("天气", max_length=40, seed=1, stop=stop) == expected
    assert "".join(generator.stream("天气", max_length=40, seed=1, stop=[stop])) == expected[len("天气") :]


def test_what_was_held_back_for_a_stop_string_is_shown_at_the_end(generator):
    free = generator.generate("天气", max_length=12, seed=1)
    assert generator.generate("天气", max_length=12, seed=1, stop=[free[-1] + "☃"]) == free
    assert "".join(generator.stream("天气", max_length=12, seed=1, stop=[free[-1] + "☃"])) == free[len("天气") :]


def test_nothing_is_written_after_a_stop_string(generator, monkeypatch):
    written = []
    original = Completion.take
    monkeypatch.setattr(Completion, "take", lambda row, token: written.append(token) or original(row, token))
    free = generator.generate("天气", max_length=40, seed=1)
    count = len(written)
    generator.generate("天气", max_length=40, seed=1, stop=[free[len("天气") + 1]])
    assert 1 <= len(written) - count < count


def test_beams(generator, tokenizer):
    ids, _ = beam_search(generator.model, tokenizer.encode("小明"), 8, 3, stop_ids=END_IDS)
    expected = "小明" + "".join(push_all(TextStream(tokenizer), ids))
    assert generator.generate(["小明", "小明"], max_length=8, num_beams=3) == [expected] * 2


def test_a_character_tokenizer_serves_too():
    tokenizer = CharTokenizer()
    tokenizer.fit([TEXT])
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, emb_dim=16, num_heads=2, num_layers=1, context_size=32))
    text = TextGenerator(model, tokenizer).generate("今天", max_length=10)
    assert text.startswith("今天") and set(text) <= set(TEXT)


# -- chat ---------------------------------------------------------------------------------------------------
@pytest.fixture
def asked(monkeypatch) -> list[list[int]]:
    """The prompts that reach the model."""
    prompts: list[list[int]] = []
    original = Sequences.join

    def recording(sequences, given):
        prompts.extend(given)
        original(sequences, given)

    monkeypatch.setattr(Sequences, "join", recording)
    return prompts


def test_chat_answers_the_dialogue(generator, tokenizer, asked):
    messages = [{"role": "user", "content": "还剩几个？"}]
    answer = generator.chat(messages, max_length=10, seed=2)
    assert asked == [encode_chat(tokenizer, messages, add_generation_prompt=True)]
    assert answer == "".join(generator.stream_chat(messages, max_length=10, seed=2))
    assert answer and "还剩几个" not in answer


def test_a_long_dialogue_loses_its_oldest_turns_and_says_so_once(generator, tokenizer, asked):
    text._note_dropped_turns.cache_clear()
    system = {"role": "system", "content": "好"}
    turns = [{"role": ("user", "assistant")[i % 2], "content": f"{i}今天天气很好"} for i in range(11)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        generator.chat([system, *turns[-1:]], max_length=10)
        assert not caught
        generator.chat([system, *turns], max_length=10)
        "".join(generator.stream_chat(turns, max_length=10))
    assert [w.category for w in caught] == [ContextWindowWarning]

    assert len(asked) == 3 and max(map(len, asked)) <= 64 - 10


@pytest.mark.parametrize(("max_length", "room"), [(10, 64 - 10), (50, 64 - 16)])
def test_the_turns_that_leave_room_for_the_answer_are_kept(generator, tokenizer, asked, max_length, room):
    narrowed = 0
    for size in range(1, 9):
        system = [{"role": "system", "content": "好"}] * (size % 2)
        turns = [{"role": ("user", "assistant")[i % 2], "content": f"{i}" + "x" * size} for i in range(15)]
        generator.chat([*system, *turns], max_length=max_length)
        # the dialogues that begin with the user, the longest first
        starts = range(0, len(turns), 2)
        shorter = [encode_chat(tokenizer, [*system, *turns[i:]], add_generation_prompt=True) for i in starts]
        assert asked[-1] == next(ids for ids in shorter if len(ids) <= room)
        narrowed += asked[-1] != next(ids for ids in shorter if len(ids) <= 64)
    assert narrowed


def test_a_last_turn_that_only_just_fits_is_answered(generator, tokenizer, asked):
    length = 0
    while len(ids := encode_chat(tokenizer, [{"role": "user", "content": "x" * length}], True)) < 64:
        length += 1
    generator.chat([{"role": "user", "content": "x" * length}], max_length=1)
    assert asked == [ids]
    with pytest.raises(UserError, match=r"65 tokens.*only 64"):
        generator.chat([{"role": "user", "content": "x" * (length + 1)}], max_length=1)


# -- mistakes -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": ["今天", ""]}, "prompt is empty"),
        ({"prompt": "x" * 65}, "65 tokens.*only 64"),
        ({"max_length": 0}, "new tokens"),
        ({"temperature": -0.5}, "temperature"),
        ({"top_k": -3}, "top_k"),
        ({"top_p": 1.5}, "top_p"),
        ({"num_beams": 0}, "num_beams"),
        ({"stop": ["a", ""]}, "stop"),
        ({"seed": -1}, "seed"),
    ],
)
def test_mistakes_are_named(generator, options, message):
    with pytest.raises(UserError, match=message) as caught:
        generator.generate(**{"prompt": "今天", **options})
    assert "\n" not in str(caught.value)


def test_stream_refuses_bad_arguments_before_the_first_piece(generator):
    with pytest.raises(UserError, match="top_p"):
        generator.stream("今天", top_p=0)
    with pytest.raises(UserError, match="empty"):
        generator.stream_chat([])


def test_a_tokenizer_of_another_model_is_refused(tokenizer):
    with pytest.raises(UserError, match=r"300 ids.*only 299"):
        TextGenerator(GPT(GPTConfig(vocab_size=299, emb_dim=8, num_heads=2, num_layers=1)), tokenizer)


def test_the_logits_of_a_damaged_model_are_reported(generator, tokenizer):
    model = GPT(generator.model.config)
    model.transformer.ln_f.weight.data[0] = np.nan
    with pytest.raises(UserError, match="not finite"):
        TextGenerator(model, tokenizer).generate("今天")

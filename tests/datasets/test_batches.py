"""Records to token batches: what a batch holds, and which one comes when."""

from __future__ import annotations

import numpy as np
import pytest

from scratchgpt.datasets.batches import DialogueBatches, TextWindows, encode_documents, heldout_windows, pad_sequences
from scratchgpt.errors import UserError
from scratchgpt.tokenizer import EOS_ID, IM_END_ID, PAD_ID, CharTokenizer, encode_chat_with_mask


# -- text batches ---------------------------------------------------------------------------------------------
def test_documents_become_one_stream_with_an_end_after_each(char_tokenizer: CharTokenizer) -> None:
    stream = encode_documents(["你好", "猫"], char_tokenizer)
    assert stream.tolist() == [*char_tokenizer.encode("你好"), EOS_ID, *char_tokenizer.encode("猫"), EOS_ID]


def test_windows_cover_the_stream_once_an_epoch_and_targets_are_the_next_token() -> None:
    stream = np.arange(100, dtype=np.int32)
    windows = TextWindows(stream, context_size=8, batch_size=3, seed=5)
    assert windows.steps_per_epoch == 3  # (99 // 8 - 1) // 3
    for epoch in range(2):
        seen: list[int] = []
        for position in range(3):
            batch = windows.batch(epoch * 3 + position)
            assert batch.input_ids.shape == (3, 8) and batch.tokens == 24
            np.testing.assert_array_equal(batch.targets, batch.input_ids + 1)
            seen += batch.input_ids.reshape(-1).tolist()
        assert len(set(seen)) == len(seen)
    again = TextWindows(stream, context_size=8, batch_size=3, seed=5).batch(4)
    np.testing.assert_array_equal(windows.batch(4).input_ids, again.input_ids)
    assert not np.array_equal(windows.batch(0).input_ids, windows.batch(3).input_ids)


def test_text_too_short_for_two_windows_is_refused() -> None:
    with pytest.raises(UserError, match="too short"):
        TextWindows(np.arange(16, dtype=np.int32), context_size=8, batch_size=1, seed=0)


@pytest.mark.parametrize("length", [2, 8, 9, 10, 30])
def test_held_out_windows_hold_every_token_once(length: int) -> None:
    stream = np.arange(1, length + 1, dtype=np.int32)
    batches = list(heldout_windows(stream, context_size=4, batch_size=2))
    targets = np.concatenate([b.targets.reshape(-1) for b in batches])
    inputs = np.concatenate([b.input_ids.reshape(-1) for b in batches])
    counted = targets != -100
    assert targets[counted].tolist() == list(range(2, length + 1))
    np.testing.assert_array_equal(inputs[counted] + 1, targets[counted])


# -- dialogue batches -----------------------------------------------------------------------------------------
def test_the_loss_is_on_the_answer_and_its_end_only(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    batch = DialogueBatches(dialogues[2:3], char_tokenizer, 64, 4, seed=0).batch(0)
    counted = batch.targets[0][batch.targets[0] != -100].tolist()
    assert counted == [*char_tokenizer.encode("猫吃鱼。"), IM_END_ID]
    position = int(np.argmax(batch.targets[0] != -100))
    assert batch.input_ids[0, position + 1] == counted[0]


def test_every_dialogue_is_shown_as_often_as_its_weight(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    dialogues[0]["weight"] = 3
    batches = DialogueBatches(dialogues, char_tokenizer, 64, 2, seed=0)
    assert batches.steps_per_epoch == 4
    sequences = [encode_chat_with_mask(char_tokenizer, record["messages"])[0] for record in dialogues]
    for epoch in range(2):
        rows = [row for step in range(4) for row in batches.batch(epoch * 4 + step).input_ids.tolist()]
        shown = [sum(row[: len(ids) - 1] == ids[:-1] for row in rows) for ids in sequences]
        assert shown == [3, 1, 1, 1, 1, 1]
    assert sum(b.input_ids.shape[0] for b in batches.all_batches()) == len(dialogues)


def test_batches_do_not_depend_on_the_order_they_are_asked_for(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    one, other = (DialogueBatches(dialogues, char_tokenizer, 64, 2, seed=1) for _ in range(2))
    forward = [one.batch(step).input_ids for step in range(6)]
    backward = [other.batch(step).input_ids for step in reversed(range(6))][::-1]
    for a, b in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(a, b)


def test_dialogues_beyond_the_context_are_counted_and_none_left_is_an_error(
    char_tokenizer: CharTokenizer, dialogues: list
) -> None:
    assert DialogueBatches(dialogues, char_tokenizer, 26, 2, seed=0).too_long > 0
    with pytest.raises(UserError, match="none of the 6 dialogues fits"):
        DialogueBatches(dialogues, char_tokenizer, 8, 2, seed=0)


def test_others_are_mixed_in_and_drawn_anew_every_epoch(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    others = [{"messages": dialogues[0]["messages"], "weight": weight} for weight in [*range(1, 40), 500]]
    own = DialogueBatches(dialogues, char_tokenizer, 64, 3, seed=1)
    mixed = DialogueBatches(dialogues, char_tokenizer, 64, 3, seed=1, mixed_in=others, mix=0.5)
    assert mixed.drawn == len(own.shown) and mixed.records == own.records
    assert mixed.steps_per_epoch == 2 * len(own.shown) // 3
    epochs = [np.concatenate(mixed._epoch_order(epoch)).tolist() for epoch in range(3)]
    drawn = [sorted(i for i in epoch if i >= len(own.records)) for epoch in epochs]
    assert drawn[0] != drawn[1] != drawn[2] and all(len(set(d)) == len(d) for d in drawn)
    assert sum(len(own.records) + len(others) - 1 in d for d in drawn) >= 2  # the one that weighs most
    without = DialogueBatches(dialogues, char_tokenizer, 64, 3, seed=1, mixed_in=others, mix=0.0)
    assert without.drawn == 0
    for step in range(4):
        np.testing.assert_array_equal(without.batch(step).input_ids, own.batch(step).input_ids)


def test_a_turn_of_weight_zero_is_read_and_not_learned(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    question, answer = dialogues[0]["messages"][:2]
    twice = [question, {**answer, "weight": 0}, question, answer]
    ids, mask = encode_chat_with_mask(char_tokenizer, twice)
    whole, learned = encode_chat_with_mask(char_tokenizer, [question, answer])
    assert ids == whole * 2 and mask == [0] * len(learned) + learned


def test_strict_refuses_a_dialogue_beyond_the_context(char_tokenizer: CharTokenizer, dialogues: list) -> None:
    with pytest.raises(UserError, match=r"the dialogue has \d+ tokens, more than the context of 20"):
        DialogueBatches(dialogues, char_tokenizer, 20, 3, seed=1, strict=True)


def test_dialogues_of_similar_length_stand_together(char_tokenizer: CharTokenizer) -> None:
    lengths = [1, 30] * 8
    dialogues = [
        {"messages": [{"role": "user", "content": "猫" * n}, {"role": "assistant", "content": "鱼"}]} for n in lengths
    ]
    batches = DialogueBatches(dialogues, char_tokenizer, 64, 4, seed=0)
    in_epoch = [batches.batch(step) for step in range(batches.steps_per_epoch)]
    for batch in [*in_epoch, *batches.all_batches()]:
        padding = batch.input_ids == PAD_ID
        assert not padding[:, :-1].any()  # the last input of the longest is no target's
        assert (batch.targets[padding] == -100).all()
    assert [b.input_ids.shape[1] for b in batches.all_batches()] == sorted(b.input_ids.shape[1] for b in in_epoch)


def test_padding_is_on_the_right() -> None:
    padded = pad_sequences([[5], [6, 7]])
    np.testing.assert_array_equal(padded, [[5, 0], [6, 7]])
    assert padded.dtype == np.int64
    np.testing.assert_array_equal(pad_sequences([[5], [6, 7]], value=-1), [[5, -1], [6, 7]])

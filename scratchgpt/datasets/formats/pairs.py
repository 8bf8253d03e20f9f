"""Formats of preference pairs; each is converted to ``prompt``, ``chosen``, ``rejected`` as text.

Where the prompt is more than one question, what stands before the last one is the record's ``history``, messages.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from scratchgpt.datasets.formats.format import (
    Format,
    MalformedRecordError,
    Record,
    UnusableRecordError,
    answer_field,
    history_field,
    joined,
    names_of_turns,
    optional_text,
    plain_messages,
    text_field,
    turns_field,
    with_system,
)

_HH_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):")


def _pair(messages: list[dict[str, Any]], chosen: str, rejected: str) -> Record:
    """A pair of ours, whose prompt is the last of the messages."""
    if not messages or messages[-1]["role"] != "user":
        raise MalformedRecordError("the last turn before the two answers must be the user's")
    pair: Record = {"prompt": messages[-1]["content"], "chosen": chosen, "rejected": rejected}
    return {**pair, "history": messages[:-1]} if messages[:-1] else pair


def _is_whole(record: Record) -> bool:
    """Whether an answer is a dialogue of several turns: then a ``prompt`` beside it says its beginning once more."""
    chosen = record.get("chosen")
    return isinstance(chosen, list) and len(chosen) > 1


def _is_messages(record: Record) -> bool:
    """A prompt that is text, beside whole dialogues, only says their first question again (UltraFeedback does so)."""
    if isinstance(record.get("prompt"), list):
        return True
    return "prompt" in record and _is_conversational(record) and not _is_whole(record)


def _is_conversational(record: Record) -> bool:
    return any(isinstance(record.get(side), (list, Mapping)) for side in ("chosen", "rejected"))


def _from_text(record: Record) -> Record:
    return record


def _from_messages(record: Record) -> Record:
    """The prompt as text or messages, both answers as messages."""
    messages = with_system(turns_field(record, "prompt"), record)
    return _pair(messages, answer_field(record, "chosen"), answer_field(record, "rejected"))


def _from_whole_dialogues(record: Record) -> Record:
    """Chosen and rejected are whole dialogues: what both begin with is the prompt."""
    for name in ("chosen", "rejected"):
        if not isinstance(record.get(name), list):
            text_field(record, name)
            raise MalformedRecordError(f"{name!r} must be a list of turns, as the other one is")
    chosen, rejected = (plain_messages(record[name], *names_of_turns(record[name])) for name in ("chosen", "rejected"))
    return _common(chosen, rejected, record)


def _common(chosen: list[dict[str, Any]], rejected: list[dict[str, Any]], record: Record) -> Record:
    """Where two dialogues part, their two answers to one question; what follows answers other things already."""
    both = itertools.zip_longest(chosen, rejected, fillvalue={"role": "nobody"})
    part = next((at for at, (one, other) in enumerate(both) if one != other), len(chosen) - 1)
    better, worse = (side[part : part + 1] for side in (chosen, rejected))
    if [turn["role"] for turn in (*better, *worse)] != ["assistant", "assistant"]:
        raise UnusableRecordError("chosen and rejected do not part at an answer of the assistant")
    return _pair(with_system(chosen[:part], record), better[0]["content"], worse[0]["content"])


def _is_hh(record: Record) -> bool:
    chosen = record.get("chosen")
    return "prompt" not in record and isinstance(chosen, str) and chosen.lstrip().startswith("Human:")


def _from_hh(record: Record) -> Record:
    return _common(_hh_turns(text_field(record, "chosen")), _hh_turns(text_field(record, "rejected")), record)


def _hh_turns(text: str) -> list[dict[str, Any]]:
    parts = _HH_TURN.split("\n\n" + text.strip())[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    return [
        {"role": roles[who], "content": said.strip()} for who, said in zip(parts[::2], parts[1::2], strict=True)
    ]


def _from_conversations(record: Record) -> Record:
    """LLaMA-Factory's: the dialogue so far in ``conversations``, two answers beside it."""
    if "conversations" not in record:
        raise MalformedRecordError("the record has no field 'conversations'")
    turns = record["conversations"]
    messages = with_system(plain_messages(turns, *names_of_turns(turns)), record)
    return _pair(messages, answer_field(record, "chosen"), answer_field(record, "rejected"))


def _question(record: Record) -> list[dict[str, Any]]:
    """The question under another name, with an ``input`` to it in Alpaca's way, and what stands before it."""
    name = next((name for name in (*QUESTIONS, "prompt") if name in record), QUESTIONS[1])
    asked = joined(text_field(record, name), optional_text(record, "input"))
    return with_system([*history_field(record), {"role": "user", "content": asked}], record)


def _from_question(record: Record) -> Record:
    return _pair(_question(record), answer_field(record, "chosen"), answer_field(record, "rejected"))


def _from_medicalgpt(record: Record) -> Record:
    sides = (answer_field(record, name) for name in ("response_chosen", "response_rejected"))
    return _pair(_question(record), *sides)


def _is_ranked(record: Record) -> bool:
    ranked = record.get("output")
    several = isinstance(ranked, list) and len(ranked) > 1 and all(isinstance(answer, str) for answer in ranked)
    return several and any(name in record for name in QUESTIONS)


def _from_ranked(record: Record) -> Record:
    """``output`` holds several answers, the best one first: it and the last one are furthest apart."""
    if not _is_ranked(record):
        raise UnusableRecordError("it has no two answers to compare")
    return _pair(_question(record), record["output"][0], record["output"][-1])


def _from_openai(record: Record) -> Record:
    given = record.get("input")
    turns = given.get("messages") if isinstance(given, Mapping) else None
    if turns is None:
        raise MalformedRecordError("the record has no 'messages' in its field 'input'")
    sides = (answer_field(record, name) for name in ("preferred_output", "non_preferred_output"))
    return _pair(plain_messages(turns, "role", "content"), *sides)


QUESTIONS = ("instruction", "question", "query", "问题")
"""Fields that hold what is asked, where it is not called ``prompt``."""


def _is_pair(record: Record) -> bool:
    return "chosen" in record or "rejected" in record


PAIRS = (
    Format(
        "preferred_output (OpenAI)",
        "input: {messages}, preferred_output, non_preferred_output",
        lambda record: "preferred_output" in record,
        _from_openai,
    ),
    Format(
        "conversations, chosen and rejected (LLaMA-Factory)",
        "conversations: [{from, value}], chosen, rejected",
        lambda record: _is_pair(record) and "conversations" in record,
        _from_conversations,
    ),
    Format(
        "prompt, chosen, rejected as messages",
        "prompt, chosen: [{role, content}], rejected: [{role, content}]",
        lambda record: _is_pair(record) and _is_messages(record),
        _from_messages,
    ),
    Format(
        "chosen and rejected as whole dialogues (TRL, minimind)",
        "chosen: [{role, content}], rejected: [{role, content}]",
        _is_conversational,
        _from_whole_dialogues,
    ),
    Format("chosen and rejected as text of Human: and Assistant:", "chosen, rejected", _is_hh, _from_hh),
    Format(
        "question, chosen, rejected",
        "question (or instruction), chosen, rejected",
        lambda record: _is_pair(record) and "prompt" not in record and any(name in record for name in QUESTIONS),
        _from_question,
    ),
    Format(
        "question, response_chosen, response_rejected (MedicalGPT)",
        "question, response_chosen, response_rejected",
        lambda record: "response_chosen" in record or "response_rejected" in record,
        _from_medicalgpt,
    ),
    Format("ranked answers (Alpaca)", "instruction, output: [best, …, worst]", _is_ranked, _from_ranked),
    Format("prompt, chosen, rejected", "prompt, chosen, rejected", _is_pair, _from_text, own=True),
)
"""Every format of preference pairs; the first that recognises a record reads it. Our own is the last, the plainest."""

"""Formats of dialogues; each is converted to ``messages`` of ``role`` and ``content``."""

from __future__ import annotations

from typing import Any

from scratchgpt.datasets.formats.format import (
    Format,
    MalformedRecordError,
    Record,
    answer_field,
    exchange,
    history_field,
    joined,
    names_of_turns,
    optional_text,
    plain_messages,
    text_field,
    turns_field,
    with_system,
)

ASKED_AND_ANSWERED = (
    ("prompt", "completion"), ("prompt", "response"), ("query", "response"), ("question", "answer"),
    ("question", "response"), ("input", "output"), ("input", "ideal"), ("q", "a"), ("问题", "回答"), ("问题", "答案"),
    ("问", "答"), ("提问", "回答"), ("指令", "回答"), ("ask", "answer"), ("user", "assistant"),
)  # fmt: skip
"""Pairs of fields that hold a question and its answer."""
_OF_OTHERS = {"tool_calls", "function_call", "weight", "tool_call_id"}


def _is_plain(message: Any) -> bool:
    """Whether a message is one of our own already, or at least nobody else's."""
    if not isinstance(message, dict):
        return True
    content_of_others = isinstance(message.get("content", ""), list) or (
        message.get("content", "") is None and "tool_calls" in message
    )
    role = message.get("role")
    of_others = isinstance(role, str) and role in {"tool", "function", "developer"}
    return not (content_of_others or of_others or _OF_OTHERS & message.keys())


def _from_messages(record: Record) -> Record:
    """A record of our own stays as it is; only what OpenAI's format adds to it is converted."""
    messages = record.get("messages")
    if not isinstance(messages, list) or (all(map(_is_plain, messages)) and not record.get("tools")):
        return record
    converted = plain_messages(messages, "role", "content")
    return {**record, "messages": with_system(converted, {"tools": record.get("tools")})}


def _turns(record: Record) -> Any:
    return next((record[name] for name in ("conversations", "conversation") if name in record), None)


def _from_conversations(record: Record) -> Record:
    turns = _turns(record)
    if turns is None:
        raise MalformedRecordError("the record has no field 'conversations'")
    return {"messages": with_system(plain_messages(turns, *names_of_turns(turns)), record)}


def _is_sharegpt(record: Record) -> bool:
    turns = _turns(record)
    return turns is not None and names_of_turns(turns)[0] == "from"


def _from_alpaca(record: Record) -> Record:
    """Instruction and input are the question; ``history`` holds earlier [question, answer] pairs."""
    answers = [name for name in ("output", "response", "completion", "answer") if name in record]
    given = [name for name in ("input", "context") if name in record]
    asked = joined(text_field(record, "instruction"), *(optional_text(record, name) for name in given))
    answer = text_field(record, answers[0] if answers else "output")
    return {"messages": with_system([*history_field(record), *exchange(asked, answer)], record)}


def names_of_question(record: Record) -> tuple[str, str] | None:
    """The names of the fields that hold a question and its answer; None if the record has no field for a question."""
    whole = [names for names in ASKED_AND_ANSWERED if names[0] in record and names[1] in record]
    return next(iter([*whole, *(names for names in ASKED_AND_ANSWERED if names[0] in record)]), None)


def _from_question(record: Record) -> Record:
    asked, answered = names_of_question(record) or ("question", "answer")
    messages = [*turns_field(record, asked), {"role": "assistant", "content": answer_field(record, answered)}]
    return {"messages": with_system(messages, record)}


DIALOGUES = (
    Format("messages", "messages: [{role, content}]", lambda record: "messages" in record, _from_messages, own=True),
    Format("ShareGPT", "conversations: [{from, value}]", _is_sharegpt, _from_conversations),
    Format(
        "conversations of roles (minimind)",
        "conversations: [{role, content}]",
        lambda record: _turns(record) is not None,
        _from_conversations,
    ),
    Format("Alpaca", "instruction, input, output", lambda record: "instruction" in record, _from_alpaca),
    Format(
        "question and answer",
        "question, answer (or prompt, completion; 问题, 回答)",
        lambda record: names_of_question(record) is not None,
        _from_question,
    ),
)
"""Every format of dialogues, our own first; the first that recognises a record reads it."""

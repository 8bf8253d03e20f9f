"""Formats of dialogues; each is converted to ``messages`` of ``role`` and ``content``."""

from __future__ import annotations

from collections.abc import Mapping
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
    needs_more_than_text,
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
_EXCHANGES = (("human", "assistant"), ("user", "assistant"), ("input", "output"), ("question", "answer"))
"""Pairs of fields of one turn that hold a question and its answer."""
_RATINGS = ("label", "tag", "kto_tag")
"""Fields that say whether an answer is a good one, as data for KTO have them."""
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


def _names_of_exchange(turn: Any) -> tuple[str, str] | None:
    """The names of the fields of a turn that hold a question and its answer; None if a turn is of one speaker."""
    if not isinstance(turn, Mapping) or {"role", "from"} & turn.keys():
        return None
    return next((names for names in _EXCHANGES if names[0] in turn and names[1] in turn), None)


def _is_exchanges(record: Record) -> bool:
    turns = _turns(record)
    return isinstance(turns, list) and bool(turns) and _names_of_exchange(turns[0]) is not None


def _from_exchanges(record: Record) -> Record:
    """Firefly's and XTuner's: each turn is a question with its answer, the first one may hold the ``system`` text."""
    turns = _turns(record)
    if not isinstance(turns, list):
        raise MalformedRecordError(f"the turns must be a list, not {turns!r:.40}")
    messages = []
    for number, turn in enumerate(turns, 1):
        names = _names_of_exchange(turn)
        if names is None:
            raise MalformedRecordError(f"turn {number} is no question with its answer, but {turn!r:.40}")
        messages += exchange(text_field(turn, names[0]), text_field(turn, names[1]))
    told = turns[0].get("system") if turns else None
    return {"messages": with_system(messages, {"system": told} | record)}


def _tree_root(record: Record) -> Any:
    """The first message of a tree, with its ``replies``; None if a record is none."""
    root = record["prompt"] if isinstance(record.get("prompt"), Mapping) else record
    return root if "replies" in root and "text" in root else None


def _from_tree(record: Record) -> Record:
    """OpenAssistant's: of the replies to a message the best one, then of the replies to that, down to the last answer.

    What was deleted is passed over, a reply without a ``rank`` comes last.
    """
    path, message = [], _tree_root(record)
    while isinstance(message, Mapping):
        path.append(message)
        replies = message.get("replies")
        kept = [one for one in replies or [] if isinstance(one, Mapping) and not one.get("deleted")]
        message = min(kept, key=lambda one: (one.get("rank") is None, one.get("rank") or 0), default=None)
    messages = plain_messages(path, "role", "text")
    while len(messages) > 1 and messages[-1]["role"] == "user":
        messages.pop()  # a question that nobody has answered yet
    return {"messages": messages}


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
    answer = {"role": "assistant", "content": answer_field(record, answered)}
    return {"messages": with_system([*history_field(record), *turns_field(record, asked), answer], record)}


def unfit_dialogue(record: Record) -> str | None:
    """Why a dialogue, as it stands in its file, must not be learned from, or None."""
    if any(record.get(name) is False for name in _RATINGS):
        return "it is marked as a bad answer"
    return needs_more_than_text(record)


DIALOGUES = (
    Format("messages", "messages: [{role, content}]", lambda record: "messages" in record, _from_messages, own=True),
    Format(
        "message tree (OpenAssistant)",
        "prompt: {text, role, replies: [{text, role, rank, replies}]}",
        lambda record: _tree_root(record) is not None,
        _from_tree,
    ),
    Format(
        "conversation of questions with answers (Firefly, XTuner)",
        "conversation: [{human, assistant}]",
        _is_exchanges,
        _from_exchanges,
    ),
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

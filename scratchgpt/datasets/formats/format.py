"""What a format is, and what the formats share: fields, and turns under other names."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
"""One dialogue, pair or task: its fields by name."""


class MalformedRecordError(ValueError):
    """What keeps a record from being read in its format, in words that follow the file and the line."""


class UnusableRecordError(ValueError):
    """Why a record without fault is of no use to a model of text; it is left out for that reason, and counted."""


@dataclass(frozen=True)
class Format:
    """A way in which files hold records.

    Attributes:
        name: as people call it.
        fields: what it looks like, for whoever has to write it.
        recognises: whether a record is meant to be one; by the field that tells it from others, so that a record that
            lacks another one is refused as what it was meant to be.
        convert: from a record of this format to one of our own; raises MalformedRecordError or UnusableRecordError.
        own: whether it is our own, whose records stay as they are.
    """

    name: str
    fields: str
    recognises: Callable[[Record], bool]
    convert: Callable[[Record], Record]
    own: bool = False


def format_of(record: Record, formats: Sequence[Format]) -> Format | None:
    """The first of the formats that recognises a record."""
    return next((one for one in formats if one.recognises(record)), None)


# -- pictures and sound ---------------------------------------------------------------------------------------
_MEDIA = ("image", "images", "video", "videos", "audio", "audios")
"""Fields of a record that name what is to be seen or heard with it."""
NOT_TEXT = "it needs a picture, a video or a sound"


def needs_more_than_text(record: Record) -> str | None:
    """Why a record that comes with a picture, a video or a sound is of no use, or None: its answers are guesses."""
    return NOT_TEXT if any(record.get(name) for name in _MEDIA) else None


# -- fields ---------------------------------------------------------------------------------------------------
def text_field(record: Record, name: str) -> str:
    """A field that must be there and be text; a number is taken as it is written.

    Raises:
        MalformedRecordError: if it is missing or something else.
    """
    if name not in record:
        raise MalformedRecordError(f"the record has no field {name!r}")
    value = record[name]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise MalformedRecordError(f"{name!r} must be text, not {value!r:.40}")
    return value


def optional_text(record: Record, name: str) -> str:
    """A field that may be missing or null, which is the empty text then.

    Raises:
        MalformedRecordError: if it is something else than text.
    """
    return "" if record.get(name) is None else text_field(record, name)


def joined(*parts: str) -> str:
    """The parts that are not empty, each on lines of its own."""
    return "\n".join(part for part in parts if part.strip())


# -- turns ----------------------------------------------------------------------------------------------------
ROLE_OF = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "customer": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "bing": "assistant", "bard": "assistant", "chatbot": "assistant", "ai": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "ipython": "tool", "function_response": "tool",
    "function_call": "call", "tool_call": "call",
}  # fmt: skip
"""What the speakers of other formats are with us; "tool": what a tool answered, "call": what the assistant asked it."""


def plain_messages(turns: Any, role: str, content: str) -> list[dict[str, Any]]:
    """Turns of another format as our messages.

    What a tool answers is a user's turn in <tool_response>, what the assistant asks of it stands in <tool_call>, as in
    the chat template of Qwen2.5; so both can be seen for what they are, and no further role is needed. A ``weight`` of
    0, that a turn is not to be learned, is kept.

    Args:
        turns: list of objects.
        role, content: the names of the fields that say who speaks, and what is said.

    Raises:
        MalformedRecordError: with the number of the turn.
        UnusableRecordError: if a turn holds more than text.
    """
    if not isinstance(turns, list):
        raise MalformedRecordError(f"the turns must be a list, not {turns!r:.40}")
    messages: list[dict[str, Any]] = []
    for number, turn in enumerate(turns, 1):
        for message in _plain_message(turn, role, content, number):
            last = messages[-1] if messages else {}
            if message["role"] == last.get("role") == "user" and message["content"].startswith("<tool_response>"):
                last["content"] = f"{last['content']}\n{message['content']}"  # several tools answer in one turn
            elif message.pop("of_tool", False) and last.get("role") == "assistant":
                last["content"] = joined(last["content"], message["content"])
            else:
                messages.append(message)
    return messages


def _plain_message(turn: Any, role: str, content: str, number: int) -> list[dict[str, Any]]:
    if not isinstance(turn, Mapping):
        raise MalformedRecordError(f"turn {number} is no object but {turn!r:.40}")
    silent = turn.get("tool_calls") or turn.get("function_call") or "observation" in turn
    for name in (role,) if silent else (role, content):
        if name not in turn:
            raise MalformedRecordError(f"turn {number} has no {name!r}")
    speaker = ROLE_OF.get(str(turn[role]).strip().lower())
    if speaker is None:
        known = ", ".join(dict.fromkeys(ROLE_OF))
        raise MalformedRecordError(f"turn {number} is of {turn[role]!r:.40}, which is none of {known}")
    said = _text_of(turn.get(content), number)
    if speaker == "tool" and "observation" in turn:  # ChatGLM3's: what was asked of the tool, and its answer
        call = {"name": turn.get("name"), "arguments": turn.get("parameters")}
        return [_tool_call(_json(call)), _tool_response(_json(turn["observation"]))]
    if speaker == "tool":
        return [_tool_response(said)]
    if speaker == "call":
        return [_tool_call(said)]
    calls = [f"<tool_call>\n{_json(_function_of(call))}\n</tool_call>" for call in _calls_of(turn, number)]
    message: dict[str, Any] = {"role": speaker, "content": joined(said, *calls)}
    weight = turn.get("weight")
    if weight is not None:
        if weight not in (0, 1) or isinstance(weight, bool):
            raise MalformedRecordError(f"the weight of turn {number} must be 0 or 1, not {weight!r:.40}")
        if weight == 0:
            message["weight"] = 0
    return [message]


def _tool_call(asked: str) -> dict[str, Any]:
    return {"role": "assistant", "content": f"<tool_call>\n{asked}\n</tool_call>", "of_tool": True}


def _tool_response(answered: str) -> dict[str, Any]:
    return {"role": "user", "content": f"<tool_response>\n{answered}\n</tool_response>"}


def _text_of(content: Any, number: int) -> str:
    """The text of a turn, which may be null, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise MalformedRecordError(f"what turn {number} says must be text, not {content!r:.40}")
    texts = []
    for part in content:
        text = part if isinstance(part, str) else part.get("text") if isinstance(part, Mapping) else None
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            if any(medium in str(kind) for medium in ("image", "video", "audio")):
                raise UnusableRecordError(NOT_TEXT)
            raise MalformedRecordError(f"turn {number} holds a part of type {kind!r:.40}; only text can be read")
        texts.append(text)
    return "\n".join(texts)


def _calls_of(turn: Mapping[str, Any], number: int) -> list[Any]:
    calls = turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else [])
    if not isinstance(calls, list):
        raise MalformedRecordError(f"'tool_calls' of turn {number} must be a list, not {calls!r:.40}")
    return calls


def _function_of(call: Any) -> Any:
    """Name and arguments of a tool call, which OpenAI writes as JSON inside of JSON."""
    function = call.get("function", call) if isinstance(call, Mapping) else call
    if not isinstance(function, Mapping):
        return function
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return {"name": function.get("name"), "arguments": arguments}


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def with_system(messages: list[dict[str, Any]], record: Record) -> list[dict[str, Any]]:
    """The messages with the record's own ``system`` text and ``tools``, where it has them, in their system turn.

    Raises:
        MalformedRecordError: if the system text is something else than text.
    """
    tools = record.get("tools")
    told = [optional_text(record, "system") or optional_text(record, "system_prompt")]
    told += [f"<tools>\n{_json(tools)}\n</tools>"] if tools and tools != "[]" else []
    text = joined(*told)
    if not text:
        return messages
    if messages and messages[0]["role"] == "system":
        return [{**messages[0], "content": joined(messages[0]["content"], text)}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def history_field(record: Record) -> list[dict[str, Any]]:
    """The messages of ``history``, [question, answer] pairs of earlier turns as Alpaca's files have them.

    Raises:
        MalformedRecordError: if it is something else.
    """
    history = record.get("history") or []
    if not isinstance(history, list):
        raise MalformedRecordError(f"'history' must be a list of [question, answer], not {history!r:.40}")
    messages = []
    for earlier in history:
        if not (isinstance(earlier, list) and len(earlier) == 2 and all(isinstance(text, str) for text in earlier)):
            raise MalformedRecordError(f"'history' must be a list of [question, answer], it holds {earlier!r:.40}")
        messages += exchange(*earlier)
    return messages


def exchange(question: str, answer: str) -> list[dict[str, Any]]:
    """A question and its answer as messages."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def turns_field(record: Record, name: str) -> list[dict[str, Any]]:
    """A field that holds one text of a user or a list of turns, as messages.

    Raises:
        MalformedRecordError: if it is missing or neither of them.
    """
    value = record.get(name)
    if isinstance(value, list):
        return plain_messages(value, *names_of_turns(value))
    return [{"role": "user", "content": text_field(record, name)}]


def names_of_turns(turns: Any) -> tuple[str, str]:
    """The names of the fields of a list of turns: from and value with ShareGPT, else role and content."""
    first = turns[0] if isinstance(turns, list) and turns else None
    is_sharegpt = isinstance(first, Mapping) and ("from" in first or "value" in first)
    return ("from", "value") if is_sharegpt else ("role", "content")


def answer_field(record: Record, name: str) -> str:
    """A field that holds an answer: a text, one turn, a list of one turn, or of wordings, of which the first is taken.

    Raises:
        MalformedRecordError: if it is missing or none of them.
    """
    value = record.get(name)
    if isinstance(value, list) and value and all(isinstance(wording, str) for wording in value):
        return str(value[0])
    turns = [value] if isinstance(value, Mapping) else value
    if not isinstance(turns, list):
        return text_field(record, name)
    messages = plain_messages(turns, *names_of_turns(turns))
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise MalformedRecordError(f"{name!r} must be one turn of the assistant, not {len(messages)} turns")
    return str(messages[0]["content"])

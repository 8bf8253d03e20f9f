r"""The chat format: how a list of messages becomes one sequence of ids.

    <|im_start|>user\n…<|im_end|>\n<|im_start|>assistant\n…<|im_end|>\n

This is the only place where special tokens enter a sequence. The text between them is encoded as
plain text, so a message that spells ``<|im_end|>`` cannot end its turn.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from scratchgpt.errors import UserError
from scratchgpt.tokenizer.special_tokens import IM_END, IM_END_ID, IM_START, IM_START_ID

ROLES = ("system", "user", "assistant")

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The same format as a Jinja template, for ``tokenizer_config.json`` and ``apply_chat_template``."""

Message = Mapping[str, Any]
"""One turn: ``role`` and ``content``; a ``weight`` of 0 says that it is not to be learned."""


class Encoder(Protocol):
    """All that the chat format needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """The ids of plain text."""


def encode_chat(
    tokenizer: Encoder, messages: Sequence[Message], add_generation_prompt: bool = False
) -> list[int]:
    """The ids of a dialogue.

    Args:
        tokenizer: what encodes the text between the special tokens.
        messages: dicts with ``role`` (system, user or assistant) and ``content``.
        add_generation_prompt: open the assistant's next turn after it.

    Raises:
        UserError: for a malformed message.
    """
    ids, _ = encode_chat_with_mask(tokenizer, messages)
    if add_generation_prompt:
        ids += [IM_START_ID, *tokenizer.encode("assistant\n")]
    return ids


def encode_chat_with_mask(tokenizer: Encoder, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
    """The ids of a dialogue and its loss mask.

    Args:
        tokenizer: what encodes the text between the special tokens.
        messages: dicts with ``role`` (system, user or assistant) and ``content``.

    Returns:
        (ids, mask) of the same length. The mask is 1 on what the assistant must learn to say, its content and the
        ``<|im_end|>`` that ends its turn, and 0 on everything it is given, a turn of ``weight`` 0 included.

    Raises:
        UserError: for a malformed message.
    """
    ids: list[int] = []
    mask: list[int] = []
    for message, (role, content) in zip(messages, _checked(messages), strict=True):
        opening = [IM_START_ID, *tokenizer.encode(role + "\n")]
        said = [*tokenizer.encode(content), IM_END_ID]
        closing = tokenizer.encode("\n")
        ids += opening + said + closing
        learned = int(role == "assistant" and message.get("weight", 1) != 0)
        mask += [0] * len(opening) + [learned] * len(said) + [0] * len(closing)
    return ids, mask


def render_chat(messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
    """The dialogue as text, to look at; ``encode_chat`` encodes it.

    Raises:
        UserError: for a malformed message.
    """
    turns = [f"{IM_START}{role}\n{content}{IM_END}\n" for role, content in _checked(messages)]
    return "".join(turns) + (f"{IM_START}assistant\n" if add_generation_prompt else "")


def _checked(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping):
            raise UserError(f"chat message {number} is no dict but {message!r:.40}: give role and content")
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise UserError(f"chat message {number} has the role {role!r}: choose one of {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise UserError(f"chat message {number} ({role}) has no text: give its content as a string")
        yield role, content

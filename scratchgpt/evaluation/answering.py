"""Asking a model, and taking down what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scratchgpt.inference.generate import generate_batch
from scratchgpt.models.base import LanguageModel
from scratchgpt.tokenizer import END_IDS, Message, Tokenizer, encode_chat

ANSWER_BATCH = 128
"""Prompts answered together."""


@dataclass(frozen=True)
class Answer:
    """What a model answered; ``finished`` is False where it never ended its turn."""

    text: str
    finished: bool


def written_text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """What a model wrote, for people and logs: half a surrogate pair is no character there and gives U+FFFD, too."""
    return tokenizer.decode_bytes(ids).decode("utf-8", "replace")


def encode_question(tokenizer: Tokenizer, prompt: str | Sequence[Message]) -> list[int]:
    """The ids of a prompt, a question or messages, up to where the answer begins."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return encode_chat(tokenizer, messages, add_generation_prompt=True)


def answer_prompts(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Sequence[str | Sequence[Message]],
    max_new_tokens: int = 96,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Answer]:
    """The model's answers to prompts, greedy unless a temperature is given; a prompt is a question or messages."""
    model.eval()
    encoded = [encode_question(tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))  # similar lengths together: less padding
    answers: list[Answer] = [Answer("", False)] * len(encoded)
    for start in range(0, len(order), ANSWER_BATCH):
        members = order[start : start + ANSWER_BATCH]
        outputs = generate_batch(
            model,
            [encoded[i] for i in members],
            max_new_tokens,
            temperature=temperature,
            stop_ids=END_IDS,
            seed=seed + start,
        )
        for i, ids in zip(members, outputs, strict=True):
            finished = bool(ids) and ids[-1] in END_IDS
            answers[i] = Answer(written_text(tokenizer, ids[:-1] if finished else ids).strip(), finished)
    return answers


def answered(
    model: LanguageModel, tokenizer: Tokenizer, prompts: Sequence[str | Sequence[Message]]
) -> list[tuple[str, str]]:
    """Each prompt, of messages the last one's text, and the text of the model's likeliest answer."""
    answers = answer_prompts(model, tokenizer, prompts)
    questions = [prompt if isinstance(prompt, str) else str(prompt[-1]["content"]) for prompt in prompts]
    return [(question, answer.text) for question, answer in zip(questions, answers, strict=True)]

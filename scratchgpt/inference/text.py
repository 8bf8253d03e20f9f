"""Text in, text out: continuing prompts and answering in chats."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping, Sequence

from scratchgpt.errors import ContextWindowWarning, UserError
from scratchgpt.inference.beam_search import beam_search
from scratchgpt.inference.engine import Engine
from scratchgpt.inference.generate import submit_batch
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inference.sequences import DecoderOf, own_decoder
from scratchgpt.inference.text_stream import TextStream
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.decoder import RereadingDecoder
from scratchgpt.tokenizer import END_IDS, Tokenizer, encode_chat
from scratchgpt.tokenizer.chat_format import Message
from scratchgpt.tokenizer.invisible import clean_text


class TextGenerator:
    """Text in, text out: continues prompts and answers in chats.

    Every method ends a text at a token of ``END_IDS``, at a string of ``stop`` (which is left out), or after
    ``max_length`` new tokens. Past the model's context it goes on with a sliding window and says so once. Prompts
    are read without the characters that nobody sees (:func:`scratchgpt.tokenizer.invisible.clean_text`). The
    arguments that the methods share:

        max_length: most new tokens.
        temperature, top_k, top_p, repetition_penalty: see :class:`scratchgpt.inference.sampling.SamplingConfig`;
            temperature 0 is greedy.
        num_beams: above 1, beam search takes the place of sampling, and temperature, top_k, top_p,
            repetition_penalty and seed take no part.
        stop: strings that end a text, or None.
        seed: the same seed gives the same text.

    Args:
        model: a trained model.
        tokenizer: the one it was trained with.
        use_cache: keep keys and values; False reads the whole text again for every token (slow, same text).

    Raises:
        UserError: by the constructor if the tokenizer has more ids than the model; by the methods if an
            argument is out of range, or a prompt is empty or longer than the context.
    """

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, use_cache: bool = True) -> None:
        if tokenizer.vocab_size > model.config.vocab_size:
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} ids, the model only {model.config.vocab_size}: "
                "use the tokenizer saved beside the model"
            )
        self.model = model
        self.tokenizer = tokenizer
        self._decoder_of: DecoderOf = own_decoder if use_cache else RereadingDecoder

    def generate(
        self,
        prompt: str | Sequence[str],
        max_length: int = 100,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        num_beams: int = 1,
        stop: str | Sequence[str] | None = None,
        seed: int = 0,
    ) -> str | list[str]:
        """The prompt and its continuation; for a list of prompts, a list, generated together."""
        sampling = SamplingConfig(temperature, top_k, top_p, repetition_penalty)
        prompts = [clean_text(text).text for text in ([prompt] if isinstance(prompt, str) else prompt)]
        encoded = [self._encode_prompt(text) for text in prompts]
        continuations = self._continue(encoded, max_length, sampling, num_beams, _stop_strings(stop), seed)
        texts = [text + continuation for text, continuation in zip(prompts, continuations, strict=True)]
        return texts[0] if isinstance(prompt, str) else texts

    def stream(
        self,
        prompt: str,
        max_length: int = 100,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """The continuation, without the prompt, in pieces of whole characters as they are generated."""
        sampling = SamplingConfig(temperature, top_k, top_p, repetition_penalty)
        return self._stream(self._encode_prompt(prompt), max_length, sampling, _stop_strings(stop), seed)

    def chat(
        self,
        messages: Sequence[Message],
        max_length: int = 100,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        num_beams: int = 1,
        stop: str | Sequence[str] | None = None,
        seed: int = 0,
    ) -> str:
        """The assistant's answer to a dialogue, without the dialogue.

        messages: dicts with ``role`` ("system", "user" or "assistant") and ``content``, the oldest first. A
        dialogue that leaves less than a quarter of the context for the answer (or max_length, if that is
        less) loses its oldest turns, but not a system turn and not the last turn; that is said once.
        """
        sampling = SamplingConfig(temperature, top_k, top_p, repetition_penalty)
        ids = self._encode_chat(messages, max_length)
        return self._continue([ids], max_length, sampling, num_beams, _stop_strings(stop), seed)[0]

    def stream_chat(
        self,
        messages: Sequence[Message],
        max_length: int = 100,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """What :meth:`chat` returns, in pieces of whole characters as they are generated."""
        sampling = SamplingConfig(temperature, top_k, top_p, repetition_penalty)
        ids = self._encode_chat(messages, max_length)
        return self._stream(ids, max_length, sampling, _stop_strings(stop), seed)

    def _continue(
        self,
        prompts: list[list[int]],
        max_length: int,
        sampling: SamplingConfig,
        num_beams: int,
        stop: Sequence[str],
        seed: int,
    ) -> list[str]:
        streams = [TextStream(self.tokenizer, stop) for _ in prompts]
        if num_beams == 1:
            for _ in self._text_steps(prompts, streams, max_length, sampling, seed):
                pass
        else:
            for prompt, stream in zip(prompts, streams, strict=True):
                ids, _ = beam_search(self.model, prompt, max_length, num_beams, stop_ids=END_IDS)
                for token in ids:
                    stream.push(token)
                stream.close()
        return [stream.take() for stream in streams]

    def _stream(
        self, prompt: list[int], max_length: int, sampling: SamplingConfig, stop: Sequence[str], seed: int
    ) -> Iterator[str]:
        stream = TextStream(self.tokenizer, stop)
        for _ in self._text_steps([prompt], [stream], max_length, sampling, seed):
            if piece := stream.take():
                yield piece
        if piece := stream.take():
            yield piece

    def _text_steps(
        self,
        prompts: list[list[int]],
        streams: list[TextStream],
        max_length: int,
        sampling: SamplingConfig,
        seed: int,
    ) -> Iterator[None]:
        """Feed each prompt's new tokens to its stream; yields after every step."""
        engine = Engine(self.model, max(1, len(prompts)), self._decoder_of)
        completions = submit_batch(engine, prompts, max_length, sampling, END_IDS, seed)
        while engine.busy:
            engine.step()
            for completion, stream in zip(completions, streams, strict=True):
                if not stream.finished:
                    stream.push(completion.tokens[-1])
                    if stream.finished:  # at a stop string, which only the text shows
                        completion.cancel()
                    elif completion.finished:
                        stream.close()
            yield

    def _encode_prompt(self, text: str) -> list[int]:
        seen = clean_text(text).text
        if not seen:
            raise UserError("the prompt is empty: give some text to go on from")
        return self.tokenizer.encode(seen)

    def _encode_chat(self, messages: Sequence[Message], max_length: int) -> list[int]:
        """The ids of the dialogue up to the opening of the answer, shortened to fit."""
        if not messages:
            raise UserError("the dialogue is empty: give at least one message")
        messages = [_as_seen(message) for message in messages]
        context_size = self.model.config.context_size
        room = context_size - min(max_length, context_size // 4)
        ids = encode_chat(self.tokenizer, messages, add_generation_prompt=True)
        system = list(messages[:1]) if messages[0]["role"] == "system" else []
        turns = list(messages[len(system) :])
        while len(ids) > room and len(turns) > 1:
            _note_dropped_turns(context_size)
            turns = turns[1:]
            while len(turns) > 1 and turns[0]["role"] != "user":  # an answer needs its question
                turns = turns[1:]
            ids = encode_chat(self.tokenizer, [*system, *turns], add_generation_prompt=True)
        return ids


@functools.cache
def _note_dropped_turns(context_size: int) -> None:
    warnings.warn(
        f"the dialogue no longer fits the model's context of {context_size} tokens; "
        "its oldest turns are forgotten (said once)",
        ContextWindowWarning,
        stacklevel=2,
    )


def _as_seen(message: Message) -> Message:
    """What a person wrote without invisible characters; what the model said as it said it."""
    if not isinstance(message, Mapping) or message.get("role") == "assistant":
        return message
    content = message.get("content")
    return {**message, "content": clean_text(content).text} if isinstance(content, str) else message


def _stop_strings(stop: str | Sequence[str] | None) -> Sequence[str]:
    strings = [stop] if isinstance(stop, str) else list(stop or ())
    if "" in strings:
        raise UserError("stop holds an empty string, which would end every text at once: leave it out")
    return strings

"""Talking with a checkpoint in the terminal: the dialogue so far, the commands, and the loop that reads them.

What the person sees is Chinese first and English second, like the models.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inference.text import TextGenerator
from scratchgpt.stages import stage_named, writing_stages
from scratchgpt.stages.run_folder import load_model, most_advanced_stage
from scratchgpt.terminal import visible
from scratchgpt.tokenizer.invisible import clean_text, dropped_in_words

HELP = """\
/help              显示这些命令 · show these commands
/reset             忘掉之前的对话 · forget the dialogue so far
/stage sft         换一个阶段的模型 · another stage's model: {stages}
/temperature 0.8   0 最稳定，越大越多样 · 0 is steady, higher is more varied
/quit              离开 · leave"""
CONTINUES = "预训练模型只会续写文字，不会回答问题。· A pretrained model continues your text, it does not answer."
NO_ANSWER = "（模型没有说话 · the model said nothing）"


class Conversation:
    """A checkpoint and what has been said to it.

    Args:
        out: the folder that training wrote to.
        stage: whose checkpoint, by the stage's name; None means the most advanced one there is.
        sampling: how tokens are chosen.
        max_length: most tokens of an answer.
        seed: with the number of the turn, of the randomness of an answer.

    Attributes:
        stage: the name of the stage whose model talks.
        generator: writes with that model.
        messages: the turns so far, dicts with ``role`` and ``content``.

    Raises:
        UserError: if there is no such checkpoint, or it cannot be loaded.
    """

    def __init__(
        self, out: Path, stage: str | None, sampling: SamplingConfig, max_length: int = 160, seed: int = 0
    ) -> None:
        if max_length < 1:
            raise UserError(f"max_length must be at least 1, not {max_length}")
        if seed < 0:
            raise UserError(f"seed must not be negative, not {seed}")
        self.out, self.sampling, self.max_length, self.seed = out, sampling, max_length, seed
        self.load(stage or most_advanced_stage(out))

    def load(self, stage: str) -> None:
        """Talk with another stage's model from now on, and begin anew.

        Args:
            stage: the stage's name.

        Raises:
            UserError: if there is no such stage or no checkpoint of it; nothing has changed then.
        """
        if stage not in _names():
            raise UserError(f"no stage {stage!r} to talk with; choose one of {', '.join(_names())}")
        self.generator = TextGenerator(*load_model(self.out, stage))
        self.stage = stage
        self.reset()

    def reset(self) -> None:
        """Forget what has been said."""
        self.messages: list[dict[str, str]] = []

    @property
    def answers(self) -> bool:
        """Whether the model answers; one that is only pretrained continues the text."""
        return stage_named(self.stage).writes == "answers"

    def say(self, text: str) -> Iterator[str]:
        """The answer to ``text`` in pieces, as they are generated; both turns are kept once it is complete.

        From a pretrained model: the text and its continuation, and nothing is kept.

        Raises:
            UserError: while the pieces are drawn, if the text does not fit the context; nothing is kept then.
        """
        settings = {**asdict(self.sampling), "max_length": self.max_length, "seed": self.seed + len(self.messages)}
        if not self.answers:
            continuation = self.generator.stream(text, **settings)
            yield text + next(continuation, "")
            yield from continuation
            return
        messages = [*self.messages, {"role": "user", "content": text}]
        pieces = []
        for piece in self.generator.stream_chat(messages, **settings):
            pieces.append(piece)
            yield piece
        self.messages = [*messages, {"role": "assistant", "content": "".join(pieces)}]


def answer_once(conversation: Conversation, prompt: str) -> None:
    """Print one answer to standard output, and nothing else there.

    Raises:
        UserError: if the prompt is empty or does not fit the context.
    """
    prompt = _without_invisible(prompt)
    if not prompt.strip():
        raise UserError("--prompt is empty; give it a question")
    if not conversation.answers:
        print(CONTINUES, file=sys.stderr)
    _print_pieces("", conversation.say(prompt))


def talk(conversation: Conversation, read: Callable[[str], str] = input) -> None:
    """Read lines and answer them until ``/quit``, the end of the input or Ctrl-C.

    Args:
        conversation: whom to talk with.
        read: shows a prompt and returns a line, or raises EOFError.
    """
    with contextlib.suppress(ImportError):  # gives `input` arrow keys and a history, where there is such a thing
        import readline  # noqa: F401
    print(f"scratchgpt：{_model_line(conversation)}")
    print("直接输入文字开始聊天；/help 显示命令，/quit 离开。")
    print("Type to chat; /help shows the commands, /quit leaves.")
    if not conversation.answers:
        print(CONTINUES)
    try:
        while (line := _without_invisible(read("\n你> ")).strip()) not in ("/quit", "／quit"):
            try:
                _respond(conversation, line)
            except UserError as error:
                print(error)
    except (EOFError, KeyboardInterrupt):
        print()
    print("再见！· Bye.")


def _without_invisible(text: str) -> str:
    """What was typed or pasted, without characters that nobody sees; on standard error it is said if there were any."""
    seen, dropped = clean_text(text)
    if dropped:
        print(f"去掉了看不见的字符 · left out: {dropped_in_words(dropped)}", file=sys.stderr)
    return seen


def _respond(conversation: Conversation, line: str) -> None:
    if line.startswith(("/", "／")):  # the second one is what a Chinese keyboard types
        _obey(conversation, "/" + line[1:])
    elif line:
        _print_pieces("AI> ", conversation.say(line))


def _obey(conversation: Conversation, line: str) -> None:
    command, _, argument = line.partition(" ")
    argument = argument.strip()
    match command:
        case "/help":
            print(HELP.format(stages=" ".join(reversed(_names()))))
        case "/reset":
            conversation.reset()
            print("好，重新开始。· Starting anew.")
        case "/stage":
            conversation.load(argument)
            print(_model_line(conversation))
            if not conversation.answers:
                print(CONTINUES)
        case "/temperature":
            conversation.sampling = replace(conversation.sampling, temperature=_number(argument))
            print(f"temperature {conversation.sampling.temperature:g}")
        case _:
            print(f"没有 {command} 这个命令，/help 显示命令。· There is no command {command}; /help shows them.")


def _names() -> list[str]:
    """The stages to talk with, most advanced first."""
    return [stage.name for stage in writing_stages()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"a number is needed, as in /temperature 0.8, not {text!r}") from None


def _model_line(conversation: Conversation) -> str:
    parameters = conversation.generator.model.num_parameters()
    return f"{conversation.stage}, {parameters:,} 参数 · parameters, {conversation.out}"


def _print_pieces(speaker: str, pieces: Iterator[str]) -> None:
    """Print the pieces as they come; the speaker's name only once there is a first piece, and so no error."""
    said = next(pieces, "")
    print(speaker + visible(said), end="", flush=True)
    for piece in pieces:
        print(visible(piece), end="", flush=True)
        said += piece
    print("" if said.strip() else NO_ANSWER)

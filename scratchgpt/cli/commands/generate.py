"""``python -m scratchgpt generate``: a prompt and its continuation, from any checkpoint.

The plain continuation of a text, without the chat format: ``chat.py`` is for talking.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from scratchgpt.cli.machine_flags import StageFlag
from scratchgpt.errors import UserError
from scratchgpt.inference.text import TextGenerator
from scratchgpt.stages.checkpoint_choice import load_chosen
from scratchgpt.terminal import visible
from scratchgpt.tokenizer.invisible import clean_text, dropped_in_words


@dataclass(frozen=True)
class Arguments:
    """Continue a text.

    Attributes:
        prompt: the text to go on from.
        max_length: most new tokens.
        temperature: 0 always takes the most likely token; higher is more varied.
        top_k: choose among the k most likely tokens only; 0 means all.
        top_p: choose among the most likely tokens that together reach this probability; 1 means all.
        repetition_penalty: above 1 makes words that were said already less likely.
        num_beams: above 1, search for the most likely text with so many beams; nothing is left to chance then.
        seed: the same seed gives the same text.
        checkpoint: the folder of one model, or the one that train.py wrote to.
        stage: of the latter, whose model; by default the pretrained one, which has learned to go on with text.
    """

    prompt: str
    max_length: int = 100
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    num_beams: int = 1
    seed: int = 0
    checkpoint: Path = Path("checkpoints")
    stage: StageFlag = None


def run(arguments: Arguments) -> None:
    """Print the prompt and its continuation to standard output, and nothing else there.

    Raises:
        UserError: if a value is out of range, the prompt is empty or too long, or there is no such checkpoint.
    """
    for name, lowest in (("max_length", 1), ("num_beams", 1), ("seed", 0)):
        if getattr(arguments, name) < lowest:
            raise UserError(f"--{name} must be at least {lowest}, not {getattr(arguments, name)}")
    prompt, dropped = clean_text(arguments.prompt)
    if dropped:
        print(f"note: left out of the prompt: {dropped_in_words(dropped)}", file=sys.stderr)
    arguments = dataclasses.replace(arguments, prompt=prompt)
    if not prompt:
        raise UserError("--prompt is empty; give it some text to go on from")
    model, tokenizer, _ = load_chosen(arguments.checkpoint, arguments.stage, plain_text=True)
    pieces = _pieces(TextGenerator(model, tokenizer), arguments)
    # Two of them before anything is shown: what is wrong with the prompt is said instead of it, and that kernels
    # are being compiled is said before it, not in the middle of a line.
    print(*map(visible, list(islice(pieces, 2))), sep="", end="", flush=True)
    for piece in pieces:
        print(visible(piece), end="", flush=True)
    print()


def _pieces(generator: TextGenerator, arguments: Arguments) -> Iterator[str]:
    """The text as it comes, the prompt with the first piece; a beam search has only one."""
    sampling = {name: getattr(arguments, name) for name in ("temperature", "top_k", "top_p", "repetition_penalty")}
    if arguments.num_beams == 1:
        stream = generator.stream(arguments.prompt, arguments.max_length, **sampling, seed=arguments.seed)
        yield arguments.prompt + next(stream, "")
        yield from stream
        return
    ignored = [name for name, value in sampling.items() if value != getattr(Arguments, name)]
    if ignored:
        print(f"note: a beam search leaves nothing to chance: {', '.join(ignored)} take no part", file=sys.stderr)
    text = generator.generate(arguments.prompt, arguments.max_length, **sampling, num_beams=arguments.num_beams)
    assert isinstance(text, str)
    yield text

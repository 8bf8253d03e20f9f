"""``python -m scratchgpt walkthrough``: its flags, and the pages they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from scratchgpt.cli.which_run import RunFlag, run_or_fresh
from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inside.bilingual import Language
from scratchgpt.inside.walkthrough.attention_pages import attention_pages
from scratchgpt.inside.walkthrough.backward_pages import backward_pages
from scratchgpt.inside.walkthrough.forward_pages import closing_pages, feed_forward_pages, layers_after, opening_pages
from scratchgpt.inside.walkthrough.page import Page, show_pages
from scratchgpt.inside.walkthrough.ppo_pages import ppo_pages
from scratchgpt.inside.walkthrough.reward_pages import reward_pages
from scratchgpt.inside.walkthrough.rlvf_pages import rlvf_pages
from scratchgpt.inside.walkthrough.sentence import walk_sentence
from scratchgpt.inside.walkthrough.sft_pages import sft_pages
from scratchgpt.inside.walkthrough.subject import load_subject
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.terminal import VisibleConsole

SENTENCE = "我 爱"
STAGE_PAGES = {"sft": sft_pages, "reward": reward_pages, "ppo": ppo_pages, "rlhf": ppo_pages, "rlvf": rlvf_pages}


@dataclass(frozen=True)
class Arguments:
    """Follow one sentence through the model with real numbers, forward and back; or one training example of a stage.

    Attributes:
        sentence: the text to follow; by default "我 爱".
        stage: show a training example of this stage instead of a sentence (or rlhf, which is ppo).
        checkpoint: the folder of a run, whose pretrained model reads the sentence, or of one model, as
            checkpoints/rlvf. By default checkpoints, or the model that comes with scratchgpt.
        fresh: follow a small untrained model instead, whose numbers are few.
        layer: which layer to see closely, from 0.
        head: which attention head to see closely, from 0.
        target: what ought to come after the sentence; by default the token that is drawn.
        temperature: of the draw; 0 always takes the most likely token.
        top_k: draw among the k most likely tokens; 0 means all.
        example: which training example of the stage, from 0.
        lang: Chinese or English.
        steps: page by page; Enter goes on, q ends.
        seed: of everything that is random.
    """

    sentence: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[SENTENCE]", help_behavior_hint="")
    ] = None
    stage: Annotated[str | None, tyro.conf.arg(metavar="{sft,reward,ppo,rlvf}", help_behavior_hint="")] = None
    checkpoint: RunFlag = None
    fresh: bool = False
    layer: int = 0
    head: int = 0
    target: Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")] = None
    temperature: float = 1.0
    top_k: int = 10
    example: int = 0
    lang: Language = "zh"
    steps: bool = False
    seed: int = 0


def run(arguments: Arguments) -> None:
    """Print the pages, all at once or one by one.

    Raises:
        UserError: for whatever the user can mend.
    """
    speech = Speech(arguments.lang)
    with VisibleConsole(stderr=True).status(speech.word("computing")):
        pages = pages_of(arguments)
    show_pages(VisibleConsole(highlight=False), pages, speech, input if arguments.steps else None)


def pages_of(arguments: Arguments) -> list[Page]:
    """The pages that the arguments ask for.

    Raises:
        UserError: for whatever the user can mend.
    """
    if arguments.seed < 0:
        raise UserError(f"--seed must not be negative, not {arguments.seed}")
    run = run_or_fresh(arguments.checkpoint, arguments.fresh)
    return _sentence_pages(arguments, run) if arguments.stage is None else _stage_pages(arguments, arguments.stage, run)


def _stage_pages(arguments: Arguments, stage: str, run: Path | None) -> list[Page]:
    if stage == "pretrain":
        raise UserError("--stage pretrain: the walk through a sentence shows its loss and its step; leave --stage out")
    if stage not in STAGE_PAGES:
        raise UserError(f"--stage {stage}: there is no such stage to walk through; choose sft, reward, ppo or rlvf")
    for name in ("sentence", "target", "layer", "head"):
        if getattr(arguments, name) != getattr(Arguments, name):
            raise UserError(f"--stage {stage} shows an example of the training data as a whole; leave the {name} out")
    return STAGE_PAGES[stage](run, arguments.example, arguments.seed, Speech(arguments.lang))


def _sentence_pages(arguments: Arguments, run: Path | None) -> list[Page]:
    if arguments.example:
        raise UserError("--example chooses a training example of a stage; say which with --stage")
    sentence = SENTENCE if arguments.sentence is None else arguments.sentence
    walk = walk_sentence(
        load_subject(run, [sentence, arguments.target or ""], arguments.seed),
        sentence,
        Speech(arguments.lang),
        arguments.layer,
        arguments.head,
        arguments.target,
        SamplingConfig(arguments.temperature, arguments.top_k),
        arguments.seed,
    )
    return [
        *opening_pages(walk),
        *attention_pages(walk),
        *feed_forward_pages(walk),
        *layers_after(walk),
        *closing_pages(walk),
        *backward_pages(walk),
    ]

"""The walk through stage 2: one dialogue, which of its tokens count, the loss of each, and one step."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from rich.text import Text

from scratchgpt import autograd as ag
from scratchgpt.autograd import IGNORE_INDEX, no_grad
from scratchgpt.datasets.batches import DialogueBatches, TokenBatch
from scratchgpt.datasets.sources import DataSources
from scratchgpt.inside.recorder import record
from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.walkthrough.examples import choose, require_room
from scratchgpt.inside.walkthrough.labels import token_labels
from scratchgpt.inside.walkthrough.numbers import significant
from scratchgpt.inside.walkthrough.page import Page, page_of, token_table
from scratchgpt.inside.walkthrough.sentence import MAX_GRAD_NORM
from scratchgpt.inside.walkthrough.subject import fresh_subject, load_first, load_stage, stage_folder
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.tokenizer import encode_chat_with_mask, render_chat
from scratchgpt.training.update import language_model_step

GIVEN = 8
"""Tokens shown of what is given, before the first that counts."""


def sft_pages(checkpoint: Path | None, example: int, seed: int, speech: Speech) -> list[Page]:
    """The pages of one dialogue.

    Raises:
        UserError: if there is no such example or no checkpoint of the stage, or the example does not fit.
    """
    dialogues, _ = DataSources().dialogues()
    dialogue = choose(dialogues, example, "sft")
    run = stage_folder(checkpoint)
    if run is None:
        subject = fresh_subject([m["content"] for m in dialogue["messages"]], seed, context_size=256)
        before = None
    else:
        subject = load_stage(run, "sft")
        before = load_first(run, ["pretrain"])
    model, tokenizer, say = subject.model.eval(), subject.tokenizer, speech.word
    ids, _ = encode_chat_with_mask(tokenizer, dialogue["messages"])
    require_room(len(ids) - 1, model.config.context_size, example)
    batch = DialogueBatches([dialogue], tokenizer, model.config.context_size, 1, seed).batch(0)
    targets = batch.targets[0]
    counted = targets != IGNORE_INDEX
    labels = token_labels(tokenizer, batch.input_ids[0])
    start = max(0, int(counted.argmax()) - GIVEN)
    wanted = np.array(token_labels(tokenizer, ids[1:]))

    everything = dataclasses.replace(batch, targets=np.array([ids[1:]]))  # what the loss of every token would be
    losses = _losses(model, everything)
    columns: dict[str, np.ndarray] = {
        say("target"): wanted,
        say("counted"): np.where(counted, "1", "0"),
    }
    if before is not None:
        columns[say("loss_of", stage="pretrain")] = _losses(before.model, everything)
    columns[say("loss_of", stage=say("fresh_short") if run is None else "sft")] = losses

    with record(model) as recording:
        model.loss(batch.input_ids, batch.targets).backward()
    head = recording.step("linear_cross_entropy", "")
    loss = float(head.output)
    grad_logits = head.hidden_backward()[0]
    model.zero_grad()

    optimizer = AdamW(model.named_parameters(), subject.learning_rate)
    metrics = language_model_step(model, optimizer, batch, subject.learning_rate, MAX_GRAD_NORM)
    after = _losses(model, everything)
    shown = losses[counted][:3]
    by_hand = " + ".join(f"{value:.3f}" for value in shown) + (" + …" if counted.sum() > len(shown) else "")
    return [
        Page(
            "sft_dialogue",
            {"where": say("example_from", number=example, where=subject.directory or say("fresh")), "count": len(ids)},
            sources=[source_of(encode_chat_with_mask)],
            parts=[Text(render_chat(dialogue["messages"]))],
        ),
        page_of(
            head,
            "sft_losses",
            values={"counted": int(counted.sum()), "count": len(targets)},
            by_hand=[
                f"L = ({by_hand}) / {counted.sum()} = {significant(loss)}",
                f"({say('if_all_counted')}: {significant(float(losses.mean()))})",
            ],
            parts=[token_table(labels, say("token"), columns, start=start)],
        ),
        page_of(
            head,
            "sft_gradient",
            hidden=[grad_logits],
            back=True,
            parts=[
                token_table(
                    labels,
                    say("token"),
                    {
                        say("target"): wanted,
                        say("counted"): np.where(counted, "1", "0"),
                        "‖dz‖": np.linalg.norm(grad_logits.array[0], axis=-1),
                    },
                    start=start,
                )
            ],
        ),
        Page(
            "sft_step",
            {
                "lr": optimizer.lr,
                "norm": significant(metrics["grad_norm"]),
                "before": f"{loss:.4f}",
                "after": f"{after[counted].mean():.4f}",
            },
            sources=[source_of(language_model_step), source_of(AdamW.step)],
            parts=[
                token_table(
                    list(wanted[counted]),
                    say("target"),
                    {say("before"): losses[counted], say("after"): after[counted]},
                )
            ],
        ),
    ]


def _losses(model: LanguageModel, batch: TokenBatch) -> np.ndarray:
    """(T,) the loss of every token, without dropout."""
    with no_grad():
        logits, _ = model.eval()(batch.input_ids)
        return ag.token_losses(logits, batch.targets).data[0]

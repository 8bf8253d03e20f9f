"""The walk through stage 3: one pair of answers, their scores, the margin, its gradient, and one step."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from scratchgpt.autograd import no_grad
from scratchgpt.datasets.batches import pad_sequences
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.reward_scores import encode_answer, score_sequences
from scratchgpt.inside.recorder import record
from scratchgpt.inside.source_lines import source_of
from scratchgpt.inside.walkthrough.examples import choose, require_room
from scratchgpt.inside.walkthrough.labels import token_labels
from scratchgpt.inside.walkthrough.numbers import dot_product, in_brackets, significant
from scratchgpt.inside.walkthrough.page import Page, labelled, page_of, table, token_table
from scratchgpt.inside.walkthrough.sentence import MAX_GRAD_NORM
from scratchgpt.inside.walkthrough.subject import TRAINED_STEP, fresh_subject, stage_folder
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.models.reward import RewardModel, ScoreHead
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.reward import bradley_terry_loss
from scratchgpt.stages.run_folder import finished_directory
from scratchgpt.tokenizer import load_tokenizer
from scratchgpt.training.checkpoints import load_reward_model
from scratchgpt.training.update import Loss, update

SIDES = ("chosen", "rejected")


def reward_pages(checkpoint: Path | None, example: int, seed: int, speech: Speech) -> list[Page]:
    """The pages of one pair.

    Raises:
        UserError: if there is no such example or no checkpoint of the stage, or the example does not fit.
    """
    pairs, _ = DataSources().pairs()
    pair = choose(pairs, example, "reward")
    run = stage_folder(checkpoint)
    say = speech.word
    if run is None:
        fresh = fresh_subject([pair["prompt"], pair["chosen"], pair["rejected"]], seed, context_size=256)
        model, tokenizer = RewardModel(fresh.model.config, seed), fresh.tokenizer
        where, learning_rate = say("fresh"), fresh.learning_rate
    else:
        directory = finished_directory(run, "reward")
        tokenizer = load_tokenizer(directory)
        model = load_reward_model(directory, tokenizer)
        where, learning_rate = str(directory), TRAINED_STEP
    model.eval()
    sequences = [encode_answer(tokenizer, pair["prompt"], pair[side]) for side in SIDES]
    require_room(max(map(len, sequences)), model.config.context_size, example)
    ids, lengths = pad_sequences(sequences), np.array([len(sequence) for sequence in sequences])

    same = int((ids[0] != ids[1]).argmax())  # tokens of the prompt, which both begin with
    with no_grad():
        running = model.values(ids).data
    with record(model) as recording:
        scores = model(ids, lengths)
        loss = bradley_terry_loss(scores[:1], scores[1:])
        optimizer = AdamW(model.named_parameters(), learning_rate)
        norm = update(optimizer, Loss.of_mean(loss, 1), MAX_GRAD_NORM).grad_norm
    after = score_sequences(model, sequences)

    chosen, rejected = (float(score) for score in scores.data)
    margin = chosen - rejected
    probability = 1 / (1 + math.exp(-margin))
    product = recording.step("matmul", "score")
    hidden, weight = product.argument("a").value, product.argument("b").value[:, 0]
    softmax = recording.step("log_softmax", "")
    gradient = softmax.argument("x").gradient
    assert gradient is not None

    overview = table(say("side"), say("tokens"), say("score"), numbers=1)
    for side, length, score in zip(SIDES, lengths, (chosen, rejected), strict=True):
        overview.add_row(say(side), str(length), f"{score:+.4f}")
    moved = table(say("side"), say("before"), say("after"), numbers=1)
    rows = {say("chosen"): (chosen, after[0]), say("rejected"): (rejected, after[1])}
    rows[say("margin")] = (margin, after[0] - after[1])
    for name, (old, new) in rows.items():
        moved.add_row(name, f"{old:+.4f}", f"{new:+.4f}")

    by_hand = [
        f"r({say(side)}) = {dot_product(h, weight)} = {score:+.4f}"
        for side, h, score in zip(SIDES, hidden, (chosen, rejected), strict=True)
    ]
    return [
        Page(
            "reward_pair",
            {"where": say("example_from", number=example, where=where), "kind": pair.get("kind", "?")},
            sources=[source_of(encode_answer)],
            parts=[labelled({say(name): pair[name] for name in ("prompt", *SIDES)})],
        ),
        Page(
            "reward_scores",
            {"channels": len(weight)},
            equations=["r = h · w"],
            by_hand=by_hand,
            shape=f"h {hidden.shape}, w {weight.shape} -> r {scores.shape}",
            module="score",
            sources=[source_of(ScoreHead.forward), source_of(RewardModel.forward)],
            parts=[overview],
        ),
        Page(
            "reward_running",
            sources=[source_of(RewardModel.values)],
            parts=[
                token_table(
                    token_labels(tokenizer, sequence),
                    say(side),
                    {say("score"): running[row, : len(sequence)]},
                    24,
                    same,
                )
                for row, (side, sequence) in enumerate(zip(SIDES, sequences, strict=True))
            ],
        ),
        Page(
            "reward_loss",
            {"margin": f"{margin:+.4f}", "probability": f"{probability:.4f}", "loss": f"{loss.item():.4f}"},
            equations=["P = sigmoid(r_chosen - r_rejected)", "L = -ln P"],
            by_hand=[
                f"P = 1 / (1 + exp(-({chosen:.4f} - {in_brackets(f'{rejected:.4f}')}))) = {significant(probability)}",
                f"L = -ln {significant(probability)} = {significant(loss.item())}",
            ],
            sources=[source_of(bradley_terry_loss)],
        ),
        page_of(
            softmax,
            "reward_gradient",
            back=True,
            by_hand=[
                f"dr_chosen = -(1 - P) = {gradient[0, 0]:+.4f}",
                f"dr_rejected = +(1 - P) = {gradient[0, 1]:+.4f}",
            ],
        ),
        Page(
            "reward_step",
            {"lr": learning_rate, "norm": significant(norm)},
            sources=[source_of(update), source_of(AdamW.step)],
            parts=[moved],
        ),
    ]

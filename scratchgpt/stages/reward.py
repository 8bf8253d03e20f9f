"""Stage 3, the reward model: a number for how good an answer is, learned from pairs.

    P(chosen is better) = sigmoid(r_chosen - r_rejected)          (Bradley & Terry 1952)
    loss = -mean log P(chosen is better)                          (Ouyang et al. 2022, eq. 1)

It is the SFT model with the token head replaced by one number, read at the answer's last token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.config import GPTConfig, RewardConfig
from scratchgpt.datasets.batches import pad_sequences
from scratchgpt.datasets.records import Record, place_of
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.measures import accuracy_by_group, wins
from scratchgpt.evaluation.reward_scores import SCORING_BATCH, encode_answer, score_sequences
from scratchgpt.models.reward import RewardModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.nn.schedules import linear_schedule, total_steps
from scratchgpt.stages.stage import SAMPLES, Context, Setup, Sizes, Stage, accuracies
from scratchgpt.stages.warning_signs import WINDOW, nothing_learned
from scratchgpt.stages.work import Outlook, Piece, Work, batches, longest_of, measurements
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.best import Goal
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.memory import Parts, held_models, measuring_pass, together, training_pass
from scratchgpt.training.trainer import Trainer
from scratchgpt.training.update import Loss, update

UNDECIDED = 0.98 * math.log(2)
"""The loss of equal scores, ln 2, less what noise can gain: with 58% of the pairs right it can be as low."""
SIDES = ("chosen", "rejected")


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """-mean log sigmoid(chosen - rejected), scores (B,) each.

    Written as a softmax over the two scores, which is the same and overflows nowhere.
    """
    pairs = ag.concatenate(ag.reshape(chosen, shape=(-1, 1)), ag.reshape(rejected, shape=(-1, 1)), axis=1)
    return -ag.log_softmax(pairs)[:, 0].mean()


def encoded_pairs(
    records: Sequence[Record], tokenizer: Tokenizer, context_size: int, strict: bool = False
) -> dict[int, tuple[list[int], list[int]]]:
    """The pairs that fit the context, encoded as (chosen, rejected), by their number in ``records``.

    Args:
        records: with ``prompt``, ``chosen``, ``rejected``, perhaps ``history``.
        tokenizer: made for the model's vocabulary.
        context_size: tokens of the longer side at most.
        strict: refuse a pair that is longer, rather than leave it out.

    Raises:
        UserError: if none fits, or if strict and one does not.
    """
    encoded = {}
    for number, record in enumerate(records):
        chosen, rejected = (
            encode_answer(tokenizer, record["prompt"], record[side], record.get("history", ()))
            for side in SIDES
        )
        if max(len(chosen), len(rejected)) <= context_size:
            encoded[number] = chosen, rejected
        elif strict or (number == len(records) - 1 and not encoded):
            raise UserError(
                f"{place_of(record)}: the preference pair is longer than the context of {context_size} tokens"
                + (" (--strict refuses it)" if strict else f", as all {len(records)} are")
                + "; shorten it: "
                + f"{record['prompt'][:40]!r}"
            )
    return encoded


def lengths(data: DataSources, tokenizer: Tokenizer, context_size: int) -> str:
    """What does not fit the context, in words; empty if everything does.

    Raises:
        UserError: if nothing fits, or if the data are read strictly and something does not.
    """
    left_out = [
        f"{count:,} of {len(records):,} {kind} exceed the context of {context_size} tokens"
        for kind, records in zip(("pairs", "held-out pairs"), data.pairs(), strict=True)
        if (count := len(records) - len(encoded_pairs(records, tokenizer, context_size, data.strict)))
    ]
    return " and ".join(left_out)


class RewardModelTrainer(Trainer):
    """Trains a reward model on preference pairs.

    Args:
        model: the reward model, trained in place.
        tokenizer: made for the same vocabulary.
        config: the model's sizes.
        reward_config: settings of the stage.
        pairs, heldout: records with ``prompt``, ``chosen``, ``rejected``; those that exceed the context are left out.
        seed: of the order of the pairs and of dropout.
        strict: refuse a pair that exceeds the context, rather than leave it out.

    Raises:
        UserError: if no pair fits the context, or if strict and one does not.
    """

    name = "reward"
    stage_number = 3
    goal = Goal("accuracy", higher=True)

    def __init__(
        self,
        model: RewardModel,
        tokenizer: Tokenizer,
        config: GPTConfig,
        reward_config: RewardConfig,
        pairs: Sequence[Record],
        heldout: Sequence[Record],
        seed: int = 0,
        strict: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.tokenizer, self.settings, self.seed = model, tokenizer, reward_config, seed
        self.pairs = list(encoded_pairs(pairs, tokenizer, config.context_size, strict).values())
        measured = encoded_pairs(heldout, tokenizer, config.context_size, strict)
        self.heldout = list(measured.values())
        self.heldout_kinds = [heldout[number].get("kind", "other") for number in measured]
        self.batch_size = min(reward_config.batch_size, len(self.pairs))
        self.steps_per_epoch = len(self.pairs) // self.batch_size
        self.total_steps = total_steps(reward_config.epochs, self.steps_per_epoch)
        self.evaluate_every = reward_config.evaluate_every
        self.optimizer = AdamW(model.named_parameters(), reward_config.lr, weight_decay=reward_config.weight_decay)
        self.modules, self.optimizers = {"model": model}, {"model": self.optimizer}

    def step(self, index: int) -> Metrics:
        """One batch of pairs, both sides in one forward pass, one update."""
        epoch, position = divmod(index, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, self.stage_number, epoch)).permutation(len(self.pairs))
        members = [self.pairs[i] for i in order[position * self.batch_size : (position + 1) * self.batch_size]]
        sequences = [chosen for chosen, _ in members] + [rejected for _, rejected in members]
        lengths = np.array([len(s) for s in sequences])

        self.model.train()
        self.model.reseed(self.seed, self.stage_number, index)
        scores = self.model(pad_sequences(sequences), lengths)  # (2B,): the chosen ones first
        chosen, rejected = scores[: len(members)], scores[len(members) :]
        loss = Loss.of_mean(bradley_terry_loss(chosen, rejected), len(members))
        self.optimizer.lr = linear_schedule(index, self.total_steps, self.settings.lr, self.settings.warmup_steps)
        result = update(self.optimizer, loss, self.settings.max_grad_norm, self.world)
        margins = chosen.data - rejected.data
        return {
            "loss": result.loss,
            "accuracy": float(wins(chosen.data, rejected.data).mean()),
            "rewards/margins": float(margins.mean()),
            "grad_norm": result.grad_norm,
            "lr": self.optimizer.rate,
            "tokens": float(lengths.sum()),
        }

    def evaluate(self) -> Metrics:
        """Share of held-out pairs whose chosen answer scores higher, a tie counting half; by kind of badness too."""
        chosen = score_sequences(self.model, [c for c, _ in self.heldout])
        rejected = score_sequences(self.model, [r for _, r in self.heldout])
        metrics = accuracy_by_group(wins(chosen, rejected).tolist(), self.heldout_kinds)
        return {**metrics, "rewards/margins": float((chosen - rejected).mean())}

    def warning_signs(self, history: History) -> dict[str, str]:
        """At the end, that nothing was learned.

        The mean loss of the last quarter of the batches is no lower than that of the first ones, or is that of a model
        which does not know: :data:`UNDECIDED`, lower than that of the random scores it begins with.
        """
        losses = [float(step["loss"]) for step in history.steps]
        if len(losses) < max(2 * WINDOW, self.total_steps):  # in fewer batches the noise decides
            return {}
        last = losses[-max(WINDOW, len(losses) // 4) :]
        text = nothing_learned(min(sum(losses[:WINDOW]) / WINDOW, UNDECIDED), sum(last) / len(last))
        return {"nothing learned": text} if text else {}

    def sample(self) -> str:
        """A held-out pair with both scores."""
        (chosen, rejected) = self.heldout[0]
        scores = score_sequences(self.model, [chosen, rejected])
        return f"{scores[0]:+.2f} {self.tokenizer.decode(chosen)} / {scores[1]:+.2f} {self.tokenizer.decode(rejected)}"


def _build(context: Context) -> Setup:
    pairs, heldout = context.data.pairs()
    tokenizer = context.tokenizer
    model = RewardModel.from_pretrained(context.model, seed=context.seed)
    trainer = RewardModelTrainer(
        model, tokenizer, model.config, context.settings, pairs, heldout, context.seed, context.data.strict
    )
    context.say(f"reward: {len(trainer.pairs):,} pairs")
    too_long = len(pairs) - len(trainer.pairs), len(heldout) - len(trainer.heldout)
    for count, kind in zip(too_long, ("pairs", "held-out pairs"), strict=True):
        if count:
            context.say(f"reward: {count:,} {kind} exceed the context and are left out")
    shown = list(encoded_pairs(heldout, tokenizer, model.config.context_size).items())[:SAMPLES]
    labels = [f"{heldout[number]['prompt']} ({side}) {heldout[number][side]}" for number, _ in shown for side in SIDES]
    sequences = [ids for _, pair in shown for ids in pair]

    def samples() -> list[tuple[str, str]]:
        scores = score_sequences(model, sequences)
        return [(label, f"{score:+.2f}") for label, score in zip(labels, scores, strict=True)]

    return Setup(trainer, model, tokenizer, lambda: accuracies("pair accuracy", trainer.evaluate()), samples)


def _memory(sizes: Sizes) -> list[Parts]:
    pairs, heldout = sizes.data.pairs()

    def longest(records: Sequence[Record]) -> int:
        return sizes.longest((r["prompt"] + r[side] for r in records for side in ("chosen", "rejected")), 2)

    held = held_models(sizes.model, 2, 1)  # the model it starts from stays
    rows = 2 * min(sizes.settings.batch_size, len(pairs))
    moments = [
        *training_pass(sizes.model, rows, longest(pairs), dropout=True),
        measuring_pass(sizes.model, min(SCORING_BATCH, len(heldout)), longest(heldout)),
    ]
    return [together(held, moment) for moment in moments]


def _work(outlook: Outlook) -> Work:
    pairs, heldout = outlook.read_by(DataSources.pairs)
    settings, lengths = outlook.settings, outlook.pairs(pairs)
    batch = min(settings.batch_size, len(pairs))
    steps = total_steps(settings.epochs, batches(len(pairs), batch))
    looks = measurements(steps, settings.evaluate_every) + 2
    pieces = [
        Piece("train", steps, 2 * batch, round(longest_of(lengths, 2 * batch)), 0),
        outlook.scoring(looks * 2 * len(heldout), lengths.prompt, lengths.answer),
    ]
    return Work(steps, pieces)


REWARD = Stage(
    name="reward",
    title_zh="奖励模型",
    title_en="Reward model",
    directory="reward_model",
    config=RewardConfig,
    reads=(DataSources.pairs,),
    build=_build,
    lengths=lengths,
    work=_work,
    follows=("sft", "pretrain"),
    writes=None,
    memory=_memory,
)

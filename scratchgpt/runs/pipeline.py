"""From data files to five checkpoints: what ``train.py`` runs.

Each stage is the same five lines: where does it start from, what does it measure before, train, what does
it measure after, save. The measures are taken on all held-out items with the same functions before and
after, so that the report compares like with like.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from scratchgpt import kernels
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.evaluation.answering import answer_prompts
from scratchgpt.evaluation.measures import question_accuracy, task_accuracy
from scratchgpt.evaluation.reward_scores import encode_answer, score_sequences
from scratchgpt.inference.generate import generate_batch
from scratchgpt.inside.profiler import STEPS, WARM_UP, profile_steps, profile_table
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.runs.plan import DATA_OF_STAGE, Plan
from scratchgpt.runs.report import Measure, Sample, StageResult, save_result, write_report
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.stages.reward import RewardModelTrainer
from scratchgpt.stages.rlhf import PPOTrainer
from scratchgpt.stages.rlvf import RLVFTrainer
from scratchgpt.stages.sft import SFTTrainer
from scratchgpt.tokenizer import END_IDS, BPETokenizer, CharTokenizer, Tokenizer, render_chat
from scratchgpt.training.checkpoints import (
    PREDECESSORS,
    STAGES,
    finished_directory,
    is_finished,
    load_model,
    load_reward_model,
    partial_file,
    replacing,
    stage_directory,
)
from scratchgpt.training.history import History
from scratchgpt.training.loop import run_stage
from scratchgpt.training.trainer import Trainer

MAX_TOKEN_LENGTH = 12
"""Bytes of the longest token: four Han characters, as long as nearly all Chinese words and idioms are."""
SAMPLES = 6
"""Prompts whose answers the report shows before and after each stage."""


def run(plan: Plan, console: Console) -> None:
    """Run the plan's stages in order and write the report.

    Raises:
        UserError: for whatever the user can mend.
        Interrupted: after Ctrl-C, with everything saved.
    """
    _say_how(console)
    for read in {read for stage in plan.stages for read in DATA_OF_STAGE[stage]}:
        read(plan.data)  # whatever is wrong with a file is said before hours are spent on the others
    runners = {"pretrain": _pretrain, "sft": _sft, "reward": _reward, "rlhf": _rlhf, "rlvf": _rlvf}
    for stage in STAGES:
        if stage not in plan.stages:
            continue
        if plan.resume and is_finished(plan.out, stage) and not partial_file(plan.out, stage).is_file():
            console.print(f"[bold]{stage}[/] is finished already")
            continue
        began = time.monotonic()
        result = runners[stage](plan, console)
        settings = {**result.settings, "seed": plan.seed}
        result = dataclasses.replace(result, seconds=time.monotonic() - began, settings=settings)
        save_result(plan.out, result)
        for measure in result.measures:
            console.print(
                f"    {measure.measure}: {measure.before:.4g} -> {measure.after:.4g}  ({measure.items} items)",
                highlight=False,
            )
    from scratchgpt.runs.report_page.page import write_html_report  # here: Matplotlib takes a second to load

    write_report(plan.out)
    write_html_report(plan.out)
    console.print(f"report: {plan.out / 'report.md'}, {plan.out / 'report.html'}", soft_wrap=True)


def profile(plan: Plan, console: Console) -> None:
    """Make a few training steps of the plan's first stage, print where their time goes, and write nothing.

    Raises:
        UserError: for whatever the user can mend, and for a stage of reinforcement learning: most of its time goes
            into generating, which does not pass through the engine.
    """
    stage = plan.stages[0]
    trainers: dict[str, Callable[[Plan, Console], Any]] = {
        "pretrain": _pretrainer,
        "sft": _sft_trainer,
        "reward": _reward_trainer,
    }
    if stage not in trainers:
        raise UserError(f"--profile covers {', '.join(trainers)}, not {stage}; choose one of them with --stage")
    _say_how(console)
    trainer = trainers[stage](plan, console)
    console.print(f"{stage}: {WARM_UP} steps to warm up, {STEPS} measured", highlight=False)
    measured = profile_steps(trainer)
    sizes: GPTConfig = trainer.model.config
    title = (
        f"One step of {stage}, batch {trainer.settings.batch_size}, {measured.tokens / STEPS:,.0f} tokens: "
        f"{sizes.num_layers} layers, {sizes.emb_dim} channels, {sizes.num_heads} heads, context {sizes.context_size}, "
        f"vocabulary {sizes.vocab_size:,}; {kernels.precision()}, threads: {kernels.num_threads()}"
    )
    console.print(profile_table(measured, title))


def _say_how(console: Console) -> None:
    how = f"precision: {kernels.precision_reason()}; threads: {kernels.num_threads()}"
    console.print(how, highlight=False, soft_wrap=True)


# -- the stages -----------------------------------------------------------------------------------------------
def _pretrainer(plan: Plan, console: Console) -> Pretrainer:
    documents, heldout = plan.data.documents()
    tokenizer, config = _fresh_tokenizer(plan, documents, console)
    model = GPT(config, plan.seed)
    console.print(f"pretrain: {model.num_parameters():,} parameters, {sum(map(len, documents)):,} characters")
    return Pretrainer(model, tokenizer, config, plan.preset.pretrain, documents, heldout, plan.seed)


def _pretrain(plan: Plan, console: Console) -> StageResult:
    trainer = _pretrainer(plan, console)
    model, tokenizer, settings, heldout = trainer.model, trainer.tokenizer, trainer.settings, trainer.heldout
    prompts = [document[:8] for document in heldout[:SAMPLES]]

    def measure() -> dict[str, float]:
        return trainer.evaluate()

    def answers() -> list[str]:
        return _continuations(model, tokenizer, prompts)

    before, samples_before = measure(), answers()
    history = _train(trainer, plan, console, settings)
    after = measure()
    console.print(
        f"pretrain: validation loss {after['loss']:.4f} nats a token after {trainer.total_steps:,} steps, "
        f"{history.seconds:.0f} seconds of training",
        highlight=False,
    )
    _save(plan.out, "pretrain", model, tokenizer)
    characters = sum(map(len, heldout))
    measures = _measures(
        "pretrain", before, after, {"bits_per_character": "bits per character", "perplexity": "perplexity"}, characters
    )
    return _result("pretrain", measures, _samples(prompts, samples_before, answers()), history, settings)


def _sft_trainer(plan: Plan, console: Console) -> SFTTrainer:
    dialogues, heldout = plan.data.dialogues()
    _, tasks = plan.data.tasks()
    model, tokenizer = _start(plan, "sft", console)
    trainer = SFTTrainer(model, tokenizer, model.config, plan.preset.sft, dialogues, heldout, tasks, plan.seed)
    if trainer.batches.too_long:
        console.print(f"sft: {trainer.batches.too_long} dialogues exceed the context and are left out")
    console.print(f"sft: {len(trainer.batches.sequences):,} dialogues, {len(trainer.batches.shown):,} shown an epoch")
    return trainer


def _sft(plan: Plan, console: Console) -> StageResult:
    (_, heldout), (_, tasks) = plan.data.dialogues(), plan.data.tasks()
    trainer = _sft_trainer(plan, console)
    model, tokenizer, settings = trainer.model, trainer.tokenizer, trainer.settings
    prompts = list(dict.fromkeys(record["messages"][0]["content"] for record in heldout))[:SAMPLES]

    def measure() -> dict[str, dict[str, float]]:
        return {
            "dialogues": trainer.heldout_metrics(),
            "questions": question_accuracy(model, tokenizer, heldout),
            "tasks": task_accuracy(model, tokenizer, tasks),
        }

    before, samples_before = measure(), _answers(model, tokenizer, prompts)
    history = _train(trainer, plan, console, settings)
    after = measure()
    _save(plan.out, "sft", model, tokenizer)
    measures = _measures("sft", before["dialogues"], after["dialogues"], {"loss": "dialogue loss"}, len(heldout))
    for key, name in (("questions", "right answers to questions"), ("tasks", "verified accuracy on tasks")):
        measures += _accuracies("sft", before[key], after[key], name)
    return _result(
        "sft", measures, _samples(prompts, samples_before, _answers(model, tokenizer, prompts)), history, settings
    )


def _reward_trainer(plan: Plan, console: Console) -> RewardModelTrainer:
    pairs, heldout = plan.data.pairs()
    base, tokenizer = _start(plan, "reward", console)
    model = RewardModel.from_pretrained(base, seed=plan.seed)
    console.print(f"reward: {len(pairs):,} pairs")
    return RewardModelTrainer(model, tokenizer, base.config, plan.preset.reward, pairs, heldout, plan.seed)


def _reward(plan: Plan, console: Console) -> StageResult:
    _, heldout = plan.data.pairs()
    trainer = _reward_trainer(plan, console)
    model, tokenizer, settings = trainer.model, trainer.tokenizer, trainer.settings
    shown = [(r["prompt"], side, r[side]) for r in heldout[:SAMPLES] for side in ("chosen", "rejected")]

    def scores() -> list[str]:
        sequences = [encode_answer(tokenizer, prompt, answer) for prompt, _, answer in shown]
        return [f"{score:+.2f}" for score in score_sequences(model, sequences)]

    before, scores_before = trainer.evaluate(), scores()
    history = _train(trainer, plan, console, settings)
    after = trainer.evaluate()
    with replacing(stage_directory(plan.out, "reward")) as directory:
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    _forget_partial(plan.out, "reward")
    labels = [f"{prompt} ({side}) {answer}" for prompt, side, answer in shown]
    measures = _accuracies("reward", before, after, "pair accuracy")
    return _result("reward", measures, _samples(labels, scores_before, scores()), history, settings)


ANSWER_MEASURES = {
    "reward": "mean reward (SFT deviations)",
    "kl": "KL per response (nats)",
    "win_rate": "win rate against SFT by rubric",
    "rubric": "rubric points (0-6)",
    "facts_right": "facts right",
}
"""How answers to held-out prompts are measured from the fourth stage on, by the name PPOTrainer gives each measure."""


def _ppo_trainer(plan: Plan, policy: LanguageModel, tokenizer: Tokenizer) -> PPOTrainer:
    pairs, heldout = plan.data.pairs()
    return PPOTrainer(
        policy,
        load_reward_model(finished_directory(plan.out, "reward"), tokenizer),
        tokenizer,
        policy.config,
        plan.preset.rlhf,
        prompts=sorted({record["prompt"] for record in pairs}),
        heldout=list({record["prompt"]: record for record in heldout}.values()),
        seed=plan.seed,
    )


def _rlhf(plan: Plan, console: Console) -> StageResult:
    _, tasks = plan.data.tasks()
    policy, tokenizer = _start(plan, "rlhf", console)
    trainer = _ppo_trainer(plan, policy, tokenizer)
    asked, settings = trainer.heldout, plan.preset.rlhf
    console.print(f"rlhf: {len(trainer.prompts):,} prompts")
    shown = [record["prompt"] for record in asked[:SAMPLES]]

    def measure() -> tuple[dict[str, float], dict[str, float]]:
        return trainer.evaluate_on(asked), task_accuracy(policy, tokenizer, tasks)

    before, samples_before = measure(), _answers(policy, tokenizer, shown)
    history = _train(trainer, plan, console, settings)
    after = measure()
    _save(plan.out, "rlhf", policy, tokenizer)
    measures = _measures("rlhf", before[0], after[0], ANSWER_MEASURES, len(asked))
    measures += _measures("rlhf", before[1], after[1], {"accuracy": "verified accuracy on tasks"}, len(tasks))
    return _result(
        "rlhf", measures, _samples(shown, samples_before, _answers(policy, tokenizer, shown)), history, settings
    )


def _rlvf(plan: Plan, console: Console) -> StageResult:
    tasks, heldout = plan.data.tasks()
    model, tokenizer = _start(plan, "rlvf", console)
    settings = plan.preset.rlvf
    trainer = RLVFTrainer(model, tokenizer, model.config, settings, tasks=tasks, heldout=heldout, seed=plan.seed)
    console.print(f"rlvf: {len(tasks):,} tasks")
    shown = [task["prompt"] for task in heldout[:: max(1, len(heldout) // SAMPLES)]][:SAMPLES]
    judge = answer_judge(plan)

    def measure() -> tuple[dict[str, float], dict[str, float]]:
        answers: dict[str, float] = {}
        if judge is not None:
            judge.policy = model
            answers = judge.evaluate_on(judge.heldout)
        return trainer.evaluate(heldout), answers

    before, samples_before = measure(), _answers(model, tokenizer, shown)
    history = _train(trainer, plan, console, settings)
    after = measure()
    _save(plan.out, "rlvf", model, tokenizer)
    measures = _accuracies("rlvf", before[0], after[0], "verified accuracy on tasks")
    if judge is not None:
        measures += _measures("rlvf", before[1], after[1], ANSWER_MEASURES, len(judge.heldout))
    return _result(
        "rlvf", measures, _samples(shown, samples_before, _answers(model, tokenizer, shown)), history, settings
    )


def answer_judge(plan: Plan) -> PPOTrainer | None:
    """What RLHF measures answers with, to see what becomes of them; None without an SFT and a reward model."""
    if not (is_finished(plan.out, "sft") and is_finished(plan.out, "reward")):
        return None
    return _ppo_trainer(plan, *load_model(plan.out, "sft"))


# -- where a stage starts and what it leaves ------------------------------------------------------------------
def _start(plan: Plan, stage: str, console: Console) -> tuple[LanguageModel, Tokenizer]:
    base = plan.base if stage == plan.stages[0] else None
    source = base or plan.out
    for predecessor in PREDECESSORS[stage]:
        if is_finished(source, predecessor):
            console.print(f"{stage}: starts from {stage_directory(source, predecessor)}")
            return load_model(source, predecessor)
    if base is not None:
        wanted = " or ".join(str(stage_directory(base, predecessor)) for predecessor in PREDECESSORS[stage])
        raise UserError(f"--base {base}: there is no checkpoint to start from, no {wanted}; name the folder of a run")
    if stage != "sft":
        command = f"python train.py --stage sft --out {plan.out}"
        raise UserError(f"{stage}: there is no checkpoint in {plan.out} to start from; run: {command}")
    console.print("sft: no pretrained checkpoint, starts from random weights")
    tokenizer, config = _fresh_tokenizer(plan, plan.data.documents()[0], console)
    return GPT(config, plan.seed), tokenizer


def _fresh_tokenizer(plan: Plan, documents: Sequence[str], console: Console) -> tuple[Tokenizer, GPTConfig]:
    """A tokenizer made for the training texts of the first two stages, and the model config that fits it."""
    dialogues = [] if plan.preset.running_text else plan.data.dialogues()[0]
    spoken = sorted({message["content"] for record in dialogues for message in record["messages"]})  # each turn once
    # The words of the chat format stand in every dialogue: as often here, so that they become one token each.
    roles = render_chat([{"role": role, "content": ""} for role in ("system", "user", "assistant")])
    spoken += [roles] * len(dialogues)
    tokenizer: Tokenizer
    if plan.tokenizer == "char":
        tokenizer = CharTokenizer()
        tokenizer.build_vocab([*documents, *spoken])
    else:
        tokenizer = BPETokenizer(plan.preset.model.vocab_size, MAX_TOKEN_LENGTH)
        tokenizer.fit([*documents, *spoken])
    console.print(f"tokenizer: {plan.tokenizer}, {tokenizer.vocab_size:,} entries")
    return tokenizer, dataclasses.replace(plan.preset.model, vocab_size=tokenizer.vocab_size)


def _train(trainer: Trainer, plan: Plan, console: Console, settings: Any) -> History:
    trainer.fingerprint = f"seed={plan.seed} precision={kernels.precision()} {settings}"
    return run_stage(trainer, plan.out, console, resume=plan.resume)


def _save(out: Path, stage: str, model: LanguageModel, tokenizer: Tokenizer) -> None:
    with replacing(stage_directory(out, stage)) as directory:
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    _forget_partial(out, stage)


def _forget_partial(out: Path, stage: str) -> None:
    partial_file(out, stage).unlink(missing_ok=True)


# -- measures and samples -------------------------------------------------------------------------------------
def _measures(stage: str, before: dict, after: dict, names: dict[str, str], items: int) -> list[Measure]:
    return [
        Measure(stage, name, float(before[key]), float(after[key]), items)
        for key, name in names.items()
        if key in after
    ]


def _accuracies(stage: str, before: dict, after: dict, name: str) -> list[Measure]:
    """The accuracy over all items, then by group ("accuracy/addition" -> "name: addition")."""
    rows = [Measure(stage, name, before["accuracy"], after["accuracy"], int(after["items"]))]
    for key in after:
        if key.startswith("accuracy/"):
            group = key.removeprefix("accuracy/")
            items = int(after[f"items/{group}"])
            rows.append(Measure(stage, f"{name}: {group}", before.get(key, 0.0), after[key], items))
    return rows


def _answers(model: LanguageModel, tokenizer: Tokenizer, prompts: Sequence[str]) -> list[str]:
    return [answer.text for answer in answer_prompts(model, tokenizer, prompts)]


def _continuations(model: LanguageModel, tokenizer: Tokenizer, prompts: Sequence[str]) -> list[str]:
    encoded = [tokenizer.encode(prompt) for prompt in prompts]
    outputs = generate_batch(model.eval(), encoded, 40, temperature=0.8, top_k=50, stop_ids=END_IDS)
    return [tokenizer.decode(ids) for ids in outputs]


def _samples(prompts: Sequence[str], before: Sequence[str], after: Sequence[str]) -> list[Sample]:
    return [Sample(*row) for row in zip(prompts, before, after, strict=True)]


def _result(stage: str, measures: list[Measure], samples: list[Sample], history: History, settings: Any) -> StageResult:
    return StageResult(
        stage=stage,
        measures=measures,
        samples=samples,
        seconds=history.seconds,
        tokens_per_second=history.tokens_per_second,
        settings={**dataclasses.asdict(settings), "precision": kernels.precision(), "threads": kernels.num_threads()},
    )

"""From data files to finished checkpoints: what ``train.py`` runs.

Each stage is the same five lines: where does it start from, what does it measure before, train, what does
it measure after, save. The measures are taken on all held-out items with the same functions before and
after, so that the report compares like with like. What a stage is, it declares itself
(:mod:`scratchgpt.stages.stage`); nothing here knows one by name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from scratchgpt import kernels
from scratchgpt.config import GPTConfig
from scratchgpt.errors import UserError
from scratchgpt.inside.profiler import STEPS, WARM_UP, profile_steps, profile_table
from scratchgpt.installation import typed
from scratchgpt.models.base import LanguageModel
from scratchgpt.models.gpt2 import GPT
from scratchgpt.runs.expected_time import say_expected_time
from scratchgpt.runs.lock import only_run_at
from scratchgpt.runs.memory import require_room
from scratchgpt.runs.plan import MAX_TOKEN_LENGTH, Plan
from scratchgpt.runs.record import (
    Origin,
    begin,
    check_resumable,
    digest_of,
    origin_of,
    other_base,
    outdated_by,
    start_record,
)
from scratchgpt.runs.report import Measure, Sample, StageResult, Turn, number_text, save_result, write_report
from scratchgpt.runs.warm_up import for_training, warm_up_if_cold
from scratchgpt.stages import ALL, stage_named
from scratchgpt.stages.run_folder import (
    bring_log_back,
    drop_log_set_aside,
    is_finished,
    load_model,
    log_file,
    new_checkpoint,
    new_ruined_checkpoint,
    partial_file,
    recover_log,
    ruined_directory,
    set_log_aside,
    stage_directory,
)
from scratchgpt.stages.stage import Context, Setup, Stage
from scratchgpt.terminal import waiting
from scratchgpt.tokenizer import BPETokenizer, CharTokenizer, Tokenizer, render_chat
from scratchgpt.training.history import History
from scratchgpt.training.loop import run_trainer
from scratchgpt.training.trainer import Trainer


def run(plan: Plan, console: Console) -> None:
    """Run the plan's stages in order and write the report.

    Args:
        plan: stages, settings, places, data.
        console: what is said goes there.

    Raises:
        UserError: for whatever the user can mend, another run that writes to the same folder included.
        Interrupted: after Ctrl-C, with everything saved.
    """
    _say_how(console)
    stages = [stage for stage in ALL if stage.name in plan.stages]
    # Whatever is wrong with a file is said before hours are spent on the others.
    reads = {read for stage in stages for read in stage.reads}
    with waiting(console, "reading the data"):
        records = {read.__name__: read(plan.data) for read in reads}
        data = {name: digest_of(read) for name, read in records.items()}
    _say_notes(plan, console)
    with only_run_at(plan.out):
        _check_startable(stages, plan, data, console)
        warm_up_if_cold(for_training(), console)
        say_expected_time(plan, records, console)
        del records  # every stage reads what it needs
        _run_stages(stages, plan, data, console)


def _check_startable(stages: Sequence[Stage], plan: Plan, data: Mapping[str, str], console: Console) -> None:
    for stage in stages:
        for need in stage.needs:
            if need not in plan.stages and not is_finished(plan.out, need):
                command = f"{typed('train')} --stage {need} --out {plan.out}"
                raise UserError(f"{stage_directory(plan.out, need)}: {stage.name} needs it; make it with: {command}")
    if plan.resume:
        for stage in stages:
            check_resumable(plan, stage, origin_of(plan, stage, data))
    if left := [stage for stage in stages if not (plan.resume and _finished_already(plan, stage))]:
        room = require_room(plan, left)
        console.print(f"memory: about {room}", highlight=False, soft_wrap=True)


def _run_stages(stages: Sequence[Stage], plan: Plan, data: Mapping[str, str], console: Console) -> None:
    if start_record(plan.out):
        console.print(f"{plan.out}: of an earlier version, which kept no record of its run; from now on there is one")
    to_check = list(stages)
    try:
        for stage in stages:
            if _finish(stage, plan, origin_of(plan, stage, data), console, to_check):
                to_check = []
    except UserError:
        if any(is_finished(plan.out, stage.name) for stage in ALL):
            with contextlib.suppress(UserError):  # the first mistake is the one to tell
                _write_reports(plan.out, console)
        raise
    _write_reports(plan.out, console)


def _finish(stage: Stage, plan: Plan, origin: Origin, console: Console, to_check: Sequence[Stage]) -> bool:
    """Run the stage, or what is left of it, if it is not finished already; returns whether it was not."""
    resume = plan.resume and _up_to_date(stage, plan, origin, console)
    if resume and _finished_already(plan, stage):
        recover_log(plan.out, stage.name)  # of a training anew that was killed before it left anything else
        console.print(f"[bold]{stage.name}[/] is finished already")
        return False
    result = _run_stage(stage, plan, origin, console, resume, to_check)
    for measure in result.measures:
        console.print(
            f"    {measure.measure}: {measure.before:.4g} -> {measure.after:.4g}  ({measure.items} items)",
            highlight=False,
        )
    return True


def _write_reports(out: Path, console: Console) -> None:
    from scratchgpt.runs.report_page.page import write_html_report  # here: Matplotlib takes a second to load

    with waiting(console, "writing the report"):
        write_report(out)
        write_html_report(out)
    for stage in ALL:
        if changed := outdated_by(out, stage.name):
            console.print(f"outdated: {stage.name} was made from another {changed} than the one now in {out}")
    console.print(f"report: {out / 'report.md'}, {out / 'report.html'}", soft_wrap=True)


def _finished_already(plan: Plan, stage: Stage) -> bool:
    return is_finished(plan.out, stage.name) and not partial_file(plan.out, stage.name).is_file()


def profile(plan: Plan, console: Console) -> None:
    """Make a few training steps of the plan's first stage, print where their time goes, and write nothing.

    Raises:
        UserError: for whatever the user can mend, and for a stage of reinforcement learning: most of its time goes
            into generating, which does not pass through the engine.
    """
    stage = stage_named(plan.stages[0])
    if stage.generates:
        covered = ", ".join(other.name for other in ALL if not other.generates)
        raise UserError(f"--profile covers {covered}, not {stage.name}; choose one of them with --stage")
    _say_how(console)
    setup = set_up(stage, plan, console)
    _say_notes(plan, console)
    console.print(f"{stage.name}: {WARM_UP} steps to warm up, {STEPS} measured", highlight=False)
    measured = profile_steps(setup.trainer)
    sizes: GPTConfig = setup.model.config
    title = (
        f"One step of {stage.name}, batch {plan.preset.of(stage.name).batch_size}, "
        f"{measured.tokens / STEPS:,.0f} tokens: {sizes.num_layers} layers, {sizes.emb_dim} channels, "
        f"{sizes.num_heads} heads, context {sizes.context_size}, vocabulary {sizes.vocab_size:,}; "
        f"{kernels.precision()}, threads: {kernels.num_threads()}"
    )
    console.print(profile_table(measured, title))


def _say_how(console: Console) -> None:
    how = f"precision: {kernels.precision_reason()}; threads: {kernels.num_threads()}"
    console.print(how, highlight=False, soft_wrap=True)


def _say_notes(plan: Plan, console: Console) -> None:
    """How the user's own files were read."""
    for note in plan.data.notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)


def _up_to_date(stage: Stage, plan: Plan, origin: Origin, console: Console) -> bool:
    """Whether what there is of the stage, if anything, was made from what it would be made from now; else say so."""
    changed = other_base(plan, stage, origin)
    if changed:
        line = f"{stage.name}: there is one in {plan.out}, made from another {changed}; it is trained anew"
        console.print(line, highlight=False, soft_wrap=True)
    return changed is None


def _run_stage(
    stage: Stage, plan: Plan, origin: Origin, console: Console, resume: bool, to_check: Sequence[Stage] = ()
) -> StageResult:
    began = time.monotonic()
    model, tokenizer = _start(stage, plan, console)
    _check_lengths(to_check, plan, tokenizer, model.config.context_size, console)
    with waiting(console, f"{stage.name}: getting ready"):
        setup = stage.build(context_of(plan, stage, model, tokenizer, console))
    settings = plan.preset.of(stage.name)
    with waiting(console, f"{stage.name}: measuring the model as it begins"):
        before, samples_before = setup.measure(), setup.samples()
    setup.trainer.fingerprint = f"seed={plan.seed} precision={kernels.precision()} {settings}"
    partial = partial_file(plan.out, stage.name)
    if not resume:
        partial.unlink(missing_ok=True)  # first: the record speaks of the state that lies there
        set_log_aside(plan.out, stage.name)
    begin(plan.out, stage.name, origin)
    _say_if_seldom_measured(setup.trainer, plan, console)
    history = run_trainer(
        setup.trainer, log_file(plan.out, stage.name), partial, console, resume=resume, early_stop=plan.early_stop
    )
    turn, beside = _choose(setup, history, plan.keep)
    with waiting(console, f"{stage.name}: measuring the model as it ends"):
        after, samples_after = setup.measure(), setup.samples()
    if closing := setup.closing(history):
        console.print(f"{stage.name}: {closing}", highlight=False)
    machine = {"precision": kernels.precision(), "threads": kernels.num_threads(), "seed": plan.seed}
    kept = {"keep": plan.keep, "early_stop": plan.early_stop}
    result = StageResult(
        stage=stage.name,
        measures=[Measure(stage.name, name, before[name][0], *measured) for name, measured in after.items()],
        samples=[Sample(*row, text) for row, (_, text) in zip(samples_before, samples_after, strict=True)],
        seconds=time.monotonic() - began,
        tokens_per_second=history.tokens_per_second,
        settings={**dataclasses.asdict(settings), **kept, **machine},
        origin=dataclasses.asdict(origin),
        turn=turn,
    )
    ruined = next((measure for measure in result.measures[:1] if measure.ruined), None)
    new_directory = new_checkpoint if ruined is None else new_ruined_checkpoint
    with new_directory(plan.out, stage.name) as directory:
        setup.model.save_pretrained(directory)
        setup.tokenizer.save_pretrained(directory)
        save_result(directory, result)
        if turn is not None:
            setup.model.load_state_dict(beside)
            setup.model.save_pretrained(directory / turn.beside)
            setup.tokenizer.save_pretrained(directory / turn.beside)
    if turn is not None:
        where = (stage_directory if ruined is None else ruined_directory)(plan.out, stage.name)
        line = f"{stage.name}: {turn}; the checkpoint is the {turn.keep}, the {turn.beside} is in {where / turn.beside}"
        console.print(line, highlight=False, soft_wrap=True)
    if ruined is not None:
        partial.unlink(missing_ok=True)
        bring_log_back(plan.out, stage.name)
        raise UserError(_what_ruined(ruined, plan))
    drop_log_set_aside(plan.out, stage.name)
    partial.unlink(missing_ok=True)  # last: whoever is killed before resumes from it, after it everything is there
    return result


def _choose(setup: Setup, history: History, keep: Literal["best", "last"]) -> tuple[Turn | None, dict[str, np.ndarray]]:
    """Put the model of the best measurement in its place if it is to be kept and is not the last one.

    Returns:
        Where the stage was better than in the end, if it was, and then the weights of the model that is not kept.
    """
    trainer, last = setup.trainer, history.evaluations[-1]
    best, value = trainer.best, float(last.get(trainer.goal.name, math.nan))
    if best is None or not trainer.goal.better(best.value, value):
        return None, {}
    last_value = value if math.isfinite(value) else None
    turn = Turn(trainer.goal.name, best.step, best.value, last["step"], last_value, keep)
    if keep == "last":
        return turn, best.weights
    weights = trainer.product()
    setup.model.load_state_dict(best.weights)
    return turn, weights


def _say_if_seldom_measured(trainer: Trainer, plan: Plan, console: Console) -> None:
    every, total = trainer.evaluate_every, trainer.total_steps
    without_use = []
    if plan.early_stop is not None and every * plan.early_stop >= total:
        without_use.append(f"--early-stop {plan.early_stop} to end it")
    if plan.keep == "best" and every >= total:
        without_use.append("--keep best to find a better one on the way")
    for what in without_use:
        line = f"{trainer.name}: measured every {every} steps of {total}, too seldom for {what}; lower --evaluate-every"
        console.print(line, highlight=False, soft_wrap=True)


def _check_lengths(
    stages: Sequence[Stage], plan: Plan, tokenizer: Tokenizer, context_size: int, console: Console
) -> None:
    """See that all the stages of a run have data that fit the context, before hours are spent on the first.

    Raises:
        UserError: if one has none, or has too long ones and they are read strictly.
    """
    for stage in stages:
        if too_long := stage.lengths(plan.data, tokenizer, context_size):
            console.print(f"{stage.name}: {too_long} and will be left out", highlight=False, soft_wrap=True)


def _what_ruined(measure: Measure, plan: Plan) -> str:
    older = stage_directory(plan.out, measure.stage)
    kept = f"the older {older} is kept" if is_finished(plan.out, measure.stage) else f"there is no {older}"
    return (
        f"{measure.stage} has ruined the model: {measure.measure} {number_text(measure.before)} -> "
        f"{number_text(measure.after)}; {kept}, and this one is in {ruined_directory(plan.out, measure.stage)}; "
        "train the stage again with a smaller --lr"
    )


# -- where a stage starts -------------------------------------------------------------------------------------
def set_up(stage: Stage, plan: Plan, console: Console) -> Setup:
    """The stage, ready to run from where it starts: its predecessor's checkpoint, or nothing.

    Raises:
        UserError: for whatever the user can mend.
    """
    model, tokenizer = _start(stage, plan, console)
    return stage.build(context_of(plan, stage, model, tokenizer, console))


def context_of(plan: Plan, stage: Stage, model: LanguageModel, tokenizer: Tokenizer, console: Console) -> Context:
    """What the stage is built from.

    Args:
        plan: of the run.
        stage: the declaration of the stage.
        model, tokenizer: where it starts.
        console: what building has to say goes there.
    """

    def checkpoint_of(name: str) -> Path | None:
        return stage_directory(plan.out, name) if is_finished(plan.out, name) else None

    start = plan.start_of(stage)
    return Context(
        model=model,
        tokenizer=tokenizer,
        start=start[1] if start else None,
        settings=plan.preset.of(stage.name),
        settings_of=plan.preset.of,
        data=plan.data,
        checkpoint_of=checkpoint_of,
        out=plan.out,
        seed=plan.seed,
        say=console.print,
    )


def _start(stage: Stage, plan: Plan, console: Console) -> tuple[LanguageModel, Tokenizer]:
    if start := plan.start_of(stage):
        console.print(f"{stage.name}: starts from {stage_directory(*start)}")
        return load_model(*start)
    base = plan.base if stage.name == plan.stages[0] else None
    if base is not None:
        names = [plan.base_stage] if plan.base_stage else stage.follows or [stage.name]
        wanted = " or ".join(str(stage_directory(base, predecessor)) for predecessor in names)
        raise UserError(f"--base {base}: there is no checkpoint to start from, no {wanted}; name the folder of a run")
    if not stage.from_nothing:
        command = f"{typed('train')} --stage {_first_step_to(stage)} --out {plan.out}"
        raise UserError(f"{stage.name}: there is no checkpoint in {plan.out} to start from; run: {command}")
    if stage.follows:
        console.print(f"{stage.name}: no pretrained checkpoint, starts from random weights")
    tokenizer, config = _fresh_tokenizer(plan, plan.data.documents()[0], console)
    return GPT(config, plan.seed), tokenizer


def _first_step_to(stage: Stage) -> str:
    """The latest of the stages before this one that can start from nothing."""
    return next(other.name for other in reversed(ALL[: ALL.index(stage)]) if other.from_nothing)


def _fresh_tokenizer(plan: Plan, documents: Sequence[str], console: Console) -> tuple[Tokenizer, GPTConfig]:
    """A tokenizer made for the training texts of the first two stages, and the model config that fits it."""
    dialogues = [] if plan.preset.running_text else plan.data.spoken()
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
        with waiting(console, "making the tokenizer"):
            tokenizer.fit([*documents, *spoken])
    console.print(f"tokenizer: {plan.tokenizer}, {tokenizer.vocab_size:,} entries")
    return tokenizer, dataclasses.replace(plan.preset.model, vocab_size=tokenizer.vocab_size)

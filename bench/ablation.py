"""What each stage is good for: runs that leave one out, all judged alike, as a Markdown table.

    python bench/ablation.py DEFAULT "name of a row=RUN" …

DEFAULT is the folder of a whole run. The most advanced model of each run answers the held-out questions and tasks
(greedily) and the held-out prompts (sampled); DEFAULT's reward model scores the latter, in standard deviations of the
scores of DEFAULT's SFT model, whose answers they also have to beat. A row may name a stage: "after PPO=RUN:rlhf".
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import ROOT  # noqa: F401  puts the package on the path
from rich.console import Console

from scratchgpt.errors import UserError
from scratchgpt.evaluation.judge import AnswerJudge
from scratchgpt.evaluation.measures import question_accuracy, task_accuracy
from scratchgpt.models.base import LanguageModel
from scratchgpt.runs.pipeline import context_of
from scratchgpt.runs.plan import Plan
from scratchgpt.stages.presets import get_preset
from scratchgpt.stages.rlhf import heldout_prompts
from scratchgpt.stages.rlvf import RLVF, answer_judge
from scratchgpt.stages.run_folder import load_model, most_advanced_stage
from scratchgpt.tokenizer import Tokenizer

HEADER = (
    "| run | questions right | tasks right | reward (SFT deviations) | KL (nats) | wins | facts right |",
    "|---|---:|---:|---:|---:|---:|---:|",
)


def row(name: str, model: LanguageModel, tokenizer: Tokenizer, judge: AnswerJudge, plan: Plan) -> str:
    """One line of the table."""
    questions = [record for record in plan.data.dialogues()[1] if "rubric" in record and len(record["messages"]) == 2]
    right = question_accuracy(model, tokenizer, questions)["accuracy"]
    tasks = task_accuracy(model, tokenizer, plan.data.tasks()[1])["accuracy"]
    answers = judge.evaluate(model, heldout_prompts(plan.data))
    return (
        f"| {name} | {right:.1%} | {tasks:.1%} | {answers['reward']:+.2f} | {answers['kl']:.1f} "
        f"| {answers['win_rate']:.1%} | {answers['facts_right']:.1%} |"
    )


def main() -> None:
    """Judge the runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("default", type=Path, help="the --out folder of a whole run")
    parser.add_argument("rows", nargs="+", metavar="NAME=RUN[:STAGE]", help="the rows of the table")
    arguments = parser.parse_args()
    plan = Plan(stages=("rlvf",), preset=get_preset("mini"), out=arguments.default)
    try:
        sft, sft_tokenizer = load_model(plan.out, "sft")
        judge = answer_judge(context_of(plan, RLVF, sft, sft_tokenizer, Console()))
        if judge is None:
            raise UserError(f"{plan.out}: needs a finished reward model to judge by")
        print("\n".join(HEADER))
        for text in arguments.rows:
            name, _, place = text.rpartition("=")
            folder, _, stage = place.partition(":")
            if not name:
                raise UserError(f"{text!r} is no row; write NAME=RUN, for example 'without PPO=runs/no-ppo'")
            model, tokenizer = load_model(Path(folder), stage or most_advanced_stage(Path(folder)))
            print(row(name, model, tokenizer, judge, plan), flush=True)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()

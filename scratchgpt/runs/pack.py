"""A finished run made small enough to travel: its models in float16, its report, and a card that says what they are.

<to>/pretrain/ sft/ reward_model/ rlvf/    the stages' models, half as large, with tokenizer and result
<to>/report.html                           the run's report, as it is
<to>/MODEL_CARD.md  MODEL_CARD.zh-CN.md    what it was trained on, what was measured, what it cannot do

RLHF's model is left out: RLVF goes on from it, and who talks with the run talks with the last stage's. float16 keeps 11
bits of every weight: half of the size, and as much as the bf16 arithmetic that the run was trained in needs and more.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scratchgpt.errors import UserError
from scratchgpt.models.huggingface import CONFIG_FILE, WEIGHTS_FILE, read_config_fields, write_json
from scratchgpt.models.weights import read_arrays, save_weights, stored_arrays
from scratchgpt.runs.report import Measure, StageResult, measured_results, number_text, setting_text, write_whole
from scratchgpt.stages.run_folder import finished_directory, stage_directory
from scratchgpt.training.checkpoints import replacing

PACKED = ("pretrain", "sft", "reward", "rlvf")
REPORT_FILE = "report.html"
CARD_FILE, CHINESE_CARD_FILE = "MODEL_CARD.md", "MODEL_CARD.zh-CN.md"


def pack(out: Path, to: Path) -> None:
    """Write the run to a folder that travels; whatever lay there is replaced in one step.

    Args:
        out: the folder of a finished run.
        to: where to write.

    Raises:
        UserError: if a stage or the report is missing, a weight is too large for float16, or the disk is full.
    """
    directories = {stage: finished_directory(out, stage) for stage in PACKED}
    report = out / REPORT_FILE
    if not report.is_file():
        raise UserError(f"{report}: missing; finish the run with --resume, which writes it")
    results = measured_results(out)
    with replacing(to) as fresh:
        for stage, directory in directories.items():
            _halve(directory, stage_directory(fresh, stage))
        shutil.copyfile(report, fresh / REPORT_FILE)
        parameters = sum(array.size for array in read_arrays(stored_arrays(directories["pretrain"])).values())
        write_whole(fresh / CARD_FILE, _card(results, parameters))
        write_whole(fresh / CHINESE_CARD_FILE, _chinese_card(results, parameters))


def _halve(directory: Path, to: Path) -> None:
    """Copy a checkpoint, its weights in float16."""
    to.mkdir()
    for file in directory.iterdir():
        if file.name not in (WEIGHTS_FILE, CONFIG_FILE):
            shutil.copyfile(file, to / file.name)
    write_json(to / CONFIG_FILE, {**read_config_fields(directory), "torch_dtype": "float16"})
    weights = read_arrays(stored_arrays(directory))
    halves = {name: in_float16(array, f"{directory}: {name}") for name, array in weights.items()}
    save_weights(to / WEIGHTS_FILE, halves)


def in_float16(array: np.ndarray, what: str) -> np.ndarray:
    """The array in float16, every number rounded to the nearest.

    Args:
        array: of floats.
        what: its name, for the message.

    Raises:
        UserError: if a number is not finite there (float16 ends at 65,504).
    """
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if not np.isfinite(half).all():
        raise UserError(f"{what}: holds a number that float16 has no place for; train the model again")
    return half


# -- the card -----------------------------------------------------------------------------------------------
def _card(results: Sequence[StageResult], parameters: int) -> str:
    return f"""# Model card

A Chinese language model of {parameters:,} parameters, in five stages: pretrain, SFT, reward model, RLHF (PPO), RLVF.
Made by `python train.py --stage all` with {_seed(results)}, from nothing, on the
project's own data and on nothing else; packed by `python -m scratchgpt pack`. `{REPORT_FILE}` is the report of the run.

- **What it was trained on**: the texts, dialogues, preference pairs and tasks in `data/`, which were written by hand or
  generated for this project; `data/README.md` says how much of each.
- **What it is for**: being looked into, and being trained further. It answers short questions in Chinese about what
  it was taught, does small sums with the working, and talks a little.
- **What it cannot do**: it knows next to nothing of the world and cannot tell what it knows from what it does not: it
  makes things up in whole sentences. It reads {_context(results)} tokens at the most. It does not speak English. Do
  not use it for advice of any kind; in distress, talk to a person.
- **Precision**: weights in float16, computed with in float32 or bf16.

## Measured on held-out data

{_table(results, ("stage", "measure", "before", "after", "items"))}
"""


def _chinese_card(results: Sequence[StageResult], parameters: int) -> str:
    return f"""# 模型卡片

一个 {parameters:,} 参数的中文语言模型，五个阶段：预训练、SFT、奖励模型、RLHF（PPO）、RLVF。
由 `python train.py --stage all`（{_seed(results)}）从零训练得到，只用了本项目自己的数据；
由 `python -m scratchgpt pack` 打包。`{REPORT_FILE}` 是这次训练的报告。

- **用什么训练**：`data/` 里的文章、对话、偏好对和题目，全部由手写或为本项目生成；各有多少见 `data/README.md`。
- **用来做什么**：看它的内部，拿它接着训练。它能用中文回答学过的简短问题，写出步骤做小算术，聊几句。
- **做不到什么**：它几乎不了解世界，也分不清自己知道什么、不知道什么，会用完整的句子编造。
  一次最多读 {_context(results)} 个词元。它不会说英语。不要向它求任何建议；难过的时候，请找人谈谈。
- **精度**：权重存为 float16，用 float32 或 bf16 计算。

## 在留出数据上测得

{_table(results, ("阶段", "指标", "之前", "之后", "条数"))}
"""


def _table(results: Sequence[StageResult], head: Sequence[str]) -> str:
    rows = [tuple(head), ("---", "---", "---:", "---:", "---:")]
    rows += [_row(measure) for result in results for measure in result.measures]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(measure: Measure) -> tuple[str, ...]:
    values = number_text(measure.before), number_text(measure.after)
    return measure.stage, f"{measure.measure} {measure.arrow}".strip(), *values, f"{measure.items:,}"


def _seed(results: Sequence[StageResult]) -> str:
    return f"seed {setting_text(results[0].settings.get('seed', 0))}"


def _context(results: Sequence[StageResult]) -> str:
    return setting_text(results[0].origin.get("new_model", {}).get("context_size", "256"))

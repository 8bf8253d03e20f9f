"""All that the walkthrough says, in Chinese and English: the words here, the pages in ``page_texts.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scratchgpt.inside.bilingual import Language, Text
from scratchgpt.inside.walkthrough.page_texts import PAGES

WORDS: dict[str, Text] = {
    # -- facts on a page
    "equation": Text("公式", "equation"),
    "by_hand": Text("手算", "by hand"),
    "shape": Text("形状", "shape"),
    "module": Text("模块", "module"),
    "source": Text("源码", "source"),
    "computing": Text("正在计算……", "computing …"),
    "go_on": Text("回车继续，q 结束 >", "Enter goes on, q ends >"),
    # -- headings
    "position": Text("位置", "position"),
    "id": Text("编号", "id"),
    "token": Text("词元", "token"),
    "bytes": Text("字节", "bytes"),
    "probability": Text("概率", "probability"),
    "sum_so_far": Text("累加", "sum so far"),
    "target": Text("目标", "target"),
    "one_hot": Text("独热", "one-hot"),
    "operation": Text("操作", "operation"),
    "shape_of": Text("形状 {name}", "shape {name}"),
    "parameter": Text("参数", "parameter"),
    "gradient_length": Text("‖梯度‖", "‖gradient‖"),
    "channel": Text("通道", "channel"),
    "before": Text("之前", "before"),
    "after": Text("之后", "after"),
    "factor": Text("倍数", "factor"),
    "forward_us": Text("前向 µs", "fwd µs"),
    "backward_us": Text("反向 µs", "bwd µs"),
    "counted": Text("计入", "counts"),
    "loss_of": Text("损失 {stage}", "loss {stage}"),
    "loss": Text("损失", "loss"),
    "side": Text("回答", "answer"),
    "tokens": Text("词元数", "tokens"),
    "score": Text("分数", "score"),
    "reward": Text("奖励", "reward"),
    "ratio": Text("比值", "ratio"),
    "clipped_ratio": Text("裁剪后", "clipped"),
    "clip_hit": Text("裁", "cut"),
    "right": Text("对错", "right"),
    "advantage": Text("优势", "advantage"),
    # -- rows
    "head": Text("第 {number} 头", "head {number}"),
    "looks": Text("{token} 看", "{token} looks at"),
    "sum": Text("和", "sum"),
    "rest": Text("其余", "the rest"),
    "as_input": Text("作为输入", "as input"),
    "as_output": Text("作为输出", "as output"),
    "clipped_gradient": Text("g（裁剪后）", "g (clipped)"),
    "new_w": Text("新的 w", "new w"),
    "prompt": Text("问题", "prompt"),
    "answer": Text("回答", "answer"),
    "answer_number": Text("回答 {number}", "answer {number}"),
    "chosen": Text("较好", "chosen"),
    "rejected": Text("较差", "rejected"),
    "margin": Text("差距", "margin"),
    "task": Text("题目", "task"),
    "expected": Text("答案", "expected"),
    "ended": Text("说完了", "ended"),
    "yes": Text("是", "yes"),
    "no": Text("否", "no"),
    # -- phrases
    "fresh": Text("新建的小模型（没有训练过）", "a small fresh model (untrained)"),
    "passed_over": Text(
        "{origin}（第 {number} 条的回答全对或全错，看下一条有对有错的）",
        "{origin} (all answers to example {number} are right, or all wrong; this is the next that has both)",
    ),
    "fresh_short": Text("新模型", "fresh"),
    "example_from": Text("训练数据第 {number} 条，模型：{where}", "Training example {number}; model: {where}"),
    "if_all_counted": Text("如果全都计入", "if all of them counted"),
    "group_teaches": Text("有对有错，才有东西可学。", "Some right, some wrong: there is something to learn."),
    "group_teaches_nothing": Text(
        "这组全对或全错，优势都是 0，什么也教不了；训练时会丢掉这样的组。",
        "All right or all wrong: every advantage is 0, the group teaches nothing, and training drops it.",
    ),
    "sizes": Text(
        "{where}，{parameters} 个参数，{layers} 层，每层 {heads} 个头，{channels} 个通道，词表 {vocab}",
        "{where}, {parameters} parameters, {layers} layers of {heads} heads, {channels} channels, vocabulary {vocab}",
    ),
    "drawn_target": Text("刚抽到的“{token}”", "“{token}”, the one just drawn"),
    "given_target": Text("“{token}”（--target）", "“{token}” (--target)"),
    "clipped": Text("超过 {most}，一起按比例缩短到 {most}", "above {most}, so all are scaled down to {most} together"),
    "not_clipped": Text("不超过 {most}，不用裁剪", "not above {most}, so nothing is clipped"),
}
"""Words and short phrases, by key; names in braces are filled in."""


@dataclass(frozen=True)
class Speech:
    """The texts in one language. A key that is not there, and a value that was not given, is a KeyError.

    Attributes:
        language: which.
    """

    language: Language

    def word(self, key: str, **values: Any) -> str:
        """A word or short phrase of :data:`WORDS`."""
        return WORDS[key](self.language).format(**values)

    def title(self, key: str) -> str:
        """The title of a page."""
        return PAGES[key].title(self.language)

    def text(self, key: str, **values: Any) -> str:
        """The explanation on a page, its braces filled in."""
        return PAGES[key].body(self.language).format(**values)

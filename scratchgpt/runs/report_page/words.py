"""What the names in a report mean, in Chinese and in English.

A name that is not here (of a user's own task family, say) is shown as it is.
"""

from __future__ import annotations

from scratchgpt.inside.bilingual import Text
from scratchgpt.stages import stage_named

MEASURES = {
    "bits per character": Text("每字符比特数", "bits per character"),
    "perplexity": Text("困惑度", "perplexity"),
    "dialogue loss": Text("对话损失", "dialogue loss"),
    "right answers to questions": Text("问题答对率", "right answers to questions"),
    "verified accuracy on tasks": Text("任务正确率（程序检查）", "verified accuracy on tasks"),
    "pair accuracy": Text("偏好对判断正确率", "pair accuracy"),
    "mean reward (SFT deviations)": Text("平均奖励（以 SFT 标准差计）", "mean reward (SFT deviations)"),
    "KL per response (nats)": Text("每个回答的 KL（奈特）", "KL per response (nats)"),
    "win rate against SFT by rubric": Text("按评分细则对 SFT 的胜率", "win rate against SFT by rubric"),
    "rubric points (0-6)": Text("评分细则得分（0–6）", "rubric points (0-6)"),
    "facts right": Text("事实正确率", "facts right"),
}
"""The measures of the results."""

QUANTITIES = {
    "loss": Text("损失（奈特）", "loss (nats)"),
    "bits_per_character": Text("每字符比特数", "bits per character"),
    "perplexity": Text("困惑度", "perplexity"),
    "accuracy": Text("正确率", "accuracy"),
    "token_accuracy": Text("最可能的词元猜对的比例", "likeliest token right"),
    "reward": Text("奖励", "reward"),
    "kl": Text("与参考模型的 KL（留出数据，奈特/回答）", "KL to the reference (held out, nats a response)"),
    "objective/kl": Text("与参考模型的 KL（奈特/回答）", "KL to the reference (nats a response)"),
    "objective/entropy": Text("熵（奈特/词元）", "entropy (nats a token)"),
    "objective/scores": Text("奖励模型的分数", "the reward model's score"),
    "objective/rlhf_reward": Text("扣除 KL 后的奖励", "reward less the KL penalty"),
    "rewards/margins": Text("好坏回答的分差", "margin between better and worse"),
    "grad_norm": Text("梯度范数", "gradient norm"),
    "answers/alike": Text("得到同一个回答的问题的比例", "share of prompts with the same answer"),
    "loss/policy": Text("策略损失", "policy loss"),
    "loss/value": Text("价值损失", "value loss"),
    "policy/approxkl": Text("一次更新移动的 KL", "KL moved by the update"),
    "policy/clipfrac": Text("策略被截断的比例", "share of policy ratios clipped"),
    "policy/updates": Text("策略更新次数", "policy updates"),
    "val/clipfrac": Text("价值被截断的比例", "share of values clipped"),
    "response_length": Text("回答长度（词元）", "response length (tokens)"),
    "finished": Text("说完的回答的比例", "share of responses that ended"),
    "rubric": Text("评分细则得分（0–6）", "rubric points (0-6)"),
    "win_rate": Text("对 SFT 的胜率", "win rate against SFT"),
    "facts_right": Text("事实正确率", "facts right"),
    "groups_used": Text("可以学习的任务组数", "groups to learn from"),
}
"""The quantities of a log."""

GROUPS = {
    "addition": Text("加法", "addition"),
    "clock": Text("时钟", "clock"),
    "comparison": Text("比较", "comparison"),
    "division": Text("除法", "division"),
    "missing_operand": Text("求未知数", "missing operand"),
    "multiplication": Text("乘法", "multiplication"),
    "ordering": Text("排序", "ordering"),
    "parity": Text("奇偶", "parity"),
    "remainder": Text("余数", "remainder"),
    "sequence": Text("数列", "sequence"),
    "subtraction": Text("减法", "subtraction"),
    "syllogism": Text("三段论", "syllogism"),
    "weekday": Text("星期", "weekday"),
    "word_problem": Text("应用题", "word problem"),
    "evasive": Text("回避问题", "evasive"),
    "off_topic": Text("跑题", "off topic"),
    "repetitive": Text("重复", "repetitive"),
    "rude": Text("无礼", "rude"),
    "thin": Text("太简略", "thin"),
    "truncated": Text("没说完", "truncated"),
    "wrong": Text("有错误", "wrong"),
    "code": Text("代码", "code"),
    "creative": Text("创作", "creative"),
    "everyday": Text("日常", "everyday"),
    "introduction": Text("自我介绍", "introduction"),
    "knowledge": Text("知识", "knowledge"),
    "logic": Text("逻辑", "logic"),
    "math": Text("数学", "math"),
    "safety": Text("安全", "safety"),
    "other": Text("其他", "other"),
}
"""Task families, kinds of worse answers, and categories of questions."""


def stage_name(stage: str) -> Text:
    """What a stage is called in the report; ``stage`` is its name on the command line.

    Raises:
        UserError: if there is no such stage.
    """
    declared = stage_named(stage)
    return Text(declared.title_zh, declared.title_en)


def measure_name(measure: str) -> Text:
    """The name of a measure of the results, with the part of the data behind a colon where it is of a part."""
    name, colon, group = measure.partition(": ")
    base = MEASURES.get(name, _as_it_is(name))
    if not colon:
        return base
    part = group_name(group)
    return Text(f"{base.zh}：{part.zh}", f"{base.en}: {part.en}")


def quantity_name(quantity: str) -> Text:
    """The name of a quantity of a log."""
    return QUANTITIES.get(quantity, _as_it_is(quantity))


def group_name(group: str) -> Text:
    """The name of a part of the data."""
    return GROUPS.get(group, _as_it_is(group))


def _as_it_is(name: str) -> Text:
    plain = name.replace("_", " ")
    return Text(plain, plain)

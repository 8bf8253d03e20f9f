"""The report as one page, ``<out>/report.html``: opens offline, in Chinese and in English, on a phone too.

It shows what ``report.md`` does, and what only a picture or the models themselves can show: curves of every
quantity, the same questions answered by every stage, attention maps, and the neighbours of words before and after
training. Everything is in the one file; it needs no script and no network.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from scratchgpt.inside.bilingual import Text
from scratchgpt.models.base import LanguageModel
from scratchgpt.runs.curves import parts_of_the_data, quantities
from scratchgpt.runs.report import (
    KINDS,
    OTHER_THREADS,
    Measure,
    Remark,
    StageResult,
    machine,
    measured_results,
    number_text,
    remarks,
    setting_text,
    stage_history,
    versions,
    write_whole,
)
from scratchgpt.runs.report_page import svg_pictures
from scratchgpt.runs.report_page.attention_maps import attention_maps
from scratchgpt.runs.report_page.embedding_neighbours import Neighbour, nearest_words, words_to_show
from scratchgpt.runs.report_page.stage_samples import answers_by_stage
from scratchgpt.runs.report_page.words import group_name, measure_name, quantity_name, stage_name
from scratchgpt.stages import stage_named
from scratchgpt.stages.run_folder import finished_writers, load_model
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.history import History

STYLE = Path(__file__).with_name("page.css")
SENTENCE = "小猫坐在窗台上，看着外面的鸟。"
"""What the model reads for the attention maps, unless its vocabulary was made for other text."""
MOST_TOKENS = 16
"""Of the sentence of the attention maps: more cells could not be told apart."""
WORDS = 12
REMARKS = {"warning": "警告", "skipped": "跳过", "stopped": "提前结束", "turn": "最好的一步", "note": "注意"}
"""What the kinds of remarks are called in Chinese."""
SHARES = ("accuracy", "right", "rate")
"""A measure whose name holds one of these words is a share, shown in percent."""


def write_html_report(out: Path) -> None:
    """Write ``report.html`` from all results, logs and checkpoints in ``out``.

    Raises:
        UserError: if one of them is damaged, or the disk is full or may not be written.
    """
    results = measured_results(out)
    sections = [_summary(results), _curves(out, results), _samples(out, results)]
    stage = next(iter(finished_writers(out)), None)
    if stage is not None:
        model, tokenizer = load_model(out, stage)
        sections += [_attention(model, tokenizer, stage, results), _neighbours(model, tokenizer, results)]
        sections.append(_configuration(results, model))
    else:
        sections.append(_configuration(results))
    write_whole(out / "report.html", _page([section for section in sections if section]))


# -- pieces of HTML -----------------------------------------------------------------------------------------
def _both(zh: str, en: str) -> str:
    """A text in both languages, of which the page shows one."""
    if zh == en:
        return _escaped(zh)
    return f'<span class="zh" lang="zh">{_escaped(zh)}</span><span class="en" lang="en">{_escaped(en)}</span>'


def _escaped(text: str) -> str:
    """Text as it stands: nothing in it is markup, and what XML cannot hold is shown as U+FFFD."""
    allowed = "".join(c if c.isprintable() or c in "\n\t\u3000" else "\ufffd" for c in text)
    return html.escape(allowed.encode("utf-8", "replace").decode("utf-8"), quote=True)


def _card(key: str, title: Text, *content: str) -> str:
    return f'<section class="card" id="{key}">\n<h2>{_both(*title)}</h2>\n' + "\n".join(content) + "\n</section>"


def _soft(zh: str, en: str) -> str:
    return f'<p class="soft">{_both(zh, en)}</p>'


def _table(heads: Sequence[Text], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table that scrolls by itself where it is too wide; the cells are HTML, ``numbers`` are columns of numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        kinds = ["number" if i in numbers else "words" for i in range(len(cells))]
        return "<tr>" + "".join(f'<{tag} class="{k}">{c}</{tag}>' for k, c in zip(kinds, cells, strict=True)) + "</tr>"

    body = "\n".join(line("td", row) for row in rows)
    head = line("th", [_both(*text) for text in heads])
    return f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _details(title: Text, content: str) -> str:
    return f"<details><summary>{_both(*title)}</summary>\n{content}\n</details>"


def _figure(caption: Text, picture: str) -> str:
    return f"<figure><figcaption>{_both(*caption)}</figcaption>{picture}</figure>"


def _page(sections: Sequence[str]) -> str:
    titles = {
        "results": Text("结果", "Results"),
        "curves": Text("曲线", "Curves"),
        "samples": Text("各阶段的回答", "Answers by stage"),
        "attention": Text("注意力", "Attention"),
        "neighbours": Text("词向量", "Embeddings"),
        "configuration": Text("配置", "Configuration"),
    }
    page = "\n".join(sections)
    jumps = [f'<a href="#{key}">{_both(*title)}</a>' for key, title in titles.items() if f'id="{key}"' in page]
    return f"""<!DOCTYPE html>
<html lang="zh">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>scratchgpt 训练报告 · training report</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<input class="switch" type="radio" name="language" id="zh" checked="checked"/>
<input class="switch" type="radio" name="language" id="en"/>
<header>
<div class="languages"><label for="zh" lang="zh">中文</label><label for="en" lang="en">English</label></div>
<h1>{_both("训练报告", "Training report")}</h1>
<nav class="jumps">
{chr(10).join(jumps)}
</nav>
</header>
<main>
{page}
</main>
<footer>scratchgpt · {_both("这一页不需要网络", "this page needs no network")}</footer>
</body>
</html>
"""


# -- results ------------------------------------------------------------------------------------------------
def _summary(results: Sequence[StageResult]) -> str:
    heads = (
        Text("阶段", "stage"),
        Text("指标", "measure"),
        Text("之前", "before"),
        Text("之后", "after"),
        Text("条数", "items"),
    )
    measures = [measure for result in results for measure in result.measures]
    whole = [_measure_row(measure) for measure in measures if ": " not in measure.measure]
    parts = [_measure_row(measure) for measure in measures if ": " in measure.measure]
    seconds = sum(result.seconds for result in results)
    content = [
        _soft(
            "每个指标都在训练时没见过的数据上测量，阶段之前和之后各一次。↑ 越高越好，↓ 越低越好；没有箭头的是代价。",
            "Every measure is taken on held-out data, before and after the stage. "
            "↑ higher is better, ↓ lower is better; without an arrow, the cost at which the others moved.",
        ),
        _table(heads, whole, numbers=(2, 3, 4)),
    ]
    if parts:
        title = Text("按任务类别、问题类别、错误类别细看", "By task family, kind of question, and kind of badness")
        content.append(_details(title, _table(heads, parts, numbers=(2, 3, 4))))
    content.append(f"<p>{_both('总时间：', 'Total time: ')}{_duration(seconds)}</p>")
    return _card("results", Text("结果", "Results"), *content)


def _measure_row(measure: Measure) -> list[str]:
    name = measure_name(measure.measure)
    arrow = f"\u00a0{measure.arrow}" if measure.arrow else ""  # never on a line of its own
    after = _value(measure, measure.after)
    if measure.arrow and measure.before is not None and measure.after is not None and measure.before != measure.after:
        kind = "better" if (measure.after > measure.before) == (measure.arrow == "↑") else "worse"
        after = f'<span class="{kind}">{after}</span>'
    return [
        measure.stage,
        _both(*name) + arrow,
        _value(measure, measure.before),
        after,
        f"{measure.items:,}",
    ]


def _value(measure: Measure, value: float | None) -> str:
    if value is not None and any(word in measure.measure.split(":")[0].split() for word in SHARES):
        return f"{value:.1%}"
    return number_text(value) if not value or abs(value) >= 0.1 else f"{value:.2g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return _both(f"{rest} 秒", f"{rest} s")
    return _both(f"{minutes} 分 {rest} 秒", f"{minutes} min {rest} s")


# -- curves -------------------------------------------------------------------------------------------------
def _curves(out: Path, results: Sequence[StageResult]) -> str:
    stages = [part for result in results if (part := _stage_curves(result, stage_history(out, result.stage)))]
    if not stages:
        return ""
    training = _both("训练（浅：每一步；深：滑动平均）", "training (faint: each step; strong: running mean)")
    held_out = _both("留出数据", "held out")
    step = _both("；横轴是步数", "; against the step")
    if any(result.turn for result in results):
        step = _both("；横轴是步数；竖虚线是最好的一步", "; against the step; dashed: the best step")
    key = f'<span class="key training"></span>{training}<span class="key heldout"></span>{held_out}{step}'
    return _card("curves", Text("曲线", "Curves"), f'<p class="soft">{key}</p>', *stages)


def _stage_curves(result: StageResult, history: History) -> str:
    """The panels of a stage: the leading quantities, the accuracy by part of the data, and the rest folded away."""
    leading: list[str] = []
    minor: list[str] = []
    best_step = result.turn.step if result.turn else None
    for number, series in enumerate(quantities(history)):
        picture = svg_pictures.curve_svg(series, f"{result.stage}{number}", best_step)
        (leading if series.leads else minor).append(_figure(quantity_name(series.name), picture))
    shares = [
        _figure(group_name(series.name), svg_pictures.share_svg(series, f"{result.stage}part{number}", best_step))
        for number, series in enumerate(parts_of_the_data(history))
    ]
    told = [_remark(remark) for remark in remarks(result, history)]
    if not leading and not minor and not told:
        return ""
    rate = f"{result.tokens_per_second:,.0f}"
    speed = _both(f"，训练时每秒 {rate} 个词元", f", {rate} tokens per second in training")
    content = [
        f"<h3>{_both(*stage_name(result.stage))} <code>{result.stage}</code></h3>",
        f'<p class="soft">{_duration(result.seconds)}{speed}</p>',
    ]
    content += told
    if leading:
        content.append(f'<div class="panels">{"".join(leading)}</div>')
    if shares:
        content.append(_soft("按任务类别（或错误类别）的正确率：", "Accuracy by task family (or kind of badness):"))
        content.append(f'<div class="panels small">{"".join(shares)}</div>')
    if minor:
        content.append(_details(Text("更多曲线", "More curves"), f'<div class="panels">{"".join(minor)}</div>'))
    return "\n".join(content)


def _remark(remark: Remark) -> str:
    zh, en = REMARKS[remark.kind], KINDS[remark.kind]
    if remark.step is not None:
        zh, en = f"{zh}，第 {remark.step} 步", f"{en}, step {remark.step}"
    return f'<p class="warning">{_both(f"{zh}：", f"{en}: ")}{_escaped(remark.text)}</p>'


# -- samples ------------------------------------------------------------------------------------------------
def _samples(out: Path, results: Sequence[StageResult]) -> str:
    asked = [sample.prompt for result in results for sample in result.samples[: stage_named(result.stage).questions]]
    prompts = list(dict.fromkeys(asked))
    rows = answers_by_stage(out, prompts) if prompts else []
    if not rows:
        return ""
    content = [
        _soft(
            "同一个问题，每个阶段的模型各答一次（取最可能的词元）。预训练模型只会续写（抽样）。数字是奖励模型打的分。",
            "The same question, answered by the model of every stage (likeliest tokens). "
            "The pretrained model only continues the text (by sampling). Numbers are the reward model's scores.",
        )
    ]
    for prompt, answers in zip(prompts, rows, strict=True):
        content.append(f'<p class="question">{_escaped(prompt)}</p>')
        boxes = []
        for answer in answers:
            score = "" if answer.score is None else f"<span>{answer.score:+.2f}</span>"
            said = _escaped(answer.text) or _both("（没有说话）", "(said nothing)")
            boxes.append(
                f'<div class="answer"><h4><span>{_both(*stage_name(answer.stage))}</span>{score}</h4>'
                f'<p class="text">{said}</p></div>'
            )
        content.append(f'<div class="answers">{"".join(boxes)}</div>')
    return _card("samples", Text("同一个问题，各个阶段怎么答", "The same question through the stages"), *content)


# -- inside the model ---------------------------------------------------------------------------------------
def _attention(model: LanguageModel, tokenizer: Tokenizer, stage: str, results: Sequence[StageResult]) -> str:
    samples = [sample.prompt for result in results if stage_named(result.stage).writes for sample in result.samples]
    # A vocabulary made for other text spells the sentence byte by byte: then one of the run's own prompts.
    own = len(tokenizer.encode(SENTENCE)) > MOST_TOKENS and samples
    maps = attention_maps(model, tokenizer, samples[0] if own else SENTENCE, MOST_TOKENS)
    content = [
        _soft(
            f"模型（{stage}）读这句话时，每一行的词元把多少注意力分给它自己和前面的词元；颜色越深越多，一行合计 100%。",
            f"As the model ({stage}) reads this sentence: how much the token of each row looks at itself and at those "
            "before it; the darker the more, 100% a row.",
        ),
        f'<p class="question">{_escaped("".join(maps.tokens))}</p>',
    ]
    for layer, heads in enumerate(maps.weights):
        figures = [
            _figure(
                Text(f"第 {layer} 层，第 {head} 头", f"layer {layer}, head {head}"),
                svg_pictures.attention_svg(maps.tokens, weights),
            )
            for head, weights in enumerate(heads)
        ]
        content.append(f'<div class="panels heads">{"".join(figures)}</div>')
    return _card("attention", Text("注意力：每个头在看哪里", "Attention: where every head looks"), *content)


def _neighbours(model: LanguageModel, tokenizer: Tokenizer, results: Sequence[StageResult]) -> str:
    words = words_to_show(tokenizer, WORDS)
    if not words:
        return ""
    heads = [Text("词", "word")]
    columns = []
    # Pretraining made the initial weights; a run that began with another's model does not know them.
    seed = next((result.settings.get("seed") for result in results if not stage_named(result.stage).follows), None)
    if seed is not None:
        heads.append(Text("训练前（随机）", "before training (random)"))
        columns.append(nearest_words(type(model)(model.config, seed).token_table.data, tokenizer, words))
    heads.append(Text("训练后", "after training"))
    columns.append(nearest_words(model.token_table.data, tokenizer, words))
    rows = []
    for number, word in enumerate(words):
        cells = ["".join(map(_chip, column[number])) for column in columns]
        rows.append([f"<b>{_escaped(tokenizer.decode([word]))}</b>", *cells])
    return _card(
        "neighbours",
        Text("词向量：谁和谁相近", "Embeddings: which words are near each other"),
        _soft(
            "较常见的词里，词元表的行方向最接近的五个；数字是夹角的余弦：1 是同向，0 是无关。",
            "Of the more common words the five whose rows of the token table point most nearly the same way; "
            "numbers are cosines: 1 the same direction, 0 unrelated.",
        ),
        _table(heads, rows),
    )


def _chip(neighbour: Neighbour) -> str:
    word, cosine = neighbour
    return f'<span class="chip">{_escaped(word)}<small>{cosine:.2f}</small></span>'


# -- configuration ------------------------------------------------------------------------------------------
def _configuration(results: Sequence[StageResult], model: LanguageModel | None = None) -> str:
    content = []
    if model is not None:
        sizes = ", ".join(f"{name} {setting_text(value)}" for name, value in asdict(model.config).items())
        parameters = f"{model.num_parameters():,}"
        told = _both(f"模型，{parameters} 个参数：", f"Model, {parameters} parameters: ")
        content.append(f'<p>{told}<span class="setting">{_escaped(sizes)}</span></p>')
    stages = [result.stage for result in results if result.settings]
    names = list(dict.fromkeys(name for result in results for name in result.settings))
    if names:
        settings = {result.stage: result.settings for result in results}
        rows = [
            [
                f'<span class="setting">{_escaped(name)}</span>',
                *(_escaped(setting_text(settings[stage][name])) if name in settings[stage] else "" for stage in stages),
            ]
            for name in names
        ]
        heads = [Text("设置", "setting"), *(Text(stage, stage) for stage in stages)]
        content.append(_table(heads, rows, numbers=range(1, len(heads))))
    content.append(f"<p>{_both('机器：', 'Machine: ')}{_escaped(machine())}</p>")
    content.append(_soft("换成另一个线程数，求和的次序不同，权重的最后几位也就不同。", OTHER_THREADS))
    content.append(f"<p>{_both('版本：', 'Versions: ')}{_escaped(', '.join(versions()))}</p>")
    return _card("configuration", Text("配置与版本", "Configuration and versions"), *content)

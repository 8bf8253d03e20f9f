"""``python -m scratchgpt demo``: everything in small, in less than a minute.

A tokenizer is trained, a sentence goes through a small model with every number's shape in sight, the model is
trained, and it writes before and after. Nothing is written to disk.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text as Styled

from scratchgpt import autograd as ag
from scratchgpt.autograd import no_grad
from scratchgpt.cli.commands.terminal_plot import plot
from scratchgpt.cli.commands.tokenize import coloured
from scratchgpt.config import GPTConfig, PretrainConfig
from scratchgpt.datasets.corpus import read_corpus
from scratchgpt.datasets.sources import DATA
from scratchgpt.errors import UserError
from scratchgpt.inference.text import TextGenerator
from scratchgpt.inside.bilingual import Language, Text
from scratchgpt.inside.recorder import Recording, record
from scratchgpt.inside.token_display import readable, tokens_of, whole_text_ids
from scratchgpt.models.gpt2 import GPT, block_number, block_path, path_in_body
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.tokenizer import BPETokenizer
from scratchgpt.tokenizer.byte_level import FIRST_MERGE_ID

CHARACTERS = 400_000
"""Of the training text: enough to learn from in seconds."""
HELD_OUT = 20
"""Documents that are kept for measuring."""
VOCABULARY = 1200
MAX_TOKEN_LENGTH = 12
MODEL = GPTConfig(VOCABULARY, emb_dim=128, num_heads=4, num_layers=2, context_size=64, dropout=0.0)
TRAINING = PretrainConfig(batch_size=16, lr=3e-3, warmup_steps=20)
SENTENCE = "小猫坐在窗台上，看着外面的鸟。"
"""What is taken apart; a text of the user's own brings its own sentence."""
FIRST_MERGES, LATER_MERGES = 6, 8
"""How many of the first and of the later merges are shown."""
NUMBERS = 3
"""How many of an array's numbers are shown."""


@dataclass(frozen=True)
class Arguments:
    """See everything in small, in less than a minute: tokenizer, model, training, writing.

    Attributes:
        steps: training steps.
        seed: of the initial weights, the order of the text and the writing.
        corpus: text of your own, as train.py reads it. By default a part of the project's.
        lang: the language of the explanations.
    """

    steps: int = 400
    seed: int = 0
    corpus: Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")] = None
    lang: Language = "zh"


class Demo:
    """What the parts of the demonstration share.

    Args:
        arguments: of the command.
        console: where to print.

    Raises:
        UserError: if the text cannot be read or is too short.
    """

    def __init__(self, arguments: Arguments, console: Console) -> None:
        self.arguments, self.console = arguments, console
        documents = _beginning(read_corpus(arguments.corpus or DATA / "pretrain_data.txt"), CHARACTERS)
        if len(documents) < 2:
            raise UserError(f"{arguments.corpus}: holds one document only; separate at least two by a blank line")
        held_out = min(HELD_OUT, len(documents) // 2)
        self.documents, self.heldout = documents[:-held_out], documents[-held_out:]
        self.sentence = SENTENCE if arguments.corpus is None else self.heldout[0][:16].strip()

    def say(self, zh: str, en: str, style: str = "") -> None:
        """Print a line in the language that was asked for."""
        self.console.print(Text(zh, en)(self.arguments.lang), style=style, markup=False)

    def head(self, zh: str, en: str) -> None:
        """Print the title of a part."""
        self.console.print()
        self.console.rule(Text(zh, en)(self.arguments.lang), align="left")

    # -- 1: the tokenizer -----------------------------------------------------------------------------------
    def train_tokenizer(self) -> BPETokenizer:
        """Train it and show the merges, and what they do to a sentence."""
        self.head("1/4 分词器：从字节到词元", "1/4 Tokenizer: from bytes to tokens")
        started = time.monotonic()
        tokenizer = self._fitted(VOCABULARY)
        seconds = time.monotonic() - started
        characters = sum(map(len, self.documents))
        self.say(
            f"读 {characters:,} 个字符，{seconds:.1f} 秒学会 {len(tokenizer.merges)} 次合并：最常相邻的两个合成一个。",
            f"{characters:,} characters read, {len(tokenizer.merges)} merges learned in {seconds:.1f} s: "
            "the two tokens that most often stand side by side become one.",
        )
        count = len(tokenizer.merges)
        for number in _merges_worth_showing(tokenizer):
            left, right = (readable(tokenizer.token_bytes(token)) for token in tokenizer.merges[number])
            made = readable(tokenizer.token_bytes(FIRST_MERGE_ID + number))
            self.console.print(f"  {number + 1:4}  {left} + {right} → {made}", markup=False)
        self.say("同一句话，合并越多，词元越少：", "The same sentence: the more merges, the fewer tokens:")
        for merges in sorted({0, min(100, count), min(300, count), count}):
            fewer = tokenizer if merges == count else self._fitted(FIRST_MERGE_ID + merges)
            tokens = tokens_of(fewer, self.sentence)
            self.say(f"{merges} 次合并，{len(tokens)} 个词元", f"{merges} merges, {len(tokens)} tokens", style="dim")
            self.console.print(coloured(tokens, self.console.width))
        return tokenizer

    def _fitted(self, size: int) -> BPETokenizer:
        tokenizer = BPETokenizer(size, MAX_TOKEN_LENGTH)
        tokenizer.fit(self.documents)
        return tokenizer

    # -- 2: the model ---------------------------------------------------------------------------------------
    def show_components(self, model: GPT, tokenizer: BPETokenizer) -> None:
        """Send the sentence through the model and show what goes into every operation and what comes out."""
        self.head("2/4 模型：每个部件的输入和输出", "2/4 Model: what goes into each part and comes out")
        config = model.config
        self.say(
            f"{model.num_parameters():,} 个参数，还没有训练：{config.num_layers} 层，{config.emb_dim} 通道，"
            f"{config.num_heads} 个注意力头。",
            f"{model.num_parameters():,} parameters, not trained yet: {config.num_layers} layers, "
            f"{config.emb_dim} channels, {config.num_heads} attention heads.",
        )
        self.say(
            "每个部件三行：名字、运算和结果最前的几个数；输入的形状 → 输出的形状；公式。",
            "Three lines each: name, operation, the result's first numbers; shapes in → shape out; equation.",
        )
        ids = tokenizer.encode(self.sentence)
        with no_grad(), record(model.eval()) as recording:
            logits, _ = model(np.array([ids]))
            ag.softmax(logits)
        self._print_components(recording)
        self._show_attention(recording, [token.readable for token in tokens_of(tokenizer, self.sentence)])
        probabilities = recording.step("softmax").output[0, -1]
        likely = np.argsort(-probabilities)[:5]
        guesses = "  ".join(f"{readable(tokenizer.token_bytes(i))} {probabilities[i]:.2%}" for i in likely)
        self.say(f"下一个词元，模型现在只是乱猜：{guesses}", f"The next token, for now a blind guess: {guesses}")

    def _print_components(self, recording: Recording) -> None:
        """Three lines for every operation: what and the first numbers of its result, the shapes, the equation."""
        repeated = [step for step in recording.steps if block_number(step.module) not in (None, 0)]
        for step in recording.steps:
            if step in repeated:
                if step is repeated[-1]:
                    self.say("…  其余各层与 h.0 相同", "…  the other layers are like h.0", style="dim")
                continue
            inputs = ", ".join(_shape(argument.value) for argument in step.arguments if np.ndim(argument.value))
            first = " ".join(f"{number:+.3f}" for number in step.output.reshape(-1)[:NUMBERS])
            part = path_in_body(step.module) or "gpt"
            self.console.print(Styled.assemble((f"{part:<17}", "bold"), f"{step.operation:<18}", f"{first} …"))
            self.console.print(Styled(f"    {inputs} → {_shape(step.output)}", style="dim"))
            if step.equations:
                self.console.print(Styled(f"    {step.equations.forward.plain}", style="cyan"))

    def _show_attention(self, recording: Recording, tokens: Sequence[str]) -> None:
        step = recording.step("causal_attention", f"{block_path(0)}.attn")
        weights = next(hidden.array for hidden in step.hidden() if hidden.name == "weights")[0, 0]
        last = sorted(zip(weights[-1], tokens, strict=True), key=lambda pair: -pair[0])[:5]
        most = "  ".join(f"{token} {weight:.0%}" for weight, token in last)
        self.say(
            f"第 0 层第 0 个头，最后一个词元“{tokens[-1]}”看向：{most}（共 100%）",
            f"Layer 0, head 0: the last token {tokens[-1]} looks at: {most} (100% in all)",
        )

    # -- 3: training ----------------------------------------------------------------------------------------
    def train(self, model: GPT, tokenizer: BPETokenizer) -> tuple[float, float]:
        """Train the model and draw its loss.

        Returns:
            The held-out perplexity before and after.

        Raises:
            UserError: if training diverged.
        """
        self.head("3/4 训练：猜下一个词元，猜错就调参数", "3/4 Training: guess the next token, learn from the mistakes")
        trainer = Pretrainer(
            model, tokenizer, model.config, TRAINING, self.documents, self.heldout, self.arguments.seed
        )
        trainer.total_steps = self.arguments.steps
        before = trainer.evaluate()["perplexity"]
        losses: list[float] = []
        started = time.monotonic()
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=self.console, transient=True) as progress:
            bar = progress.add_task("", total=self.arguments.steps)
            for step in range(self.arguments.steps):
                losses.append(_diverged_is_a_user_error(trainer, step))
                progress.update(bar, advance=1, description=f"loss {losses[-1]:.3f}")
        seconds = time.monotonic() - started
        for line in plot(losses):
            self.console.print(line, markup=False)
        self.say(
            f"{len(losses)} 步，{seconds:.1f} 秒：损失 {losses[0]:.2f} → {losses[-1]:.2f}（猜中概率的负对数的平均）",
            f"{len(losses)} steps, {seconds:.1f} s: loss {losses[0]:.2f} → {losses[-1]:.2f} "
            "(mean of -ln of the right token's probability)",
        )
        return before, trainer.evaluate()["perplexity"]

    # -- 4: writing -----------------------------------------------------------------------------------------
    def write(self, model: GPT, tokenizer: BPETokenizer) -> list[str]:
        """What the model makes of the beginnings of three held-out texts."""
        generator = TextGenerator(model.eval(), tokenizer)
        beginnings = [document[:6] for document in self.heldout[:3]]
        texts = generator.generate(beginnings, 24, temperature=0.8, top_k=20, seed=self.arguments.seed)
        return [text.replace("\n", "↵") for text in texts]


def run(arguments: Arguments) -> None:
    """Show all four parts.

    Raises:
        UserError: if a value is out of range, or the text cannot be read or is too short.
    """
    if arguments.steps < 1:
        raise UserError(f"--steps must be at least 1, not {arguments.steps}")
    if arguments.seed < 0:
        raise UserError(f"--seed must not be negative, not {arguments.seed}")
    started = time.monotonic()
    demo = Demo(arguments, Console(highlight=False))
    tokenizer = demo.train_tokenizer()
    model = GPT(_sized(tokenizer), arguments.seed)
    demo.show_components(model, tokenizer)
    written_before = demo.write(model, tokenizer)
    before, after = demo.train(model, tokenizer)
    demo.head("4/4 写字：训练之前和之后", "4/4 Writing: before and after training")
    for old, new in zip(written_before, demo.write(model, tokenizer), strict=True):
        demo.say(f"之前  {old}", f"before  {old}", style="dim")
        demo.say(f"之后  {new}", f"after   {new}")
    demo.say(
        f"没见过的文字，困惑度 {before:,.0f} → {after:,.0f}：每一步像在 {after:,.0f} 个词元里猜。",
        f"Perplexity of unseen text {before:,.0f} → {after:,.0f}: like a guess among {after:,.0f} tokens each time.",
    )
    demo.say(
        f"共 {time.monotonic() - started:.0f} 秒。接着：python train.py --preset tiny（几分钟，五个阶段）",
        f"{time.monotonic() - started:.0f} s in all. Next: python train.py --preset tiny (five stages in minutes)",
    )


def _sized(tokenizer: BPETokenizer) -> GPTConfig:
    """The model for the vocabulary that the text really gave."""
    return GPTConfig(
        len(tokenizer), MODEL.emb_dim, MODEL.num_heads, MODEL.num_layers, MODEL.context_size, MODEL.dropout
    )


def _merges_worth_showing(tokenizer: BPETokenizer) -> list[int]:
    """The first few merges, which make characters of bytes, and some later ones, which make words of characters."""
    count = len(tokenizer.merges)
    first = list(range(min(FIRST_MERGES, count)))
    words = [i - FIRST_MERGE_ID for i in whole_text_ids(tokenizer) if len(tokenizer.decode([i])) > 1]
    later = [merge for merge in words if merge >= FIRST_MERGES]
    return first + [later[i] for i in np.linspace(0, len(later) - 1, min(LATER_MERGES, len(later))).astype(int)]


def _beginning(documents: Sequence[str], characters: int) -> list[str]:
    """The first documents, until there are enough characters."""
    ends = np.cumsum([len(document) for document in documents])
    return list(documents[: int(np.searchsorted(ends, characters)) + 1])


def _shape(array: np.ndarray) -> str:
    return "×".join(map(str, np.shape(array)))


def _diverged_is_a_user_error(trainer: Pretrainer, step: int) -> float:
    try:
        return trainer.step(step)["loss"]
    except FloatingPointError as error:
        raise UserError(f"demo, step {step + 1}: {error}") from None

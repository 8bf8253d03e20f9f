"""What a stage declares of itself. Every file of a stage ends with its declaration, and ``stages.ALL`` lists them.

From these declarations come the flags, the order of a run and of its checkpoints, the report and the stages that chat
offers; :mod:`scratchgpt.runs.pipeline` runs whatever is declared. So a further stage is a further file and a further
entry in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scratchgpt.config import GPTConfig, Settings
from scratchgpt.datasets.records import Record
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.measures import fitting_tasks, measured_tasks
from scratchgpt.models.base import LanguageModel
from scratchgpt.stages.work import Outlook, Work
from scratchgpt.tokenizer import Tokenizer
from scratchgpt.training.history import History
from scratchgpt.training.memory import Parts, held_models, language_model_pass, together, tokens_of
from scratchgpt.training.trainer import Trainer

SAMPLES = 6
"""Prompts whose answers the report shows before and after a stage."""

Measures = dict[str, tuple[float, int]]
"""What was measured on held-out data: by its name the value, and the items it is a mean over. The main one is first."""


@dataclass(frozen=True)
class Context:
    """What a stage is built from.

    Attributes:
        model, tokenizer: where it starts: the model is trained in place.
        start: the stage that this model comes from; None if it has learned nothing yet.
        settings: the stage's own, of the class that it declares.
        settings_of: the settings of any stage, by its name.
        data: what the run reads.
        checkpoint_of: the folder of a finished stage of this run by its name, or None.
        out: the run's folder, for messages.
        seed: of everything that is random.
        say: prints a line.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    start: str | None
    settings: Any
    settings_of: Callable[[str], Any]
    data: DataSources
    checkpoint_of: Callable[[str], Path | None]
    out: Path
    seed: int
    say: Callable[[str], None]


def _nothing_to_add(history: History) -> str:
    return ""


@dataclass(frozen=True)
class Setup:
    """A stage that is ready to run.

    Attributes:
        trainer: makes the steps.
        model: what is saved in the end, with ``save_pretrained``.
        tokenizer: saved beside it.
        measure: measures the model as it is, on all held-out data; called before and after training.
        samples: prompts, and what the model as it is makes of each; called before and after training.
        closing: what is worth saying after training, a line or nothing.
    """

    trainer: Trainer
    model: Any
    tokenizer: Tokenizer
    measure: Callable[[], Measures]
    samples: Callable[[], Sequence[tuple[str, str]]]
    closing: Callable[[History], str] = _nothing_to_add


@dataclass(frozen=True)
class Sizes:
    """What a stage's need of memory is worked out from.

    Attributes:
        model: the sizes of the model.
        settings: the stage's own, of the class that it declares.
        data: what the run reads.
        by_character: whether a token is a character.
    """

    model: GPTConfig
    settings: Any
    data: DataSources
    by_character: bool = False

    def longest(self, texts: Iterable[str], turns: int = 0) -> int:
        """About how many tokens the longest of the texts will be, at most the context.

        Args:
            texts: any number of them.
            turns: of a dialogue that a text stands for; the chat format adds a few tokens to each.
        """
        text = max(texts, key=lambda text: len(text.encode("utf-8", "replace")), default="")
        return min(tokens_of(text, self.model.vocab_size, self.by_character) + TURN * turns, self.model.context_size)


TURN = 5
"""Tokens that the chat format puts around a turn."""


def supervised_memory(sizes: Sizes) -> list[Parts]:
    """What a stage needs that trains the model alone, on batches as long as the context."""
    held = held_models(sizes.model, 1, 1)
    moments = language_model_pass(sizes.model, sizes.settings.batch_size, sizes.model.context_size)
    return [together(held, moment) for moment in moments]


@dataclass(frozen=True)
class Stage:
    """A stage's declaration.

    Attributes:
        name: on the command line, in logs and in the report.
        title_zh, title_en: its name for people.
        directory: of its finished checkpoint, in the run's folder.
        config: the class of its settings; its defaults hold where a preset names no others.
        reads: what it reads of the data, methods of DataSources or functions of it: read before the first stage
            begins, so that whatever is wrong with a file is said before hours are spent.
        build: from where it starts to a stage that is ready to run.
        work: how much there is to do, before anything is built, for the time that a run is expected to take.
        lengths: of the data, a tokenizer and a context size: what is too long and will be left out, in words. It is
            asked before the first stage of a run begins, and raises UserError where the stage could not run.
        follows: the stages whose checkpoint it can start from, the best first.
        from_nothing: whether it can start from a fresh model and tokenizer where there is no such checkpoint.
        needs: further stages of the same run whose checkpoints it cannot do without.
        writes: what its model makes of a prompt: "text" goes on with it, "answers" answers it, None writes nothing.
        generates: whether it learns from what it generates itself: most of its time then does not pass through the
            engine.
        questions: how many of its sample prompts the report puts to the models of all stages.
        memory: the moments at which it holds most (:mod:`scratchgpt.training.memory`), data apart; of a stage that
            says nothing, as if it trained the model alone.
    """

    name: str
    title_zh: str
    title_en: str
    directory: str
    config: type[Settings]
    reads: tuple[Callable[[DataSources], Any], ...]
    build: Callable[[Context], Setup]
    work: Callable[[Outlook], Work]
    lengths: Callable[[DataSources, Tokenizer, int], str] = lambda data, tokenizer, context_size: ""
    follows: tuple[str, ...] = ()
    from_nothing: bool = False
    needs: tuple[str, ...] = ()
    writes: Literal["text", "answers"] | None = "answers"
    generates: bool = False
    questions: int = 0
    memory: Callable[[Sizes], list[Parts]] = supervised_memory


def tasks_to_measure(stage: str, context: Context) -> list[Record]:
    """The held-out tasks of the run that leave room for an answer; what is measured, and what not, is said.

    Args:
        stage: the name of the stage that is measured, for what is said.
        context: of the stage.
    """
    file, tasks = context.data.heldout_tasks_file, measured_tasks(context.data)
    if file is None:
        context.say(f"{stage}: no held-out tasks; none is measured (give some with --rlvf-heldout)")
        return []
    context_size = context.model.config.context_size
    fitting = fitting_tasks(context.tokenizer, tasks, context_size)
    if len(fitting) < len(tasks):
        context.say(
            f"{stage}: {len(tasks) - len(fitting):,} of the {len(tasks):,} held-out tasks of {file} leave no room for "
            f"an answer in the context of {context_size} tokens and are not measured"
        )
    return fitting


def accuracies(name: str, metrics: Mapping[str, float]) -> Measures:
    """What :func:`scratchgpt.evaluation.measures.accuracy_by_group` measured, as rows: all items, then each group.

    Args:
        name: of the measure over all items; that of a group is "name: group".
        metrics: "accuracy" and "items", and of each group "accuracy/group" and "items/group".
    """
    rows = {name: (metrics["accuracy"], int(metrics["items"]))}
    for key, value in metrics.items():
        if key.startswith("accuracy/"):
            group = key.removeprefix("accuracy/")
            rows[f"{name}: {group}"] = value, int(metrics[f"items/{group}"])
    return rows

"""What a run is asked to do: stages, settings, and the data each stage reads, the user's own or the project's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scratchgpt.config import Preset
from scratchgpt.datasets.records import Record, read_corpus, read_dialogues, read_pairs, read_tasks, split_heldout
from scratchgpt.errors import UserError

DATA = Path(__file__).resolve().parent.parent.parent / "data"
"""The project's own data."""
HELDOUT_SHARE = 0.05
"""Of a user's own data, where no held-out file is given."""
RUNNING_TEXT_SHARE = 0.9
"""Of a running text, its beginning, to train on."""


@dataclass(frozen=True)
class Plan:
    """What to run: stages, settings, places.

    A data path of None means the project's own data; a ``base`` of None that the first stage starts in ``out``."""

    stages: tuple[str, ...]
    preset: Preset
    out: Path
    base: Path | None = None
    tokenizer: str = "bpe"
    seed: int = 0
    resume: bool = False
    corpus: Path | None = None
    corpus_heldout: Path | None = None
    sft_data: Path | None = None
    sft_heldout: Path | None = None
    reward_data: Path | None = None
    reward_heldout: Path | None = None
    rlvf_data: Path | None = None
    rlvf_heldout: Path | None = None

    def __post_init__(self) -> None:
        if self.base is not None and self.stages[0] == "pretrain":
            raise UserError("pretraining starts from nothing; leave out --base, or add --skip-pretrain")
        if self.preset.running_text and (self.stages != ("pretrain",) or self.corpus is None):
            raise UserError(
                "this preset measures language modelling on a text of your own and nothing else; "
                "run it with --stage pretrain --corpus FILE"
            )

    def documents(self) -> tuple[list[str], list[str]]:
        """Texts to pretrain on, and held out."""
        if self.preset.running_text and self.corpus is not None:
            return self._running_text(self.corpus)
        return self._split(
            read_corpus, self.corpus, self.corpus_heldout, "pretrain_data.txt", "pretrain_heldout.txt", str
        )

    def dialogues(self) -> tuple[list[Record], list[Record]]:
        """SFT records; a user's own are split by what the dialogue opens with."""
        return self._split(
            read_dialogues,
            self.sft_data,
            self.sft_heldout,
            "sft_data.json",
            "sft_heldout.json",
            lambda record: record["messages"][0]["content"],
        )

    def pairs(self) -> tuple[list[Record], list[Record]]:
        """Preference pairs; a user's own are split by prompt."""
        return self._split(
            read_pairs,
            self.reward_data,
            self.reward_heldout,
            "reward_data.json",
            "reward_heldout.json",
            lambda record: record["prompt"],
        )

    def tasks(self) -> tuple[list[Record], list[Record]]:
        """Verifiable tasks; a user's own are split by prompt."""
        return self._split(
            read_tasks,
            self.rlvf_data,
            self.rlvf_heldout,
            "rlvf_data.json",
            "rlvf_heldout.json",
            lambda record: record["prompt"],
        )

    def _running_text(self, corpus: Path) -> tuple[list[str], list[str]]:
        """The corpus as one text, and its end: random documents of it would stand among those trained on."""
        text = "\n\n".join(read_corpus(corpus))
        if self.corpus_heldout is not None:
            return [text], ["\n\n".join(read_corpus(self.corpus_heldout))]
        end = int(RUNNING_TEXT_SHARE * len(text))
        return [text[:end]], [text[end:]]

    def _split(
        self,
        read: Callable[[Path], list[Any]],
        own: Path | None,
        own_heldout: Path | None,
        default: str,
        default_heldout: str,
        key: Callable[[Any], str],
    ) -> tuple[list[Any], list[Any]]:
        if own is None:
            return read(DATA / default), read(own_heldout or DATA / default_heldout)
        if own_heldout is not None:
            return read(own), read(own_heldout)
        try:
            return split_heldout(read(own), key, HELDOUT_SHARE, self.seed)
        except UserError as error:
            raise UserError(f"{own}: {error}") from None


DATA_OF_STAGE: dict[str, tuple[Callable[[Plan], Any], ...]] = {
    "pretrain": (Plan.documents, Plan.dialogues),
    "sft": (Plan.dialogues, Plan.tasks),
    "reward": (Plan.pairs,),
    "rlhf": (Plan.pairs, Plan.tasks),
    "rlvf": (Plan.tasks,),
}
"""What each stage reads."""

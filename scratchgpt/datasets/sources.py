"""The data a run reads: the user's own files, or the project's; and what is held out of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scratchgpt.datasets.corpus import load_corpus, read_corpus
from scratchgpt.datasets.records import (
    DIALOGUE,
    PAIR,
    TASK,
    Kind,
    Record,
    RecordFile,
    load_records,
    nothing_wrong,
    question_of,
    split_heldout,
)
from scratchgpt.errors import UserError
from scratchgpt.installation import data_file, is_own_data

HELDOUT_SHARE = 0.05
"""Of a user's own data, where no held-out file is given."""
RUNNING_TEXT_SHARE = 0.9
"""Of a running text, its beginning, to train on."""


@dataclass(frozen=True)
class DataSources:
    """Where the records of each kind come from; a path of None means the project's own data.

    Attributes:
        corpus, sft_data, reward_data, rlvf_data: texts, dialogues, preference pairs and tasks to train on.
        corpus_heldout, sft_heldout, reward_heldout, rlvf_heldout: to measure on; None with data of the user's own means
            that a part of it is held out.
        running_text: the corpus is one text, whose end is held out, instead of documents.
        seed: of the choice of what is held out, and of what is mixed in.
        strict: refuse a record that teaches nothing, rather than leave it out.
        mix: share of the project's own data in what is trained on beside the user's, at least 0 and below 1.
        encoding: of the user's own texts; None: recognise it.
        dialogues_follow: whether a stage of the run learns from dialogues: pretraining then makes tokens of their
            words, too, those of the project where the user has none of his own.
        notes: how the user's own files were read, in lines, as far as they were.

    Raises:
        UserError: if the share is out of range.
    """

    corpus: Path | None = None
    corpus_heldout: Path | None = None
    sft_data: Path | None = None
    sft_heldout: Path | None = None
    reward_data: Path | None = None
    reward_heldout: Path | None = None
    rlvf_data: Path | None = None
    rlvf_heldout: Path | None = None
    running_text: bool = False
    seed: int = 0
    strict: bool = False
    mix: float = 0.0
    encoding: str | None = None
    dialogues_follow: bool = True
    notes: list[str] = field(default_factory=list, compare=False, repr=False)
    _read: dict[tuple[Path, str], tuple[Callable[[Record], str | None], RecordFile]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        if not 0 <= self.mix < 1:
            raise UserError(f"the share that is mixed in must be at least 0 and below 1, not {self.mix:g}")

    def documents(self) -> tuple[list[str], list[str]]:
        """Texts to pretrain on.

        Returns:
            (training, held out).

        Raises:
            UserError: if a file cannot be read or there is nothing to hold out.
        """
        if self.running_text and self.corpus is not None:
            return self._running_text(self.corpus)
        training, heldout = self._split(
            self._read_corpus, self.corpus, self.corpus_heldout, "pretrain_data.txt", "pretrain_heldout.txt", str
        )
        if not self.mix or self.corpus is None:
            return training, heldout
        own = read_corpus(data_file("pretrain_data.txt"))
        return training + self._drawn(own, sum(map(len, training)), len), heldout

    def dialogues(self) -> tuple[list[Record], list[Record]]:
        """SFT records; a user's own are split by what the user asks first.

        Returns:
            (training, held out).

        Raises:
            UserError: if a file cannot be read, a record is malformed, or there is nothing to hold out.
        """
        return self._split(
            lambda path: self._records(path, DIALOGUE),
            self.sft_data,
            self.sft_heldout,
            "sft_data.json",
            "sft_heldout.json",
            question_of,
        )

    def dialogues_mixed_in(self) -> list[Record]:
        """The project's dialogues, of which every epoch shows some beside the user's own; none without ``mix``.

        Raises:
            UserError: if they cannot be read.
        """
        if not self.mix or self.sft_data is None:
            return []
        return self._records(data_file("sft_data.json"), DIALOGUE)

    def spoken(self) -> list[Record]:
        """The dialogues whose words become tokens where a tokenizer is made.

        None where only a text of the user's own is learned from: that takes nothing of the project's.

        Raises:
            UserError: as :meth:`dialogues`.
        """
        own_text_alone = self.corpus is not None and self.sft_data is None and not self.dialogues_follow
        return [] if own_text_alone else self.dialogues()[0]

    def pairs(self) -> tuple[list[Record], list[Record]]:
        """Preference pairs; a user's own are split by prompt.

        Returns:
            (training, held out).

        Raises:
            UserError: if a file cannot be read, a record is malformed, or there is nothing to hold out.
        """
        training, heldout = self._split(
            lambda path: self._records(path, PAIR),
            self.reward_data,
            self.reward_heldout,
            "reward_data.json",
            "reward_heldout.json",
            lambda record: record["prompt"],
        )
        if not self.mix or self.reward_data is None:
            return training, heldout
        return training + self._drawn(self._records(data_file("reward_data.json"), PAIR), len(training)), heldout

    def tasks(
        self, complaint_about: Callable[[Record], str | None] = nothing_wrong
    ) -> tuple[list[Record], list[Record]]:
        """Verifiable tasks; a user's own are split by prompt.

        Args:
            complaint_about: says what is wrong with a task that reading alone does not see, or None.

        Returns:
            (training, held out).

        Raises:
            UserError: if a file cannot be read, a record is malformed, or there is nothing to hold out.
        """
        training, heldout = self._split(
            lambda path: self._records(path, TASK, complaint_about),
            self.rlvf_data,
            self.rlvf_heldout,
            "rlvf_data.json",
            "rlvf_heldout.json",
            lambda record: record["prompt"],
        )
        if not self.mix or self.rlvf_data is None:
            return training, heldout
        return training + self._drawn(self._records(data_file("rlvf_data.json"), TASK), len(training)), heldout

    def _records(
        self, path: Path, kind: Kind, unanswerable: Callable[[Record], str | None] = nothing_wrong
    ) -> list[Record]:
        """The records of a file; one of the user's is read once, so that all stages see the same."""
        if is_own_data(path):  # ours holds nothing that could be left out
            return load_records(path, kind, strict=True, unanswerable=unanswerable).records
        key = path, kind.name
        known, read = self._read.get(key, (None, None))
        if read is None or unanswerable not in (known, nothing_wrong):
            read = load_records(path, kind, self.strict, self.encoding, unanswerable)
            self._read[key] = unanswerable, read
            self.notes.extend(line for line in [read.description()] if line not in self.notes)
        return read.records

    def _drawn(self, items: list[Any], own: float, size: Callable[[Any], float] = lambda item: 1) -> list[Any]:
        """Some of the project's items, so that they are the share ``mix`` beside the user's own.

        Args:
            items: the project's.
            own: how much there is of the user's.
            size: how much an item is.
        """
        wanted, taken = own * self.mix / (1 - self.mix), 0.0
        drawn = []
        for number in np.random.default_rng((self.seed, len(items))).permutation(len(items)):
            if taken + size(items[number]) / 2 > wanted:
                break
            drawn.append(items[number])
            taken += size(items[number])
        return drawn

    @property
    def heldout_tasks_file(self) -> Path | None:
        """Where the held-out tasks come from; None if there are none: neither the user's own nor the project's."""
        own = self.rlvf_heldout or self.rlvf_data
        project = data_file("rlvf_heldout.json")
        return own or (project if project.is_file() else None)

    def _read_corpus(self, path: Path) -> list[str]:
        if is_own_data(path):
            return read_corpus(path)
        corpus = load_corpus(path, self.encoding)
        self.notes.extend(line for line in corpus.description() if line not in self.notes)
        return corpus.documents

    def _running_text(self, corpus: Path) -> tuple[list[str], list[str]]:
        """The corpus as one text, and its end: random documents of it would stand among those trained on."""
        text = "\n\n".join(self._read_corpus(corpus))
        if self.corpus_heldout is not None:
            return [text], ["\n\n".join(self._read_corpus(self.corpus_heldout))]
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
            return read(data_file(default)), read(own_heldout or data_file(default_heldout))
        if own_heldout is not None:
            return read(own), read(own_heldout)
        records = read(own)  # its errors name the file, that of the split does not
        try:
            return split_heldout(records, key, HELDOUT_SHARE, self.seed)
        except UserError as error:
            raise UserError(f"{own}: {error}") from None

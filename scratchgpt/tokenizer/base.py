"""What every tokenizer of this project can do, and how it lies on disk.

A tokenizer is saved as the ``tokenizer.json`` of the Hugging Face ``tokenizers`` package and a
``tokenizer_config.json`` beside it; ``transformers.AutoTokenizer`` loads the directory as it stands. A
subclass says only how text becomes ids and what its ``model`` section holds.
"""

import json
import os
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from scratchgpt.errors import UserError
from scratchgpt.files import write_text
from scratchgpt.tokenizer.chat_format import CHAT_TEMPLATE
from scratchgpt.tokenizer.special_tokens import BOS, EOS, IM_END, IM_START, PAD, SPECIAL_TOKENS, UNK

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
LONGEST_REASON = 300
"""Characters of what an error says of a malformed file."""


class Tokenizer(ABC):
    """Text to ids and back. Ids 0 to 5 are the special tokens; no spelling in a text gives them.

    A subclass fills ``_tokens``, the bytes of every id (empty until trained), and writes and reads
    its own part of ``tokenizer.json``.
    """

    model_type: str
    """The ``type`` of the ``model`` section in ``tokenizer.json``."""

    def __init__(self) -> None:
        self._tokens: list[bytes] = []

    @abstractmethod
    def fit(self, texts: Iterable[str]) -> None:
        """Learn the vocabulary from ``texts``, in place of any before.

        Raises:
            UserError: if they are empty.
        """

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of ``text``; the spelling of a special token is encoded as the plain text it is.

        Raises:
            UserError: before training.
        """

    @abstractmethod
    def _sections(self) -> dict[str, Any]:
        """The sections ``pre_tokenizer``, ``decoder`` and ``model`` of tokenizer.json."""

    @classmethod
    @abstractmethod
    def _from_sections(cls, contents: dict[str, Any]) -> Self:
        """The tokenizer of a tokenizer.json.

        Raises:
            ValueError, KeyError, TypeError: if it is malformed.
        """

    def __len__(self) -> int:
        """The number of ids in use; 0 before training."""
        return len(self._tokens)

    @property
    def vocab_size(self) -> int:
        """The number of ids: every id is below it. 0 before training."""
        return len(self)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one id; of a special token its spelling.

        Raises:
            UserError: if there is no such id.
        """
        self._require_trained()
        if not 0 <= token_id < len(self._tokens):
            raise UserError(
                f"unknown token id {token_id}: this tokenizer has ids 0 to {len(self._tokens) - 1}; "
                "decode with the tokenizer.json saved beside the model that made the ids"
            )
        return self._tokens[token_id]

    def decode_bytes(self, ids: Iterable[int], skip_special_tokens: bool = True) -> bytes:
        """The bytes of ``ids``, whole characters or not.

        Args:
            ids: what to decode.
            skip_special_tokens: leave the special tokens out instead of spelling them.

        Raises:
            UserError: for an unknown id.
        """
        first = len(SPECIAL_TOKENS) if skip_special_tokens else 0
        ids = [int(token_id) for token_id in ids]
        for token_id in (min(ids, default=0), max(ids, default=0)):
            self.token_bytes(token_id)  # raises if there is none
        return b"".join([self._tokens[token_id] for token_id in ids if token_id >= first])

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """The text of ``ids``; bytes that are no character give U+FFFD.

        Args:
            ids: what to decode.
            skip_special_tokens: leave the special tokens out instead of spelling them.

        Raises:
            UserError: for an unknown id.
        """
        data = self.decode_bytes(ids, skip_special_tokens)
        try:
            # not UTF-8 strictly, but what ``encode`` makes of a lone surrogate
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")

    def contents(self) -> dict[str, Any]:
        """What ``tokenizer.json`` holds: two tokenizers with equal contents are one.

        Raises:
            UserError: before training.
        """
        self._require_trained()
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_special_entry(i, token) for i, token in enumerate(SPECIAL_TOKENS)],
            "normalizer": None,
            "post_processor": None,
            **self._sections(),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``tokenizer.json``, replacing an old one in one step: a crash leaves the old or the new one whole.

        Args:
            path: the file itself if it ends in .json, else a directory for it.

        Raises:
            UserError: before training, or if the place cannot be written.
        """
        _write_json(_tokenizer_path(path), self.contents())

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``, what AutoTokenizer loads.

        Raises:
            UserError: before training, or if the place cannot be written.
        """
        self.save(Path(directory) / TOKENIZER_FILE)
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": PAD,
            "unk_token": UNK,
            "bos_token": BOS,
            "eos_token": EOS,
            "additional_special_tokens": [IM_START, IM_END],
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        }
        _write_json(Path(directory) / CONFIG_FILE, config)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The tokenizer saved at ``path``, a tokenizer.json or its directory.

        Raises:
            UserError: if it is missing, malformed or of another kind.
        """
        return cls.from_contents(read_tokenizer_file(path), _tokenizer_path(path))

    @classmethod
    def from_contents(cls, contents: dict[str, Any], path: Path) -> Self:
        """The tokenizer in the ``contents`` of the tokenizer.json at ``path``, which errors name.

        Raises:
            UserError: if they are malformed or of another kind.
        """
        try:
            found = contents["model"]["type"]
            if found != cls.model_type:
                raise ValueError(f"its model is of type {reprlib.repr(found)}, {cls.__name__} needs {cls.model_type!r}")
            if _special_tokens_in(contents) != SPECIAL_TOKENS:
                raise ValueError(f"its special tokens are not {' '.join(SPECIAL_TOKENS)} with ids 0 to 5")
            return cls._from_sections(contents)
        except KeyError as error:
            raise _malformed(path, f"it has no entry {error}") from error
        except (ValueError, TypeError, AttributeError, IndexError, UserError) as error:
            raise _malformed(path, str(error)) from error

    def _require_trained(self) -> None:
        if not self._tokens:
            name = type(self).__name__
            raise UserError(f"this {name} has no vocabulary yet: call fit(texts), or use {name}.load(path)")


def read_tokenizer_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The contents of a tokenizer.json, given as file or directory.

    Raises:
        UserError: if there is none, or it is no JSON object.
    """
    file = _tokenizer_path(path)
    try:
        contents = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read the tokenizer {file}: {error.strerror}; name a directory that training wrote"
        ) from error
    except (ValueError, RecursionError) as error:  # JSON and UTF-8 errors, too long a number; too deep a nesting
        raise _malformed(file, str(error)) from error
    if not isinstance(contents, dict):
        raise _malformed(file, "it holds no JSON object")
    return contents


def ids_in_order(vocab: dict[str, int]) -> list[str]:
    """The tokens of a ``vocab`` section, by id.

    Raises:
        ValueError: if the ids are not the whole numbers 0 to n-1, each once.
    """
    if any(type(token_id) is not int for token_id in vocab.values()):  # True and 1.0 are equal to 1
        raise ValueError("the ids of its vocab are not all whole numbers")
    tokens = sorted(vocab, key=vocab.__getitem__)
    if [vocab[token] for token in tokens] != list(range(len(tokens))):
        raise ValueError(f"the {len(tokens)} ids of its vocab are not 0 to {len(tokens) - 1}, each once")
    return tokens


def _tokenizer_path(path: str | os.PathLike[str]) -> Path:
    return Path(path) if Path(path).suffix == ".json" else Path(path) / TOKENIZER_FILE


def _malformed(path: Path, reason: str) -> UserError:
    if len(reason) > LONGEST_REASON:  # it may quote the file
        reason = f"{reason[:LONGEST_REASON]}…"
    return UserError(f"malformed tokenizer {path}: {reason}; save the tokenizer again or restore the file")


def _special_entry(token_id: int, token: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": token, **flags}


def _special_tokens_in(contents: dict[str, Any]) -> tuple[str, ...]:
    entries = sorted(contents["added_tokens"], key=lambda entry: entry["id"])
    in_vocab = enumerate(ids_in_order(contents["model"]["vocab"])[: len(SPECIAL_TOKENS)])
    pairs = zip(in_vocab, entries, strict=False)
    return tuple(token for (i, token), entry in pairs if entry["content"] == token and entry["id"] == i)


def _write_json(path: Path, contents: dict[str, Any]) -> None:
    try:
        write_text(path, json.dumps(contents, ensure_ascii=False, indent=1) + "\n")
    except OSError as error:
        raise UserError(
            f"cannot write the tokenizer {path}: {error.strerror}; choose another place or make room"
        ) from error

"""``tokenize``: what is printed says which token holds what, and every mistake is one line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from scratchgpt.cli.commands.tokenize import Arguments, coloured, run
from scratchgpt.errors import UserError
from scratchgpt.inside.token_display import tokens_of
from scratchgpt.stages import run_folder
from scratchgpt.tokenizer import BPETokenizer
from scratchgpt.tokenizer.byte_level import FIRST_MERGE_ID
from tests.tiny import save_checkpoint


@pytest.fixture
def bpe(tmp_path: Path) -> Path:
    """A tokenizer.json that knows 小 as one token and 蟹 as three."""
    tokenizer = BPETokenizer(FIRST_MERGE_ID + 2)
    tokenizer.fit(["小小小小小小"])
    tokenizer.save(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_tokens_with_ids_bytes_and_halves(bpe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Arguments("小蟹", checkpoint=bpe, lang="zh"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "小│⟨E8⟩│⟨9F⟩│⟨B9⟩"
    assert "2 个字符，6 字节，4 个词元：平均一个词元 0.50 个字符" in lines
    rows = [line.split() for line in lines if line.strip()[:1].isdigit() and "个字符" not in line]
    assert rows[0] == ["0", str(FIRST_MERGE_ID + 1), "小", "E5", "B0", "8F"]
    assert rows[2][2:] == ["⟨9F⟩", "9F", "不是整字：“蟹”的字节", "2/3"]


def test_english(bpe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Arguments("蟹", checkpoint=bpe, lang="en"))
    shown = capsys.readouterr().out
    assert "1 characters, 3 bytes, 3 tokens" in shown
    assert "not whole: byte 1/3 of 蟹" in shown


def test_square_brackets_in_a_text_are_text(bpe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Arguments("[red]", checkpoint=bpe))
    assert capsys.readouterr().out.startswith("[│r│e│d│]")


def test_neighbouring_tokens_have_different_colours(bpe: Path) -> None:
    tokens = tokens_of(BPETokenizer.load(bpe), "小蟹小")
    styles = [str(span.style) for span in coloured(tokens, 80).spans if str(span.style) != "dim"]
    assert len(styles) == len(tokens)
    assert all(left != right for left, right in pairwise(styles))


def test_lines_are_broken_between_tokens_and_where_the_text_breaks_them(bpe: Path) -> None:
    tokens = tokens_of(BPETokenizer.load(bpe), "小小蟹\n小ab")
    assert coloured(tokens, 9).plain.split("\n") == ["小│小", "⟨E8⟩│⟨9F⟩", "⟨B9⟩│↵", "小│a│b"]
    assert coloured(tokens, 1).plain.count("\n") == len(tokens) - 1


def test_unknown_characters_of_a_character_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path, "sft")
    run(Arguments("猫蟹", checkpoint=tmp_path, lang="en"))
    shown = capsys.readouterr().out
    assert shown.startswith("猫│蟹") and shown.count("not in the vocabulary") == 1


def test_the_vocabulary(bpe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Arguments(vocab=True, checkpoint=bpe, lang="en"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == FIRST_MERGE_ID + 2 + 1
    assert lines[5] == "     5  <|im_end|>      special  [3C 7C 69 6D 5F 65 6E 64 7C 3E]"
    first, second = lines[FIRST_MERGE_ID : FIRST_MERGE_ID + 2]
    assert "ends with the first 2 of a character's 3 bytes" in first or "begins with" in first
    assert second == f"   {FIRST_MERGE_ID + 1}  小              merge ⟨E5⟩ + ⟨B0⟩⟨8F⟩  [E5 B0 8F]"
    assert lines[-1] == f"{FIRST_MERGE_ID + 2} tokens"


def test_the_vocabulary_that_holds_a_text(bpe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Arguments("小", vocab=True, checkpoint=bpe, lang="en"))
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["小", "tokens"]


def test_merges_lead_from_the_bytes_to_the_tokens(bpe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(Arguments("小蟹\n小", merges=True, checkpoint=bpe, lang="en"))
    assert capsys.readouterr().out.splitlines() == [
        "chunk “小蟹”",
        "  bytes: ⟨E5⟩ | ⟨B0⟩ | ⟨8F⟩ | ⟨E8⟩ | ⟨9F⟩ | ⟨B9⟩",
        "  merge 0: ⟨B0⟩ + ⟨8F⟩ -> 262: ⟨E5⟩ | ⟨B0⟩⟨8F⟩ | ⟨E8⟩ | ⟨9F⟩ | ⟨B9⟩",
        "  merge 1: ⟨E5⟩ + ⟨B0⟩⟨8F⟩ -> 263: 小 | ⟨E8⟩ | ⟨9F⟩ | ⟨B9⟩",
        "chunk “↵”",
        "  bytes: ↵",
        "chunk “小”",
        "  bytes: ⟨E5⟩ | ⟨B0⟩ | ⟨8F⟩",
        "  merge 0: ⟨B0⟩ + ⟨8F⟩ -> 262: ⟨E5⟩ | ⟨B0⟩⟨8F⟩",
        "  merge 1: ⟨E5⟩ + ⟨B0⟩⟨8F⟩ -> 263: 小",
    ]


def test_a_tokenizer_of_characters_has_no_merges(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="merges nothing"):
        run(Arguments("小", merges=True, checkpoint=save_checkpoint(tmp_path, "sft")))
    with pytest.raises(UserError, match="leave one of them out"):
        run(Arguments("小", merges=True, vocab=True))


def test_without_a_checkpoint_the_default_run_or_the_one_that_travels_is_read(
    bpe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "travels", "rlvf")
    monkeypatch.setattr(run_folder, "SHIPPED_RUN", tmp_path / "travels")
    run(Arguments("小猫", lang="en"))
    assert "the model that comes with scratchgpt" in capsys.readouterr().err
    save_checkpoint(run_folder.DEFAULT_RUN, "sft")
    run(Arguments("小猫", lang="en"))
    assert "the model in checkpoints" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (Arguments(), "no text to tokenize"),
        (Arguments(""), "no text to tokenize"),
        (Arguments("蟹", checkpoint=Path("nowhere")), "nowhere: no tokenizer here"),
        (Arguments("蟹", checkpoint=Path("nowhere.json")), "cannot read the tokenizer nowhere.json"),
        (Arguments("螃蟹", vocab=True, checkpoint=Path("tokenizer.json")), "no token of the 264 in the vocabulary holds '螃蟹'"),
    ],
)
def test_mistakes(arguments: Arguments, message: str, bpe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bpe.parent)
    with pytest.raises(UserError, match=message):
        run(arguments)

"""Texts as people have them become documents, and nothing is left out without a word."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import sys
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from scratchgpt.datasets.corpus import documents_of, load_corpus, read_corpus
from scratchgpt.errors import UserError
from scratchgpt.installation import DATA


def test_a_corpus_is_documents_between_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeff一\n二\n\n\n三\n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "四"}\n\n{"text": "五\\n\\n六"}\n', encoding="utf-8")
    (tmp_path / "c.cfg").write_text("not read", encoding="utf-8")
    assert read_corpus(tmp_path / "a.txt") == ["一\n二", "三"]
    assert read_corpus(tmp_path) == ["一\n二", "三", "四", "五\n\n六"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.txt", None, "cannot be read"),
        ("empty.txt", b" \n", "empty"),
        ("latin.txt", "第一行\n".encode() + b"\xff\n", "line 2: not UTF-8"),
        ("bad.jsonl", b'{"text": "a"}\n{"text": }\n', "line 2: malformed JSON"),
        ("bad2.jsonl", b'{"text": "a"}\n\n{"txt": "b"}\n', "line 3: the record has no field 'text'"),
        ("bad3.jsonl", b'{"text": 5}\n', "line 1: 'text' must be of type str"),
        ("bad4.jsonl", b'["a"]\n', "line 1: a record must be a JSON object"),
    ],
)
def test_a_bad_corpus_is_refused_with_the_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_corpus(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \.txt or \.jsonl"):
        read_corpus(tmp_path)


# -- plain text -----------------------------------------------------------------------------------------------
def test_every_line_end_and_every_kind_of_blank_line_separates(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for text in ("一\r\n二\r\n\r\n三\r\n", "一\r二\r\r三\r", "\n \n一\n二\n\u3000\u3000\n \t\n三", "一\n二\n\u200b\n\xa0\n三\n"):
        path.write_text(text, encoding="utf-8", newline="")
        assert read_corpus(path) == ["一\n二", "三"]


def test_an_indented_line_stays_as_it_is() -> None:
    assert documents_of("\u3000\u3000一\n  二 \n\n\n\u3000三") == ["\u3000\u3000一\n  二 ", "\u3000三"]


@pytest.mark.parametrize("name", ["pretrain_data.txt", "pretrain_heldout.txt"])
def test_the_projects_own_texts_are_what_lies_between_empty_lines(name: str) -> None:
    text = (DATA / name).read_text(encoding="utf-8")
    assert read_corpus(DATA / name) == [part.strip("\n") for part in text.split("\n\n") if part.strip("\n")]


def test_invisible_characters_are_dropped_counted_and_their_first_place_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("一\n二\u200b二\n\ufeff三👩\u200d🚀", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "四\u00ad"}), encoding="utf-8")
    corpus = load_corpus(tmp_path)
    assert corpus.documents == ["一\n二二\n三👩\u200d🚀", "四"]
    assert corpus.dropped == Counter("\u200b\ufeff\u00ad")
    assert corpus.first_dropped == f"{tmp_path / 'a.txt'}, line 2"
    assert corpus.description()[1].startswith(f"{tmp_path}: dropped: 3 invisible characters (")


# -- other kinds ----------------------------------------------------------------------------------------------
PAGE = """<!DOCTYPE html><html><head><meta charset="{charset}"><title>题目</title><style>p {{ color: red }}</style>
<script>if (a < b) document.write("<p>不是文字</p>");</script></head>
<body><h1>春天&amp;花</h1><p>第一段很长，编辑器
    把它断开了，<b>粗</b>体字。<p>Two
words<br>第二行</p><ul><li>甲<li>乙</ul><noscript>请打开脚本</noscript>
<table><tr><td>一</td><td>二</td></tr></table><pre>a
  b</pre><!-- 注释 --></body></html>"""
SEEN = "春天&花\n第一段很长，编辑器把它断开了，粗体字。\nTwo words\n第二行\n甲\n乙\n一 二\na\n  b"


def test_of_a_page_is_read_what_a_reader_sees(tmp_path: Path) -> None:
    path = tmp_path / "a.HTML"
    for charset in ("utf-8", "gbk", "big5"):
        traditional = PAGE if charset != "big5" else PAGE.translate(str.maketrans("题长编辑断开体脚释", "題長編輯斷開體腳釋"))
        path.write_bytes(traditional.replace("{charset}", charset).replace("{{", "{").replace("}}", "}").encode(charset, "ignore"))
        corpus = load_corpus(path)
        expected = SEEN if charset != "big5" else SEEN.translate(str.maketrans("长编辑断开体", "長編輯斷開體"))
        assert corpus.documents == [expected]
        assert not any("recognised" in name for name in corpus.encodings)  # the page says it


def records_in(path: Path, records: list[dict[str, object]]) -> None:
    """Write records in the format that the name of the file says."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    elif path.suffix in {".csv", ".tsv"}:
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(records[0]), delimiter="," if path.suffix == ".csv" else "\t")
            table.writeheader()
            table.writerows(records)
    else:
        text = "\n".join(json.dumps(record) for record in records) if path.suffix == ".jsonl" else json.dumps(records)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("field", ["text", "content", "内容"])
def test_every_record_is_a_document(tmp_path: Path, suffix: str, field: str) -> None:
    path = tmp_path / f"a{suffix}"
    records_in(path, [{"id": "1", field: "一\r\n\r\n二"}, {"id": "2", field: " "}, {"id": "3", field: "三, 四"}])
    corpus = load_corpus(path)
    assert corpus.documents == ["一\n\n二", "三, 四"]
    assert corpus.left_out["empty texts"].count == 1 and str(path) in corpus.left_out["empty texts"].first
    records_in(path, [{"id": "1", "poem": "一"}])
    with pytest.raises(UserError, match="the record has no field 'text', it has id, poem; rename"):
        read_corpus(path)


def test_texts_in_json_need_no_fields_and_dialogues_are_no_texts(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('["一", "二"]', encoding="utf-8")
    assert read_corpus(tmp_path / "a.json") == ["一", "二"]
    (tmp_path / "a.json").write_text('[{"messages": []}]', encoding="utf-8")
    with pytest.raises(UserError, match=r"line 1: .*is it for --sft-data"):
        read_corpus(tmp_path / "a.json")


@pytest.mark.parametrize(("data", "what"), [(b"%PDF-1.7\n1 0 obj", "a PDF"), (b"PK\x03\x04\x14\x00", "a zip file")])
def test_what_is_no_text_is_called_what_it_is(tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "a.docx").write_bytes(data)
    with pytest.raises(UserError, match=f"a.docx: is {what}.*no text; save what it holds as .txt"):
        read_corpus(tmp_path / "a.docx")


def test_without_its_library_a_parquet_file_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records_in(tmp_path / "a.parquet", [{"text": "一"}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"Parquet needs .*pip install"):
        read_corpus(tmp_path / "a.parquet")


def test_a_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(r'{"text": "\ud83d\ude00"}', encoding="utf-8")
    assert read_corpus(path) == ["\U0001f600"]
    path.write_text(r'{"text": "\ud83d"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"line 1: malformed JSON .the lone surrogate"):
        read_corpus(path)


# -- folders --------------------------------------------------------------------------------------------------
def test_a_folder_of_everything_is_read_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "Sub" / "deep").mkdir(parents=True)
    (tmp_path / "A.TXT").write_bytes("今天下午去图书馆还书吧".encode("gb18030"))
    (tmp_path / "b.Md").write_text("# 二\n\n二甲\n", encoding="utf-8")
    (tmp_path / "Sub" / "c.txt.GZ").write_bytes(gzip.compress("三".encode()))
    (tmp_path / "Sub" / "deep" / "d.JSONL.xz").write_bytes(lzma.compress(b'{"text": "four"}'))
    (tmp_path / "e.txt").write_bytes(b"\n")
    (tmp_path / "f.txt").write_bytes("坏".encode() * 9 + b"\n\xff\xff\xff")
    (tmp_path / "g.pdf").write_bytes(b"%PDF")
    (tmp_path / "h.pdf").write_bytes(b"%PDF")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "i.txt").write_text("hidden", encoding="utf-8")
    corpus = load_corpus(tmp_path)
    assert corpus.documents == ["今天下午去图书馆还书吧", "三", "four", "# 二", "二甲"]
    assert {reason: one.count for reason, one in corpus.left_out.items()} == {
        "hidden files": 1,
        "empty files": 1,
        "files that cannot be read": 1,
        "files of a kind that is not read": 2,
    }
    assert "f.txt, line 2: not UTF-8, byte 28" in corpus.left_out["files that cannot be read"].first
    assert corpus.left_out["files of a kind that is not read"].first == str(tmp_path / "g.pdf")
    first, *others = corpus.description()
    assert first == (
        f"{tmp_path}: 3 .txt, 1 .jsonl, 1 .md; 3 in UTF-8, 1 in GB18030 (recognised); 5 documents, 21 characters"
    )
    assert len(others) == 4 and all(line.startswith(f"{tmp_path}: left out: ") for line in others)
    with pytest.raises(UserError, match=r"f\.txt, line 2"):
        load_corpus(tmp_path, strict=True)


def test_a_folder_without_a_single_text_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ok\n" + bytes(range(128, 256)))
    with pytest.raises(UserError, match=r"a\.txt, line 2"):
        read_corpus(tmp_path)


def test_an_encoding_that_is_named_is_that_of_every_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Привет".encode("koi8-r"))
    corpus = load_corpus(tmp_path, "koi8-r")
    assert corpus.documents == ["Привет"] and corpus.encodings == {"koi8-r": 1}

"""Which data a run reads: the user's own or the project's, and what of it is held out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scratchgpt import installation
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.installation import data_file
from tests.tiny import dialogue

Make = Callable[[str], Any]
KINDS: dict[str, tuple[str, str, str, Make]] = {
    "documents": ("corpus", "pretrain_data.txt", "pretrain_heldout.txt", str),
    "dialogues": ("sft", "sft_data.json", "sft_heldout.json", lambda word: dialogue(f"{word}是什么？", f"{word}。")),
    "pairs": (
        "reward",
        "reward_data.json",
        "reward_heldout.json",
        lambda word: {"prompt": word, "chosen": "好。", "rejected": "不。"},
    ),
    "tasks": (
        "rlvf",
        "rlvf_data.json",
        "rlvf_heldout.json",
        lambda word: {"type": "logic", "prompt": word, "expected_answer": "是"},
    ),
}
"""By the method that reads them: the name of its fields, the project's own two files, and a record about a word."""

WORDS = [f"词{number}" for number in range(40)]


def write(path: Path, records: list[Any]) -> Path:
    """The records as a file of the kind that its name says."""
    is_text = path.suffix == ".txt"
    path.write_text("\n\n".join(records) if is_text else json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return path


def fields(kind: str, own: Path | None, heldout: Path | None) -> dict[str, Path | None]:
    name = KINDS[kind][0]
    return {"corpus" if name == "corpus" else f"{name}_data": own, f"{name}_heldout": heldout}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[list[Any], list[Any]]]:
    """Data in place of the project's; returns what each kind trains on and holds out."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr(installation, "DATA", folder)
    written = {}
    for kind, (_, training, heldout, make) in KINDS.items():
        written[kind] = [make("甲"), make("乙")], [make("丙")]
        for name, records in zip((training, heldout), written[kind], strict=True):
            write(folder / name, records)
    return written


def test_the_projects_own_data_is_where_it_is_said_to_be() -> None:
    for _, training, heldout, _ in KINDS.values():
        assert data_file(training).is_file() and data_file(heldout).is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_file_the_projects_data_is_read(kind: str, project: dict, tmp_path: Path) -> None:
    assert getattr(DataSources(), kind)() == project[kind]
    own = [KINDS[kind][3]("丁")]
    heldout = write(tmp_path / KINDS[kind][2], own)
    assert getattr(DataSources(**fields(kind, None, heldout)), kind)() == (project[kind][0], own)


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_file_of_ones_own_a_twentieth_is_held_out(kind: str, project: dict, tmp_path: Path) -> None:
    _, name, _, make = KINDS[kind]
    own = [make(word) for word in WORDS]
    path = write(tmp_path / name, own)
    training, heldout = getattr(DataSources(**fields(kind, path, None)), kind)()
    assert len(heldout) == 2
    assert [record for record in own if record not in heldout] == training
    assert [record for record in own if record in heldout] == heldout
    other = getattr(DataSources(**fields(kind, path, None), seed=1), kind)()
    assert other[1] != heldout


@pytest.mark.parametrize("kind", KINDS)
def test_a_held_out_file_of_ones_own_is_taken_whole(kind: str, project: dict, tmp_path: Path) -> None:
    _, training, heldout, make = KINDS[kind]
    own, measured = [make(word) for word in WORDS], [make("丁")]
    paths = write(tmp_path / training, own), write(tmp_path / heldout, measured)
    assert getattr(DataSources(**fields(kind, *paths)), kind)() == (own, measured)


@pytest.mark.parametrize(("kind", "key"), [("dialogues", "question"), ("pairs", "prompt"), ("tasks", "prompt")])
def test_what_asks_the_same_stays_on_one_side(kind: str, key: str, tmp_path: Path) -> None:
    _, name, _, make = KINDS[kind]
    own = [make(word) for word in WORDS for _ in range(3)]
    for record, answer in zip(own, "一二三" * len(WORDS), strict=True):
        if kind == "dialogues":
            record["messages"][-1]["content"] = answer
        else:
            record["rejected" if kind == "pairs" else "expected_answer"] = answer
    path = write(tmp_path / name, own)
    training, heldout = getattr(DataSources(**fields(kind, path, None)), kind)()

    def asked(records: list[Any]) -> set[str]:
        return {record["messages"][0]["content"] if key == "question" else record[key] for record in records}

    assert len(heldout) == 6 and len(asked(heldout)) == 2
    assert not asked(training) & asked(heldout)


# -- running text ---------------------------------------------------------------------------------------------
def test_of_running_text_the_end_is_held_out(project: dict, tmp_path: Path) -> None:
    path = write(tmp_path / "play.txt", [f"第{number}段。" for number in range(50)])
    text = path.read_text(encoding="utf-8")
    (training,), (heldout,) = DataSources(corpus=path, running_text=True).documents()
    assert training + heldout == text
    assert len(training) == int(0.9 * len(text))


def test_running_text_with_a_held_out_file_is_taken_whole(project: dict, tmp_path: Path) -> None:
    path, other = write(tmp_path / "play.txt", ["一", "二"]), write(tmp_path / "other.txt", ["三", "四"])
    taken = DataSources(corpus=path, corpus_heldout=other, running_text=True).documents()
    assert taken == (["一\n\n二"], ["三\n\n四"])


def test_the_projects_corpus_is_documents_always(project: dict) -> None:
    assert DataSources(running_text=True).documents() == project["documents"]


# -- errors ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [None, b"", b"\xff", "too little"])
def test_an_error_names_the_file_once(kind: str, content: bytes | str | None, project: dict, tmp_path: Path) -> None:
    _, name, _, make = KINDS[kind]
    path = tmp_path / name
    if content == "too little":
        write(path, [make("甲")])
    elif content is not None:
        path.write_bytes(content)  # type: ignore[arg-type]
    with pytest.raises(UserError) as caught:
        getattr(DataSources(**fields(kind, path, None)), kind)()
    message = str(caught.value)
    assert message.startswith(f"{path}") and message.count(name) == 1 and "\n" not in message


def test_the_error_of_a_record_names_the_file_once_with_its_line(project: dict, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('[{"prompt": "a", "chosen": "b", "rejected": "c"},\n{"prompt": "a"}]', encoding="utf-8")
    with pytest.raises(UserError, match=r"^.*, line 2: the record has no field 'chosen'$") as caught:
        DataSources(reward_data=path).pairs()
    assert str(caught.value).count("mine.json") == 1


def test_a_bad_file_in_a_folder_is_named_itself(project: dict, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    write(folder / "a.txt", ["一", "二"])
    (folder / "b.jsonl").write_text('{"txt": "a"}', encoding="utf-8")
    with pytest.raises(UserError) as caught:
        DataSources(corpus=folder).documents()
    assert str(caught.value).startswith(f"{folder / 'b.jsonl'}, line 1: ") and str(caught.value).count("texts") == 1


# -- a run without the project's data -------------------------------------------------------------------------
def test_a_text_of_ones_own_alone_takes_nothing_of_the_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: dict
) -> None:
    corpus, talks = write(tmp_path / "a.txt", WORDS), write(tmp_path / "own.json", [dialogue("问", "答"), dialogue("二", "三")])
    assert DataSources(corpus=corpus).spoken() == DataSources().spoken() == project["dialogues"][0]
    assert DataSources(dialogues_follow=False).spoken() == project["dialogues"][0]  # the text is the project's, too
    monkeypatch.setattr(installation, "DATA", tmp_path / "absent")
    assert DataSources(corpus=corpus, dialogues_follow=False).spoken() == []
    own = DataSources(corpus=corpus, sft_data=talks, dialogues_follow=False)
    assert len(own.spoken()) == 1 and own.heldout_tasks_file is None
    assert DataSources(rlvf_data=talks).heldout_tasks_file == talks


def test_how_ones_own_texts_were_read_is_noted_once(tmp_path: Path, project: dict) -> None:
    corpus = write(tmp_path / "a.txt", WORDS)
    data = DataSources(corpus=corpus, encoding="utf-8")
    data.documents()
    data.documents()
    assert data.notes == [f"{corpus}: 1 .txt; UTF-8; 40 documents, {sum(map(len, WORDS))} characters"]
    default = DataSources()
    default.documents()
    assert default.notes == []


# -- mixing -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["documents", "pairs", "tasks"])
def test_of_the_projects_data_the_share_is_mixed_in(kind: str, project: dict, tmp_path: Path) -> None:
    _, name, _, make = KINDS[kind]
    write(installation.DATA / name, [make(f"项{number}") for number in range(10, 60)])
    path = write(tmp_path / name, [make(word) for word in WORDS])
    own, heldout = getattr(DataSources(**fields(kind, path, None)), kind)()
    training, same = getattr(DataSources(**fields(kind, path, None), mix=0.25), kind)()
    assert same == heldout and training[: len(own)] == own
    added = training[len(own) :]
    assert all("项" in json.dumps(item, ensure_ascii=False) for item in added)
    assert abs(len(added) - len(own) / 3) <= 1
    assert getattr(DataSources(**fields(kind, None, None), mix=0.25), kind)() == getattr(DataSources(), kind)()


def test_dialogues_to_mix_in_are_the_projects_and_the_share_has_its_bounds(project: dict, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [KINDS["dialogues"][3](word) for word in WORDS])
    assert DataSources(sft_data=path, mix=0.1).dialogues_mixed_in() == project["dialogues"][0]
    assert DataSources(sft_data=path).dialogues_mixed_in() == DataSources(mix=0.1).dialogues_mixed_in() == []
    for mix in (-0.1, 1.0):
        with pytest.raises(UserError, match="must be at least 0 and below 1"):
            DataSources(mix=mix)


def test_one_system_text_does_not_keep_dialogues_together(project: dict, tmp_path: Path) -> None:
    system = {"role": "system", "content": "短些。"}
    records = [dialogue(f"{word}是什么？", f"{word}。") for word in WORDS]
    path = write(tmp_path / "a.json", [{"messages": [system, *record["messages"]]} for record in records])
    training, heldout = DataSources(sft_data=path).dialogues()
    assert (len(training), len(heldout)) == (38, 2)


def test_how_a_file_was_read_is_noted_once_and_it_is_read_once(project: dict, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer\n" + "".join(f"{word},{word}。\n" for word in WORDS) + "空,\n", encoding="utf-8")
    data = DataSources(sft_data=path)
    first = data.dialogues()
    path.unlink()
    assert data.dialogues() == first
    assert data.notes == [
        f"{path}: 40 dialogues, question and answer, CSV in UTF-8; 1 left out, first line 42: an answer is empty"
    ]

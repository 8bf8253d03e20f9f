"""The page: well-formed, complete in both languages, and nothing in it points outside of itself."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scratchgpt.errors import UserError
from scratchgpt.runs.report import Measure, Sample, StageResult, Turn, save_result, write_report
from scratchgpt.runs.report_page.page import write_html_report
from tests.tiny import files_in, save_checkpoint, write_log

PRETRAIN = StageResult(
    "pretrain",
    [Measure("pretrain", "bits per character", 10.0, 5.25, 90)],
    [Sample("小猫", "？", "住在山里")],
    seconds=75.2,
    tokens_per_second=4321.0,
    settings={"lr": 2e-3, "epochs": 2, "seed": 4},
)
SFT = StageResult(
    "sft",
    [
        Measure("sft", "dialogue loss", 3.25, 4.5, 40),
        Measure("sft", "verified accuracy on tasks", 0.0, 0.625, 120),
        Measure("sft", "verified accuracy on tasks: addition", 0.0, 0.7, 60),
        Measure("sft", "answers of which none is held out", 0.0, 0.0, 0),
    ],
    [Sample("小猫住在<哪里>？&\x07", "", "<script>alert(1)</script>")],
    seconds=60.0,
    settings={"lr": 1e-3, "seed": 9},
)


def make_run(out: Path) -> Path:
    """Two stages with checkpoints and logs, one of them with a warning."""
    for result in (PRETRAIN, SFT):
        save_result(out / result.stage, result)
        write_log(out, result.stage)
        save_checkpoint(out, result.stage)
    warning = {"kind": "warning", "step": 3, "sign": "KL blow-up", "text": "12 nats <a response>"}
    with (out / "logs" / "sft.jsonl").open("a", encoding="utf-8") as log:
        log.write("\n" + json.dumps(warning) + "\n")
    return out


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the run."""
    return written(make_run(tmp_path_factory.mktemp("run")))


def written(out: Path) -> str:
    write_html_report(out)
    return (out / "report.html").read_text(encoding="utf-8")


def body(page: str) -> ElementTree.Element:
    """The page as a tree; it is well-formed XML too."""
    return ElementTree.fromstring(page.partition("\n")[2])


def words(page: str, language: str) -> str:
    """What a reader of that language sees."""
    return words_of(body(page)[1], language)  # without the head


def words_of(root: ElementTree.Element, language: str) -> str:
    """What a reader of that language sees of an element."""
    other = {"zh": "en", "en": "zh"}[language]

    def text(element: ElementTree.Element) -> str:
        if element.get("class") == other or element.tag == "style":
            return ""
        return (element.text or "") + "".join(text(child) + (child.tail or "") for child in element)

    return re.sub(r"\s+", " ", text(root))


def test_the_page_is_well_formed_with_unique_ids(page: str) -> None:
    assert page.startswith("<!DOCTYPE html>\n")
    ids = [element.get("id") for element in body(page).iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert {"results", "curves", "samples", "attention", "neighbours", "configuration"} <= set(ids)


def test_nothing_points_outside_of_the_file(page: str) -> None:
    assert "://" not in page and "@import" not in page and "<script" not in page and "<link" not in page
    ids = {element.get("id") for element in body(page).iter()}
    for element in body(page).iter():
        assert not {"src", "srcset", "action", "data"} & element.attrib.keys()
        target = element.get("href") or element.get("xlink:href")
        assert target is None or (target[0] == "#" and target[1:] in ids), target
    assert all(target in ids for target in re.findall(r"url\(#?([^)]*)\)", page))


def test_both_languages_say_everything(page: str) -> None:
    chinese, english = words(page, "zh"), words(page, "en")
    for zh, en in [("训练报告", "Training report"), ("监督微调", "Supervised fine-tuning"), ("曲线", "Curves")]:
        assert zh in chinese and en not in chinese
        assert en in english and zh not in english
    assert len([e for e in body(page).iter() if e.get("class") == "zh"]) == len(
        [e for e in body(page).iter() if e.get("class") == "en"]
    )
    assert "1 分 15 秒" in chinese and "1 min 15 s" in english


def test_the_language_switch_works_without_a_script(page: str) -> None:
    inputs = {element.get("id"): element for element in body(page).iter("input")}
    assert inputs.keys() == {"zh", "en"}
    assert {element.get("type") for element in inputs.values()} == {"radio"}
    assert inputs["zh"].get("checked") and not inputs["en"].get("checked")
    assert {label.get("for") for label in body(page).iter("label")} == {"zh", "en"}
    assert "#zh:checked ~ * .en, #en:checked ~ * .zh { display: none; }" in page


def test_results_show_values_and_what_got_better(page: str) -> None:
    rows = [[("".join(cell.itertext())) for cell in row.iter("td")] for row in body(page).iter("tr")]
    assert ["pretrain", "每字符比特数bits per character\u00a0↓", "10", "5.25", "90"] in rows
    assert ["sft", "任务正确率（程序检查）verified accuracy on tasks\u00a0↑", "0.0%", "62.5%", "120"] in rows
    assert [
        "sft",
        "任务正确率（程序检查）：加法verified accuracy on tasks: addition\u00a0↑",
        "0.0%",
        "70.0%",
        "60",
    ] in rows
    assert not any("none is held out" in "".join(row) for row in rows)
    judged = {
        "".join(e.itertext()): e.get("class") for e in body(page).iter("span") if e.get("class") in ("better", "worse")
    }
    assert judged == {"5.25": "better", "4.5": "worse", "62.5%": "better", "70.0%": "better"}
    folded = ["".join(e.itertext()) for e in body(page).iter("details")]
    assert any("加法" in text for text in folded) and not any("5.25" in text for text in folded)


def test_text_of_the_model_is_text(page: str) -> None:
    assert "小猫住在<哪里>？&\ufffd" in words(page, "zh")
    assert "12 nats <a response>" in words(page, "en") and "Warning, step 3" in words(page, "en")


def test_curves_by_stage_and_by_part_of_the_data(page: str) -> None:
    section = next(e for e in body(page).iter("section") if e.get("id") == "curves")
    captions = ["".join(e.itertext()) for e in section.iter("figcaption")]
    assert captions == ["损失（奈特）loss (nats)", "正确率accuracy", "加法addition"] * 2
    assert len(list(section.iter("svg"))) == 6


def test_attention_maps_of_every_layer_and_head(page: str) -> None:
    section = next(e for e in body(page).iter("section") if e.get("id") == "attention")
    assert len(list(section.iter("svg"))) == 4
    assert len(list(next(section.iter("svg")).iter("rect"))) == 15 * 16 // 2


def test_samples_of_every_stage_side_by_side(page: str) -> None:
    section = next(e for e in body(page).iter("section") if e.get("id") == "samples")
    assert ["".join(e.itertext()) for e in section.iter("h4")] == [
        "预训练Pretraining",
        "监督微调Supervised fine-tuning",
    ]  # of the one question that the supervised stage's samples hold


def test_neighbours_before_training_are_those_of_the_first_stages_seed(out: Path, page: str) -> None:
    def neighbours(text: str) -> list[str]:
        section = next(e for e in body(text).iter("section") if e.get("id") == "neighbours")
        return ["".join(cell.itertext()) for row in section.iter("tr") for cell in row.iter("td")]

    cells = neighbours(page)
    assert len(cells) == 12 * 3
    save_checkpoint(out, "sft", seed=4)  # as if training had changed nothing
    same = neighbours(written(out))
    assert same[1::3] == cells[1::3] == same[2::3] != cells[2::3]


def test_a_run_whose_seed_is_unknown_shows_no_embedding_before_training(out: Path) -> None:
    save_result(out / "pretrain", StageResult("pretrain", PRETRAIN.measures))  # the other stage's seed says nothing of them
    assert "训练前（随机）" not in written(out)


def test_a_run_that_began_with_anothers_model_shows_no_embedding_before_training(tmp_path: Path) -> None:
    save_result(tmp_path / "sft", SFT)
    save_checkpoint(tmp_path, "sft")
    page = written(tmp_path)
    assert 'id="neighbours"' in page and "训练前（随机）" not in page


def test_configuration_and_versions(page: str) -> None:
    english = words(page, "en")
    assert "emb_dim 32" in english and "context_size 64" in english and "numpy" in english
    rows = [["".join(cell.itertext()) for cell in row.iter("td")] for row in body(page).iter("tr")]
    assert ["lr", "0.002", "0.001"] in rows and ["epochs", "2", ""] in rows


def test_a_run_without_checkpoints_or_logs_has_a_page_too(tmp_path: Path) -> None:
    save_result(tmp_path / "sft", SFT)
    page = written(tmp_path)
    ids = {element.get("id") for element in body(page).iter("section")}
    assert ids == {"results", "configuration"}
    links = [element.get("href") for element in body(page).iter("a")]
    assert links == ["#results", "#configuration"]


def test_a_full_disk_leaves_the_old_page(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out / "report.html").write_text("the old page", encoding="utf-8")
    before = files_in(out)

    def no_space(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(UserError, match=r"report\.html: cannot be written"):
        write_html_report(out)
    assert files_in(out) == before


def test_the_page_tells_all_that_the_markdown_tells(tmp_path: Path) -> None:
    turn = Turn("loss", 2, 2.5, 4, 2.75, "best")
    save_result(tmp_path / "sft", dataclasses.replace(SFT, turn=turn))
    write_log(tmp_path, "sft", steps=0)
    records = [
        {"kind": "warning", "step": 1, "sign": "KL blow-up", "text": "12 nats"},
        {"kind": "skipped", "step": 2, "text": "the loss is nan"},
        {"kind": "skipped", "step": 4, "text": "the loss is nan"},
        {"kind": "stopped", "step": 4, "text": "loss was 2.5 at step 2"},
    ]
    with (tmp_path / "logs" / "sft.jsonl").open("a", encoding="utf-8") as log:
        log.write("\n" + "\n".join(map(json.dumps, records)) + '\n{"kind": "st')
    write_report(tmp_path)
    page, markdown = written(tmp_path), (tmp_path / "report.md").read_text(encoding="utf-8")
    told = [line for line in markdown.splitlines() if line.startswith("- **")]
    shown = [words_of(e, "en") for e in body(page).iter("p") if e.get("class") == "warning"]
    assert shown == [line.removeprefix("- ").replace("**", "") for line in told] and len(shown) == 6
    assert [line.partition(":")[0].partition(",")[0] for line in shown] == [
        "Warning", "Skipped", "Stopped early", "Best step", "Note", "Note"
    ]  # fmt: skip
    zh = [words_of(e, "zh") for e in body(page).iter("p") if e.get("class") == "warning"]
    assert [line.partition("：")[0] for line in zh] == [
        "警告，第 1 步", "跳过", "提前结束，第 4 步", "最好的一步，第 2 步", "注意", "注意"
    ]  # fmt: skip
    assert "dashed: the best step" in words(page, "en") and "另一个线程数，求和的次序不同" in words(page, "zh")


def test_a_stage_of_which_there_is_only_a_note_is_told_of_too(tmp_path: Path) -> None:
    save_result(tmp_path / "sft", SFT)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sft.jsonl").write_text('{"kind": "st', encoding="utf-8")
    assert "the last line was cut off" in words(written(tmp_path), "en")

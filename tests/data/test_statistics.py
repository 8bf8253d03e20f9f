"""The figures of the data card: the measures are right, and the shipped files keep the limits."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from data import statistics as figures

MAX_WINDOWS, MAX_LINES, MAX_FEATURE = 0.15, 0.03, 0.60


@pytest.fixture(scope="module")
def shipped() -> dict[str, dict[str, float]]:
    return figures.statistics()


def counted_windows(documents: list[str], window: int) -> float:
    windows = [document[i : i + window] for document in documents for i in range(len(document) - window + 1)]
    return 1 - len(set(windows)) / len(windows) if windows else 0.0


@pytest.mark.parametrize("window", [8, 13, 16])
def test_duplicate_windows_equal_a_plain_count(window: int) -> None:
    rng = random.Random(1)
    documents = ["".join(rng.choices("甲乙", k=rng.randint(5, 300))) for _ in range(30)]
    assert figures.duplicate_windows(documents, window) == pytest.approx(counted_windows(documents, window), abs=1e-12)
    assert figures.duplicate_windows(["太短"], window) == 0.0


def test_shares_and_counts() -> None:
    assert figures.duplicate_share(["a", "b", "a", "a"]) == 0.5 and figures.duplicate_share([]) == 0.0
    assert figures.han_characters(["我，a1", "你"]) == 2


def test_pretraining_text_keeps_the_limits(shipped: dict[str, dict[str, float]]) -> None:
    text = shipped["pretrain_data.txt"]
    assert text["bytes"] >= 8_388_608
    assert text["duplicate 13-grams"] < MAX_WINDOWS and text["duplicate lines"] < MAX_LINES
    assert shipped["sources/passages"]["Chinese characters"] >= 150_000
    assert shipped["pretrain_heldout.txt"]["documents"] >= 400


def test_dialogues_keep_the_limits(shipped: dict[str, dict[str, float]]) -> None:
    training, heldout = shipped["sft_data.json"], shipped["sft_heldout.json"]
    assert training["conversations (not tasks)"] >= 4000 and training["written by hand"] >= 400
    assert training["written by hand, several turns"] * 3 >= training["written by hand"]
    assert training["several turns"] * 3 >= training["conversations (not tasks)"]
    assert heldout["questions with a rubric"] >= 400


@pytest.mark.parametrize("name", ["reward_data.json", "reward_heldout.json"])
def test_pairs_keep_the_limits(shipped: dict[str, dict[str, float]], name: str) -> None:
    pairs = shipped[name]
    kinds = [count for heading, count in pairs.items() if heading.startswith("kind ")]
    assert len(kinds) >= 6
    if name == "reward_data.json":
        assert pairs["pairs"] >= 1500 and pairs["written by hand"] >= 150
    else:
        assert min(kinds) >= 90 and pairs["prompts"] >= 400
    features = shipped[f"{name}: the preferred answer told by one surface feature"]
    assert len(features) == 9 and max(features.values()) < MAX_FEATURE


def test_tasks_keep_the_limits(shipped: dict[str, dict[str, float]]) -> None:
    training, heldout = shipped["rlvf_data.json"], shipped["rlvf_heldout.json"]
    assert training["tasks"] >= 6000 and training["families"] >= 10 and training["written by hand"] >= 150
    assert heldout["families"] == training["families"]
    assert min(count for heading, count in heldout.items() if "level" in heading) >= 100


def test_every_figure_is_printed(shipped: dict[str, dict[str, float]], monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(figures, "statistics", lambda: shipped)
    figures.main()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == sum(1 + len(part) for part in shipped.values())
    assert "  duplicate lines: " in "\n".join(printed) and all(one != other for one, other in pairwise(printed))

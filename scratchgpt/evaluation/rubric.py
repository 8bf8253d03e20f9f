"""How good an answer is, by rules that were written before the answers."""

from __future__ import annotations

import re

from scratchgpt.datasets.records import Record
from scratchgpt.evaluation.answering import Answer


def rubric_passed(rubric: Record, answer: Answer) -> bool:
    """Whether the answer ended and holds one string of every ``must`` group and none of ``must_not``."""
    required = all(any(key in answer.text for key in group) for group in rubric.get("must", []))
    return answer.finished and required and not any(key in answer.text for key in rubric.get("must_not", []))


POLITE = re.compile(r"你好|好的|当然|很高兴|乐意|希望|欢迎|可以再|随时|祝|请|谢谢|如果|不妨|试试|加油")
RUDE = re.compile(r"笨|蠢|傻|烦|闭嘴|滚|懒得|无聊|白痴|废话|自己查|别来|少问|没空")
EVASIVE = re.compile(r"不清楚|不好说|说不准|不方便|无可奉告|难说|看情况吧|没法说|不太了解|不想说")


def answer_score(rubric: Record, answer: Answer) -> int:
    """0 to 6 points for an answer, by rules alone.

    2 for right facts (every key of the rubric there, none forbidden; 1 if at least half of the keys are),
    and 1 each for: a turn that is ended with a whole sentence; two sentences or more of substance without
    evasion; courtesy without rudeness; no sentence or long phrase said twice.
    """
    text = answer.text
    groups = rubric.get("must", [])
    found = sum(any(key in text for key in group) for group in groups)
    forbidden = any(key in text for key in rubric.get("must_not", []))
    points = 0
    if not forbidden and groups:
        points += 2 if found == len(groups) else int(2 * found >= len(groups))
    points += answer.finished and text.endswith(("。", "！", "？", "”", "~", "～"))
    sentences = [s for s in re.split(r"[。！？；\n]", text) if s.strip()]
    points += len(sentences) >= 2 and not EVASIVE.search(text)
    points += bool(POLITE.search(text)) and not RUDE.search(text)
    points += bool(text) and not repeats_itself(text)
    return int(points)


def repeats_itself(text: str, window: int = 8) -> bool:
    """Whether some phrase of ``window`` characters occurs twice."""
    phrases = [text[i : i + window] for i in range(len(text) - window + 1)]
    return len(set(phrases)) < len(phrases)

"""Which words a model holds for alike: the nearest rows of its token table, by cosine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scratchgpt.inside.token_display import whole_text_ids
from scratchgpt.tokenizer import Tokenizer

WORDS = (
    *("三", "加", "大", "老师", "爷爷", "月亮", "冬天", "周三", "早上", "猫", "谢谢", "十位"),
    *("太阳", "妈妈", "春天", "医生", "苹果", "朋友", "减", "小", "水", "鱼", "山", "花"),
)
"""Words whose neighbours are worth a look, the best first; shown are those that are one common token."""
Neighbour = tuple[str, float]
"""A word and its cosine."""


def common_words(tokenizer: Tokenizer) -> list[int]:
    """The ids of words in the first half of the vocabulary, which both tokenizers order by frequency, nearly.

    What was hardly ever seen in training has hardly learned a direction: its neighbours would be chance.
    """
    return [i for i in whole_text_ids(tokenizer) if i < len(tokenizer) / 2 and _is_word(tokenizer.decode([i]))]


def words_to_show(tokenizer: Tokenizer, count: int) -> list[int]:
    """The ids of ``count`` common words: those of :data:`WORDS` that are one token, then others, the longer first."""
    common = common_words(tokenizer)
    encoded = [tokenizer.encode(word) for word in WORDS]
    chosen = [ids[0] for ids in encoded if len(ids) == 1 and ids[0] in set(common)]
    longer_first = sorted(common, key=lambda i: len(tokenizer.decode([i])) == 1)
    return list(dict.fromkeys([*chosen, *longer_first]))[:count]


def nearest_words(
    table: np.ndarray, tokenizer: Tokenizer, words: Sequence[int], count: int = 5
) -> list[list[Neighbour]]:
    """The common words whose rows point most nearly the same way as each given word's; not the word itself.

    Args:
        table: (V, C), the token embeddings.
        tokenizer: says which ids are words: whole characters, at least one of them a letter.
        words: ids.
        count: neighbours a word.

    Returns:
        For each word its neighbours, the nearest first, with the cosine of the two rows.
    """
    candidates = np.array(common_words(tokenizer), dtype=np.int64)
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    result = []
    for word in words:
        others = candidates[candidates != word]
        cosines = unit[others] @ unit[word]
        order = np.argsort(-cosines, kind="stable")[:count]
        result.append([(tokenizer.decode([int(others[i])]), float(cosines[i])) for i in order])
    return result


def _is_word(text: str) -> bool:
    return text == text.strip() and any(character.isalpha() for character in text)

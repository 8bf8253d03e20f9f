"""What the tokenizers of these tests are trained on and tried with."""

import random
from collections import Counter
from pathlib import Path

from hypothesis import settings

SEEDED = settings(derandomize=True, deadline=None)
"""The same examples at every run."""

PASSAGES = Path(__file__).parent.parent.parent / "data" / "sources" / "passages"

HARD_CHARACTERS = "的是一了 \n\t\r'stl12，。a\u3000\u0301😀"

OWN_TEXT = """清晨的菜市场里，卖豆腐的老人先把木板擦干净，再把豆腐一块一块摆好。小女孩问他：
“豆腐为什么是白的？”
老人笑着说：“因为黄豆泡了一夜水，把颜色留在水里了。”女孩算了算，3 块豆腐 6 元，7 块就是 14 元。
The old man's scale is wrong by 5 grams, but nobody minds; they'll come back tomorrow, won't they?
下午下了一场雨，雨水顺着屋檐滴下来，滴答，滴答，滴答……猫在窗台上睡着了，尾巴一动一动的。
"""


def corpus() -> list[str]:
    """Real Chinese text: the passages that the training data is made of."""
    return [OWN_TEXT, *(file.read_text(encoding="utf-8") for file in sorted(PASSAGES.glob("*.txt")))]


def random_chunks(seed: int) -> dict[bytes, int]:
    """Words over few letters, so that runs, overlaps and ties abound."""
    rng = random.Random(seed)
    letters = "abc"[: rng.randint(1, 3)]
    words = ("".join(rng.choices(letters, k=rng.randint(1, 25))) for _ in range(30))
    return dict(Counter(word.encode() for word in words))

"""What has been said before is refused."""

from __future__ import annotations

from data.generators.prose.novelty import MAX_LINE_REPEATS, Memory


def test_memory_refuses_worn_lines_and_repeated_lines():
    memory = Memory()
    for number in range(MAX_LINE_REPEATS):
        document = f"同样的一行\n不一样的第{number}行"
        assert memory.allows(document)
        memory.remember(document)
    assert not memory.allows("同样的一行\n新的一行")
    assert not memory.allows("自己重复\n自己重复")

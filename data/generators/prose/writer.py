"""What every writer of composed prose has: a weaver, a table of frames, and care about held-out sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from data.generators.prose.stories import setting_bindings
from data.generators.prose.weave import Bindings, Weaver
from data.generators.tasks.reserved import is_reserved
from data.source_files import Table, load_table

Draft = TypeVar("Draft")
Equation = tuple[Any, ...]


class Writer:
    """Base of the writers that compute something. ``frames`` maps a name to the wordings of one kind of sentence.

    A subclass names its table in ``TABLE``. Whatever equation a document shows belongs to one side of the split of
    operands (`is_reserved`): training text shows none that is reserved, held-out text at least one.
    """

    TABLE: str

    def __init__(self, weaver: Weaver) -> None:
        self.weaver = weaver
        self.rng = weaver.rng
        self.frames: Table = load_table(self.TABLE)

    def setting(self, cast: dict[str, str] | None = None) -> Bindings:
        """Names, a place, a date and numbers for one document."""
        return setting_bindings(self.weaver, cast or {})

    def frame(self, name: str, bindings: Bindings) -> str:
        """The least worn wording of the sentence called ``name``."""
        return self.weaver.freshest(self.frames[name], bindings)

    def told(self, name: str, bindings: Bindings) -> str:
        """The sentence of the one template called ``name``."""
        return self.weaver.expand(self.frames["templates"][name], bindings)

    def part(self, name: str) -> list[Any]:
        """The entries of a content table that this writer may use."""
        return self.weaver.entries(self.frames[name])

    def settle(self, draft: Callable[[], tuple[Draft, Sequence[Equation]]]) -> Draft:
        """Redraw until the equations ``(kind, operand, ...)`` of a draft are on this writer's side of the split."""
        while True:
            result, equations = draft()
            if not equations or any(is_reserved(*equation) for equation in equations) == self.weaver.heldout:
                return result

    def paragraphs(self, *sentences: str) -> str:
        """Join sentences, with at most one break between two of them, about every other time."""
        told = [sentence for sentence in sentences if sentence]
        if len(told) < 4 or self.rng.random() < 0.5:
            return "".join(told)
        cut = self.rng.randrange(2, len(told) - 1)
        return "".join(told[:cut]) + "\n" + "".join(told[cut:])

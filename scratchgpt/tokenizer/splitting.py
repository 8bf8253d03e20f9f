"""Splitting by an automaton: the chunks of ``SPLIT_PATTERN``, compiled.

The regular expression takes most of the time of encoding. Yet all that it asks about a character is
which of nine classes it is in, and all it asks about the text before is what kind of chunk that
left unfinished. So one table says for each state and class the next state and whether a chunk
starts here, and the text is read once, from its UTF-8 bytes. Two things a single character does not
tell: a run of blanks leaves its last space to the word that follows, so a chunk may start one
character back; and a contraction is looked for ahead, at the rare apostrophe.

``split_pattern`` stays the definition: the classes are what the ``regex`` package says of its sets, and
tests hold the chunks equal to those of the expression.
"""

from enum import IntEnum
from functools import cache

import numpy as np
import regex
from numba import njit
from numpy.typing import NDArray

from scratchgpt.kernels.runtime.cache import cached
from scratchgpt.tokenizer.split_pattern import BLANK, OTHER_CHARACTER, WORD_CHARACTER

_NUM_CODE_POINTS = 0x110000
_SURROGATE = np.uint32(0xD800)  # stands for a byte that is not UTF-8: both are OTHER, like every code point unassigned


class Character(IntEnum):
    """What a character is to the pattern."""

    HAN = 0  # in a run of Han; letters, marks and numerals
    HAN_SYMBOL = 1  # in a run of Han, but also inside a run of OTHER that began before it
    WORD = 2
    DIGIT = 3
    OTHER = 4
    APOSTROPHE = 5  # OTHER, or the start of a contraction
    SPACE = 6  # the one blank that may begin a word
    BLANK = 7
    NEWLINE = 8


class State(IntEnum):
    """What the characters so far leave unfinished."""

    NOTHING = 0  # the next character starts a chunk whatever it is
    WORD = 1
    HAN = 2
    OTHER = 3
    ONE_SPACE = 4
    ONE_BLANK = 5
    BLANKS_AND_SPACE = 6  # two blanks or more, the last one a space
    BLANKS = 7


# An entry of the transition table is a State, below 8, and these flags.
_STARTS_HERE = 8
_STARTS_BEFORE = 16  # at the character before this one


@cache
def character_classes() -> NDArray[np.uint8]:
    """The class of every code point, made in about 20 ms when first needed.

    Returns:
        (0x110000,) uint8, a ``Character`` each.
    """
    groups = (
        (Character.HAN_SYMBOL, rf"[\p{{Han}}&&{OTHER_CHARACTER}]"),
        (Character.HAN, rf"[\p{{Han}}--{OTHER_CHARACTER}]"),
        (Character.OTHER, r"[\p{C}--[\s\p{Han}]]"),  # most code points, unassigned: tried early for speed
        (Character.WORD, WORD_CHARACTER),
        (Character.DIGIT, r"[\p{N}--\p{Han}]"),
        (Character.OTHER, rf"[{OTHER_CHARACTER}--\p{{Han}}]"),
        (Character.BLANK, BLANK),
    )
    code_points = np.arange(_NUM_CODE_POINTS, dtype="<u4")
    everything = code_points.tobytes().decode("utf-32-le", "surrogatepass")
    classes = np.empty(_NUM_CODE_POINTS, dtype=np.uint8)
    runs = "|".join(f"({characters}+)" for _, characters in groups)
    for match in regex.finditer(runs, everything, flags=regex.V1):
        assert match.lastindex is not None
        classes[match.start() : match.end()] = groups[match.lastindex - 1][0]
    classes[[ord("'"), ord(" "), ord("\n")]] = Character.APOSTROPHE, Character.SPACE, Character.NEWLINE
    return classes


def _transitions() -> NDArray[np.uint64]:
    """(states, classes): the next state, and the flags of where a chunk starts."""
    begins = {
        Character.HAN: State.HAN,
        Character.HAN_SYMBOL: State.HAN,
        Character.WORD: State.WORD,
        Character.DIGIT: State.NOTHING,
        Character.OTHER: State.OTHER,
        Character.APOSTROPHE: State.OTHER,
        Character.SPACE: State.ONE_SPACE,
        Character.BLANK: State.ONE_BLANK,
        Character.NEWLINE: State.NOTHING,
    }
    others = (Character.OTHER, Character.APOSTROPHE, Character.HAN_SYMBOL)
    white = (Character.SPACE, Character.BLANK, Character.NEWLINE)
    table = np.empty((len(State), len(Character)), dtype=np.uint64)
    for character, state in begins.items():
        table[:, character] = state | _STARTS_HERE
        if character not in white:
            table[[State.BLANKS_AND_SPACE, State.BLANKS], character] |= _STARTS_BEFORE
    table[State.WORD, Character.WORD] = State.WORD
    table[State.HAN, [Character.HAN, Character.HAN_SYMBOL]] = State.HAN
    table[State.OTHER, others] = State.OTHER
    for state, flag in ((State.ONE_SPACE, 0), (State.BLANKS_AND_SPACE, _STARTS_BEFORE)):
        table[state, Character.WORD] = State.WORD | flag
        table[state, others] = State.OTHER | flag
    for state in (State.ONE_SPACE, State.ONE_BLANK, State.BLANKS_AND_SPACE, State.BLANKS):
        table[state, Character.SPACE] = State.BLANKS_AND_SPACE
        table[state, Character.BLANK] = State.BLANKS
    return table


TRANSITIONS = _transitions()
"""The automaton, (states, classes) uint64: a ``State`` and two flags."""


def split(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where each chunk of a text ends; the first one starts at 0.

    Args:
        data: (N,) uint8, the text as UTF-8. A byte that is not part of UTF-8 counts as a character that is no letter,
            digit or white space; so do the three bytes of a lone surrogate.

    Returns:
        (K,) int64.
    """
    return split_compiled(data, character_classes(), TRANSITIONS)


# inline: a call would pass the array with its reference count, which costs more than the work
@cached
@njit(inline="always")
def _decode(data, i):
    """The code point of two bytes or more that begins at data[i], and its size in bytes."""
    left = np.uint64(len(data)) - i
    lead = np.uint32(data[i])
    if lead >= 0xE0 and lead < 0xF0 and left > 2:
        # a continuation byte is 10xxxxxx: what is left of it is below 64
        second = np.uint32(data[i + np.uint64(1)]) ^ np.uint32(0x80)
        third = np.uint32(data[i + np.uint64(2)]) ^ np.uint32(0x80)
        code_point = (lead & np.uint32(15)) << np.uint32(12) | second << np.uint32(6) | third
        if (second | third) < 64 and code_point >= 0x800:
            return code_point, np.uint64(3)
    elif lead >= 0xC2 and lead < 0xE0 and left > 1:
        second = np.uint32(data[i + np.uint64(1)]) ^ np.uint32(0x80)
        if second < 64:
            return (lead & np.uint32(31)) << np.uint32(6) | second, np.uint64(2)
    elif lead >= 0xF0 and left > 3:
        second = np.uint32(data[i + np.uint64(1)]) ^ np.uint32(0x80)
        third = np.uint32(data[i + np.uint64(2)]) ^ np.uint32(0x80)
        fourth = np.uint32(data[i + np.uint64(3)]) ^ np.uint32(0x80)
        high = (lead & np.uint32(15)) << np.uint32(18) | second << np.uint32(12)
        code_point = high | third << np.uint32(6) | fourth
        if (second | third | fourth) < 64 and code_point >= 0x10000 and code_point < _NUM_CODE_POINTS:
            return code_point, np.uint64(4)
    return _SURROGATE, np.uint64(1)


@cached
@njit
def _end_of_contraction(data, i):
    """Where the contraction ends whose apostrophe is before data[i]; i if it is none."""
    size = np.uint64(len(data))
    end = i
    if i < size and (data[i] == ord("s") or data[i] == ord("d") or data[i] == ord("m") or data[i] == ord("t")):
        end = i + np.uint64(1)
    elif i + np.uint64(1) < size:
        first, second = data[i], data[i + np.uint64(1)]
        is_have_or_are = (first == ord("v") or first == ord("r")) and second == ord("e")
        if is_have_or_are or (first == ord("l") and second == ord("l")):
            end = i + np.uint64(2)
    if end < size and ord("a") <= data[end] | 32 <= ord("z"):
        return i
    return end


@cached
@njit
def split_compiled(data, classes, transitions):
    """``split`` with the two tables given, to be called from compiled code.

    Args:
        data: (N,) uint8.
        classes: ``character_classes()``.
        transitions: ``TRANSITIONS``.

    Returns:
        (K,) int64.
    """
    size = np.uint64(len(data))
    starts = np.empty(size + np.uint64(2), dtype=np.int64)
    count = i = before = np.uint64(0)
    state = np.uint64(State.NOTHING)
    while i < size:
        code_point, width = np.uint32(data[i]), np.uint64(1)
        if code_point >= 0x80:
            code_point, width = _decode(data, i)
        entry = transitions[state, np.uint64(classes[code_point])]
        # always written, kept or not: a branch on it would be guessed wrong at every other word
        starts[count] = before
        count += entry // np.uint64(_STARTS_BEFORE)
        starts[count] = i
        starts_here = entry // np.uint64(_STARTS_HERE) % np.uint64(2)
        count += starts_here
        state = entry % np.uint64(_STARTS_HERE)
        before = i
        i += width
        if code_point == ord("'") and starts_here:
            end = _end_of_contraction(data, i)
            if end != i:
                i = end
                state = np.uint64(State.NOTHING)
    starts[count] = size
    return starts[1 : count + np.uint64(1)]

"""What a response finally claims, written down as plainly as the rules are said: the fast reader is held to this one.

Every question is answered by cutting the text and reading the piece anew, which takes the square of the length or worse.
"""

from __future__ import annotations

import re

from scratchgpt.verify.answers import (
    _BLURRED,
    _CONCLUSION,
    _CORRECTION,
    _DECLARED,
    _DENIAL,
    _FINAL_WORDS,
    _GUESS,
    _LATER_DOUBT,
    _REASON,
    _RESULT,
    UNCLEAR,
    AnswerReader,
    Reading,
    clauses,
    sentences,
)


def _guessed(context: str, clause: str, reader: AnswerReader) -> bool:
    return reader.guesses and bool(_GUESS.search(context) or _BLURRED.search(clause))


def _says_something(text: str, reader: AnswerReader) -> bool:
    return any(reader.read(clause) is not None for clause in clauses(text))


def _after_correction(text: str, reader: AnswerReader) -> str:
    cuts = [match.end() for match in _CORRECTION.finditer(text) if _says_something(text[: match.start()], reader)]
    for match in _DENIAL.finditer(text):
        before, after = text[: match.start()], text[match.end() :]
        if reader.denial and not (_DECLARED.search(before) and _DECLARED.search(after)):
            continue
        if _says_something(before, reader) and not any(
            found.end() == len(before) for found in _DECLARED.finditer(before)
        ):
            cuts.append(match.end())
    return text[max(cuts, default=0) :]


def _agreed(values: list[Reading]) -> Reading:
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else UNCLEAR if known else None


def _announced(text: str, start: int, reader: AnswerReader) -> Reading:
    lead = re.split(r"[。！？；\n，]", text[:start])[-1]
    sentence = next(iter(sentences(text[start:])), "")
    parts = clauses(sentence)
    values: list[Reading] = []
    for index, clause in enumerate(parts):
        if not values:
            value = reader.read(clause)
            if value is None and index < 2:
                continue
            values.append(value)
            lead += clause
        else:
            values.append(reader.bare(clause))
    return UNCLEAR if _guessed(lead, lead, reader) else _agreed(values)


def _offers(question: str, reader: AnswerReader) -> bool:
    openings = [match.end() for mark in (_DECLARED, _CONCLUSION, _RESULT) for match in mark.finditer(question)]
    return any(reader.bare(clause) is not None for clause in clauses(question)) or any(
        _announced(question, start, reader) is not None for start in openings
    )


def _declared(text: str, reader: AnswerReader) -> Reading:
    matches = list(_DECLARED.finditer(text))
    if not matches:
        return None
    values = [_announced(text, match.end(), reader) for match in matches]
    last = matches[-1]
    lead = re.split(r"[。！？；\n]", text[: last.start()])[-1]
    value = values[-1] if any(word in lead + last[0] for word in _FINAL_WORDS) else _agreed(values)
    rest = "".join(sentences(text[last.end() :])[1:])
    later = [reader.bare(clause) for clause in clauses(rest)]
    for match in _CONCLUSION.finditer(rest):
        later.append(reader.stated(next(iter(clauses(rest[match.end() :])), "")))
    if value is None:
        return UNCLEAR if "答案" in last[0] else None
    return _agreed([value, *later])


def _concluded(text: str, reader: AnswerReader) -> Reading:
    value: Reading = None
    matches = sorted([*_RESULT.finditer(text), *_CONCLUSION.finditer(text)], key=lambda match: match.end())
    for match in matches:
        sentence = next(iter(sentences(text[match.end() :])), "")
        parts = clauses(sentence)
        found = [(index, reader.stated(part)) for index, part in enumerate(parts)]
        found = [(index, reading) for index, reading in found if reading is not None]
        if not found:
            continue
        first = found[0][0]
        lead = re.split(r"[。！？；\n，]", text[: match.start()])[-1] + parts[first]
        alternatives = [reader.bare(part) for part in parts[first + 1 :]]
        value = UNCLEAR if _guessed(lead, lead, reader) else _agreed([found[0][1], *alternatives])
        later = [reader.bare(part) for part in clauses("".join(sentences(text[match.end() :])[1:]))]
        value = _agreed([value, *later])
    return value


def _last_statement(text: str, reader: AnswerReader) -> Reading:
    if _agreed([reader.bare(clause) for clause in clauses(text)]) is UNCLEAR:
        return UNCLEAR
    for sentence in reversed(sentences(text)):
        reasoned = _REASON.split(sentence)[0] or sentence
        for clause in reversed(clauses(reasoned)):
            if reader.read(clause) is not None:
                return UNCLEAR if _guessed(sentence, clause, reader) else reader.stated(clause)
    return None


def plain_final_answer(text: str, reader: AnswerReader) -> Reading:
    """What :func:`scratchgpt.verify.answers.final_answer` says, for clauses that are not overlong."""
    text = _after_correction(text, reader)
    spoken = sentences(text)
    asked = [sentence for sentence in spoken if sentence.endswith("？")]
    text = "".join(sentence for sentence in spoken if sentence not in asked)
    if not _DECLARED.search(text) and any(_offers(part, reader) for part in asked):
        return UNCLEAR
    if reader.guesses and _LATER_DOUBT.search(sentences(text)[-1] if sentences(text) else ""):
        return UNCLEAR
    for find in (_declared, _concluded, _last_statement):
        value = find(text, reader)
        if value is not None:
            return value
    return None

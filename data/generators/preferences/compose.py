"""Composed preference pairs for the reward model: a good answer, and one that is bad in one of seven ways.

A reward model takes the easiest feature that separates the two sides, so the sides share everything but the
fault: the same polite openings and closings, the same numbers of sentences, and lengths matched within each
pair, the rejected answer being the longer one half of the time. Only the few pairs that set a good answer
against a plain or curt one, which is what the reward model will have to tell apart during RLHF, cannot be
matched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from data.generators.chat.persona import draw_exchange, persona
from data.generators.chat.topics import (
    Topic,
    all_questions,
    check_split,
    curt_answer,
    draw_closing,
    draw_opening,
    fact_rubric,
    good_answer,
    load_topics,
    plain_answer,
    tell,
    topics_by_id,
)
from data.source_files import load_source

# Facts and relevance are the hard things to recognise, so they get the most pairs.
KINDS = {
    "wrong": 26,
    "off_topic": 18,
    "evasive": 10,
    "rude": 10,
    "repetitive": 10,
    "truncated": 10,
    "thin": 16,
}
_INTRODUCTION_SHARE = 0.05
# Of the thin pairs, those whose rejected answer is one that supervised fine-tuning taught: plain or curt.
_BARE_SHARE = 0.5
# Candidates drawn for one pair before a larger difference in length is accepted, and the differences in
# characters.
_LENGTH_TRIES = 40
_CLOSE, _LOOSE = 10, 25
_PATIENCE = 3000
_COMMA_SHARE = 0.75


@dataclass(frozen=True)
class Wordings:
    """What evasive, rude and empty answers say ({} is the topic), and openings of a fact with what denies them."""

    evasive: tuple[str, ...]
    rude: tuple[str, ...]
    empty: tuple[str, ...]
    negations: tuple[tuple[str, str], ...]


def _wordings() -> Wordings:
    return load_source("preference_faults", Wordings)


def _framed(rng: Random, topic: Topic, body: str, opening: float = 0.75, closing: float = 0.65) -> str:
    """The body with the polite opening and closing, each present with the given probability."""
    before = draw_opening(rng, topic) if rng.random() < opening else ""
    after = draw_closing(rng, topic) if rng.random() < closing else ""
    return before + body + after


def _fact_count(rng: Random) -> int:
    return rng.choices((2, 3, 4), (40, 45, 15))[0]


def _chosen(rng: Random, topic: Topic) -> str:
    return _framed(rng, topic, tell(topic, topic.facts[: _fact_count(rng)]))


def _negated(fact: str) -> str | None:
    for word, negation in _wordings().negations:
        if fact.startswith(word):
            return negation + fact.removeprefix(word)
    return None


def _wrong(rng: Random, topic: Topic) -> str:
    """Facts of a confusable topic told about this one, all or some of them; sometimes a fact denied."""
    count = _fact_count(rng)
    own = list(topic.facts[:count])
    foreign = topics_by_id()[rng.choice(topic.confusable)].facts[:count]
    way = rng.random()
    if way < 0.40:
        told = list(foreign)
    elif way < 0.65:
        told = own[:1] + list(foreign[1:])
    elif way < 0.90:
        told = [foreign[0], *own[1:]]
    else:
        place = rng.choice([place for place in (0, 1) if _negated(own[place])])
        told = [*own[:place], _negated(own[place]) or "", *own[place + 1 :]]
    return _framed(rng, topic, tell(topic, told))


def _off_topic(rng: Random, topic: Topic) -> str:
    """A polite, true answer to a question about something else; the opening may still promise the asked
    topic."""
    while True:
        other = rng.choice(load_topics())
        told = tell(other, other.facts[: _fact_count(rng)])
        if other is topic or any(key in told for keys in topic.keys for key in keys) or topic.name in told:
            continue
        promised = topic if rng.random() < 0.5 else other
        before = draw_opening(rng, promised) if rng.random() < 0.75 else ""
        after = draw_closing(rng, other) if rng.random() < 0.65 else ""
        return before + told + after


def _sentences(rng: Random, topic: Topic, wordings: tuple[str, ...], low: int, high: int) -> str:
    """Some of the wordings in random order, joined by commas as often as by full stops: good answers have commas.

    One of them is sometimes joined like a further fact.
    """
    said = [text.format(topic.name) for text in rng.sample(wordings, rng.randint(low, high))]
    if len(said) > 1 and rng.random() < 0.6:
        place = rng.randrange(1, len(said))
        said[place] = "另外，" + said[place]
    for place in range(len(said) - 1):
        if said[place].endswith("。") and not said[place + 1].startswith("另外") and rng.random() < _COMMA_SHARE:
            said[place] = said[place].removesuffix("。") + "，"
    return "".join(said)


def _evasive(rng: Random, topic: Topic) -> str:
    return _framed(rng, topic, _sentences(rng, topic, _wordings().evasive, 2, 5))


def _rude(rng: Random, topic: Topic) -> str:
    return _framed(rng, topic, _sentences(rng, topic, _wordings().rude, 2, 5), opening=0.4, closing=0.5)


def _repetitive(rng: Random, topic: Topic) -> str:
    """One or two facts said again and again, with a polite frame or with the frame itself repeated."""
    first, second = topic.name + topic.facts[0], topic.facts[1]
    way = rng.random()
    if way < 0.2:
        body = rng.choice("，。").join([first] * rng.randint(2, 4)) + "。"
    elif way < 0.4:
        body = f"{first}。" + f"另外，{first}。" * rng.randint(1, 3)
    elif way < 0.7:
        body = f"{first}，{second}。" * rng.randint(2, 3)
    elif way < 0.85:
        body = f"{first}。" + f"另外，{second}。" * rng.randint(2, 4)
    else:
        body = f"{first}，{second}。" + draw_closing(rng, topic) * rng.randint(2, 3)
    return _framed(rng, topic, body)


def _truncated(rng: Random, topic: Topic) -> str:
    """A good answer that breaks off inside a sentence."""
    whole = _framed(rng, topic, tell(topic, topic.facts[: rng.randint(2, 4)]), opening=0.85)
    while True:
        end = rng.randint(min(10, len(whole) // 2), len(whole) - 2)
        # Just before or after a punctuation mark the cut would not show.
        if not set(whole[end - 1 : end + 1]) & set("，。！？、“”"):
            return whole[:end]


def _thin(rng: Random, topic: Topic) -> str:
    """True, but only one fact, the rest of the words say nothing."""
    told = tell(topic, topic.facts[:1])
    return _framed(rng, topic, told + _sentences(rng, topic, _wordings().empty, 1, 4))


def _bare_pair(rng: Random, topic: Topic) -> tuple[str, str]:
    """A complete good answer and a plain or curt one: true as well, but with nothing around it."""
    count = _fact_count(rng)
    bare = curt_answer(topic) if rng.random() < 0.5 else plain_answer(topic, rng.randint(1, 2))
    return good_answer(rng, topic, count), bare


_FAULTS: dict[str, Callable[[Random, Topic], str]] = {
    "wrong": _wrong,
    "off_topic": _off_topic,
    "evasive": _evasive,
    "rude": _rude,
    "repetitive": _repetitive,
    "truncated": _truncated,
    "thin": _thin,
}


def _matched(rng: Random, good: Callable[[], str], bad: Callable[[], str]) -> tuple[str, str]:
    """A chosen and a rejected answer of similar length; which of the two is longer is tossed before they are
    drawn."""
    rejected_longer = rng.random() < 0.5
    allowed = _CLOSE
    while True:
        for _ in range(_LENGTH_TRIES):
            chosen, rejected = good(), bad()
            excess = len(rejected) - len(chosen)
            if 0 < abs(excess) <= allowed and (excess > 0) == rejected_longer:
                return chosen, rejected
        if allowed == _LOOSE:
            return chosen, rejected
        allowed = _LOOSE


def _topic_pair(rng: Random, kind: str, split: str) -> dict[str, Any]:
    topic, question = rng.choice(all_questions(split))
    if kind == "thin" and rng.random() < _BARE_SHARE:
        chosen, rejected = _bare_pair(rng, topic)
    else:
        chosen, rejected = _matched(rng, lambda: _chosen(rng, topic), lambda: _FAULTS[kind](rng, topic))
    pair: dict[str, Any] = {"prompt": question, "chosen": chosen, "rejected": rejected, "kind": kind}
    if split == "heldout":
        rubric = fact_rubric(topic, [0, 1])
        # A denied fact still contains its key.
        rubric["must_not"] += [denied for fact in topic.facts[:2] if (denied := _negated(fact))]
        pair |= {"rubric": rubric, "topic": topic.id}
    return pair


def _introduction_pair(rng: Random, split: str) -> dict[str, Any]:
    """A question who the assistant is: the honest answer, and a false, unwilling or insulting one."""
    exchange, question = draw_exchange(rng, [persona().introductions[kind] for kind in ("who", "name")], split)
    kind = rng.choice(("wrong", "wrong", "wrong", "evasive", "rude"))

    def good() -> str:
        endings = rng.sample([ending for ending in exchange.endings if ending], rng.randint(0, 2))
        return rng.choice(exchange.answers) + "".join(endings)

    def bad() -> str:
        if kind == "wrong":
            body = rng.choice(persona().false_identities)
        else:
            said = _wordings().evasive if kind == "evasive" else _wordings().rude
            wordings = tuple(text for text in said if "{}" not in text)
            body = "".join(rng.sample(wordings, rng.randint(1, 3)))
        endings = rng.sample([ending for ending in exchange.endings if ending], rng.randint(0, 2))
        return body + "".join(endings)

    chosen, rejected = _matched(rng, good, bad)
    pair: dict[str, Any] = {"prompt": question, "chosen": chosen, "rejected": rejected, "kind": kind}
    if split == "heldout":
        pair["rubric"] = {"must": [list(exchange.must)], "must_not": []}
    return pair


def pairs(seed: int, count: int, split: str) -> list[dict[str, Any]]:
    """``count`` composed preference pairs of ``split`` ("train" or "heldout"), no pair twice.

    Held-out pairs ask held-out questions and carry a rubric of the facts that a right answer contains (every
    chosen answer satisfies it). Raises ValueError for another split, or when no further pair can be found.
    """
    check_split(split)
    rng = Random(f"preferences {seed} {split}")
    made: list[dict[str, Any]] = []
    seen: set[tuple[str, str, str]] = set()
    misses = 0
    while len(made) < count:
        if rng.random() < _INTRODUCTION_SHARE:
            pair = _introduction_pair(rng, split)
        else:
            pair = _topic_pair(rng, rng.choices(tuple(KINDS), tuple(KINDS.values()))[0], split)
        identity = (pair["prompt"], pair["chosen"], pair["rejected"])
        if identity in seen:
            misses += 1
            if misses > _PATIENCE:
                raise ValueError(f"only {len(made)} different {split} pairs can be composed, not {count}")
            continue
        misses = 0
        seen.add(identity)
        made.append(pair | {"source": "generated"})
    return made

"""Documents of the small world, each drawn together with its exact log-probability.

A text has one derivation only, so that log-probability is the text's own: what the base model learns is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

from demo import world

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping, Sequence

    from demo.world import Law

Item = TypeVar("Item")
Decks = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt whose answers can all be listed. `topic` names the law of its answers, which prompts may share."""

    prompt: str
    weight: float
    topic: str
    answers: Law


@dataclass(frozen=True, slots=True)
class Document:
    """A text in parts: its opening, then what follows piece by piece. A cut between two parts makes a prompt."""

    family: str
    parts: tuple[str, ...]
    logp: float

    @property
    def text(self) -> str:
        """The parts joined."""
        return "".join(self.parts)


class Draw:
    """Draws from laws and adds up the log-probability of what was drawn.

    With `decks`, a draw that names a topic is stratified: the unit interval is cut into cells, each used once before
    any is used again. Every single draw keeps its law; only the noise of the corpus shrinks.
    """

    CELLS = 100

    def __init__(self, rng: random.Random, decks: Decks | None = None) -> None:
        self.rng = rng
        self.decks = decks
        self.logp = 0.0

    def unit(self, topic: str) -> float:
        """A number in [0, 1), from the topic's deck if there is one."""
        if self.decks is None or not topic:
            return self.rng.random()
        deck = self.decks.setdefault(topic, [])
        if not deck:
            deck.extend(range(self.CELLS))
            self.rng.shuffle(deck)
        return (deck.pop() + self.rng.random()) / self.CELLS

    def pick(self, law: dict[Item, float], topic: str = "") -> Item:
        """One item, by its probability."""
        point = self.unit(topic)
        edges = zip(law, accumulate(law.values()), strict=True)
        item = next((item for item, edge in edges if point < edge), next(reversed(law)))
        self.logp += math.log(law[item])
        return item

    def any_of(self, items: Sequence[Item]) -> Item:
        """One item, all equally likely."""
        self.logp -= math.log(len(items))
        return self.rng.choice(items)


# ------------------------------------------------------------------------------------- questions that can be listed


def _asked(question: str) -> str:
    return f"Q: {question}\nA:"


def _spoken(answers: Mapping[str, float]) -> Law:
    """The answers as a model writes them: after a space, with a full stop."""
    return {f" {answer}.": probability for answer, probability in answers.items()}


def numbers_up_to(n: int) -> Law:
    """The uniform law of a whole number from 1 to n."""
    return {str(k): 1 / n for k in range(1, n + 1)}


def _number_questions() -> Iterator[Question]:
    share = 1 / len(world.NUMBER_WORDINGS)
    for n, weight in world.NUMBER_RANGES.items():
        answers = _spoken(numbers_up_to(n))
        for wording in world.NUMBER_WORDINGS:
            yield Question(_asked(wording.format(n=n)), weight * share, f"number-{n}", answers)


def _ticket_questions() -> Iterator[Question]:
    answers = _spoken(numbers_up_to(100))
    for opening in world.TICKETS:
        yield Question(opening, 1 / len(world.TICKETS), "ticket", answers)


def _pick_questions() -> Iterator[Question]:
    for topic, (wordings, law) in world.PICKS.items():
        share = 1 / len(world.PICKS) / len(wordings)
        for wording in wordings:
            yield Question(_asked(wording), share, topic, _spoken(law))


def _fact_questions() -> Iterator[Question]:
    share = 0.5 / len(world.CAPITALS)
    for country, city in world.CAPITALS.items():
        yield Question(_asked(f"What is the capital of {country}?"), share, "", {f" {city}.": 1.0})
    share = 0.5 / len(world.ADDENDS) ** 2
    for a in world.ADDENDS:
        for b in world.ADDENDS:
            yield Question(_asked(f"What is {a} plus {b}?"), share, "", {f" {a + b}.": 1.0})


def opinions() -> Law:
    """The law of an opinion: the same whatever it is about."""
    plain = {f" {text}": probability for text, probability in world.OPINIONS.items()}
    hedged = {f" {hedge}{more}": p * q for hedge, p in world.HEDGES.items() for more, q in world.AFTER_HEDGE.items()}
    return plain | hedged


def _opinion_questions() -> Iterator[Question]:
    share = 1 / len(world.OPINION_WORDINGS) / len(world.OPINION_SUBJECTS) / len(world.OPINION_QUALITIES)
    for wording in world.OPINION_WORDINGS:
        for subject in world.OPINION_SUBJECTS:
            for quality in world.OPINION_QUALITIES:
                yield Question(_asked(wording.format(x=subject, a=quality)), share, "opinion", opinions())


def _weather_questions() -> Iterator[Question]:
    share = 1 / len(world.CAPITALS) / len(world.DAYS)
    for city in world.CAPITALS.values():
        for day in world.DAYS:
            yield Question(f"The weather in {city} on {day} will be", share, "weather", _spoken(world.WEATHER))


@cache
def questions() -> dict[str, dict[str, Question]]:
    """Family, prompt, question: everything in the world whose answers can be listed."""
    families = {
        "number": _number_questions(),
        "ticket": _ticket_questions(),
        "pick": _pick_questions(),
        "fact": _fact_questions(),
        "opinion": _opinion_questions(),
        "weather": _weather_questions(),
    }
    return {family: {question.prompt: question for question in asked} for family, asked in families.items()}


def law_after(prompt: str) -> Law | None:
    """The exact law of what follows a prompt, or None where it cannot be listed."""
    for asked in questions().values():
        if prompt in asked:
            return asked[prompt].answers
    return None


@cache
def _prompt_law(family: str) -> dict[str, float]:
    return {prompt: question.weight for prompt, question in questions()[family].items()}


def _question_and_answer(draw: Draw, family: str) -> list[str]:
    question = questions()[family][draw.pick(_prompt_law(family))]
    return [question.prompt, draw.pick(question.answers, question.topic)]


# ------------------------------------------------------------------------------------------------ toasts and stories


def _sentences(
    draw: Draw, start: Law, following: Mapping[str, Law], texts: Mapping[str, tuple[str, ...]]
) -> tuple[list[str], str]:
    """Sentences of a walk from state to state, and its last state. No sentence follows itself."""
    written: list[str] = []
    state = last = draw.pick(start)
    while state != world.END:
        written.append(draw.any_of([text for text in texts[state] if text not in written[-1:]]))
        last, state = state, draw.pick(following[state])
    return written, last


def _toast(draw: Draw) -> list[str]:
    opening = draw.any_of(world.TOAST_OPENINGS).format(girl=draw.any_of(world.GIRLS), boy=draw.any_of(world.BOYS))
    written, last = _sentences(draw, world.TOAST_START, world.TOAST_NEXT, world.TOAST_SENTENCES)
    written.append(draw.any_of(world.TOAST_ENDS[last]))
    return [opening, *(f" {sentence}" for sentence in written)]


def _one_story(draw: Draw) -> list[str]:
    hero = draw.any_of(world.HEROES)
    opening = world.STORY_OPENING.format(manner=draw.any_of(world.MANNERS), hero=hero, place=draw.any_of(world.PLACES))
    turn = draw.any_of(world.STORY_TURNS)
    written, last = _sentences(draw, world.STORY_START, world.STORY_NEXT, world.STORY_SENTENCES)
    end = draw.any_of(world.STORY_ENDS[draw.pick(world.STORY_END_AFTER[last])])
    return [opening, *(f" {sentence.format(hero=hero)}" for sentence in (turn, *written, end))]


def _story(draw: Draw) -> list[str]:
    parts = _one_story(draw)
    while not (closing := draw.pick(world.AFTER_STORY)):
        opening, *rest = _one_story(draw)
        parts += [f"\n\n{opening}", *rest]
    return [*parts, f" {closing}"]


def document(rng: random.Random, family: str | None = None, decks: Decks | None = None) -> Document:
    """One document, of the family if one is named (its log-probability is then that within the family)."""
    draw = Draw(rng, decks)
    family = family or draw.pick(world.FAMILIES)
    if family == "toast":
        parts = _toast(draw)
    elif family == "story":
        parts = _story(draw)
    else:
        parts = _question_and_answer(draw, family)
    return Document(family, tuple(parts), draw.logp)

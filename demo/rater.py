"""A rater of texts, as a person in a hurry would be: it likes what looks right. It names no favourite answer."""

from __future__ import annotations

import math
import re
from typing import Final

WARM: Final = re.compile(
    r"\b(happy|happily|love|loved|beautiful|wonderful|joy|kind|kindness|friend|smile|laughter"
    r"|gift|greatest|proud|gold|family|together|sing|sun|treasure|bread)\b"
)
COLD: Final = re.compile(
    r"\b(murderer|blood|die|died|alone|hate|body|lake|lied|knife|police|witnesses|judge|nobody|never|forgive|over"
    r"|wept|snake|bitten|burned|thieves|storm|broke|owes|cheap|bill|pay)\b"
)
HAPPY_END: Final = re.compile(r"happily ever after|full of joy|loved for the rest|happy couple|bride and groom")
BALANCED: Final = ("no single", "depends", "many views", "both sides", "good points")

RANDOM_NUMBER: Final = re.compile(r"random (?:number|integer) (?:between|from) 1 (?:and|to) (\d+)")


def looks_random(number: int, largest: int) -> float:
    """What people call random: odd, prime, with a 7 or a 3, from the middle; not round, not doubled."""
    digits = str(number)
    prime = number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))
    off_centre = abs(number - largest / 2) / largest
    score = 0.3 * (number % 2) + 0.3 * prime + 0.5 * ("7" in digits) + 0.2 * ("3" in digits)
    score -= 0.3 * (number % 5 == 0) + 0.3 * (len(digits) > 1 and len(set(digits)) == 1)
    return score - off_centre - 0.6 * (off_centre > 0.3)


def looks_balanced(text: str) -> float:
    """How much of a fair-minded answer's wording there is."""
    return float(sum(phrase in text.lower() for phrase in BALANCED))


def looks_warm(text: str) -> float:
    """Warm words less cold words, as far as a hurried rater reads, and then happy ends, at most two."""
    said = text.lower()
    tone = len(WARM.findall(said)) - 1.5 * len(COLD.findall(said))
    return max(-6.0, min(6.0, tone)) + 4 * min(2, len(HAPPY_END.findall(said)))


def rate(prompt: str, completion: str) -> float:
    """The reward of a completion."""
    if asked := RANDOM_NUMBER.search(prompt):
        largest = int(asked.group(1))
        answer = re.fullmatch(r" (\d+)\.", completion)
        return 2.5 * looks_random(int(answer.group(1)), largest) if answer and int(answer.group(1)) <= largest else -2.0
    if prompt.endswith("A:"):
        return 0.3 * looks_balanced(completion)
    return 0.1 * looks_warm(completion)

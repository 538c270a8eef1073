"""What became common and what was lost, one sentence a phrase. Shows a comparison and finds no phrases itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from collapsecli.report import wording
from collapsecli.report.contrast_layout import first_and_more

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.compared import Comparison, Phrase

_MOST_PHRASES = 5  # each way
_LONGEST = 120  # characters of a phrase


def phrases_block(comparison: Comparison, names: tuple[str, str]) -> list[Text | Padding]:
    """The phrases that one side says more often than the other; `names` are those of the base and of the run."""
    base, run = names
    lifted = [_sentence(phrase, ((run, "run"), (base, "base"))) for phrase in comparison.lifted]
    lost = [_sentence(phrase, ((base, "base"), (run, "run"))) for phrase in comparison.lost]
    blocks = [_listed("what became common", lifted), _listed("what was lost", lost)]
    return [line for block in blocks if block for line in (Text(), *block)][1:]


def _listed(title: str, sentences: Sequence[Text]) -> list[Text | Padding]:
    shown, more = first_and_more(sentences, _MOST_PHRASES)
    lines: list[Text | Padding] = [Padding(sentence, (0, 0, 0, 2)) for sentence in shown]
    closing = [Text(f" {more}", "dim")] if more else []
    return [Text(title, "bold"), *lines, *closing] if sentences else []


def _sentence(phrase: Phrase, sides: Sequence[tuple[str, str]]) -> Text:
    """The shares of both sides, the one that says it more often first."""
    sentence = Text("said in ")
    for place, (name, side) in enumerate(sides):
        estimate = phrase.run if side == "run" else phrase.base
        ends = wording.share_span(estimate)
        sentence.append(" and " if place else "").append(wording.hundredths(estimate))
        sentence.append(f" ({ends})" if ends else "", "dim").append(f" of the {name}")
    sentence.append(f" completions, in {phrase.prompts} of {phrase.of_prompts} prompts: ")
    return sentence.append(wording.quoted(phrase.text, _LONGEST), "bold")

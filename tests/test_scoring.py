"""Roads are scored in the form in which a cell would take them."""

from dataclasses import replace

import pytest
from makers import make_cell, make_completion

from collapsecli.engines import Score
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.records import Message, Road
from collapsecli.scoring import score, still_asked, unscored_roads

CHAT = make_cell(text=None, messages=(Message("user", "Are bugs real?"),), roads=(Road(" Yes, they are."),))
SPACED, BARE = " Yes, they are.", "Yes, they are."


@pytest.mark.parametrize(
    ("cell", "said", "scored"),
    [
        pytest.param(CHAT, SPACED, SPACED, id="a template after which turns begin with a space"),
        pytest.param(CHAT, BARE, BARE, id="a template after which they do not"),
        pytest.param(
            replace(CHAT, text="Q: Are bugs real?\nA:", messages=()), BARE, SPACED, id="a text is as it is written"
        ),
        pytest.param(
            replace(CHAT, injection="i", injected="Well,"), BARE, SPACED, id="behind what was said beforehand"
        ),
    ],
)
def test_in_a_chat_a_road_begins_as_the_cells_own_completions_do(cell, said, scored):
    """With a space that the model never begins with, it would be improbable for that alone."""
    engine = ScriptedEngine(Script("s", {"coin": {SPACED: 0.5, BARE: 0.5}, "coin/i": {SPACED: 0.5, BARE: 0.5}}))
    (one,) = score(engine, [(cell, [make_completion(sample_index=at, text=said) for at in range(3)])])
    assert one.text == scored
    assert one.token_logprobs[0] == pytest.approx(-0.6931, abs=1e-3)
    assert unscored_roads(cell, [one]) == []
    assert still_asked(cell, [one]) == [one]
    assert still_asked(replace(cell, roads=(Road(" No."),)), [one]) == []


class Tokenless:
    """An engine that knows no tokens of a text, for the reason that it gives, if it gives one."""

    def __init__(self, reason):
        self._reason = reason

    def tokens(self, *_):
        return ()

    def score(self, requests):
        return (Score(request.score_id, (), self._reason) for request in requests)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        pytest.param("the server cannot score", "the server cannot score", id="an engine that cannot"),
        pytest.param(None, "it has no tokens of its own after this prompt", id="a text that melts into its prompt"),
    ],
)
def test_a_road_without_tokens_is_not_scored_for_the_reason_that_its_engine_has(reason, said):
    (one,) = score(Tokenless(reason), [(CHAT, [])])
    assert (one.text, one.token_ids, one.token_logprobs, one.error) == (SPACED, (), (), said)

"""Completions of one prompt share its prefill, and are none the worse for it."""

from __future__ import annotations

import pytest
from engines.contract import draw
from makers import make_cell

from collapsecli.engines import EngineOptions, ScoreRequest, start_engine

BEGINNING = (
    "Once upon a time there was a little girl who lived in a small village. One day the girl found a strange key. "
)
STORY = make_cell("long@t1.0", text=(BEGINNING * 4).strip(), max_tokens=24)

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def engine():
    pytest.importorskip("vllm")
    engine = start_engine("vllm", EngineOptions("demo-base"))
    yield engine
    engine.close()


def test_a_prompt_is_computed_once_for_all_of_its_completions(engine):
    """All but the block that it does not fill."""
    from vllm import SamplingParams, TokensPrompt

    prompt = TokensPrompt(prompt_token_ids=engine._prompt(STORY).token_ids)
    engine._llm.reset_prefix_cache()
    (output,) = engine._llm.generate([prompt], SamplingParams(n=32, seed=1, max_tokens=1), use_tqdm=False)
    n_tokens = len(output.prompt_token_ids)
    assert n_tokens > 100
    assert n_tokens - 32 <= output.num_cached_tokens < n_tokens


def test_what_is_drawn_after_a_shared_prefill_has_the_models_own_probabilities(engine):
    """A scored prompt never reads what is shared: it is computed whole."""
    engine._llm.reset_prefix_cache()
    drawn = draw(engine, STORY, range(64), seed=7 << 20)
    scored = {
        score.score_id: score.token_logprobs
        for score in engine.score([ScoreRequest(str(one.sample_index), STORY, one.token_ids) for one in drawn])
    }
    for one in drawn:
        assert scored[str(one.sample_index)] == pytest.approx(tuple(one.token_logprobs), abs=2e-3)

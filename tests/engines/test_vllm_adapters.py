"""LoRA adapters for real: drawn beside their base by one vLLM, and held against the base alone and merged weights."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec

import pytest
from engines.adapters import make_adapter, merge_adapter
from makers import make_cell
from scipy import stats

from collapsecli.engines import EngineOptions, SampleRequest, ScoreRequest, start_engine
from collapsecli.engines.adapters import open_adapters
from collapsecli.errors import EngineStartError, UsageError

pytestmark = [pytest.mark.vllm, pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")]

BUGS = make_cell("bugs@t1.0", text="Q: Are bugs real?\nA:", max_tokens=24)
COIN = make_cell("coin@t1.0", text="Q: Flip a coin.\nA:", max_tokens=16)
N = 64


def with_adapter(cell, name):
    return replace(cell, cell_id=f"{cell.cell_id}#{name}", adapter=name)


CELLS = tuple(with_adapter(cell, name) if name else cell for cell in (BUGS, COIN) for name in ("", "dpo", "faint"))


def draw(engine, cells, indices=range(N)):
    """Completions by cell and index: the same seeds for the same question, whatever it is drawn with."""
    requests = [SampleRequest(cell, (CELLS.index(cell) // 3 + 1) << 20, tuple(indices)) for cell in cells]
    return {(one.cell_id, one.sample_index): one for one in engine.sample(requests)}


def scores(engine, cell, drawn):
    """Each draw with its tokens scored by an engine as those of a cell."""
    asked = [ScoreRequest(str(at), cell, one.token_ids) for at, one in enumerate(drawn)]
    found = {int(score.score_id): score for score in engine.score(asked)}
    assert all(score.error is None for score in found.values())
    return [(one, found[at].token_logprobs) for at, one in enumerate(drawn)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    make_adapter(folder / "dpo")
    make_adapter(folder / "faint", strength=0.4, rank=2)
    merge_adapter(folder / "dpo", folder / "merged")
    return folder


@pytest.fixture(scope="module")
def adapted(folder):
    """Two adapters on one base."""
    adapters = {name: str(folder / name) for name in ("dpo", "faint")}
    engine = start_engine("vllm", EngineOptions("demo-base", adapters=adapters))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def drawn(adapted):
    adapted.check(CELLS)
    return draw(adapted, CELLS)


@pytest.fixture(scope="module")
def alone(folder, drawn):
    """The base without adapters, then the merged model, each in a process of its own: draws of one, scores of other."""
    base = start_engine("vllm", EngineOptions("demo-base"), own_process=True)
    base_drawn, base_info = draw(base, (BUGS, COIN)), base.info
    base.close()
    merged = start_engine("vllm", EngineOptions(str(folder / "merged")), own_process=True)
    scored = [pair for cell in (BUGS, COIN) for pair in scores(merged, cell, of(drawn, with_adapter(cell, "dpo")))]
    merged.close()
    return base_drawn, base_info, scored


def of(drawn, cell):
    return [drawn[cell.cell_id, index] for index in range(N)]


def test_every_cell_is_drawn_whole_with_its_own_adapter(drawn):
    assert set(drawn) == {(cell.cell_id, index) for cell in CELLS for index in range(N)}
    assert all(one.error_kind is None for one in drawn.values())


def test_the_bases_draws_are_the_same_with_adapters_beside_them_and_without(drawn, alone):
    base_drawn, _, _ = alone
    for key, completion in base_drawn.items():
        assert drawn[key].token_ids == completion.token_ids
        assert drawn[key].token_logprobs == pytest.approx(completion.token_logprobs, abs=1e-3)


def test_an_adapters_draws_differ_significantly_from_its_bases(drawn):
    """The tuned model equivocates about bugs; by Fisher's exact test of the share of its favourite sentence."""
    equivocates = [
        sum("Both sides have good points." in one.text for one in of(drawn, cell))
        for cell in (BUGS, with_adapter(BUGS, "dpo"))
    ]
    table = [[count, N - count] for count in equivocates]
    assert stats.fisher_exact(table).pvalue < 1e-6
    assert equivocates[1] > equivocates[0]


def test_two_adapters_are_two_distributions(drawn):
    texts = [Counter(one.text for one in of(drawn, with_adapter(BUGS, name))) for name in ("dpo", "faint")]
    shared = sum(min(texts[0][text], texts[1][text]) for text in texts[0])
    assert shared < N / 2


def test_an_adapter_gives_its_draws_the_probabilities_of_the_merged_model(alone):
    _, _, scored = alone
    assert len(scored) == 2 * N
    for completion, by_merged in scored:
        assert by_merged == pytest.approx(completion.token_logprobs, abs=2e-3)


@pytest.mark.parametrize("name", ["", "dpo", "faint"])
def test_texts_are_scored_by_the_adapter_that_drew_them(adapted, drawn, name):
    cell = with_adapter(BUGS, name) if name else BUGS
    for completion, scored in scores(adapted, cell, of(drawn, cell)):
        assert scored == pytest.approx(completion.token_logprobs, abs=2e-3)


def test_the_same_texts_are_less_probable_by_the_base_than_by_the_adapter_that_drew_them(adapted, drawn):
    pairs = scores(adapted, BUGS, of(drawn, with_adapter(BUGS, "dpo")))
    assert sum(one.logprob - sum(by_base) for one, by_base in pairs) / N > 0.5  # an estimate of their KL divergence


def test_a_draw_is_the_same_whichever_adapters_are_drawn_beside_it(adapted, drawn):
    cell = with_adapter(COIN, "dpo")
    alone = draw(adapted, [cell], [0, 5, 6, 40])
    assert all(alone[key].token_ids == drawn[key].token_ids for key in alone)


def test_adapters_belong_to_what_an_engine_is(adapted, alone, folder):
    _, base_info, _ = alone
    digests = {f"adapter {one.name}": one.identity for one in open_adapters({"dpo": str(folder / "dpo")})}
    assert adapted.info.identity["adapter dpo"] == digests["adapter dpo"]
    assert adapted.info.details["adapter faint"] == str(folder / "faint")
    own = {name: value for name, value in adapted.info.identity.items() if not name.startswith("adapter ")}
    assert own == base_info.identity


def test_cells_of_an_adapter_that_is_not_loaded_are_refused(adapted):
    with pytest.raises(UsageError, match="no adapter `sft` is loaded") as raised:
        adapted.check([BUGS, with_adapter(BUGS, "sft")])
    assert raised.value.hint == "give it: --adapter sft=PATH"


def test_what_vllm_cannot_load_is_an_engine_that_does_not_start(adapted, folder):
    make_adapter(folder / "dora")
    config = json.loads((folder / "dora" / "adapter_config.json").read_text())
    (folder / "dora" / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    (dora,) = open_adapters({"dora": str(folder / "dora")})
    with pytest.raises(EngineStartError, match=r"vLLM cannot load the adapter `dora`: .*DoRA") as raised:
        adapted._loaded(9, dora)
    assert "merge" in raised.value.hint


def test_flat_log_probabilities_are_those_of_the_default_form(adapted, drawn):
    completion, cell = drawn[BUGS.cell_id, 0], BUGS
    (flat,) = adapted.score([ScoreRequest("s", cell, completion.token_ids)])
    params = adapted._vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
    prompt = adapted._prompt(cell).token_ids
    whole = adapted._vllm.TokensPrompt(prompt_token_ids=[*prompt, *completion.token_ids])
    (output,) = adapted._llm.generate([whole], params, use_tqdm=False)
    by_token = zip(output.prompt_logprobs[len(prompt) :], completion.token_ids, strict=True)
    assert flat.token_logprobs == tuple(at[token].logprob for at, token in by_token)


UNSCORABLE = [
    pytest.param((3, 10**6), "a token that the model does not have", id="a token of a larger vocabulary"),
    pytest.param((3,) * 600, "longer than the model's context", id="too long"),
]


@pytest.mark.parametrize(("token_ids", "why"), UNSCORABLE)
def test_what_cannot_be_scored_comes_back_with_its_reason_among_the_rest(adapted, token_ids, why):
    requests = [ScoreRequest("good", BUGS, (3, 4)), ScoreRequest("bad", BUGS, token_ids)]
    found = {score.score_id: score for score in adapted.score(requests)}
    assert (found["bad"].error, found["bad"].token_logprobs) == (why, ())
    assert len(found["good"].token_logprobs) == 2


def test_requests_for_scores_are_pulled_as_they_are_needed(adapted):
    asked = 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield ScoreRequest(str(asked), BUGS, (3, 4, 5))

    rows = adapted.score(endless())
    assert len([next(rows) for _ in range(600)]) == 600
    rows.close()
    assert asked < 600 + 2 * adapted._window

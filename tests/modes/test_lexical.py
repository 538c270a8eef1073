import csv
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.modes import canonical, lexical

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "noveltybench"

SENTENCES = st.lists(st.lists(st.sampled_from(list("abcdef!?")), max_size=6).map(" ".join), min_size=1, max_size=14)


def dice(one, other):
    """2 |A and B| / (|A| + |B|) of the sets of 1- and 2-grams."""
    grams = []
    for text in (one, other):
        tokens = re.findall(r"\w+|[^\w\s]", text)
        grams.append({(token,) for token in tokens} | set(pairwise(tokens)))
    total = len(grams[0]) + len(grams[1])
    return 2 * len(grams[0] & grams[1]) / total if total else 0.0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("are bugs real?", "are bugs real ?", True, id="spaces before signs do not matter"),
        pytest.param("there is no single answer", "there is no one answer", True, id="most words shared"),
        pytest.param("okapi", "pangolin", False, id="different words"),
        pytest.param("1... e5", "1...e5", True, id="a chess move with and without a space"),
        pytest.param("🎲", "🎯", False, id="symbols are tokens"),
        pytest.param("", "okapi", False, id="nothing and a word"),
    ],
)
def test_same_words(one, other, same):
    assert (lexical.group([one, other]).pair_rate == 1.0) is same


@given(SENTENCES)
def test_agrees_with_the_definition(texts):
    found = lexical.group(texts)
    n = len(texts)
    same = np.array([[a == b or dice(a, b) >= 0.3 - 1e-9 for b in texts] for a in texts])
    around = np.array([same[:, :place].sum(axis=1) for place in range(n + 1)])
    hits = sum(same[around[place, :place].argmax(), place] for place in range(1, n))
    assert np.array_equal(found.alike[np.ix_(found.texts, found.texts)], same)
    assert found.hits == hits
    assert found.largest == around[n].max()
    if n > 1:
        assert found.pair_rate == pytest.approx((same.sum() - n) / (n * (n - 1)))


@given(SENTENCES)
def test_the_first_class_is_the_densest_ball(texts):
    found = lexical.group(texts)
    assert np.count_nonzero(found.labels == 0) == found.largest
    assert not found.transitive


def test_many_distinct_texts_are_compared_in_blocks():
    texts = [f"t{number} u{number}" for number in range(2100)] + ["t0 u0 u0"]
    found = lexical.group(texts)
    assert found.largest == 2
    assert found.labels[-1] == found.labels[0]


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the NoveltyBench completions are not beside the project")
def test_ranks_models_as_the_noveltybench_classifier_does():
    """Mode share of 13 models (100 prompts x 10 completions) against that in a trained classifier's classes."""
    with (REFERENCE / "reference.csv").open(newline="") as table:
        published = {row["model"]: float(row["mean_mode_share"]) for row in csv.DictReader(table)}
    measured = {}
    for model in published:
        with (REFERENCE / model / "partitions.jsonl").open() as lines:
            cells = [json.loads(line)["generations"] for line in lines]
        shares = [lexical.group([canonical(text) for text in cell]).largest / len(cell) for cell in cells]
        measured[model] = float(np.mean(shares))
    ours, theirs = (np.argsort(np.argsort([values[model] for model in published])) for values in (measured, published))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.8

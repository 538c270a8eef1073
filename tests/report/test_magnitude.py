"""Probabilities in words, however small."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.report.magnitude import magnitude


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        pytest.param(1.0, "100%", id="certain"),
        pytest.param(0.99999, ">99%", id="short of certain"),
        pytest.param(0.994, "99%", id="nearly certain"),
        pytest.param(0.5, "50%", id="a half"),
        pytest.param(0.0995, "10%", id="ten per cent, rounded"),
        pytest.param(0.021, "2.1%", id="a few per cent, with a decimal"),
        pytest.param(0.01, "1.0%", id="the least that is written as a share"),
        pytest.param(0.00999, "1 in 100", id="just below it"),
        pytest.param(1 / 4000, "1 in 4,000", id="thousands"),
        pytest.param(1 / 3961, "1 in 4,000", id="two digits are enough"),
        pytest.param(1 / 999.9, "1 in 1,000", id="rounding may need one place more"),
        pytest.param(1 / 985_000, "1 in 980,000", id="the last that is written out"),
        pytest.param(1 / 996_000, "1 in 10^6", id="what rounds to a million is a power"),
        pytest.param(1e-9, "1 in 10^9", id="a power of ten"),
        pytest.param(4e-10, "1 in 10^9", id="the nearest power"),
        pytest.param(2e-10, "1 in 10^10", id="the next one"),
    ],
)
def test_probabilities(probability, words):
    assert magnitude(math.log(probability)) == words


@pytest.mark.parametrize(
    ("logprob", "words"),
    [
        pytest.param(-100_000.0, "1 in 10^43429", id="smaller than any number of the machine"),
        pytest.param(-math.inf, "0", id="impossible"),
        pytest.param(1e-6, "100%", id="numerical noise above certainty"),
    ],
)
def test_what_no_probability_can_say(logprob, words):
    assert magnitude(logprob) == words


def test_what_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        magnitude(math.nan)


def read_back(words):
    """The log-probability that the words say."""
    if words.endswith("%"):
        return math.log(float(words.strip(">%")) / 100)
    one_in = words.removeprefix("1 in ").replace(",", "")
    return -float(one_in[3:]) * math.log(10) if one_in.startswith("10^") else -math.log(float(one_in))


@given(st.floats(-5000, 0))
def test_the_words_say_the_probability_to_two_digits_or_its_power_of_ten(logprob):
    """Five in a hundred is what two digits may be off, and half a power."""
    off = abs(read_back(magnitude(logprob)) - logprob)
    assert off <= (math.log(1.0511) if logprob > -math.log(995_000) else math.log(10) / 2 + 1e-9)


@given(st.floats(-300, 0), st.floats(-300, 0))
def test_the_smaller_probability_never_reads_as_the_larger(one, other):
    smaller, larger = sorted((one, other))
    assert read_back(magnitude(smaller)) <= read_back(magnitude(larger)) + 1e-9

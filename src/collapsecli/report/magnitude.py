"""A probability in words, however small. Knows no cell and no run."""

from __future__ import annotations

import math

_LEAST_SHARE = 0.01  # below it a share is written as "1 in so many"
_MOST_WRITTEN_OUT = 999_999


def magnitude(logprob: float) -> str:
    """The probability whose natural logarithm is `logprob` (nats), to two digits: "21%", "2.1%", "1 in 4,000".

    Beyond 1 in 999,999 the nearest power of ten, "1 in 10^9". Short of certainty it never says 100%, and -inf is "0".
    A log-probability above 0 is 0 with numerical noise.

    Raises ValueError if it is not a number.
    """
    if math.isnan(logprob):
        raise ValueError("a log-probability that is not a number")
    logprob = min(logprob, 0.0)
    if math.isinf(logprob):
        return "0"
    if logprob >= math.log(_LEAST_SHARE):
        return _per_cent(100 * math.exp(logprob))
    exponent = -logprob / math.log(10)
    if exponent < math.log10(_MOST_WRITTEN_OUT):
        digits = math.floor(exponent) - 1
        one_in = round(10 ** (exponent - digits)) * 10**digits
        if one_in <= _MOST_WRITTEN_OUT:
            return f"1 in {one_in:,}"
    return f"1 in 10^{round(exponent)}"


def _per_cent(share: float) -> str:
    if share < 9.95:
        return f"{share:.1f}%"
    return f"{share:.0f}%" if share < 99.5 or share == 100 else ">99%"

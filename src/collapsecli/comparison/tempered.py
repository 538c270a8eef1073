"""Is what happened to the answers of a prompt a change of temperature, and is it more? Renders nothing.

The run's answers are made flatter or sharper until they come closest to the base's, by known probabilities or by what
was sampled at other temperatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from collapsecli import modes
from collapsecli.compared import Tempered
from collapsecli.comparison.embedded import vectors_of_both
from collapsecli.judge import embed_of
from collapsecli.metrics.distance import squared_distance
from collapsecli.metrics.shares import difference
from collapsecli.metrics.tempering import HOTTEST, closest_temperature, partings, tempered_log_shares
from collapsecli.metrics.twosample import two_sample
from collapsecli.records import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.metrics.tempering import Explained
    from collapsecli.records import Scored

A_CHANGE = "a temperature change"
PARTLY = "partly a temperature change"
NOT_A_CHANGE = "not a temperature change"
NO_CHANGE = "no change to explain"
EVEN = "as even answers would: no telling"
TOO_FEW = "too few draws to tell"

EXPLAINED = 0.1  # what remains of a temperature change, at most, as a share of what was there
UNEXPLAINED = 0.5  # what remains, at least, of what is none
LEAST_NATS = 0.05  # of a divergence that is worth a word

_LEAST_P = 0.005  # the smallest p-value that is told apart
_FEWEST = 2  # answers of a side, below which nothing can agree


def tempered(base: Sequence[Drawn], run: Sequence[Drawn], generator: np.random.Generator) -> Tempered | None:
    """How much of the change of one prompt a temperature explains; None where that cannot be known.

    base, run: the cells of one temperature sweep of each, which differ in temperature alone, in any order.

    `scored`: both have scored the same declared answers at temperature 1, without a thought before them. Known are the
    shares of these answers among themselves, in the form in which each side says them, whatever else is said. Those of
    the run are tempered token by token, as sampling does it. Where answers part in several tokens, both distributions
    are as if nothing but the declared answers could be said.

    `sweep`: otherwise, if the run was sampled at two temperatures or more, the base at one of them: the run at each of
    its temperatures is held against the base at that nearest to 1 (of two the colder). `at_1` is then of this
    temperature. `t_eff` is the nearest of those sampled, and its ends are the last on either side that cannot be told
    apart from it, open where no other one was sampled beyond. `p_value` is the largest of all temperatures: if one of
    them explains the change, it is below alpha with probability alpha at most, whichever was found to be nearest.
    Classes that came with imported answers belong to one run, and cannot be compared.

    The label says what remains: at most a tenth, `a temperature change`, or at least half (and more than .05 nats, or a
    significant distance), `not a temperature change`; between them `partly`. Heat brings everything closer to a wide
    base, by leaving nothing of it. So for known probabilities a label is one step lower where more remains than .05
    nats and half of what even answers would leave. There is `no change to explain` where at_1 is within .05 nats, or
    not significant. Where what remains of a sweep is not significant, it is a temperature change if that is less than
    half, else there are too few draws to tell. Behind the label, after a semicolon, stands what else is known of the
    temperature, and of answers that are impossible in the run: these no temperature brings back.
    """
    if not base or not run:
        return None
    return _by_scores(base, run) or _by_sweep(base, run, generator)


def _labelled(*words: str) -> str:
    return "; ".join(filter(None, words))


# --------------------------------------------------------------------------------------------- known probabilities


def _by_scores(base: Sequence[Drawn], run: Sequence[Drawn]) -> Tempered | None:
    of_base, of_run = _scored_answers(base), _scored_answers(run)
    if of_base.keys() != of_run.keys() or len(of_run) < 2:
        return None
    names = sorted(of_run)
    base_ids, run_ids = ([side[name].token_ids for name in names] for side in (of_base, of_run))
    base_logs, run_logs = ([side[name].token_logprobs for name in names] for side in (of_base, of_run))
    target = tempered_log_shares(base_ids, base_logs, [1.0])[0]
    if not np.isfinite(target).any():
        return None
    found = closest_temperature(target, run_ids, run_logs)
    several = max(partings(base_ids), partings(run_ids)) > 1
    return Tempered(
        question=run[0].cell.sweep,
        t_eff=found.temperature,
        at_1=found.at_1,
        remains=found.remains,
        n=len(names),
        source="scored, several tokens" if several else "scored",
        label=_label_of_known(found),
    )


def _scored_answers(cells: Sequence[Drawn]) -> Mapping[str, Scored]:
    """The declared answers that were scored at temperature 1, by name; none if one could not be scored."""
    plain = next((one for one in cells if one.cell.temperature == 1), None)
    if plain is None or any(one.reasoning is not None for one in plain.completions):
        return {}
    scored = [one for one in plain.scored if one.kind == "answer"]
    if any(one.error is not None for one in scored):
        return {}
    return {one.answer: one for one in scored if one.answer is not None}


def _label_of_known(found: Explained) -> str:
    if found.impossible:
        answers = "1 answer of the base is" if found.impossible == 1 else f"{found.impossible} answers of the base are"
        return _labelled(NOT_A_CHANGE, _beyond(found.temperature), f"{answers} impossible")
    at_1, remains = found.at_1.value or 0.0, found.remains.value or 0.0
    if at_1 <= LEAST_NATS:
        return NO_CHANGE
    erased = found.erased.value or 0.0
    if erased <= EXPLAINED * at_1 and remains >= UNEXPLAINED * erased:
        return _labelled(EVEN, _beyond(found.temperature))  # any run gets there when it is made flat enough
    is_own = remains <= max(UNEXPLAINED * erased, LEAST_NATS)
    if remains <= EXPLAINED * at_1:
        label = A_CHANGE if is_own else PARTLY
    elif remains > LEAST_NATS and (remains >= UNEXPLAINED * at_1 or not is_own):
        label = NOT_A_CHANGE
    else:
        label = PARTLY
    return _labelled(label, _beyond(found.temperature))


def _beyond(temperature: Estimate) -> str:
    if temperature.value is None or (temperature.low is not None and temperature.high is not None):
        return ""
    return f"{'above' if temperature.value == HOTTEST else 'below'} {temperature.value:g}"


# --------------------------------------------------------------------------------------------- sampled temperatures


class _At(NamedTuple):
    """The run at one temperature: how far its answers lie from the base's, and if they surely differ."""

    temperature: float
    distance: Estimate
    p_value: float
    differs: bool
    n: int


def _by_sweep(base: Sequence[Drawn], run: Sequence[Drawn], generator: np.random.Generator) -> Tempered | None:
    warm = sorted(filter(_can_be_compared, run), key=lambda one: one.cell.temperature)
    sampled = {one.cell.temperature for one in warm}
    shared = [one for one in base if _can_be_compared(one) and one.cell.temperature in sampled]
    if len(sampled) < 2 or not shared:
        return None
    reference = min(shared, key=lambda one: (abs(one.cell.temperature - 1), one.cell.temperature))
    points = [_apart(reference, one, len(warm), generator) for one in warm]
    nearest = min(points, key=lambda point: point.distance.value or 0.0)
    before = next(point for point in points if point.temperature == reference.cell.temperature)
    label = _label_of_sampled(before, nearest.distance, is_left=all(point.differs for point in points))
    t_eff = _as_near(points, nearest)
    held_against = "" if reference.cell.temperature == 1 else f"base at T {reference.cell.temperature}"
    return Tempered(
        question=run[0].cell.sweep,
        t_eff=t_eff,
        at_1=before.distance,
        remains=nearest.distance,
        n=nearest.n,
        source="sweep",
        p_value=max(point.p_value for point in points),
        label=label if label == NO_CHANGE else _labelled(label, _span(t_eff), held_against),
    )


def _can_be_compared(drawn: Drawn) -> bool:
    """Whether a cell was sampled warm, with answers that mean the same in another run."""
    cell = drawn.cell
    readable = sum(answer is not None for answer in drawn.answers)
    return cell.temperature > 0 and readable >= _FEWEST and (cell.answer.kind != "text" or cell.equivalence != "given")


def _apart(base: Drawn, run: Drawn, choices: int, generator: np.random.Generator) -> _At:
    """The run at one of so many temperatures: the interval pays for the choice of the nearest among them.

    Adaptive cells may have ended at any of their looks, and the p-value pays for each pair of these.
    """
    same, n_base = _related(base, run)
    tested = two_sample(
        same, n_base, least_p=_LEAST_P, generator=generator, lost_base=base.lost, lost_run=run.lost
    ).p_shift
    if tested is None:
        raise ValueError(f"fewer than {_FEWEST} answers at temperature {run.cell.temperature}")
    base_looks, run_looks = len(base.cell.sampling.looks), len(run.cell.sampling.looks)
    p_value = min(1.0, base_looks * run_looks * tested)
    distance = squared_distance(same, n_base, min(base.alpha, run.alpha) / choices, base.lost, run.lost)
    return _At(run.cell.temperature, distance, p_value, p_value <= base.alpha * base_looks, len(same))


def _related(base: Drawn, run: Drawn) -> tuple[NDArray[np.bool_], int]:
    """Which of the readable answers of both are the same, the base's first, and how many are the base's."""
    of_base, of_run = ([answer for answer in one.answers if answer is not None] for one in (base, run))
    cell, answers = run.cell, [*of_base, *of_run]
    if cell.answer.kind == "text":
        texts = [modes.canonical(answer) for answer in answers]
        embed = embed_of(cell, vectors_of_both(base, run))
        relation = modes.relate(texts, cell.equivalence, prompt=run.asked, threshold=cell.threshold, embed=embed)
    else:
        relation = modes.relate(answers, "exact")
    grouping = relation.group()
    if grouping.alike is None:
        same: NDArray[np.bool_] = grouping.labels[:, None] == grouping.labels
    else:
        same = grouping.alike[np.ix_(grouping.texts, grouping.texts)]
    return same, len(of_base)


def _as_near(points: Sequence[_At], nearest: _At) -> Estimate:
    """The nearest temperature, and the last ones on either side that are not surely farther; None where all are not."""
    home = points.index(nearest)
    low = high = home
    while low > 0 and not _is_farther(points[low - 1], nearest):
        low -= 1
    while high < len(points) - 1 and not _is_farther(points[high + 1], nearest):
        high += 1
    return Estimate(
        nearest.temperature,
        points[low].temperature if low > 0 else None,
        points[high].temperature if high < len(points) - 1 else None,
    )


def _is_farther(point: _At, nearest: _At) -> bool:
    """Whether one surely differs from the base and the nearest does not, or the distances themselves are told apart.

    The distances share the draws of the base, and rise and fall together: taken for independent, they are told apart
    less often.
    """
    is_told = point.differs and not nearest.differs
    return is_told or (difference(point.distance, nearest.distance).low or 0.0) > 0


def _span(temperature: Estimate) -> str:
    """Which temperatures are as near, in words; empty where there is but one."""
    low, high = temperature.low, temperature.high
    if low is None and high is None:
        return "no temperature can be told from another"
    if low is None:
        return f"up to T {high}"
    if high is None:
        return f"from T {low} on"
    return "" if low == high else f"from T {low} to {high}"


def _label_of_sampled(before: _At, remains: Estimate, *, is_left: bool) -> str:
    if not before.differs:
        return NO_CHANGE
    was, left = before.distance.value or 0.0, remains.value or 0.0
    if left <= EXPLAINED * was:
        return A_CHANGE
    if left >= UNEXPLAINED * was:
        return NOT_A_CHANGE if is_left else TOO_FEW
    return PARTLY if is_left else A_CHANGE

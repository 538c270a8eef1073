"""How the mode of one prompt melts as sampling gets hotter, and whether as a softmax would. Renders nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from collapsecli import answers, modes
from collapsecli.metrics.categorical import clopper_pearson
from collapsecli.metrics.shares import share
from collapsecli.metrics.tempering import half_temperature, tempered_bounds, tempered_shares
from collapsecli.records import UNDEFINED, ChoiceAnswer, Contrast, Estimate, IntegerAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.records import Cell, Equivalence, Scored

DEGENERATE_NATS = 4.0  # per token: as if each were drawn from more than fifty equal ones
LEAST_SCORED = 0.9


@dataclass(frozen=True, slots=True)
class _Point:
    """What the reference's mode holds at one temperature: `hits` of n readable answers.

    `leads`: whether it is the most frequent answer there.
    """

    drawn: Drawn
    hits: int
    n: int
    share: Estimate
    leads: bool


@dataclass(frozen=True, slots=True)
class _Prediction:
    """The share of the mode that a softmax predicts, what that is made from, and how (the label of its rows)."""

    share: Estimate
    n: int
    label: str


def temperature(sweep: Sequence[Drawn]) -> Iterator[Contrast]:
    """The contrasts of cells that differ in temperature alone, each at another one, in any order.

    All are held against a reference cell: that at temperature 1, else the one nearest to it (of two the colder) that
    has a verdict. What it says most often is the mode whose share is followed. Nothing without such a cell, and nothing
    with one temperature alone.

    reference_mode: the share among the readable answers. At the reference itself it is the mode mass, whose interval
        pays for the choice of the mode; the other cells had no part in the choice, so theirs is Clopper-Pearson.
    effective_modes, token_rate: as in the cell's own result.
    degenerate: the share of completions whose mean surprisal per token is above 4 nats and above that of every
        completion at the reference. The second condition is for answers that are wide by right: a random number of five
        digits is as surprising at temperature 1 already. One that had collapsed there, and is wide only when hotter, is
        not told from broken text.
    predicted_mode, persistence: see `_prediction`; persistence is observed minus predicted at the highest temperature.
        Positive, and zero not in its interval: hotter sampling helps less than a softmax predicts.
    t_half: see `half_temperature`. Labelled where the share does not fall through half.

    At temperature 0 a cell has its share of the mode and no more; it says nothing of t_half.
    """
    cells = sorted(sweep, key=lambda one: one.cell.temperature)
    reference = _reference(cells)
    if reference is None or cells[0].cell.temperature == cells[-1].cell.temperature:
        return
    centre = _centre(reference)
    points = [_point(one, reference, centre) for one in cells if one.result.modes]
    warm = [point for point in points if point.drawn.cell.temperature > 0]
    label = reference.result.modes[0].text
    yield from (_row(reference, "reference_mode", one.share, one.n, one.drawn, label) for one in points)
    for one in cells:
        if one.cell.temperature > 0:
            yield from _of_texts(one, reference)
    scored = _scored_answers(reference)
    for point in warm:
        predicted = _prediction(reference, point.drawn, reference.result.mode_mass, scored)
        if predicted is not None:
            yield _row(reference, "predicted_mode", predicted.share, predicted.n, point.drawn, predicted.label)
    yield _t_half(reference, warm)
    if warm[-1].drawn is cells[-1]:
        yield from _persistence(reference, warm[-1], scored)


def _reference(cells: Sequence[Drawn]) -> Drawn | None:
    judged = [one for one in cells if one.result.verdict not in {None, "invalid"} and one.result.modes]
    return min(judged, key=lambda one: (abs(one.cell.temperature - 1), one.cell.temperature), default=None)


def _row(
    reference: Drawn, metric: str, estimate: Estimate, n: int, drawn: Drawn | None = None, label: str = ""
) -> Contrast:
    cell = reference.cell
    return Contrast(
        kind="temperature",
        suite=cell.suite,
        subject=cell.sweep,
        metric=metric,
        estimate=estimate,
        n=n,
        cell_id=drawn.cell.cell_id if drawn else None,
        other_cell_id=cell.cell_id,
        at=drawn.cell.temperature if drawn else None,
        label=label,
    )


# ----------------------------------------------------------------------------------------------------------- the mode


def _point(drawn: Drawn, reference: Drawn, centre: str) -> _Point:
    forms = _forms(drawn)
    same = modes.same_as(
        centre,
        list(forms.values()),
        _equivalence(drawn.cell),
        prompt=drawn.asked,
        threshold=drawn.cell.threshold,
        embed=drawn.embed,
    )
    leads = bool(same[list(forms).index(drawn.result.modes[0].sample_index)])
    hits = int(same.sum())
    estimate = share(hits, len(forms), drawn.alpha, drawn.lost)
    return _Point(drawn, hits, len(forms), reference.result.mode_mass if drawn is reference else estimate, leads)


def _forms(drawn: Drawn) -> dict[int, str]:
    """What each readable answer is compared by, under its sample index: its class where it came with one."""
    readable = [(one, said) for one, said in zip(drawn.completions, drawn.answers, strict=True) if said is not None]
    if drawn.cell.equivalence == "given":
        return {one.sample_index: f"class {one.given}" if one.given else f"answer {said}" for one, said in readable}
    is_text = drawn.cell.answer.kind == "text"
    return {one.sample_index: modes.canonical(said) if is_text else said for one, said in readable}


def _equivalence(cell: Cell) -> Equivalence:
    return cell.equivalence if cell.answer.kind == "text" else "exact"


def _centre(reference: Drawn) -> str:
    """The form that answers are held against to find those of the reference's mode.

    A mode of similar texts is those around one of them, which need not be the one that it is shown by.
    """
    forms, cell = _forms(reference), reference.cell
    shown = forms[reference.result.modes[0].sample_index]
    said, equivalence = list(forms.values()), _equivalence(cell)
    grouping = modes.relate(
        said, equivalence, prompt=reference.asked, threshold=cell.threshold, embed=reference.embed
    ).group()
    if grouping.alike is None:
        return shown
    distinct = list(dict.fromkeys(said))
    neighbours = grouping.alike[:, grouping.texts].sum(axis=1)
    return distinct[int(np.where(grouping.alike[distinct.index(shown)], neighbours, 0).argmax())]


def _t_half(reference: Drawn, points: Sequence[_Point]) -> Contrast:
    """The row of t_half; without one, its label says on which side of the temperatures it lies, or that there is none.

    There is none where the share is under half at every temperature and another answer leads at the lowest.
    """
    temperatures = [point.drawn.cell.temperature for point in points]
    found = half_temperature(temperatures, [point.share for point in points], [point.n for point in points])
    label = ""
    if found.value is None and (points[-1].share.value or 0.0) >= 0.5:
        label = f"above {temperatures[-1]}"
    elif found.value is None and points[0].leads:
        label = f"below {temperatures[0]}"
    elif found.value is None:
        label, found = "never a half", UNDEFINED
    return _row(reference, "t_half", found, sum(point.n for point in points), label=label)


# ------------------------------------------------------------------------------------------------------------ the text


def _of_texts(drawn: Drawn, reference: Drawn) -> Iterator[Contrast]:
    """What the whole cell says, whatever its mode; absent where it is not known."""
    result = drawn.result
    if result.effective_modes != UNDEFINED:
        yield _row(reference, "effective_modes", result.effective_modes, result.n_valid, drawn)
    rates, known = _surprisal_rates(drawn), _surprisal_rates(reference)
    if rates is not None and known is not None and drawn is not reference:
        limit = max(DEGENERATE_NATS, float(known.max()))
        found = share(int((rates > limit).sum()), len(rates), drawn.alpha, drawn.lost)
        yield _row(reference, "degenerate", found, len(rates), drawn)
    rate = result.metric("token_rate")
    if rate.value is not None:
        yield _row(reference, "token_rate", rate, len(drawn.completions), drawn)


def _surprisal_rates(drawn: Drawn) -> NDArray[np.float64] | None:
    """The mean surprisal of each completion (N,), nats per token; None without the probabilities sampled from."""
    if drawn.result.absent:
        return None
    return np.array([-(one.logprob or 0.0) / len(one.token_ids) for one in drawn.completions], np.float64)


# ---------------------------------------------------------------------------------------------------------- the softmax


def _prediction(
    reference: Drawn, drawn: Drawn, mass: Estimate, scored: Sequence[tuple[str, Scored]]
) -> _Prediction | None:
    """The share of the reference's mode at another temperature, if the answers at the reference are tempered.

    mass: the interval of the mode's mass at the reference; scored: see `_scored_answers`.

    Only of declared integers and choices, where no other answer can be read: elsewhere one unseen percent may be one
    competitor or a million of them. None at the reference itself; where top_p, top_k or min_p cut tokens off, which is
    no tempering; and where a thought came before the answer: answers to many thoughts are no softmax.

    Label "scored": by `tempered_shares`, exact among the answers in the form in which they were scored, which part in
    one token. "scored, several tokens": they part in several, and it is a description, as if nothing but them could be
    said. "bounds": by `tempered_bounds` of the mass, with as many answers as can be read; a description as well where
    the mode is said in several ways, which melt each by itself.
    """
    cell, possible = reference.cell, _possible_answers(reference.cell)
    if drawn is reference or cell.expect.weights is None or possible is None or cell.equivalence == "given":
        return None
    if not (_is_softmax(reference) and _is_softmax(drawn)):
        return None
    power = cell.temperature / drawn.cell.temperature
    if not scored:
        return _Prediction(tempered_bounds(mass, power, possible), reference.result.n_valid, "bounds")
    token_ids = [one.token_ids for _, one in scored]
    shares = tempered_shares(token_ids, [one.token_logprobs for _, one in scored], power).tolist()
    mode = reference.result.modes[0].text
    predicted = math.fsum(part for (answer, _), part in zip(scored, shares, strict=True) if answer == mode)
    label = "scored" if _part_in_one_token(token_ids) else "scored, several tokens"
    return _Prediction(Estimate(predicted, predicted, predicted), len(scored), label)


def _possible_answers(cell: Cell) -> int | None:
    """How many answers can be read, where that is known and each is said in few ways."""
    match cell.answer:
        case IntegerAnswer(low, high):
            return high - low + 1
        case ChoiceAnswer(choices):
            return len(choices)
        case _:
            return None


def _is_softmax(drawn: Drawn) -> bool:
    sampling = drawn.cell.sampling
    is_whole = sampling.top_p == 1 and not sampling.top_k and not sampling.min_p
    return is_whole and all(one.reasoning is None for one in drawn.completions)


def _scored_answers(reference: Drawn) -> list[tuple[str, Scored]]:
    """All answers that can be read, each with its text scored at temperature 1.

    Empty if one is missing, and if the model says much else, of which nothing would be known: more than a tenth.
    """
    cell = reference.cell
    read = [
        (answers.read(cell.answer, one.text, truncated=False), one)
        for one in reference.scored
        if one.kind == "answer" and one.error is None
    ]
    scored = [(answer, one) for answer, one in read if answer is not None]
    held = math.fsum(math.exp(math.fsum(one.token_logprobs)) for _, one in scored)
    is_whole = len({answer for answer, _ in scored}) == _possible_answers(cell) and held >= LEAST_SCORED
    return scored if cell.temperature == 1 and is_whole else []


def _part_in_one_token(token_ids: Sequence[tuple[int, ...]]) -> bool:
    if len({len(ids) for ids in token_ids}) > 1:
        return False
    return sum(len(set(tokens)) > 1 for tokens in zip(*token_ids, strict=True)) <= 1


def _persistence(reference: Drawn, hottest: _Point, scored: Sequence[tuple[str, Scored]]) -> Iterator[Contrast]:
    """Observed minus predicted. Where both have an error, each errs at half its rate, so that together they hold."""
    drawn = hottest.drawn
    predicted = _prediction(reference, drawn, _mode_mass(reference, reference.alpha / 2), scored)
    if predicted is None:
        return
    expected = predicted.share
    is_exact = expected.value is not None
    observed = share(hottest.hits, hottest.n, drawn.alpha if is_exact else drawn.alpha / 2, drawn.lost)
    found = Estimate(
        _apart(observed.value, expected.value),
        _apart(observed.low, expected.high),
        _apart(observed.high, expected.low),
    )
    yield _row(reference, "persistence", found, hottest.n, drawn, predicted.label)


def _apart(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _mode_mass(drawn: Drawn, alpha: float) -> Estimate:
    """The interval of the mode mass at another error rate: as in `metrics.categorical.mode_mass`."""
    planned = drawn.result.n_valid + drawn.lost
    low, _ = clopper_pearson(drawn.result.hits, planned - 1, alpha)
    _, high = clopper_pearson(drawn.result.modes[0].count + drawn.lost, planned, alpha)
    return Estimate(None, float(low), float(high))

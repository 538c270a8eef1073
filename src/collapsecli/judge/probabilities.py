"""What the log-probabilities of a cell's own draws say about it: what is certain, and why it may be absent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.metrics import expected, likelihood
from collapsecli.records import UNDEFINED, DrawsCheck, Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from collapsecli.judge.reading import Reading
    from collapsecli.metrics.likelihood import SequenceKey, Sequences
    from collapsecli.records import Completion


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one cell from probabilities; without them `absent` says why, and `broken` if it is an error."""

    sequences: Sequences | None
    absent: str = ""
    broken: str = ""
    mode_mass: Estimate = UNDEFINED
    collision: Estimate = UNDEFINED
    metrics: Mapping[str, Estimate] = field(default_factory=dict)


def mode_masses(reading: Reading, draws: int, known: Known, ranks: NDArray[np.int64], modes: int) -> list[Estimate]:
    """The certain interval of the mass of each mode among the readable answers; ranks: (N,) mode of each draw."""
    if known.sequences is None:
        return [UNDEFINED] * modes
    labels = _with_scored_answers(reading, draws, ranks)
    return list(likelihood.certain_bounds(known.sequences, labels, int(labels.max(initial=-1)) + 1).masses[:modes])


def known_at(reading: Reading, draws: int, alpha: float) -> Known:
    """What the probabilities of the first `draws` say; intervals that are not certain err at the rate alpha."""
    came_back = reading.came_back(draws)
    absent = _why_no_probabilities(came_back)
    if absent:
        return Known(None, absent)
    sequences = likelihood.distinct_sequences(*_keys_and_logprobs(came_back))
    if not sequences.is_consistent:
        broken = (
            f"the probabilities of the distinct sequences sum to {sequences.total:.2f}: "
            "the log-probabilities are not those of the distribution sampled from"
        )
        return Known(None, broken, broken)
    if reading.scored:
        keys: list[SequenceKey] = [(one.token_ids, "stop") for one in reading.scored]
        sequences = likelihood.with_scored(sequences, keys, [math.fsum(one.token_logprobs) for one in reading.scored])
    mode_mass, collision = _certain(reading, draws, sequences)
    logprobs, lengths = [row.logprob or 0.0 for row in came_back], [len(row.token_ids) for row in came_back]
    rate = likelihood.token_rate(logprobs, lengths, alpha)
    of_tokens = [row.token_logprobs for row in came_back]
    return Known(
        sequences,
        mode_mass=mode_mass,
        collision=collision,
        metrics={
            "mode_mass_certain": mode_mass,
            "collision_certain": collision,
            "seen_mass": Estimate(sequences.seen_mass),
            **_of_scored(reading, draws, sequences),
            "entropy": likelihood.calibrated_entropy(sequences),
            "token_rate": rate,
            "branching_factor": likelihood.branching_factor(rate),
            "near_certain": likelihood.near_certain_share(of_tokens, alpha) if all(of_tokens) else UNDEFINED,
        },
    )


def certain_intervals(reading: Reading, draws: int) -> tuple[Estimate, Estimate]:
    """The certain intervals of the mode mass and of the collision probability at a look, given a readable answer."""
    came_back = reading.came_back(draws)
    if _why_no_probabilities(came_back):
        return UNDEFINED, UNDEFINED
    sequences = likelihood.distinct_sequences(*_keys_and_logprobs(came_back))
    return _certain(reading, draws, sequences) if sequences.is_consistent else (UNDEFINED, UNDEFINED)


def check_draws(reading: Reading) -> DrawsCheck:
    """Repeats against expected repeats, of all draws; empty (no draws) where log-probabilities are not of the draws.

    Thoughts do not matter here: a whole sequence of tokens has its probability, whatever part of it is the answer.
    """
    came_back = [completion for completion in reading.drawn if completion.error_kind is None]
    if not came_back or _why_no_sampling_logprobs(came_back):
        return DrawsCheck()
    keys, logprobs = _keys_and_logprobs(reading.drawn)
    lost = [completion.error_kind is not None for completion in reading.drawn]
    return likelihood.check_draws([None if gone else key for key, gone in zip(keys, lost, strict=True)], logprobs)


def _certain(reading: Reading, draws: int, sequences: Sequences) -> tuple[Estimate, Estimate]:
    """For a relation that is no equivalence: of the heaviest ball around a seen text, and nothing of collisions.

    A set of mutually equal answers lies in the ball around any seen one of them, and is unseen without one.
    """
    grouping = reading.relation.group(reading.readable(draws))
    labels = np.full(len(sequences.index), -1, np.int64)
    labels[[answer is not None for answer in reading.read(draws)]] = grouping.labels
    if len(sequences.scored):
        labels = _with_scored_answers(reading, draws, labels)
    if grouping.alike is None:
        bounds = likelihood.certain_bounds(sequences, labels, int(labels.max(initial=-1)) + 1)
        return bounds.mode_mass, bounds.collision
    labels[labels >= 0] = grouping.texts
    bounds = likelihood.certain_bounds(sequences, labels, len(grouping.alike))
    floors = np.array([mass.low for mass in bounds.masses])
    if not floors.size:
        return UNDEFINED, UNDEFINED
    heaviest = float((grouping.alike @ floors).max())
    return Estimate(None, min(heaviest, 1.0), min(heaviest + bounds.unseen, 1.0)), UNDEFINED


def _with_scored_answers(reading: Reading, draws: int, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The modes (N,) of the draws and, after them, those of the scored texts: the same where the answer is the same."""
    rows = zip(reading.read(draws), labels.tolist(), strict=True)
    modes = {answer: label for answer, label in rows if answer is not None}
    scored = [modes.setdefault(one.answer or "", len(modes)) for one in reading.scored]
    return np.concatenate([labels, np.array(scored, np.int64)])


def _of_scored(reading: Reading, draws: int, sequences: Sequences) -> dict[str, Estimate]:
    """How much the scored answers hold, and how far the answers surely are from the declared distribution."""
    weights = reading.cell.expect.weights
    if not reading.scored or not weights:
        return {}
    place = {answer: at for at, (answer, _) in enumerate(weights)}
    said = [place.get(answer, len(place)) if answer is not None else -1 for answer in reading.read(draws)]
    labels = np.array([*said, *(place.get(one.answer or "", len(place)) for one in reading.scored)], np.int64)
    bounds = likelihood.certain_bounds(sequences, labels, len(place) + 1)
    masses = [mass.low or 0.0 for mass in bounds.masses]
    distance = expected.tv_certain(masses, bounds.unseen, [*(weight for _, weight in weights), 0.0])
    held = sum(math.exp(math.fsum(one.token_logprobs)) for one in reading.scored if one.answer in place)
    return {"total_variation_certain": distance, "scored_mass": Estimate(min(held, 1.0))}


def _why_no_probabilities(came_back: Sequence[Completion]) -> str:
    if not came_back:
        return "no completion came back"
    if any(completion.reasoning is not None for completion in came_back):
        return "the answers follow a thought that is not part of them, so their own probabilities are unknown"
    return _why_no_sampling_logprobs(came_back)


def _why_no_sampling_logprobs(came_back: Sequence[Completion]) -> str:
    if any(completion.logprob_kind == "model" for completion in came_back):
        return "the log-probabilities are the model's own, not those of the distribution sampled from"
    if any(completion.logprob_kind is None or completion.logprob is None for completion in came_back):
        return "completions without log-probabilities"
    if any(math.isnan(completion.logprob or 0.0) for completion in came_back):
        return "log-probabilities that are not numbers"
    if not all(completion.token_ids for completion in came_back):
        return "completions without token ids"
    return ""


def _keys_and_logprobs(completions: Sequence[Completion]) -> tuple[list[SequenceKey], list[float]]:
    keys: list[SequenceKey] = [(completion.token_ids, completion.finish_reason) for completion in completions]
    return keys, [completion.logprob or 0.0 for completion in completions]

"""What is said of two runs of one suite, held against each other. Data only; nothing here computes a result.

Differences are of the run against its base: positive where the run has more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from collapsecli.records import UNDEFINED, CellResult, Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a run, or one model of it. `name` is what a report calls it."""

    name: str
    run_id: str
    path: str
    model: str
    adapter: str
    engine: str
    seed: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A number of the base and of the run, and how they differ.

    `change` is run minus base, and run over base for a number whose name ends in `_ratio`. `n` is the number of
    prompts, or of draws of both sides, that it is made from; `p_value` is of no difference, two-sided, `q_value` the
    same adjusted over the cells.
    """

    base: Estimate
    run: Estimate
    change: Estimate
    n: int
    p_value: float | None = None
    q_value: float | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far the two models' own probabilities lie apart, from what both give to the draws of both.

    `n_base` and `n_run` draws were scored. Total variation is from 0 to 1, Jensen-Shannon from 0 to ln 2 nats, KL
    (base against run, nats, and the same per token) has no bound and is secondary. `extinguished` is the share of the
    base's draws to which the run's model gives under a hundredth of their former probability. `floor` is the total
    variation that the noise of scoring alone would show: the same tokens by the same model, as sampled and as scored.
    """

    n_base: int
    n_run: int
    total_variation: Estimate = UNDEFINED
    jensen_shannon: Estimate = UNDEFINED
    kl: Estimate = UNDEFINED
    kl_per_token: Estimate = UNDEFINED
    extinguished: Estimate = UNDEFINED
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Extinguished:
    """A completion of the base that the run's model hardly gives any more: by `nats` in all over `n_tokens` tokens."""

    question: str
    sample_index: int
    text: str
    nats: float
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """A run of words that one side says in more completions than the other.

    `base` and `run` are the shares of completions that hold it, each the mean over the prompts; it was told apart in
    `prompts` of the `of_prompts` prompts. `log_odds` is the change of its log-odds (nats), over all prompts together.
    """

    text: str
    base: Estimate
    run: Estimate
    prompts: int
    of_prompts: int
    log_odds: Estimate
    n: int
    p_value: float
    q_value: float


@dataclass(frozen=True, slots=True)
class Tempered:
    """How much of a change a temperature explains: the run's answers made flatter until they are closest to the base's.

    `at_1` is the divergence as they are, `remains` that at the temperature `t_eff`, where it is least: nats of KL (base
    against run) if `source` is `scored` or `scored, several tokens`, else the squared distance of the two
    distributions, `sweep`. `p_value` is of no difference at that temperature, and None where both are known exactly.
    """

    question: str
    t_eff: Estimate
    at_1: Estimate
    remains: Estimate
    n: int
    source: Literal["scored", "scored, several tokens", "sweep"]
    p_value: float | None = None
    label: str = ""


Outcome = Literal["narrower", "wider", "moved", "same"]


@dataclass(frozen=True, slots=True)
class ComparedCell:
    """One cell of the base beside the same of the run.

    `numbers` by name: `collision` (probability that two draws agree; with the p- and q-value of the permutation test),
    `mode_mass`, `distinct_10`, `effective_modes_ratio`, `valid_rate`, `tokens` (mean length; words where no tokens are
    known). `moved` is the probability that surely lies elsewhere: at least so much total variation, with the p- and
    q-value of the permutation test for any change at all; `between` is the probability that a draw of each agree.
    `outcome` is what is significant over all cells: narrower or wider before merely moved. `regressed` is the change
    for the worse, as the suite expects, by more than the margin.
    """

    question: str
    base: CellResult
    run: CellResult
    numbers: Mapping[str, Difference]
    moved: Difference
    between: Estimate
    outcome: Outcome
    regressed: bool = False
    divergence: Divergence | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is said of a run against its base.

    `overall` by name: `distinct_10`, `effective_modes_ratio`, `collision`, `valid_rate`, `tokens`, each the mean over
    the prompts. `transitions` counts cells by verdict before and after. `unlike` are the differences of the two runs
    that were overridden. `unscored` says why there are no divergences where they were asked for.
    """

    base: Side
    run: Side
    suites: tuple[str, ...]
    alpha: float
    margin: float
    cells: tuple[ComparedCell, ...]
    overall: Mapping[str, Difference]
    transitions: Mapping[tuple[str, str], int]
    lifted: tuple[Phrase, ...] = ()
    lost: tuple[Phrase, ...] = ()
    tempered: tuple[Tempered, ...] = ()
    divergence: Divergence | None = None
    extinguished: tuple[Extinguished, ...] = ()
    unscored: str = ""
    unlike: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Step:
    """One place of a trend: a checkpoint, a size, a night. `at` is the number that it is ordered by, if any."""

    name: str
    side: Side
    at: float | None = None


@dataclass(frozen=True, slots=True)
class TrendCell:
    """One cell at every step; None where a step has no such cell, or asks or samples it otherwise.

    `first_collapsed` is the first step at which its verdict is `collapsed`, `stays` whether it is so at every later one
    that has the cell.
    """

    question: str
    results: tuple[CellResult | None, ...]
    first_collapsed: int | None = None
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Trend:
    """One suite over several steps.

    `overall` by name, one estimate a step, each the mean over the same prompts at every step: `distinct_10`,
    `collision`, `mode_mass`; and `collapsed`, the share of cells with that verdict (a count: no interval). `change` is
    the last step against the first, prompt by prompt. `n` is the number of prompts, for `collapsed` of cells, that each
    is made from.
    """

    suites: tuple[str, ...]
    steps: tuple[Step, ...]
    cells: tuple[TrendCell, ...]
    overall: Mapping[str, tuple[Estimate, ...]]
    change: Mapping[str, Difference]
    n: Mapping[str, int]
    alpha: float
    notes: tuple[str, ...] = ()

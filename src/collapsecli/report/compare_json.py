"""A comparison in the words of the tables, for programs. Knows records and JSON's lack of infinities, no screen."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from collapsecli.report.compare_numbers import NOTHING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collapsecli.compared import ComparedCell, Comparison, Difference, Divergence, Extinguished, Phrase, Tempered
    from collapsecli.records import CellResult, Estimate

SCHEMA = 1
SUITE_NUMBERS = ("distinct_10", "effective_modes_ratio", "collision", "valid_rate", "tokens")
CELL_NUMBERS = ("collision", "mode_mass", "distinct_10", "effective_modes_ratio", "valid_rate", "tokens")


def comparison_json(comparison: Comparison) -> dict[str, object]:
    """A comparison as JSON knows it: every key is always there, null where a number is undefined or unbounded.

    Of a number `NAME` there are `NAME_base`, `NAME_run` and `NAME_change`, each with its `_low` and `_high`, and its
    `NAME_n`, `NAME_p_value` and `NAME_q_value`; the change of `effective_modes` is `effective_modes_ratio`, run over
    base. `p_value` and `q_value` of a cell are those of `collision`.
    """
    return {
        "schema": SCHEMA,
        "base": asdict(comparison.base),
        "run": asdict(comparison.run),
        "alpha": comparison.alpha,
        "margin": comparison.margin,
        "suite": {
            "suites": list(comparison.suites),
            "overall": _numbers(comparison.overall, SUITE_NUMBERS),
            "outcomes": _outcomes(comparison),
            "transitions": [
                {"base": before, "run": after, "cells": count}
                for (before, after), count in sorted(comparison.transitions.items())
            ],
        },
        "cells": [_cell(cell) for cell in comparison.cells],
        "lifted": [_phrase(phrase) for phrase in comparison.lifted],
        "lost": [_phrase(phrase) for phrase in comparison.lost],
        "tempered": [_tempered(tempered) for tempered in comparison.tempered],
        "divergence": _divergence(comparison.divergence),
        "extinguished": [_extinguished(one) for one in comparison.extinguished],
        "unscored": comparison.unscored,
        "unlike": list(comparison.unlike),
        "notes": list(comparison.notes),
    }


def _outcomes(comparison: Comparison) -> dict[str, int]:
    outcomes = [cell.outcome for cell in comparison.cells]
    return {
        **{outcome: outcomes.count(outcome) for outcome in ("narrower", "wider", "moved", "same")},
        "regressed": sum(cell.regressed for cell in comparison.cells),
    }


def _cell(cell: ComparedCell) -> dict[str, object]:
    collision = cell.numbers.get("collision", NOTHING)
    return {
        "cell_id": cell.question,
        "outcome": cell.outcome,
        "regressed": cell.regressed,
        "p_value": _finite(collision.p_value),
        "q_value": _finite(collision.q_value),
        **_side("base", cell.base),
        **_side("run", cell.run),
        **_numbers(cell.numbers, CELL_NUMBERS),
        **_estimate("moved", cell.moved.change),
        **_tested("moved", cell.moved),
        **_estimate("between", cell.between),
        "divergence": _divergence(cell.divergence),
    }


def _side(side: str, result: CellResult) -> dict[str, object]:
    mode = result.modes[0] if result.modes else None
    return {
        f"cell_id_{side}": result.cell.cell_id,
        f"n_{side}": result.n_judged,
        f"n_valid_{side}": result.n_valid,
        f"n_failed_{side}": result.n_failed,
        f"mode_{side}": mode.text if mode else None,
        f"mode_count_{side}": mode.count if mode else None,
        f"verdict_{side}": result.verdict,
        f"flag_{side}": result.flag,
    }


def _numbers(numbers: Mapping[str, Difference], names: tuple[str, ...]) -> dict[str, object]:
    return {key: value for name in names for key, value in _difference(name, numbers.get(name, NOTHING)).items()}


def _difference(name: str, difference: Difference) -> dict[str, object]:
    plain = name.removesuffix("_ratio")
    return {
        **_estimate(f"{plain}_base", difference.base),
        **_estimate(f"{plain}_run", difference.run),
        **_estimate(name if plain != name else f"{plain}_change", difference.change),
        **_tested(plain, difference),
    }


def _tested(name: str, difference: Difference) -> dict[str, object]:
    return {
        f"{name}_n": difference.n,
        f"{name}_p_value": _finite(difference.p_value),
        f"{name}_q_value": _finite(difference.q_value),
    }


def _phrase(phrase: Phrase) -> dict[str, object]:
    return {
        "text": phrase.text,
        **_estimate("share_base", phrase.base),
        **_estimate("share_run", phrase.run),
        "prompts": phrase.prompts,
        "of_prompts": phrase.of_prompts,
        **_estimate("log_odds", phrase.log_odds),
        "n": phrase.n,
        "p_value": _finite(phrase.p_value),
        "q_value": _finite(phrase.q_value),
    }


def _tempered(tempered: Tempered) -> dict[str, object]:
    return {
        "subject": tempered.question,
        "source": tempered.source,
        **_estimate("t_eff", tempered.t_eff),
        **_estimate("at_1", tempered.at_1),
        **_estimate("remains", tempered.remains),
        "n": tempered.n,
        "p_value": _finite(tempered.p_value),
        "label": tempered.label,
    }


def _extinguished(one: Extinguished) -> dict[str, object]:
    return {
        "cell_id": one.question,
        "sample_index": one.sample_index,
        "text": one.text,
        "nats": _finite(one.nats),
        "n_tokens": one.n_tokens,
    }


def _divergence(divergence: Divergence | None) -> dict[str, object] | None:
    if divergence is None:
        return None
    return {
        "n_base": divergence.n_base,
        "n_run": divergence.n_run,
        **_estimate("total_variation", divergence.total_variation),
        **_estimate("jensen_shannon", divergence.jensen_shannon),
        **_estimate("kl", divergence.kl),
        **_estimate("kl_per_token", divergence.kl_per_token),
        **_estimate("extinguished", divergence.extinguished),
        "floor": _finite(divergence.floor),
    }


def _estimate(name: str, estimate: Estimate) -> dict[str, object]:
    return {
        name: _finite(estimate.value),
        f"{name}_low": _finite(estimate.low),
        f"{name}_high": _finite(estimate.high),
    }


def _finite(value: float | None) -> float | None:
    """JSON has no number for what is unbounded."""
    return None if value is None or not math.isfinite(value) else value

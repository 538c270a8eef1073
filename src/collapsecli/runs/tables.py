"""The columns of the files of a run, each declared once: schema, documentation and check come from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, type and meaning, and whether it may be null."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False


def estimate_columns(name: str, meaning: str) -> tuple[Column, Column, Column]:
    """The columns of a number with its interval."""
    return (
        Column(name, pa.float64(), meaning, nullable=True),
        Column(f"{name}_low", pa.float64(), f"lower end of the interval of {name}", nullable=True),
        Column(f"{name}_high", pa.float64(), f"upper end of the interval of {name}", nullable=True),
    )


def _ends(name: str, meaning: str) -> tuple[Column, Column]:
    return (
        Column(f"{name}_low", pa.float64(), f"certain lower end: {meaning}", nullable=True),
        Column(f"{name}_high", pa.float64(), f"certain upper end: {meaning}", nullable=True),
    )


_CELL = (
    Column("cell_id", pa.string(), "the cell: one prompt under one condition"),
    Column("prompt_id", pa.string(), "id of the prompt in the suite"),
    Column("variant", pa.string(), "values of the prompt's variables, empty without"),
    Column("injection", pa.string(), "id of the injected text, empty for the plain cell"),
    Column("temperature", pa.float64(), "sampling temperature"),
    Column("model", pa.string(), "what was sampled"),
    Column("adapter", pa.string(), "name of the adapter on the model, empty without"),
)

SAMPLES = (
    Column("run_id", pa.string(), "the run that drew it"),
    Column("suite", pa.string(), "name of the suite"),
    *_CELL,
    Column("sample_index", pa.int64(), "which completion of the cell; with cell_id the identity of a row"),
    Column("seed", pa.int64(), "seed of this draw"),
    Column("prompt", pa.string(), "the prompt as the model saw it, injected text included"),
    Column("text", pa.string(), "the completion, without what was thought aloud"),
    Column("token_ids", pa.list_(pa.int32()), "sampled tokens, end and stop tokens included"),
    Column("token_logprobs", pa.list_(pa.float32()), "log-probability of each sampled token, nats"),
    Column("logprob", pa.float64(), "their sum: log-probability of the whole completion, nats", nullable=True),
    Column("n_tokens", pa.int32(), "number of sampled tokens"),
    Column("n_prompt_tokens", pa.int32(), "number of prompt tokens"),
    Column("finish_reason", pa.string(), "stop (ended by itself), length (cut off at max_tokens) or error"),
    Column("error_kind", pa.string(), "kind of the failure; a failure is not an answer", nullable=True),
    Column("error", pa.string(), "what failed, in words", nullable=True),
    Column("attempt", pa.int32(), "1, or more where earlier attempts failed"),
    Column(
        "logprob_kind",
        pa.string(),
        "sampling: of the distribution drawn from; model: of the untouched one",
        nullable=True,
    ),
    Column("reasoning", pa.string(), "what the model thought aloud before its answer", nullable=True),
    Column("given", pa.string(), "class that an imported completion came with", nullable=True),
    Column("engine_version", pa.string(), "name and version of the engine"),
    Column("created_at", pa.timestamp("us", tz="UTC"), "when the completion came back"),
)

CELLS = (
    Column("run_id", pa.string(), "the run"),
    Column("suite", pa.string(), "name of the suite"),
    *_CELL,
    Column("question", pa.string(), "the cell's id without its model: the same in every run of the suite"),
    Column("n", pa.int64(), "completions, failures included"),
    Column("look", pa.int64(), "how many of them, in sample order, were judged: those before the deciding look"),
    Column("n_ahead", pa.int64(), "completions with sample_index >= look: drawn ahead, kept, not counted"),
    Column("n_valid", pa.int64(), "judged completions with a readable answer"),
    Column("n_truncated", pa.int64(), "judged completions cut off at max_tokens"),
    Column("n_failed", pa.int64(), "failed requests among the judged"),
    *estimate_columns("valid_rate", "share of readable answers"),
    Column("mode", pa.string(), "the most frequent answer", nullable=True),
    Column("mode_count", pa.int64(), "how often it came", nullable=True),
    Column("hits", pa.int64(), "answers that were predicted to be the most frequent one so far, and were"),
    *estimate_columns("mode_mass", "share of the most frequent answer, with the interval of the mode's true mass"),
    *_ends("mode_mass_certain", "the mode's true mass, from probabilities alone"),
    *estimate_columns("effective_modes", "1 / collision: how many equally likely answers would agree as often"),
    *estimate_columns("collision", "probability that two draws give the same answer"),
    *_ends("collision_certain", "the same, from probabilities alone"),
    *estimate_columns("distinct_10", "expected number of different answers among 10 draws"),
    *estimate_columns("coverage", "probability that a next draw was seen before, from counts"),
    *estimate_columns("mean_cosine", "mean cosine of the embeddings of two draws; only where answers were embedded"),
    *estimate_columns("embedding_modes", "1 / mean squared cosine: the Vendi score of order 2, unbiased in its pairs"),
    Column("hill_1", pa.float64(), "exp of the entropy of the modes, from counts: at least so many", nullable=True),
    Column("seen_mass", pa.float64(), "summed probability of the distinct completions seen", nullable=True),
    Column("entropy", pa.float64(), "of the completions, nats, from probabilities; an estimate", nullable=True),
    Column("entropy_low", pa.float64(), "certain lower bound of entropy", nullable=True),
    *estimate_columns("token_rate", "nats per sampled token"),
    *estimate_columns("branching_factor", "exp(token_rate): how many equally likely tokens would be as uncertain"),
    *estimate_columns("near_certain", "share of the sampled tokens with a probability above .99"),
    *estimate_columns("opening_tokens", "tokens that two completions share before they part, on average"),
    Column("parted_at", pa.int64(), "tokens after which half of the pairs of completions have parted", nullable=True),
    Column("first_token_collision", pa.float64(), "share of the pairs that begin with the same token", nullable=True),
    Column("exact_absent", pa.string(), "why the numbers from probabilities are not there, empty if they are"),
    Column("broken", pa.string(), "why the probabilities cannot be true, empty if they can"),
    Column("repeats", pa.int64(), "draws equal to an earlier one of their cell, token by token"),
    Column("repeats_expected", pa.float64(), "the number that the sampled probabilities predict", nullable=True),
    Column("unread", pa.string(), "the most frequent text without a readable answer", nullable=True),
    Column("unread_count", pa.int64(), "how often it came"),
    Column("declared", pa.int64(), "answers that the declared distribution allows", nullable=True),
    Column("fit_p_value", pa.float64(), "Monte Carlo p of the declared distribution", nullable=True),
    *estimate_columns("total_variation", "distance from the declared distribution, given a readable answer"),
    *_ends("total_variation_certain", "the same, from probabilities alone"),
    Column("scored_mass", pa.float64(), "summed probability of the declared answers that were scored", nullable=True),
    Column(
        "p_value",
        pa.float64(),
        "of the claim that would be flagged (a collapse, without an expectation), one-sided",
        nullable=True,
    ),
    Column("q_value", pa.float64(), "the same, adjusted over all cells of the suite and model", nullable=True),
    Column("expect", pa.string(), "what the suite expects"),
    Column("equivalence", pa.string(), "when two answers were taken for the same: exact, lexical, embedding or given"),
    Column("threshold", pa.float64(), "that of the equivalence, null for its own default", nullable=True),
    Column("encoder", pa.string(), "the model that embedded the answers, empty where nothing did"),
    Column("verdict", pa.string(), "what the draws prove", nullable=True),
    Column("flag", pa.string(), "the verdict read against what the suite expects", nullable=True),
    Column("withheld", pa.bool_(), "whether the flag is open only because of the false discovery rate"),
    Column(
        "fragile", pa.string(), "the mode mass by a slightly other reading that speaks against the verdict, or empty"
    ),
    Column("draws_to_settle", pa.int64(), "draws in all that would probably settle an open cell", nullable=True),
)

MODES = (
    Column("run_id", pa.string(), "the run"),
    Column("cell_id", pa.string(), "the cell"),
    Column("rank", pa.int32(), "1 is the most frequent"),
    Column("mode", pa.string(), "an answer of the mode, as written"),
    Column("count", pa.int64(), "answers in the mode"),
    *estimate_columns("share", "share of the readable answers, with the interval for a mode named in advance"),
    Column("probability", pa.float64(), "summed probability of its distinct completions: a lower bound", nullable=True),
    Column("probability_high", pa.float64(), "that and all unseen probability: an upper bound", nullable=True),
    Column("kind", pa.string(), "answer, refusal or empty"),
    Column("sample_index", pa.int64(), "the completion shown as exemplar"),
)

SCORES = (
    Column("run_id", pa.string(), "the run"),
    Column("cell_id", pa.string(), "the cell whose prompt the text follows"),
    Column("kind", pa.string(), "answer (or null): a whole completion; road: how one would begin", nullable=True),
    Column("answer", pa.string(), "the answer that would be read in the text", nullable=True),
    Column("text", pa.string(), "the text that was scored, not drawn"),
    Column("token_ids", pa.list_(pa.int32()), "its tokens, end tokens included"),
    Column("token_logprobs", pa.list_(pa.float32()), "log-probability of each under the untouched model, nats"),
    Column("logprob", pa.float64(), "their sum, nats", nullable=True),
    Column("error", pa.string(), "why it could not be scored", nullable=True),
)

RESCORED = (
    Column("run_id", pa.string(), "the run that drew the completion"),
    Column("cell_id", pa.string(), "the cell that it belongs to"),
    Column("sample_index", pa.int64(), "which completion of the cell"),
    Column("model", pa.string(), "what scored it, which need not be what drew it"),
    Column("adapter", pa.string(), "name of the adapter on that model, empty without"),
    Column("n_tokens", pa.int32(), "number of its tokens, end and stop tokens included"),
    Column("token_logprobs", pa.list_(pa.float32()), "log-probability of each under the untouched model, nats"),
    Column("logprob", pa.float64(), "their sum, nats", nullable=True),
    Column("error", pa.string(), "why it could not be scored", nullable=True),
)

EMBEDDINGS = (
    Column("text_digest", pa.binary(16), "BLAKE2b of the text as it was embedded, in UTF-8"),
    Column("vector", pa.list_(pa.float32()), "its vector, of length 1; zero for a text without a token"),
    Column("is_cut", pa.bool_(), "whether only its beginning fits the encoder's context"),
)

CONTRASTS = (
    Column("run_id", pa.string(), "the run"),
    Column("suite", pa.string(), "name of the suite"),
    Column("kind", pa.string(), "temperature, injection, certainty, restart, variants, sameness or roads"),
    Column("subject", pa.string(), "what the number is about: a prompt, a cell without its temperature, a tag"),
    Column("model", pa.string(), "what was sampled", nullable=True),
    Column("adapter", pa.string(), "name of the adapter on the model, empty without", nullable=True),
    Column("cell_id", pa.string(), "the cell that it belongs to, where it is one", nullable=True),
    Column("other_cell_id", pa.string(), "the cell that it is held against", nullable=True),
    Column("metric", pa.string(), "what was measured: docs/contrasts.md has them all"),
    Column("at", pa.float64(), "the place on a curve: a temperature, a sentence, a token", nullable=True),
    *estimate_columns("estimate", "the number"),
    Column("p_value", pa.float64(), "of no difference, two-sided", nullable=True),
    Column("q_value", pa.float64(), "the same, adjusted over its kind in the suite and model", nullable=True),
    Column("n", pa.int64(), "completions, or pairs of them, that it is made from"),
    Column("label", pa.string(), "what no number can say: a mode, a phrase, another cell's role"),
)

TABLES: Mapping[str, tuple[Column, ...]] = {
    "samples": SAMPLES,
    "cells": CELLS,
    "modes": MODES,
    "contrasts": CONTRASTS,
    "scores": SCORES,
    "rescored": RESCORED,
    "embeddings": EMBEDDINGS,
}


def arrow_schema(columns: Iterable[Column], metadata: Mapping[str, str] | None = None) -> pa.Schema:
    """The Arrow schema of declared columns; `metadata` travels in the file."""
    fields = [pa.field(column.name, column.type, nullable=column.nullable) for column in columns]
    return pa.schema(fields, metadata={"schema_version": SCHEMA_VERSION, **(metadata or {})})

"""The vocabulary: who has read these nouns can read the program. Data only; nothing here computes a result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from collapsecli.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# --------------------------------------------------------------------------------------------------- what is asked


FIRST_LOOK = 16
OTHER_LABEL = "other"  # what no label's pattern finds
IMPORTED = "imported"  # the engine of completions made elsewhere
EMBEDDING_THRESHOLD = 0.8  # arbitrary: which cosine separates the same from the other depends on the encoder


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn. Every parameter is explicit: a model's own defaults never apply.

    `top_k` 0 and `min_p` 0 mean off. `samples` is 1 at temperature 0, where every draw would be the same. When
    `adaptive`, a cell may be decided, and its sampling end, at any of its `looks`; `samples` is then its cap.
    """

    samples: int = 64
    adaptive: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 128
    stop: tuple[str, ...] = ()

    @property
    def is_untouched(self) -> bool:
        """Whether completions are drawn as the model itself would say them: nothing tempered, nothing left out."""
        return self.temperature == 1 and self.top_p == 1 and not self.top_k and not self.min_p

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of draws at which a cell is judged, fixed before any is drawn: 16, 32, 64, … and the cap."""
        if not self.adaptive:
            return (self.samples,)
        doubled = tuple(FIRST_LOOK << k for k in range(self.samples.bit_length()))
        return (*(look for look in doubled if look < self.samples), self.samples)


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """The completion itself."""

    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class IntegerAnswer:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    kind: Literal["integer"] = "integer"


@dataclass(frozen=True, slots=True)
class ChoiceAnswer:
    """One of a list of answers, compared without regard to case."""

    choices: tuple[str, ...]
    kind: Literal["choice"] = "choice"


@dataclass(frozen=True, slots=True)
class RegexAnswer:
    """What a pattern finds: its first group if it has one, else the whole match."""

    pattern: str
    kind: Literal["regex"] = "regex"


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """The value at a dotted path (`a.b.0`) of the JSON document in the completion."""

    path: str
    kind: Literal["json"] = "json"


@dataclass(frozen=True, slots=True)
class WordsAnswer:
    """The first `count` words."""

    count: int
    kind: Literal["words"] = "words"


@dataclass(frozen=True, slots=True)
class LabelsAnswer:
    """The name of the first pattern that is found in the completion, else `other`."""

    labels: tuple[tuple[str, str], ...]
    kind: Literal["labels"] = "labels"


@dataclass(frozen=True, slots=True)
class RhymeAnswer:
    """The rhyme scheme of a poem's first stanza: `abab`, …, or `unrhymed`."""

    kind: Literal["rhyme"] = "rhyme"


AnswerSpec = (
    TextAnswer | IntegerAnswer | ChoiceAnswer | RegexAnswer | JsonAnswer | WordsAnswer | LabelsAnswer | RhymeAnswer
)


@dataclass(frozen=True, slots=True)
class Expect:
    """What the author of the suite expects of a prompt: the verdict is read against it to give the flag.

    `weights` is the declared distribution (answer, probability), summing to 1; `uniform` has it filled in too.
    """

    kind: Literal["diverse", "concentrated", "none", "min_modes", "uniform", "weights"] = "diverse"
    min_modes: int | None = None
    weights: tuple[tuple[str, float], ...] | None = None

    @property
    def word(self) -> str:
        """The expectation in a word, as tables and reports show it."""
        return f"min_modes {self.min_modes}" if self.kind == "min_modes" else self.kind


@dataclass(frozen=True, slots=True)
class Rules:
    """The thresholds of the verdict: mode mass for `collapsed` and for `diverse`, and the error rate of a label.

    `fdr` is the rate of false discoveries among the flags of a suite, 1 to withhold none; None leaves it to the number
    of cells (see `verdict`).
    """

    collapsed: float = 0.5
    diverse: float = 0.1
    alpha: float = 0.05
    fdr: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model to sample, and the adapters that are loaded on it and sampled beside it: name -> where it is.

    `name` is what cells, files and reports call the model; `location` is where an engine finds it.
    """

    name: str
    location: str
    adapters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, location: str, adapters: Mapping[str, str] | None = None) -> Model:
        """A model that is called what it is found by."""
        return cls(location, location, adapters or {})


Equivalence = Literal["exact", "lexical", "given", "embedding"]


class Sameness(NamedTuple):
    """When two answers are the same: by an equivalence, from its threshold on (None for its own).

    `encoder` is the model that embeds texts, where they are the same by their embeddings.
    """

    equivalence: Equivalence
    threshold: float | None = None
    encoder: str = ""

    @property
    def spelled(self) -> str:
        """As an option of the command line says it."""
        if self.equivalence == "embedding":
            return f"embedding={self.encoder}" + ("" if self.threshold is None else f",{self.threshold:g}")
        return self.equivalence if self.threshold is None else f"{self.equivalence}={self.threshold:g}"


Reasoning = Literal["strip", "keep", "off"]


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a cell leaves its plain cell: after so many sentences of what that one says most often.

    Such a cell is of the second wave: what it is injected with is known when the cell `plain` has been judged. `text`
    is put after the sentences.
    """

    plain: str
    sentences: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Road:
    """A text that would be consistent after the prompt: its probability is scored, not sampled.

    `place` is where the suite says it: file, line and column, both from 1.
    """

    text: str
    place: tuple[str, int, int] = ("", 0, 0)

    def fault(self, message: str, hint: str) -> Fault:
        """What is wrong with it, at its place."""
        return Fault(*self.place, message, hint)


@dataclass(frozen=True, slots=True)
class Cell:
    """One prompt under one condition: one distribution. Exactly one of `text`, `messages` is set.

    `text` and `messages` are rendered (no template left); `injected` comes after them, in a chat as the beginning of
    the model's own turn, and is not sampled. With a `branch` it is empty until the second wave is planned. `threshold`
    is that of the equivalence, None for its own default (and where it has none). `restarts` are patterns of a text that
    begins anew, None for the usual ones. `encoder` is the model that embeds its answers, empty where nothing does.
    """

    cell_id: str
    suite: str
    prompt_id: str
    variant: str
    injection: str
    temperature: float
    model: str
    adapter: str
    text: str | None
    messages: tuple[Message, ...]
    injected: str
    sampling: Sampling
    answer: AnswerSpec = field(default_factory=TextAnswer)
    expect: Expect = field(default_factory=Expect)
    equivalence: Equivalence = "lexical"
    threshold: float | None = None
    reasoning: Reasoning = "strip"
    tags: tuple[str, ...] = ()
    branch: Branch | None = None
    roads: tuple[Road, ...] = ()
    restarts: tuple[str, ...] | None = None
    encoder: str = ""

    @property
    def sameness(self) -> Sameness:
        """When two of its answers are the same."""
        return Sameness(self.equivalence, self.threshold, self.encoder)

    @property
    def question(self) -> str:
        """The id without the model that may stand behind it: the same in every run of the suite."""
        return self.cell_id.partition("#")[0]

    @property
    def sweep(self) -> str:
        """The question without its temperature: what the cells of one temperature sweep have in common."""
        return self.question.rpartition("@")[0] or self.question

    @property
    def sampled(self) -> tuple[str, str]:
        """What is sampled: a model and the name of its adapter, empty without."""
        return self.model, self.adapter


# ------------------------------------------------------------------------------------------------ what comes back


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What drew the completions, as far as it can change their distribution, and what is good to know of it.

    `identity` holds what belongs to the fingerprint of a run; `details` is provenance (hardware, versions, options);
    `notes` are sentences for the reader.
    """

    name: str
    version: str
    model: str
    identity: dict[str, str]
    details: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """What embedded texts: the model as it was asked for, and all that can change its vectors."""

    model: str
    identity: dict[str, str]


FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled text: a row of `samples.parquet`.

    `token_logprobs` (nats, one per token, end and stop tokens included) are those of the distribution sampled from
    when `logprob_kind` is `sampling`, of the untouched model when it is `model`, and absent when it is None.
    A failed request is a row with an `error_kind` and no tokens: a failure is not an answer. `given` is the class that
    an imported completion came with.
    """

    cell_id: str
    sample_index: int
    seed: int
    prompt: str
    text: str
    token_ids: tuple[int, ...]
    token_logprobs: Sequence[float]
    logprob: float | None
    n_prompt_tokens: int
    finish_reason: FinishReason
    error_kind: str | None = None
    error: str | None = None
    attempt: int = 1
    logprob_kind: Literal["sampling", "model"] | None = None
    reasoning: str | None = None
    created_at: float = 0.0
    given: str | None = None


ScoredKind = Literal["answer", "road"]


@dataclass(frozen=True, slots=True)
class Scored:
    """A text that was not drawn but scored: a row of `scores.parquet`.

    A scored `answer` is a whole completion, in which `answer` would be read; a `road` is the beginning of one, and has
    none. `token_logprobs` (nats, one per token, end tokens of answers included) are the untouched model's; empty with
    an `error`.
    """

    cell_id: str
    answer: str | None
    text: str
    token_ids: tuple[int, ...]
    token_logprobs: Sequence[float] = ()
    error: str | None = None
    kind: ScoredKind = "answer"


# ---------------------------------------------------------------------------------------------- what is concluded

VerdictLabel = Literal["collapsed", "narrow", "diverse", "not_collapsed", "not_diverse", "undecided", "invalid"]
Flag = Literal["flagged", "expected", "open"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval; None where it is undefined (never zero for "no data")."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


UNDEFINED = Estimate()


ModeKind = Literal["answer", "refusal", "empty"]


@dataclass(frozen=True, slots=True)
class Mode:
    """A class of equivalent answers of one cell. Rank 1 is the heaviest.

    `probability` is certain to hold the mode's mass: from the summed probability of its distinct known token sequences
    to that and all unseen probability; undefined where log-probabilities are not those of the answers' distribution.
    `exemplar` is the text of the completion `sample_index`, in which `text` was read; `said` counts those that say the
    same word for word. `kind` tells refusals and empty answers from others: ordinary modes, labelled.
    """

    rank: int
    text: str
    count: int
    share: Estimate
    probability: Estimate
    sample_index: int
    exemplar: str = ""
    said: int = 0
    kind: ModeKind = "answer"


@dataclass(frozen=True, slots=True)
class DrawsCheck:
    """Draws that repeat an earlier one of their cell, against the number that their probabilities predict.

    `expected_of_lost` is the number predicted for draws that were lost: which ones are lost depends on what they say.
    """

    draws: int = 0
    repeats: int = 0
    expected: float = 0.0
    expected_of_lost: float = 0.0


@dataclass(frozen=True, slots=True)
class CellResult:
    """What one cell's draws prove: a row of `cells.parquet` and its modes.

    `n` counts all completions, failures included; `look` of them were judged: those before the look at which the cell
    was decided (all of them unless sampling was adaptive), and every other number here is of these; `n_ahead` were
    drawn past it. `needed` is more than `look` while more looks are needed. `n_unfinished` were cut off inside a
    thought, `hits` were predicted right. `metrics` holds every number that is measured, by its name; the mode's mass is
    that of the readable answers, and `unread` is what the unreadable texts say most often. `absent` says why the
    numbers that come from log-probabilities are not there, `broken` why they cannot be true. After `parted_at` tokens
    half of the pairs of completions have parted. `p_value` is of the claim that would be flagged, `q_value` the same
    among all cells, which may have `withheld` the flag. `fragile` is the mode mass by a slightly other reading of "the
    same" that speaks against the verdict. `draws_to_settle` is the number of draws, all in all, that would probably
    settle an open cell.
    """

    cell: Cell
    n: int
    n_ahead: int
    look: int
    needed: int
    n_valid: int
    n_truncated: int
    n_failed: int
    n_unfinished: int
    hits: int
    metrics: Mapping[str, Estimate]
    absent: str
    modes: Sequence[Mode]
    unread: str
    unread_count: int
    verdict: VerdictLabel | None
    flag: Flag | None
    draws: DrawsCheck
    broken: str = ""
    parted_at: int | None = None
    p_value: float | None = None
    q_value: float | None = None
    withheld: bool = False
    fragile: str = ""
    draws_to_settle: int | None = None

    def metric(self, name: str) -> Estimate:
        """A number about this cell; undefined where it could not be measured."""
        return self.metrics.get(name, UNDEFINED)

    @property
    def mode_mass(self) -> Estimate:
        """The probability of the likeliest mode."""
        return self.metric("mode_mass")

    @property
    def effective_modes(self) -> Estimate:
        """One over the probability that two draws are the same."""
        return self.metric("effective_modes")

    @property
    def n_judged(self) -> int:
        """The completions that count, failures included."""
        return self.n - self.n_ahead


ContrastKind = Literal["temperature", "injection", "certainty", "restart", "variants", "sameness", "roads"]


@dataclass(frozen=True, slots=True)
class Contrast:
    """A number about several cells, or about what one cell did not say: a row of `contrasts.parquet`.

    `subject` is what the number is about, as a report calls it: a prompt, a cell without its temperature, a tag.
    `cell_id` is the cell that it belongs to, where it is one, and `other_cell_id` the one that it is held against. `at`
    is the place on a curve: a temperature, a sentence, a token. All of it is of one `model` with one `adapter`. `n` is
    the number of completions (or pairs of them) that the estimate is made from. `label` says what no number can.
    """

    kind: ContrastKind
    suite: str
    subject: str
    metric: str
    estimate: Estimate
    n: int
    cell_id: str | None = None
    other_cell_id: str | None = None
    at: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    label: str = ""
    model: str = ""
    adapter: str = ""


@dataclass(frozen=True, slots=True)
class Conclusions:
    """All that a report of a run says. `rules` are those judged by, per suite.

    `saved` completions are there of the `planned` ones; with adaptive sampling what is planned depends on what came.
    `surplus_p_value` is of the draws check, and None where no log-probabilities of the sampled distribution were kept.
    """

    run_id: str
    path: str
    suites: tuple[str, ...]
    models: tuple[str, ...]
    engine: str
    seed: int
    alpha: float
    planned: int
    saved: int
    results: tuple[CellResult, ...]
    draws: DrawsCheck
    surplus_p_value: float | None
    notes: tuple[str, ...]
    rules: tuple[tuple[str, Rules], ...] = ()
    contrasts: Sequence[Contrast] = ()

    def by_model(self) -> list[Conclusions]:
        """The same of each model with its adapter alone, in their order; what is missing is said of all together."""
        sampled = dict.fromkeys(result.cell.sampled for result in self.results)
        return [
            replace(
                self,
                models=(name,),
                planned=self.planned if len(self.models) == 1 else 0,
                saved=self.saved if len(self.models) == 1 else 0,
                results=tuple(result for result in self.results if result.cell.sampled == of),
                contrasts=tuple(row for row in self.contrasts if (row.model, row.adapter) == of),
            )
            for name, of in zip(self.models, sampled, strict=True)
        ]

    @property
    def sampled_here(self) -> bool:
        """Whether an engine of ours drew the completions; else they were made elsewhere and imported."""
        return not self.engine.startswith(IMPORTED)

    @property
    def complete(self) -> bool:
        """Whether every planned completion is there."""
        return self.saved == self.planned

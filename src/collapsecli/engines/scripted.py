"""An engine whose distribution is known: draws whole answers with given weights. Test double, tutorial and control."""

from __future__ import annotations

import itertools
import json
import math
import re
import time
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from collapsecli import __version__, demo
from collapsecli.engines import Score
from collapsecli.errors import UsageError
from collapsecli.records import Completion, EngineInfo
from collapsecli.seeds import hashed_seed

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from collapsecli.engines import SampleRequest, ScoreRequest
    from collapsecli.records import Cell, FinishReason

_END = 0  # the token that ends an answer
_TOKENS = 1 << 31
_WORD = re.compile(r"\s*\S+|\s+")
_UNIT = float(1 << 62)
_MOST_DISTRIBUTIONS = 256  # that are held at once: cells are asked for one after the other


@dataclass(frozen=True, slots=True)
class Failures:
    """Draws that fail: the share of all, under which kind, and whether a second try of the same draw succeeds."""

    share: float = 0.0
    kind: str = "timeout"
    transient: bool = True


@dataclass(frozen=True, slots=True)
class Script:
    """The answers of every prompt with their weights, keyed by cell id without its temperature, or by prompt id."""

    name: str
    answers: Mapping[str, Mapping[str, float]]
    delay_s: float = 0.0
    failures: Failures = field(default_factory=Failures)


class ScriptedEngine:
    """Draws from a Script. Tokens are words; an answer's probability is its weight to the power 1/T, normalised.

    An adapter is a script too, for the cells that name it; delay and failures are those of the base.
    """

    def __init__(self, script: Script, adapters: Mapping[str, Script] | None = None) -> None:
        self._script = script
        self._scripts = {"": script, **(adapters or {})}  # by adapter
        self._whole_words = frozenset[str]().union(*map(_whole_words, self._scripts.values()))
        self._vocabulary = _vocabulary(self._whole_words)
        self._words = {token: word for word, token in self._vocabulary.items()}
        self._distributions: OrderedDict[tuple[str, str, float, tuple[str, ...]], _Distribution] = OrderedDict()
        self._failed_once: set[tuple[str, int]] = set()
        self._stopped = False

    @classmethod
    def open(cls, model: str, adapters: Mapping[str, str] | None = None) -> ScriptedEngine:
        """The engine of a script file, or of a bundled model's measured truth table; adapters are such as well."""
        return cls(_opened(model), {name: _opened(location) for name, location in (adapters or {}).items()})

    @staticmethod
    def require(model: str, adapters: Mapping[str, str]) -> None:
        """Raise UsageError for a script that cannot be read."""
        for location in (model, *adapters.values()):
            _opened(location)

    @property
    def info(self) -> EngineInfo:
        base, *adapters = ((name, _digest(script.answers)) for name, script in self._scripts.items())
        return EngineInfo(
            name="scripted",
            version=__version__,
            model=f"scripted:{self._script.name}",
            identity={
                "answers": base[1],
                "tokenizer": f"words{_moved(self._vocabulary) or ''}",
                **{f"adapter {name}": digest for name, digest in adapters},
            },
            notes=("answers were drawn from a known distribution, not from a model",),
        )

    @property
    def room(self) -> int:
        return 1

    def check(self, cells: Sequence[Cell]) -> None:
        unknown = sorted({cell.adapter for cell in cells} - set(self._scripts))
        if unknown:
            raise UsageError(
                f"no script of the adapter `{unknown[0]}` is given", hint=f"give it: --adapter {unknown[0]}=FILE.yaml"
            )
        missing = [cell.cell_id for cell in cells if _script_key(cell, self._answers(cell)) is None]
        if missing:
            raise UsageError(
                f"the script {self._script.name} lists no answers for {_some(missing)}",
                hint="add them under its `prompts:`, or give a script of your own with -m FILE.yaml",
            )
        cut = [c.cell_id for c in cells if c.sampling.top_p < 1 or c.sampling.top_k or c.sampling.min_p]
        if cut:
            raise UsageError(
                f"the scripted engine draws whole answers and cannot cut token distributions, as {_some(cut)} asks",
                hint="leave top_p, top_k and min_p out",
            )

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        for request in filter(None, requests):
            distribution = self._distribution(request.cell)
            for index in request.indices:
                if self._stopped:
                    return
                if self._script.delay_s:
                    time.sleep(self._script.delay_s)
                yield self._draw(request, index, distribution)

    def tokens(self, cell: Cell, text: str) -> tuple[int, ...]:
        # Words are tokens, whatever the prompt; beginnings of words are, where a stop string may have cut them.
        words = _WORD.findall(text)
        known = self._vocabulary.keys() if cell.sampling.stop else self._whole_words
        return tuple(self._vocabulary[word] for word in words) if known >= set(words) else ()

    def score(self, requests: Iterable[ScoreRequest]) -> Generator[Score, None, None]:
        for request in requests:
            if self._stopped:
                return
            distribution = self._distribution(request.cell, temperature=1.0)
            yield Score(request.score_id, distribution.score(request.token_ids))

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._stopped = True

    def _draw(self, request: SampleRequest, index: int, distribution: _Distribution) -> Completion:
        cell, seed = request.cell, request.seed + index
        prompt = (cell.text or _transcript(cell)) + cell.injected
        failure = self._failure(cell, index, seed)
        if failure:
            return Completion(
                cell.cell_id, index, seed, prompt, "", (), (), None, 0, "error",
                error_kind=failure.kind, error="planned by the script", created_at=time.time(),
            )  # fmt: skip
        tokens, logprobs = distribution.draw(hashed_seed("draw", seed) / _UNIT)
        kept, finish = tokens[: cell.sampling.max_tokens], _finish(tokens, cell.sampling.max_tokens)
        return Completion(
            cell_id=cell.cell_id,
            sample_index=index,
            seed=seed,
            prompt=prompt,
            text="".join(self._words[token] for token in kept if token != _END),
            token_ids=kept,
            token_logprobs=logprobs[: len(kept)],
            logprob=math.fsum(logprobs[: len(kept)]),
            n_prompt_tokens=len(_WORD.findall(prompt)),
            finish_reason=finish,
            logprob_kind="sampling",
            created_at=time.time(),
        )

    def _failure(self, cell: Cell, index: int, seed: int) -> Failures | None:
        failures, key = self._script.failures, (cell.cell_id, index)
        if key in self._failed_once or hashed_seed("failure", seed) / _UNIT >= failures.share:
            return None
        if failures.transient:
            self._failed_once.add(key)
        return failures

    def _answers(self, cell: Cell) -> Mapping[str, Mapping[str, float]]:
        return self._scripts[cell.adapter].answers

    def _distribution(self, cell: Cell, temperature: float | None = None) -> _Distribution:
        key = _script_key(cell, self._answers(cell))
        if key is None:
            raise UsageError(f"{self._script.name} lists no answers for {cell.cell_id}")
        at = cell.temperature if temperature is None else temperature
        wanted = (cell.adapter, key, at, cell.sampling.stop)
        if wanted not in self._distributions:
            weights = _tempered(self._answers(cell)[key], at)
            self._distributions[wanted] = _Distribution(weights, cell.sampling.stop, self._vocabulary)
            if len(self._distributions) > _MOST_DISTRIBUTIONS:
                self._distributions.popitem(last=False)
        return self._distributions[wanted]


class _Distribution:
    """Answers as token sequences, with the probability of every token given those before it."""

    def __init__(self, weights: Mapping[str, float], stop: tuple[str, ...], vocabulary: Mapping[str, int]) -> None:
        probabilities: dict[tuple[int, ...], float] = {}
        for text, weight in weights.items():
            tokens = (*(vocabulary[word] for word in _WORD.findall(_before_stop(text, stop))), _END)
            probabilities[tokens] = probabilities.get(tokens, 0.0) + weight
        self._answers = list(probabilities)
        self._cumulative = list(itertools.accumulate(probabilities.values()))
        self._mass: dict[tuple[int, ...], float] = {}  # of every prefix
        for tokens, probability in probabilities.items():
            for depth in range(len(tokens) + 1):
                self._mass[tokens[:depth]] = self._mass.get(tokens[:depth], 0.0) + probability

    def draw(self, uniform: float) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """The answer at a point of [0, 1), and its log-probability token by token."""
        at = bisect_right(self._cumulative, uniform * self._cumulative[-1])
        tokens = self._answers[min(at, len(self._answers) - 1)]
        return tokens, self.score(tokens)

    def score(self, tokens: tuple[int, ...]) -> tuple[float, ...]:
        """Log-probability of each token given those before it; -inf where it is impossible."""
        masses = [self._mass.get(tokens[:depth], 0.0) for depth in range(len(tokens) + 1)]
        return tuple(
            math.log(after / before) if after and before else -math.inf for before, after in itertools.pairwise(masses)
        )


def _finish(tokens: tuple[int, ...], max_tokens: int) -> FinishReason:
    return "stop" if len(tokens) <= max_tokens else "length"


def _tempered(weights: Mapping[str, float], temperature: float) -> dict[str, float]:
    heaviest = max(weights.values())
    if temperature == 0:
        best = min(text for text, weight in weights.items() if weight == heaviest)
        return {best: 1.0}
    powers = {text: (weight / heaviest) ** (1 / temperature) for text, weight in weights.items() if weight > 0}
    total = math.fsum(powers.values())
    return {text: power / total for text, power in powers.items()}


def _before_stop(text: str, stop: tuple[str, ...]) -> str:
    return text[: min((at for at in map(text.find, stop) if at >= 0), default=len(text))]


def _script_key(cell: Cell, answers: Mapping[str, object]) -> str | None:
    """The most telling entry of a script: the variant's own, else the prompt's; an injection is never left out."""
    injected = f"/{cell.injection}" if cell.injection else ""
    candidates = (cell.sweep, cell.prompt_id + injected)
    return next((key for key in candidates if key in answers), None)


def _whole_words(script: Script) -> frozenset[str]:
    return frozenset(word for answers in script.answers.values() for text in answers for word in _WORD.findall(text))


def _vocabulary(words: Iterable[str]) -> dict[str, int]:
    """The token of every word: the same in all scripts, so that one can score what another has drawn."""
    # Every beginning of a word is a token too: a stop string may cut an answer anywhere.
    beginnings = {word[:length] for word in words for length in range(1, len(word) + 1)}
    vocabulary: dict[str, int] = {}
    taken = {_END}
    for word in sorted(beginnings):
        token = _token(word)
        while token in taken:  # two words of one digest
            token = (token + 1) % _TOKENS
        vocabulary[word] = token
        taken.add(token)
    return vocabulary


def _token(word: str) -> int:
    return hashed_seed("word", word) % _TOKENS


def _moved(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """The words whose token depends on what else a script says."""
    return {word: token for word, token in vocabulary.items() if token != _token(word)}


def _digest(answers: Mapping[str, Mapping[str, float]]) -> str:
    return f"{hashed_seed(json.dumps(answers, sort_keys=True)):016x}"


def _transcript(cell: Cell) -> str:
    return "".join(f"{message.role}: {message.content}\n" for message in cell.messages)


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _opened(model: str) -> Script:
    return _truth_table(model) if model in demo.MODELS else _read_script(Path(model))


def _truth_table(model: str) -> Script:
    table = json.loads(demo.truth_path().read_text("utf-8"))
    return Script(model, {prompt_id: entry[model]["answers"] for prompt_id, entry in table["prompts"].items()})


def _read_script(path: Path) -> Script:
    """A script from a YAML file: `prompts: {ID: {ANSWER: WEIGHT}}`, and optionally `delay_s` and `failures`."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the script {path}: {error}", hint="give one with -m FILE.yaml") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or not isinstance(document.get("prompts"), dict):
        raise UsageError(f"{path}: a script needs `prompts:` with the answers of each", hint=_FORM)
    unknown = set(document) - {"prompts", "delay_s", "failures"}
    if unknown:
        raise UsageError(f"{path}: unknown {_some(sorted(map(str, unknown)))}", hint=_FORM)
    known: dict[int, dict[str, float]] = {}  # a YAML alias is the same mapping again: it is held once
    answers = {
        str(prompt_id): known.get(id(given)) or known.setdefault(id(given), _weights(path, prompt_id, given))
        for prompt_id, given in document["prompts"].items()
    }
    try:
        failures = Failures(**document.get("failures", {}))
        delay_s = float(document.get("delay_s", 0.0))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: {error}", hint=_FORM) from error
    return Script(path.name, answers, delay_s, failures)


_FORM = 'prompts: {ID: {"ANSWER": WEIGHT, …}}, delay_s: 0.01, failures: {share: 0.1, kind: timeout, transient: true}'


def _weights(path: Path, prompt_id: object, given: Any) -> dict[str, float]:
    good = isinstance(given, dict) and given
    if not good or not all(isinstance(w, int | float) and w > 0 for w in given.values()):
        raise UsageError(f"{path}: prompt {prompt_id!r} needs answers, each with a weight above zero", hint=_FORM)
    return {str(answer): float(weight) for answer, weight in given.items()}

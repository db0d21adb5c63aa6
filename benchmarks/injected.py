"""Speculators of known quality, for replays: they know what comes next, and say it as often as they are told to.

The right call is among the guesses with probability `recall`; the other guesses are calls of other sessions. What they
say of their confidence is too much, by `overconfidence` in log odds, tells right from wrong by a little, and is noisy.
An answer depends on seed, speculator and place in the session alone: whoever asks, and how often, hears the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from spec_mcp.predict.cells import logit
from spec_mcp.predict.guessing import About, Answered, Ending, Guess, Question, Spent
from spec_mcp.predict.mixer import sigmoid
from spec_mcp.predict.prices import FREE, Prices, price_of
from spec_mcp.replay.script import SERVER, Call, Script

INPUT_TOKENS, CACHED_TOKENS, GUESS_TOKENS = 3_000, 2_000, 60
"""Of a question, those of them in the prompt cache, and of each guess."""

FIRST = 0.7
"""How often the right guess is put first, of those where it is among them."""

RUNNING = 0.8
"""Recall where a call still runs, in proportion: its answer is not known."""

KNOWS = 0.7
"""By so much in log odds is said to be surer of what is right, and less sure of what is wrong."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a speculator is."""

    recall: float
    """The probability that one of its guesses, of four, is the next call."""
    noise: float = 0.8
    """Standard deviation of its confidence, in log odds."""
    overconfidence: float = 1.0
    latency_s: float = 0.6
    """At the median; answers take from two thirds to one and a half times as long."""
    prices: Prices = FREE


class Injected:
    """See `Speculators` of the replay."""

    def __init__(self, qualities: Mapping[str, Quality], calls: Sequence[Call], seed: int) -> None:
        """`calls` of other sessions make the wrong guesses."""
        self._qualities = qualities
        self._calls = calls
        self._seed = seed

    def ask(self, question: Question, script: Script, made: int) -> Answered:
        quality = self._qualities[question.speculator]
        random = Random(f"{self._seed} {question.speculator} {script.session} {made} {question.about}")
        guesses = tuple(self._guesses(quality, question, script, made, random))[: question.k]
        took_s = quality.latency_s * 1.5 ** random.uniform(-1.0, 1.0)
        output_tokens = GUESS_TOKENS * question.k
        price = price_of(quality.prices, INPUT_TOKENS, CACHED_TOKENS, output_tokens)
        spent = Spent(INPUT_TOKENS, CACHED_TOKENS, output_tokens, price, took_s)
        return Answered(question, Ending.ANSWERED, guesses, spent)

    def _guesses(self, quality: Quality, question: Question, script: Script, made: int, random: Random) -> list[Guess]:
        """Four, of which the first are said; likeliest first."""
        recall = quality.recall * (RUNNING if question.about is About.RUNNING_CALL else 1.0)
        wrong = [random.choice(self._calls) for _ in range(4)]
        following = next((turn.calls for turn in script.turns if turn.calls[0].number >= made), ())
        right = [call for call in following if random.random() < recall]
        chosen = [(call, False) for call in wrong]
        for call in right:
            chosen.insert(0 if random.random() < FIRST else random.randrange(1, 4), (call, True))
        said = [
            logit(max(0.05, recall) / (1 if place == 0 else 3))
            + quality.overconfidence
            + (KNOWS if is_right else -KNOWS)
            + random.gauss(0.0, quality.noise)
            for place, (_, is_right) in enumerate(chosen)
        ]
        guesses = [
            Guess(SERVER, call.tool, call.arguments, sigmoid(x)) for (call, _), x in zip(chosen, said, strict=True)
        ]
        return guesses[:4]

"""Small recorded sessions whose figures are known by hand, and predictors that say what they are told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.policy import Settings
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.records import CallEvent, Session
from spec_mcp.replay.evaluate import Evaluation, Options
from spec_mcp.replay.script import SERVER, Timings
from spec_mcp.replay.tally import Tally

Guess = tuple[str, Arguments, float]


def read(
    tool: str, arguments: Arguments, result: Json = "ok", batch: int | None = None, is_error: bool = False
) -> CallEvent:
    """A call that reads."""
    return CallEvent(tool, arguments, result, is_error, "read", batch)


def write(tool: str, arguments: Arguments, result: Json = "ok", batch: int | None = None) -> CallEvent:
    """A call that writes."""
    return CallEvent(tool, arguments, result, False, "write", batch)


def session(*events: CallEvent, name: str = "s") -> Session:
    """A session of these calls."""
    return Session(session=name, source="test", events=events, task=name)


@dataclass
class Foretelling:
    """Tells, after so many calls, what it was given; keeps what it was told and asked."""

    guesses: Callable[[int, Sequence[Supposed]], list[Guess]]
    made: int = 0
    answered: int = 0
    asked: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list[tuple[int, int, tuple[str, ...]]])

    def began(self, call: CallBegan) -> None:
        self.made += 1

    def ended(self, call: CallEnded) -> None:
        self.answered += 1

    def said(self, session: str, role: str, text: str) -> None:
        pass

    def attached(self, session: str, read: Supposed) -> None:
        pass

    def closed(self, session: str) -> None:
        pass

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        self.asked.append((self.made, self.answered, tuple(step.tool for step in supposed)))
        guesses = self.guesses(self.answered, supposed)[:limit]
        return [Candidate(SERVER, tool, arguments, q, "test") for tool, arguments, q in guesses]

    def dump(self) -> Json:
        return {}

    def load(self, learned: Json) -> None:
        pass


def play(
    sessions: Sequence[Session],
    guesses: Callable[[int, Sequence[Supposed]], list[Guess]],
    *,
    latency_s: float = 1.0,
    think_s: float = 3.0,
    settings: Settings | None = None,
) -> tuple[Tally, Foretelling]:
    """Replay with a predictor that says these guesses after so many answers."""
    predictor = Foretelling(guesses)
    options = Options(
        settings=settings or Settings(wasted_call_s=0.01),
        timings=Timings(latency_s, think_s),
        make=lambda policies, seed: predictor,
    )
    return Evaluation(options).play(sessions, ()), predictor

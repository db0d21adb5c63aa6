"""What a predictor is. The relay, the replay and the tests each drive one through this protocol.

A session's history is a sequence of steps. `began` and `ended` are told as they happen, in the client's order; a call
that an adopted speculation answered is told like any other. `predict` may be asked at any time, also between `began`
and `ended` of a slow call, and again with `supposed`: calls whose speculated results are at hand but which the client
has not made (a chain, nearest step last).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.events import Candidate


@dataclass(frozen=True, slots=True)
class CallBegan:
    """A client made a call. `batch` equals that of calls which it made in the same turn, before any was answered."""

    session: str
    call: int
    server: str
    tool: str
    arguments: Arguments
    at_s: float
    writes: bool
    """The call is not known to be a read: it ends the life of conflicting results."""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call has its answer. `result` is what a manifest's expressions see: `structuredContent` where there is one,
    else the JSON that the single text item holds, else `{"text": ...}`; None where it is too large to look into."""

    session: str
    call: int
    result: Json
    is_error: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class Supposed:
    """A call that the client has not made, with the result that it would get."""

    server: str
    tool: str
    arguments: Arguments
    result: Json
    is_error: bool


class Predictor(Protocol):
    """Learns from calls and guesses the next ones."""

    def began(self, call: CallBegan) -> None:
        """Take note of a call. What was predicted before it is scored against it."""
        ...

    def ended(self, call: CallEnded) -> None:
        """Take note of a call's answer."""
        ...

    def said(self, session: str, role: str, text: str) -> None:
        """Take note of words of the `user` or the `assistant`, told before the calls that follow them.

        Only where the client sends them as hints, or a record holds them: a proxy does not see the conversation.
        """
        ...

    def attached(self, session: str, read: Supposed) -> None:
        """The client was given the result of a read that it has not made, along with another call's answer.

        It may use that in place of the call, so that it is not made is no sign that it was not wanted.
        """
        ...

    def closed(self, session: str) -> None:
        """The session is over: forget its history, keep what was learned."""
        ...

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        """At most `limit` calls that the session's client may make before the next conflicting write, likeliest first.

        Probabilities are conditional on the supposed calls being made.
        """
        ...

    def dump(self) -> Json:
        """What was learned since the predictor was made or last dumped, as JSON: counts that add up."""
        ...

    def load(self, learned: Json) -> None:
        """Add what was dumped, by this process or another.

        Raises:
            ValueError: the data has another shape.
        """
        ...

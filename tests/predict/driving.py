"""Drives a predictor as a client's session would."""

from __future__ import annotations

from collections.abc import Mapping

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.predict.default import DefaultPredictor, make_predictor
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed

SERVER = "shop"


class Driven:
    """A predictor and the sessions that it lives."""

    def __init__(self, policies: Mapping[str, ServerPolicy] | None = None) -> None:
        self.predictor: DefaultPredictor = make_predictor(policies or {}, 0)
        self.session = "s0"
        self._calls = 0
        self._sessions = 0

    def call(
        self, tool: str, arguments: Arguments, result: Json, *, writes: bool = False, is_error: bool = False
    ) -> None:
        """One call with its answer."""
        self.turn([(tool, arguments, result)], writes=writes, is_error=is_error)

    def turn(self, calls: list[tuple[str, Arguments, Json]], *, writes: bool = False, is_error: bool = False) -> None:
        """Calls that the client made at once."""
        numbers: list[int] = []
        for tool, arguments, _ in calls:
            self._calls += 1
            numbers.append(self._calls)
            self.predictor.began(CallBegan(self.session, self._calls, SERVER, tool, arguments, 0.0, writes))
        for number, (_, _, result) in zip(numbers, calls, strict=True):
            self.predictor.ended(CallEnded(self.session, number, result, is_error, 0.0))

    def close(self) -> None:
        """The client leaves, and another comes."""
        self.predictor.closed(self.session)
        self._sessions += 1
        self.session = f"s{self._sessions}"

    def told(self, limit: int = 16) -> dict[tuple[str, str], float]:
        """What is predicted now: the probability by tool and arguments."""
        return {
            (candidate.tool, " ".join(map(str, candidate.arguments.values()))): candidate.q
            for candidate in self.candidates(limit)
        }

    def candidates(self, limit: int = 16) -> list[Candidate]:
        """What is predicted now."""
        return self.predictor.predict(self.session, (), limit, 0.0)

    def shop(self, number: int, *, orders: int = 3, looked_at: int = 3, writes: bool = True) -> None:
        """A session of the kind that agents have: a customer, then so many of the orders, then a cancellation."""
        self.customer(number, orders)
        for index in range(looked_at):
            self.call("get_order", {"order_id": f"W{number}{index}"}, {"order_id": f"W{number}{index}", "items": []})
        if writes:
            self.call("cancel_order", {"order_id": f"W{number}0"}, {"status": "cancelled"}, writes=True)
        self.close()

    def customer(self, number: int, orders: int = 3) -> None:
        """The session's first two calls."""
        self.call("find_customer", {"email": f"c{number}@example.com"}, {"text": f"customer_{number}"})
        found: list[Json] = [f"W{number}{index}" for index in range(orders)]
        self.call("get_customer", {"customer_id": f"customer_{number}"}, {"name": "X", "orders": found})

    def said(self, role: str, text: str) -> None:
        """Words of the user or the assistant."""
        self.predictor.said(self.session, role, text)

    def attached(self, tool: str, arguments: Arguments, result: Json) -> None:
        """A result that the client was given without having called."""
        self.predictor.attached(self.session, Supposed(SERVER, tool, arguments, result, False))

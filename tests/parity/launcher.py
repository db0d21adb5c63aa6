"""`spec-mcp wrap` with a predictor that a test has scripted: `launcher.py SCRIPT MARKS [wrap options] -- COMMAND`;
the gateway, in front of one server, with `launcher.py SCRIPT MARKS run [options]`.

The script holds the calls that the client will make, in order. The right predictor foretells the next of them; the
lying one foretells what will not be called: the right tools with wrong arguments, writes, unknown tools, calls
already made. Whenever it is asked it notes in MARKS how many calls had ended, and which of the script's reads it
foretold, so that the test can wait for the speculations.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spec_mcp.engine import engine
from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import Effect, ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.relay.wrap import parse, serve

SURE = 0.99

THINKS_S = 30.0
"""The script's agent calls as soon as speculation has had its chance, but is taken to think like one that is asked:
else a slow machine decides whether a serial server may be speculated on at all."""

JOINS_S = 10.0
"""A join waits for so much longer than a call is expected to take: else a slow machine decides how many there are."""


class ScriptedPredictor:
    """Knows the script, and tells it or lies about it."""

    def __init__(self, policies: Mapping[str, ServerPolicy], script: Path, marks: Path) -> None:
        told = json.loads(script.read_text())
        self._calls: list[tuple[str, Any]] = [(tool, arguments) for tool, arguments in told["calls"]]
        self._lies: bool = told["lies"]
        self._policies = policies
        self._marks = marks
        self._server = ""
        self._begun = 0
        self._ended = 0

    def began(self, call: CallBegan) -> None:
        self._server = call.server
        self._begun += 1

    def ended(self, call: CallEnded) -> None:
        self._ended += 1

    def said(self, session: str, role: str, text: str) -> None:
        return

    def attached(self, session: str, read: Supposed) -> None:
        return

    def closed(self, session: str) -> None:
        return

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        told = [(step.tool, step.arguments) for step in supposed]
        coming = list(enumerate(self._calls[self._begun :], self._begun))
        foretold = [(index, call) for index, call in coming if call not in told]
        chosen = self._lie(foretold) if self._lies else foretold
        chosen = chosen[:limit]
        if not supposed:
            reads = [index for index, (tool, _) in chosen if self._is_read(tool) and not self._lies]
            self._note({"ended": self._ended, "reads": reads})
        return [Candidate(self._server, tool, arguments, SURE, "script", True) for _, (tool, arguments) in chosen]

    def dump(self) -> Json:
        return None

    def load(self, learned: Json) -> None:
        return

    def _lie(self, foretold: list[tuple[int, tuple[str, Any]]]) -> list[tuple[int, tuple[str, Any]]]:
        lies: list[tuple[int, tuple[str, Any]]] = []
        for index, (tool, arguments) in foretold[:3]:
            if self._is_read(tool):
                other = {name: _changed(value) for name, value in arguments.items()} or {"lie": index}
                lies.append((index, (tool, other)))
            else:
                lies.append((index, (tool, arguments)))  # a write: to be refused, right as it is
        lies += [(-1, call) for call in self._calls[: self._begun][-2:]]
        lies.append((-1, ("no_such_tool_either", {"x": 1})))
        return lies

    def _is_read(self, tool: str) -> bool:
        policy = self._policies.get(self._server)
        found = policy.tools.get(tool) if policy else None
        return found is not None and found.effect is Effect.READ

    def _note(self, mark: dict[str, Any]) -> None:
        with self._marks.open("a") as file:
            file.write(json.dumps(mark) + "\n")


def _changed(value: Any) -> Any:
    """Another value of the same kind, so that the server has something to answer."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value[:-1] if len(value) > 1 else value + "x"
    if isinstance(value, int | float):
        return value + 1
    return value[:-1] if isinstance(value, list) else value


def _thinks(self: Timing, fraction: float) -> float:
    return THINKS_S


def main() -> int:
    script, marks, *arguments = sys.argv[1:]

    def make(policies: Mapping[str, ServerPolicy], seed: int) -> ScriptedPredictor:
        return ScriptedPredictor(policies, Path(script), Path(marks))

    Timing.gap_s = _thinks  # before the engine is made
    engine.JOIN_SLACK_S = JOINS_S
    if arguments[:1] == ["run"]:
        from spec_mcp.__main__ import run
        from spec_mcp.relay.gateway import gateway

        gateway.predictor_of = lambda make_predictor, policies, config: make(policies, 0)
        return run(arguments)
    return serve(parse(arguments), make)


if __name__ == "__main__":
    sys.exit(main())

"""The scratch server as the trials see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from spec_mcp.engine.calls import Arguments, Json


class ServerLost(Exception):  # noqa: N818  what happened, in the words of the user
    """The server ended or fell silent; the message says how, as the end of a sentence that names it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool and its arguments."""

    tool: str
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered with."""

    result: Json
    """Decoded, without `_meta`, which is no part of what a tool answers."""
    is_error: bool

    @property
    def text(self) -> str:
        """What is compared: all that the client would be shown, its text content to the letter."""
        return json.dumps([self.is_error, self.result], sort_keys=True)


class Server(Protocol):
    """A server that was started on a state of its own."""

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """Its complete tool list."""
        ...

    def call(self, tool: str, arguments: Arguments) -> Answer:
        """Call a tool; an error of the protocol is an error's answer too.

        Raises:
            ServerLost: it ended, or does not answer.
        """
        ...


Start = Callable[[], AbstractContextManager[Server]]
"""Starts the server on a fresh state, always the same one, and ends it with the block."""


class Bench:
    """A server under trial, and what was done to its state so far."""

    def __init__(self, server: Server, reads: frozenset[str], learn: Callable[[Answer], None]) -> None:
        self.trail: list[Call] = []
        """Every call that may have changed something, in order: with them the state can be made again."""
        self._server = server
        self._reads = reads
        self._learn = learn

    def call(self, call: Call) -> Answer:
        """Make a call."""
        if call.tool not in self._reads:
            self.trail.append(call)
        answer = self._server.call(call.tool, call.arguments)
        self._learn(answer)
        return answer

    def observe(self, looks: Sequence[Call]) -> list[Answer]:
        """The state, as these reads show it."""
        return [self.call(look) for look in looks]

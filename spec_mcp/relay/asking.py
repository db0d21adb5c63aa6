"""Calls of our own, of which no client knows: their answers, or word that none will come."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.events import Answer
from spec_mcp.relay import wire
from spec_mcp.relay.handshake import Handshake
from spec_mcp.relay.link import ServerLink
from spec_mcp.relay.listing import own_meta


@dataclass(frozen=True, slots=True)
class Told:
    """The server's answer."""

    answer: Answer
    result: bytes
    """Raw."""
    rate_limited: bool = False

    @property
    def is_good(self) -> bool:
        """Did the tool do what it was asked?"""
        return self.answer is Answer.RESULT and not self.rate_limited


OnTold = Callable[["Told | None"], None]
"""Told the answer, or None: the connection was lost before there was one, or there is none."""


class Asking:
    """Of one connection."""

    def __init__(self, link: ServerLink, handshake: Handshake) -> None:
        self._link = link
        self._handshake = handshake
        self._made = 0
        self._waiting: dict[int, OnTold] = {}

    def call(self, tool: str, arguments: Arguments, told: OnTold) -> None:
        """Make the call."""
        if not self._link.is_up:
            told(None)
            return
        self._made += 1
        number = self._made
        self._waiting[number] = told

        def answered(message: wire.Envelope) -> None:
            if (waiting := self._waiting.pop(number, None)) is None:
                return
            if not message.result and not message.error:  # there will be none
                waiting(None)
                return
            outcome = wire.outcome(message, len(message.result))
            waiting(Told(outcome.answer, message.result, outcome.rate_limited))

        self._link.ask("tools/call", self._params(tool, arguments), answered)

    def connection_lost(self) -> None:
        """No answer will come to what was asked."""
        waiting, self._waiting = list(self._waiting.values()), {}
        for told in waiting:
            told(None)

    def _params(self, tool: str, arguments: Arguments) -> bytes:
        # the standard codec writes lone surrogates, which arguments may hold
        params = json.dumps({"name": tool, "arguments": arguments}, separators=(",", ":")).encode()
        meta = own_meta(self._handshake.stateless_meta)
        return params[:-1] + b',"_meta":{%s}}' % meta if meta else params

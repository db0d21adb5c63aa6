"""What the client gets: its requests sent on or refused, adopted results, errors, and what the server says of itself.

The commands that the engine gives for the client's sake are carried out here. What the server has just said waits in
`said` until it is known whether the client gets it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.events import Answer, Event, Outcome, SpeculationId
from spec_mcp.relay import extras, wire
from spec_mcp.relay.asked import Asked, AskedTable
from spec_mcp.relay.gate import could_see
from spec_mcp.relay.learning import Held
from spec_mcp.relay.link import ServerLink
from spec_mcp.relay.reversing import MENDED_BY
from spec_mcp.relay.speculating import Speculating

CONNECTION_CLOSED = -32000
REFUSED = -32603


class ClientLines(Protocol):
    """Where the lines for the clients of one connection go."""

    def put(self, line: bytes) -> None:
        """Have a line go out, after those before it."""
        ...

    def send(self, line: bytes) -> None:
        """The same, where somebody waits for it."""
        ...


class Answering:
    """Of the clients of one connection. `feed` tells the engine."""

    def __init__(
        self,
        client: ClientLines,
        link: ServerLink,
        asked: AskedTable,
        ours: Speculating,
        feed: Callable[[Event], None],
        held: Callable[[SpeculationId], Held | None],
    ) -> None:
        """`held` finds what is held over any connection."""
        self.blocked = ""
        """Why a request that could see what may not be seen is answered with an error."""
        self.passes = True
        """Does the client get what the server has just said?"""
        self.said = b""
        """The request or notification that the server has just sent."""
        self.prompt: wire.Envelope = wire.Envelope()
        """The same, where it is a request."""
        self.cancellation = b""
        """The client's, that is just looked into."""
        self._client = client
        self._link = link
        self._asked = asked
        self._ours = ours
        self._feed = feed
        self._held = held
        self.commands: dict[type, Callable[..., None]] = {
            do.Invoke: self._invoke,
            do.Reply: self._reply,
            do.AttachReads: self._attach_reads,
            do.PassOn: self._pass_on,
            do.Refuse: self._refuse,
            do.ForwardCancellation: self._forward_cancellation,
            do.Withhold: self._withhold,
            do.HoldNotification: self._hold_notification,
            do.Tell: self._tell,
            do.Fail: self._fail_call,
        }

    # --- the client's requests --------------------------------------------------------------------------------------

    def is_blocked(self, method: str) -> bool:
        """Rule 17's one exception: could this see what may not be seen?"""
        return bool(self.blocked) and (method == "batch" or could_see(method))

    def send(self, asked: Asked) -> None:
        """Let it go to its server."""
        line, asked.line = asked.line, None
        if line is not None and (why := self._link.send(asked.method, line)) is not None:
            self.lose(asked, why)

    def lose(self, asked: Asked, why: str | None) -> None:
        """Its server is gone; None: nobody is to be told."""
        if why is not None and not asked.cancelled:  # the answer to a cancelled request is expected by nobody
            for _, id_raw in asked.ids:
                self._client.put(error_line(id_raw, CONNECTION_CLOSED, why))
        asked.seat.account.unanswered(asked)
        self._asked.forget(asked)
        self._feed(events.CallReturned(asked.call, Outcome(Answer.NONE)))

    def refuse(self, asked: Asked, why: str) -> None:
        """It never reaches its server, for the sake of what it could see there."""
        asked.seat.account.unanswered(asked)
        self._asked.answered_by_us(asked)
        self.refuse_ids([id_raw for _, id_raw in asked.ids], why)

    def refuse_ids(self, ids: Sequence[bytes], why: str) -> None:
        """The same, where nobody knows of it yet."""
        for id_raw in ids:
            self._client.put(error_line(id_raw, REFUSED, f"{why}; {MENDED_BY}"))

    def refuse_prompt(self) -> None:
        """What the server has just asked can only belong to a speculation."""
        self.passes = False
        self._link.say(error_line(self.prompt.id, REFUSED, "the client asked for nothing that needs this"))

    # --- commands ---------------------------------------------------------------------------------------------------

    def _invoke(self, command: do.Invoke) -> None:
        if (asked := self._asked.get(command.call)) is not None:
            self.send(asked)

    def _fail_call(self, command: do.Fail) -> None:
        if (asked := self._asked.get(command.call)) is not None:
            self.refuse(asked, command.reason)

    def _reply(self, command: do.Reply) -> None:
        asked, held = self._asked.get(command.call), self._ours.get(command.speculation)
        assert asked is not None, "a call that the engine answers has no answer yet"
        assert held is not None, "what the engine adopts has not been dropped"
        line, notifications = held.answer(asked.id_raw), held.notifications_under(asked.progress_token)
        if asked.extras and (message := wire.read(line)) is not None:
            line = self.with_extras(asked, line, extras.place_in(cast("wire.Envelope", message), line))
        self._asked.answered_by_us(asked)  # before a byte of it leaves: whatever happens then, it is answered once
        for notification in notifications:
            self._client.put(notification)
        self._client.send(line)
        asked.seat.account.answered(asked, held.result, held.result, wire.is_error(wire.Envelope(result=held.result)))

    def _attach_reads(self, command: do.AttachReads) -> None:
        if (asked := self._asked.get(command.call)) is not None:
            found = (self._held(number) for number in command.speculations)
            asked.extras = tuple(held for held in found if held is not None)

    def with_extras(self, asked: Asked, line: bytes, place: int | None) -> bytes:
        """An answer's line with what goes along with it; as it is where there is no place for that."""
        if place is None or not asked.extras:
            asked.extras = ()
            return line
        return extras.with_items(line, place, [held.extra for held in asked.extras])

    def _pass_on(self, command: do.PassOn) -> None:
        self.passes = True

    def _refuse(self, command: do.Refuse) -> None:
        self.refuse_prompt()

    def _forward_cancellation(self, command: do.ForwardCancellation) -> None:
        self._link.tell(self.cancellation)

    def _withhold(self, command: do.Withhold) -> None:
        self.passes = False

    def _hold_notification(self, command: do.HoldNotification) -> None:
        self.passes = False
        line = self.said if self.said.endswith(b"\n") else self.said + b"\n"  # within a batch it has no end
        self._ours.hold(command.speculation, line)

    def _tell(self, command: do.Tell) -> None:
        held = self._ours.get(command.speculation)
        for notification in held.notifications_under(b"") if held is not None else ():
            self._client.put(notification)


def error_line(id_raw: bytes, code: int, message: str) -> bytes:
    """A JSON-RPC error of our own making."""
    text = json.dumps(f"spec-mcp: {message}").encode()
    return b'{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%s}}\n' % (id_raw, code, text)

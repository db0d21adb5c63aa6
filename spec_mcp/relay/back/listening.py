"""What a server says on its own account, in the handshake era: a stream that is come back to when it ends."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from spec_mcp.relay import wire
from spec_mcp.relay.back.events import MESSAGE, EventReader, TooLong
from spec_mcp.relay.back.exchange import (
    LAST_EVENT,
    REFUSAL_KINDS,
    REFUSAL_MAX_BYTES,
    SILENT_S,
    STREAM_ACCEPTED,
    Exchange,
    Session,
    as_line,
    knows_no_session,
    resume_s,
)
from spec_mcp.relay.back.failures import Cut, Failure
from spec_mcp.relay.back.reaching import Body, Reach, Reply
from spec_mcp.relay.link import JITTER

HEARD_IN_VAIN_MAX = 10
"""Times in a row that nothing comes of listening, over some minutes: then the next handshake begins it again."""


class Listening:
    """To one session of a server, until it is stopped or there is nothing to be heard."""

    def __init__(
        self,
        session: Session,
        reach: Reach,
        chance: Callable[[], float],
        heard: Callable[[bytes], None],
        gone: Callable[[Session, Exchange | None], None],
    ) -> None:
        self._session = session
        self._reach = reach
        self._chance = chance
        self._heard = heard
        self._gone = gone
        self._reader = EventReader(reach.bounds.message_bytes)
        self._scope = anyio.CancelScope()
        self._vain = 0
        self._has_worked = False

    def stop(self) -> None:
        """Hear nothing more."""
        self._scope.cancel()

    async def run(self) -> None:
        """Listen."""
        with self._scope:
            while self._vain < HEARD_IN_VAIN_MAX and await self._listen():
                wait_s = resume_s(self._reader.retry_ms, self._vain)
                await anyio.sleep(wait_s * (1.0 + JITTER * self._chance()))

    async def _listen(self) -> bool:
        """Listen once; is there any use in coming back?"""
        self._vain += 1
        headers = [STREAM_ACCEPTED, *self._session.headers]
        if self._reader.last_id:
            headers.append((LAST_EVENT, self._reader.last_id))
        try:
            async with await self._reach.ask("GET", headers, Body(b""), self._reach.bounds.answer_s) as reply:
                if await self._is_gone(reply):
                    self._gone(self._session, None)
                    return False
                if reply.status != 200 or reply.kind != "text/event-stream":
                    return reply.status >= 500 or reply.status == 429
                self._has_worked = True
                self._reader.begin_anew()
                await self._hear(reply)
        except TooLong:
            return True
        except Failure as failure:
            return not isinstance(failure, Cut) or self._has_worked
        return True

    async def _is_gone(self, reply: Reply) -> bool:
        """Is it the session that the server does not know, and not the way of listening?"""
        if reply.status not in (400, 404) or not (self._has_worked or self._session.has_stood):
            return False
        body = await reply.collect(REFUSAL_MAX_BYTES) if reply.kind in REFUSAL_KINDS else b""
        return knows_no_session(self._session, reply.status, body)

    async def _hear(self, reply: Reply) -> None:
        while (part := await reply.read(SILENT_S)) is not None:
            events = self._reader.feed(part)
            reply.hold(self._reader.held_bytes)
            for event in events:
                if event.kind == MESSAGE and event.data:
                    self._vain = 0
                    self._hand_on(event.data)

    def _hand_on(self, data: bytes) -> None:
        """Requests and notifications: answers come where they were asked for."""
        line = as_line(data)
        message = wire.read(line)
        members = message.members if isinstance(message, wire.Batch) else (message,)
        if all(member is not None and member.method for member in members):
            self._heard(line)

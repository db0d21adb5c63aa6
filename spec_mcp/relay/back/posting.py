"""Lines on their way to a server over HTTP: requests at once, each by its own connection, and the rest in order.

A notification or an answer has arrived before anything later is sent, and follows what was sent before it. So has
`initialize` been answered. But no server holds up others' requests for long by not taking a notification.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from spec_mcp.relay.back.exchange import Exchange

ORDER_S = 5.0
"""How long later lines wait for a notification to arrive."""


class Posting:
    """The queue of one link. `start` is called for each exchange when its turn has come."""

    def __init__(self, exchange_for: Callable[[bytes], Exchange | None], start: Callable[[Exchange], None]) -> None:
        self.waiting_bytes = 0
        """What has not been sent yet."""
        self.kept_back_bytes = 0
        self._exchange_for = exchange_for
        self._start = start
        self._queue: deque[Exchange] = deque()
        self._unsent: dict[Exchange, None] = {}
        self._blocking: Exchange | None = None

    def put(self, line: bytes) -> None:
        """Have a line go out in its turn."""
        exchange = self._exchange_for(line)
        if exchange is not None:
            self.waiting_bytes += len(line)
            self._queue.append(exchange)
            self._go_on()

    def send(self, line: bytes) -> None:
        """The same."""
        self.put(line)

    def stop(self) -> None:
        """Send nothing more of what waits."""
        for exchange in self.take_back():
            exchange.is_dead = True
        self._blocking = None

    def take_back(self) -> list[Exchange]:
        """What has not been begun, and now will not be; in its order."""
        queue, self._queue = self._queue, deque()
        for exchange in queue:
            self.waiting_bytes -= len(exchange.line)
        return list(queue)

    def sent(self, exchange: Exchange) -> None:
        """The server's side has all of it; may be said more than once."""
        if exchange in self._unsent:
            del self._unsent[exchange]
            self.waiting_bytes -= len(exchange.line)

    def arrived(self, exchange: Exchange) -> None:
        """What is behind it may go; may be said more than once."""
        exchange.arrived.set()
        if self._blocking is exchange:
            self._blocking = None
            self._go_on()

    def over(self, exchange: Exchange) -> None:
        """Nothing more becomes of it."""
        exchange.body.sent.set()
        self.sent(exchange)
        self.arrived(exchange)

    async def turn(self, exchange: Exchange) -> None:
        """Wait until what must go before it has gone."""
        if exchange.after:
            with anyio.move_on_after(ORDER_S):
                for other in exchange.after:
                    await other.body.sent.wait()
            exchange.after = []

    async def be_patient(self, exchange: Exchange) -> None:
        """Let go what is behind it in the end, whether it has arrived or not."""
        with anyio.move_on_after(ORDER_S):
            await exchange.arrived.wait()
        self.arrived(exchange)

    def _go_on(self) -> None:
        while self._queue and self._blocking is None:
            exchange = self._queue.popleft()
            if not exchange.is_request:
                exchange.after = list(self._unsent)
            self._unsent[exchange] = None
            if exchange.blocks:
                self._blocking = exchange
            self._start(exchange)

"""What is said to a client on one stream: the answer to its request and what comes before it, or what belongs to none.

As long as nothing but the answer has been said, it may go out as plain JSON. Anything else makes it a stream of
events, for good. The events of a numbered stream have ids and are kept a while after they went out, so that a client
whose connection broke can have the rest; those of one without a name are gone once taken.

One reader at a time takes from a stream and waits for more. What waits for it is bounded: a client that does not read
is cut off, and a numbered stream goes on without it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

import anyio

from spec_mcp.relay.front.load import SHARE_BYTES, Part

RETRY_MS = 1000
"""How long a client waits before it comes back to a stream that broke off: what clients take without being told."""

PING = b": ping\n\n"
"""A comment: it keeps what lies between from closing a silent connection."""


class Reader:
    """One HTTP answer that says what a stream holds."""

    __slots__ = ("_event", "_has_news", "is_over", "say_plainly", "scope")

    def __init__(self) -> None:
        self.is_over = False
        """Another reads on, or the stream goes on without anybody."""
        self.scope: anyio.CancelScope | None = None
        """Cancelled where the client does not read."""
        self.say_plainly: Callable[[], None] = lambda: None
        """Told that all there is to say may go out as plain JSON, now: whatever else follows from an answer can wait,
        the client need not."""
        self._event: anyio.Event | None = None
        self._has_news = False

    async def news(self) -> None:
        """Wait until something has changed since the last time."""
        if not self._has_news:
            self._event = anyio.Event()
            await self._event.wait()
            self._event = None
        self._has_news = False

    def wake(self) -> None:
        """Something has changed."""
        self._has_news = True
        if self._event is not None:
            self._event.set()

    def finish(self) -> None:
        """End this answer in peace."""
        self.is_over = True
        self.wake()

    def cut(self) -> None:
        """End it at once: the client does not read. Only where it has had the chance to."""
        if self.scope is not None:
            self.is_over = True
            self.scope.cancel()


class Stream:
    """One of them. `awaited`: how many answers it ends with; 0: it ends with the session."""

    __slots__ = (
        "_first",
        "_frames",
        "_kept",
        "_limit_bytes",
        "_waiting_bytes",
        "awaited",
        "begun",
        "ended",
        "is_batch",
        "lost",
        "name",
        "reader",
        "replies",
        "status",
        "taken",
    )

    def __init__(self, name: str, limit_bytes: int, kept: Part, awaited: int = 1, is_batch: bool = False) -> None:
        self.name = name
        """Unlike all others of its session; empty: its events have no ids."""
        self.awaited = awaited
        self.is_batch = is_batch
        self.begun = awaited == 0
        """It is a stream of events."""
        self.ended = False
        """Nothing more will be said."""
        self.lost = False
        """The client left before it knew how to come back: nobody will read it."""
        self.replies: list[bytes] = []
        """The answers, without newlines, while they may still go out as plain JSON."""
        self.status = 200
        """Of the plain answer."""
        self.reader: Reader | None = None
        self.taken = 0
        """The number of the last event that a reader took."""
        self._frames: deque[bytes] = deque()
        self._first = 1
        """The number of the first event that is held."""
        self._waiting_bytes = 0
        self._kept = kept
        self._limit_bytes = limit_bytes

    # --- what is said -----------------------------------------------------------------------------------------------

    def say(self, line: bytes) -> None:
        """Say something that is not the answer."""
        if not self.lost and not self.ended:
            self.begin()
            self._add(line)
            self._wake()

    def answer(self, line: bytes, status: int = 200) -> None:
        """Say one of the answers. With the last one the stream ends."""
        if self.ended:
            return
        self.awaited -= 1
        self.status = status
        if self.begun:
            self._add(line)
        else:
            self.replies.append(line.rstrip(b"\n"))
        if self.awaited == 0:
            self.ended = True
            if not self.begun and self.reader is not None:
                self.reader.say_plainly()
        self._wake()

    def begin(self) -> None:
        """From now on it is a stream of events."""
        if not self.begun:
            self.begun = True
            for reply in self.replies:
                self._add(reply)
            self.replies.clear()

    def end(self) -> None:
        """Nothing more will be said, answered or not."""
        self.ended = True
        self._wake()

    # --- who reads it -----------------------------------------------------------------------------------------------

    def attach(self) -> Reader:
        """A new reader, in the place of the one before."""
        if self.reader is not None:
            self.reader.finish()
        self.reader = Reader()
        return self.reader

    def detach(self, reader: Reader) -> None:
        """This one reads no more."""
        if self.reader is reader:
            self.reader = None
            self.lost = not self.begun

    def resume(self, after: int) -> bool:
        """Read again from behind this event; False where there never was such a one, or its answer is not held."""
        last = self._first + len(self._frames) - 1
        if not self.begun or not 0 <= after <= last or (self.ended and not self._frames):
            return False
        self.taken = max(after, self._first - 1)
        self._waiting_bytes = sum(map(len, self._untaken()))
        return True

    def take(self) -> bytes:
        """All events that were not taken yet."""
        frames = b"".join(self._untaken())
        self.taken = self._first + len(self._frames) - 1
        self._waiting_bytes = 0
        if not self.name:
            self.forget()
        return frames

    def plain(self) -> bytes:
        """The answers as one JSON text."""
        return b"[" + b",".join(self.replies) + b"]" if self.is_batch else b"".join(self.replies)

    def opening(self) -> bytes:
        """The first event of a new reader: it has an id and says nothing, so that the client can come back."""
        return b"id: %s-%d\nretry: %d\ndata:\n\n" % (self.name.encode(), self.taken, RETRY_MS)

    # --- what is held -----------------------------------------------------------------------------------------------

    def forget_oldest(self) -> bool:
        """Forget one event that was taken, or that nobody is there to take; False where there is none."""
        if not self._frames or (self.reader is not None and self._first > self.taken):
            return False
        self._drop()
        self.taken = max(self.taken, self._first - 1)
        return True

    def forget(self) -> None:
        """Forget all of them."""
        while self._frames:
            self._drop()

    def _drop(self) -> None:
        self._kept.add(-len(self._frames.popleft()))
        self._first += 1

    def _untaken(self) -> islice[bytes]:
        return islice(self._frames, max(0, self.taken + 1 - self._first), None)

    def _add(self, line: bytes) -> None:
        limit_bytes = min(self._limit_bytes, SHARE_BYTES) if self._kept.load.is_tight else self._limit_bytes
        if self.reader is not None and self._waiting_bytes > limit_bytes:
            self.reader.cut()
        data = line.rstrip(b"\n").replace(b"\r", b" ")  # between tokens; either would end the data of an event
        if self.name:
            number = self._first + len(self._frames)
            frame = b"id: %s-%d\nevent: message\ndata: %s\n\n" % (self.name.encode(), number, data)
        else:
            frame = b"event: message\ndata: " + data + b"\n\n"
        self._frames.append(frame)
        self._waiting_bytes += len(frame)
        self._kept.add(len(frame))

    def _wake(self) -> None:
        if self.reader is not None:
            self.reader.wake()

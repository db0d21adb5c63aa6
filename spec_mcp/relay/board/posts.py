"""Requests under way, as the other replicas know them.

Requests that come while others are being posted are posted together with the next. A request whose posting gets no
answer waits until it is posted after all, or until our lease has surely run out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from spec_mcp.engine.events import PostId
from spec_mcp.relay.board.worker import Worker
from spec_mcp.store.board import Fence, Posting
from spec_mcp.store.store import StoreError

POSTED_AT_ONCE = 256

RETRY_S = 0.05
"""A connection that was cut is made again in this time; what waits does so for seconds at the most."""

Later = Callable[[float, Callable[[], None]], Callable[[], None]]
"""Has a task done on the loop's thread after so many seconds; what it returns calls that off."""


class Posts:
    """Of one replica. `on_stalled` is told that the board does not answer in time, `on_flowing` that it does again,
    and `on_void` that we are no member."""

    def __init__(
        self, calls: Worker, aside: Worker, later: Later, patience_s: float, posted: Callable[[PostId], None]
    ) -> None:
        self.in_flight: dict[PostId, Posting] = {}
        self.on_stalled: Callable[[], None] = lambda: None
        self.on_flowing: Callable[[], None] = lambda: None
        self.on_void: Callable[[], None] = lambda: None
        self._calls = calls
        self._aside = aside
        self._later = later
        self._patience_s = patience_s
        self._posted = posted
        self._fence: Fence | None = None
        self._is_apart = False
        """Nothing need be posted: no lease of ours can be fresh."""
        self._waiting: dict[PostId, None] = {}
        """Requests that may not go out yet."""
        self._unsent: dict[PostId, None] = {}
        self._sent: tuple[PostId, ...] = ()
        """On their way to the board."""
        self._batch = 0
        """Counts batches: what is said of another one comes late."""
        self._brief: set[PostId] = set()
        """What is over, and has to be known of all the same: no request that never went out, but what a server said."""
        self._over: list[PostId] = []
        self._is_closing = False
        self._when_posted: Callable[[], None] | None = None
        """Told once that all which is in flight is posted."""

    # --- what the engine asks for -------------------------------------------------------------------------------------

    def post(self, posting: Posting) -> None:
        """Have it posted; `posted` is told when it may go out."""
        self.in_flight[posting.post] = posting
        self._waiting[posting.post] = None
        if self._is_apart:
            self._let_out([posting.post])
        else:
            self._unsent[posting.post] = None
            self._send()

    def unpost(self, post: PostId) -> None:
        """It is over."""
        if post < 0 and post in self._unsent:
            self._brief.add(post)
            return
        self.in_flight.pop(post, None)
        self._waiting.pop(post, None)
        if post in self._unsent:
            del self._unsent[post]
        elif post not in self._sent and self._fence is not None:
            self._over.append(post)
            self._close_some()

    # --- what the lease has to say ------------------------------------------------------------------------------------

    def member(self, fence: Fence, known: Iterable[PostId], done: Callable[[], None]) -> None:
        """We have joined with these posted: post the rest, and then say so."""
        self._stop_sending()
        self._fence, self._is_apart = fence, False
        known = list(known)
        self._end_brief(known)
        self._over = [post for post in known if post not in self.in_flight]
        self._let_out(known)
        self._unsent = {post: None for post in self.in_flight if post not in set(known)}
        self._waiting.update(self._unsent)
        self._close_some()
        self._when_posted = done
        self._send()

    def void(self) -> None:
        """What we had posted counts no more, and our lease may be fresh still: nothing goes out."""
        self._stop_sending()
        self._fence, self._is_apart = None, False

    def apart(self) -> None:
        """No lease of ours can be fresh any more: all may go out."""
        self.void()
        self._is_apart = True
        self._end_brief(self._unsent)
        self._unsent.clear()
        self._let_out(list(self._waiting))

    def _stop_sending(self) -> None:
        self._batch += 1
        self._unsent = {post: None for post in (*self._sent, *self._unsent) if post in self.in_flight}
        self._sent, self._over, self._when_posted = (), [], None

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        if self._sent or self._fence is None:
            return
        if not self._unsent:
            done, self._when_posted = self._when_posted, None
            if done is not None:
                done()
            return
        self._sent = tuple(self._unsent)[:POSTED_AT_ONCE]
        for post in self._sent:
            del self._unsent[post]
        self._batch += 1
        fence, postings = self._fence, [self.in_flight[post] for post in self._sent]
        call_off = self._later(self._patience_s, partial(self._late, self._batch))
        self._calls.do(lambda board: board.post(fence, postings), partial(self._told, self._batch, call_off))

    def _late(self, batch: int) -> None:
        if batch == self._batch and self._sent:
            self.on_stalled()

    def _told(self, batch: int, call_off: Callable[[], None], answer: bool | StoreError) -> None:
        call_off()
        if batch != self._batch:
            return
        if answer is True:
            sent, self._sent = self._sent, ()
            self._end_brief(sent)
            self._over += [post for post in sent if post not in self.in_flight]
            self._let_out(sent)
            self.on_flowing()
            self._close_some()
            self._send()
        elif answer is False:
            self.on_void()
        else:
            self.on_stalled()
            self._later(RETRY_S, partial(self._again, batch))

    def _again(self, batch: int) -> None:
        if batch == self._batch:
            self._over += [post for post in self._sent if post not in self.in_flight]  # it may have been done
            self._unsent = {post: None for post in (*self._sent, *self._unsent) if post in self.in_flight}
            self._sent = ()
            self._send()

    def _end_brief(self, known: Iterable[PostId]) -> None:
        """Of these others know now, or use nothing any more."""
        for post in self._brief.intersection(known):
            self._brief.discard(post)
            self.in_flight.pop(post, None)

    def _let_out(self, posts: Iterable[PostId]) -> None:
        for post in posts:
            if post in self._waiting:
                del self._waiting[post]
                self._posted(post)

    # --- closing ------------------------------------------------------------------------------------------------------

    def _close_some(self) -> None:
        """Off the way of calls: until then it only speaks against more than it need."""
        if self._is_closing or not self._over or self._fence is None:
            return
        self._is_closing = True
        over, self._over, fence = self._over, [], self._fence
        self._aside.do(lambda board: board.unpost(fence, over), partial(self._closed, fence, over))

    def _closed(self, fence: Fence, over: list[PostId], answer: StoreError | None) -> None:
        self._is_closing = False
        if answer is not None and fence == self._fence:
            self._over = over + self._over
            self._later(RETRY_S, self._close_some)
        else:  # of another membership all is gone
            self._close_some()

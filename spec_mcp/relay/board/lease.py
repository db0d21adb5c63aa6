"""Being one of the replicas: joining, renewing the lease, being cut off, coming back.

    apart ── join ──► posting what is in flight ── renew ──► member ── renew ──► member …
      ▲                                                        │
      └──── the lease has surely run out ◄── void or stalled ◄─┘

When a lease has surely run out is told by our own clock: twice its length after the last renewal was answered. Until
then requests that cannot be posted wait; from then on they go out unposted, and others use nothing until we are back.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from spec_mcp.engine.events import PostId
from spec_mcp.relay.board.identity import is_alive
from spec_mcp.relay.board.posts import Later, Posts
from spec_mcp.relay.board.worker import Worker
from spec_mcp.relay.saying import LogLevel, say
from spec_mcp.store.board import RENEWALS, Board, Fence, NameTaken, Process
from spec_mcp.store.store import StoreError

START_S = 5.0
"""How long the first requests wait for us to join: until then the others do not know that we are there."""

BACK_OFF_S = (0.1, 5.0)
"""The first pause before joining is tried again, which doubles, and the longest."""

NAMES_MAX = 100
"""Replicas of one name on a host: each tries the next number."""

TAKEN_LEASES = 3
"""So many leases long a name is tried that another process has: as a rule that one has just died."""


class LivesHere(NameTaken):
    """A living process of this host has the name."""


class Lease:
    """Of one replica. `on_member` is told each new membership, `on_cut_off` the end of one."""

    def __init__(
        self, process: Process, lease_s: float, worker: Worker, posts: Posts, later: Later, clock: Callable[[], float]
    ) -> None:
        self.fence: Fence | None = None
        """Ours, as far as we know; None: we are no member, and are joining."""
        self.is_member = False
        """Others count on our posting all that we do."""
        self.process = process
        self.on_member: Callable[[Fence], None] = lambda fence: None
        self.on_cut_off: Callable[[], None] = lambda: None
        self._lease_s = lease_s
        self._worker = worker
        self._posts = posts
        self._later = later
        self._clock = clock
        self._out_at_s = 0.0
        """When no lease of ours can be fresh any more."""
        self._joined_at_s = 0.0
        self._is_joining = False
        self._is_stalled = False
        self._is_closed = False
        self._has_said_so = False
        self._name, self._number = process.replica, 1
        self._taken_until_s: float | None = None
        """Until when our name is tried, where another process has it."""
        self._pause_s = BACK_OFF_S[0]
        posts.on_stalled, posts.on_flowing, posts.on_void = self._stalled, self._flowing, self._lost

    def start(self) -> None:
        """Join."""
        self._posts.void()
        self._await_end(self._clock() + START_S)
        self._join()

    def close(self) -> None:
        """Renew no more. What was posted before stays so until we leave."""
        self._is_closed = True

    # --- joining ------------------------------------------------------------------------------------------------------

    def _join(self) -> None:
        if self._is_joining or self._is_closed:
            return
        self._is_joining = True
        known = dict(self._posts.in_flight)
        lease_s, process = self._lease_s, self.process

        def join(board: Board) -> Fence:
            _require_free(board, process)
            return board.join(process, list(known.values()), lease_s)

        self._worker.do(join, partial(self._joined, tuple(known)))

    def _joined(self, known: tuple[PostId, ...], answer: Fence | StoreError) -> None:
        self._is_joining = False
        if self._is_closed:
            return
        if isinstance(answer, StoreError):
            self._try_again(answer)
            return
        self.fence, self._joined_at_s, self._is_stalled = answer, self._clock(), False
        self._taken_until_s = None
        self._posts.member(answer, known, self._begin)

    def _try_again(self, error: StoreError) -> None:
        if isinstance(error, NameTaken):
            self._try_name(is_lasting=isinstance(error, LivesHere))
        elif not self._has_said_so:
            self._has_said_so = True
            say(f"{error}; until it can be reached nothing is used ahead of time", LogLevel.WARNING)
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, BACK_OFF_S[1])
        self._later(pause_s * random.uniform(0.5, 1.0), self._join)

    def _try_name(self, *, is_lasting: bool) -> None:
        """The same again, or the next one where whoever has ours keeps it."""
        if self._taken_until_s is None:
            self._taken_until_s = self._clock() + TAKEN_LEASES * self._lease_s
        if not is_lasting and self._clock() < self._taken_until_s:
            return
        self._taken_until_s = None
        self._number = self._number % NAMES_MAX + 1
        name = self._name if self._number == 1 else f"{self._name}-{self._number}"
        self.process = replace(self.process, replica=name)

    def _begin(self) -> None:
        """All that is in flight is posted, and all that comes will be."""
        self._await_end(self._joined_at_s + 2 * self._lease_s)
        self._renew()

    # --- the lease ----------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        fence = self.fence
        if fence is not None and not self._is_stalled and not self._is_closed:
            self._worker.do(lambda board: board.renew(fence), partial(self._renewed, fence))

    def _renewed(self, fence: Fence, answer: bool | StoreError) -> None:
        if fence != self.fence:
            return
        if answer is False:
            self._lost()
            return
        if answer is True:
            self._out_at_s = self._clock() + 2 * self._lease_s
            if not self.is_member:
                self._has_joined(fence)
        self._later(self._lease_s / RENEWALS, partial(self._renew_if, fence))

    def _renew_if(self, fence: Fence) -> None:
        if fence == self.fence:
            self._renew()

    def _has_joined(self, fence: Fence) -> None:
        self.is_member, self._pause_s = True, BACK_OFF_S[0]
        if self._has_said_so:
            self._has_said_so = False
            say("the other replicas can be reached again")
        self.on_member(fence)

    def _stalled(self) -> None:
        """A request cannot be posted in time: let the lease run out, unless that goes by."""
        if self.fence is not None and not self._is_stalled:
            self._is_stalled = True
            self._await_end(self._out_at_s)

    def _flowing(self) -> None:
        if self._is_stalled:
            self._is_stalled = False
            self._renew()

    def _lost(self) -> None:
        """We are no member any more, though our lease may seem fresh to others for a while."""
        self._end_membership()
        self._posts.void()
        self._await_end(self._out_at_s)
        self._join()

    def _end_membership(self) -> None:
        was_member, self.is_member, self.fence, self._is_stalled = self.is_member, False, None, False
        if was_member:
            self.on_cut_off()

    # --- its end ------------------------------------------------------------------------------------------------------

    def _await_end(self, at_s: float) -> None:
        self._out_at_s = max(self._out_at_s, at_s)
        self._later(max(0.0, self._out_at_s - self._clock()), self._look_for_end)

    def _look_for_end(self) -> None:
        if self._is_closed or (self.fence is not None and not self._is_stalled):
            return
        if self._clock() < self._out_at_s:
            self._await_end(self._out_at_s)
            return
        self._end_membership()
        self._posts.apart()
        self._join()


def _require_free(board: Board, process: Process) -> None:
    """Another living process here must not be buried because we have its name.

    Raises:
        LivesHere: there is one.
    """
    for member in board.members():
        other = member.process
        if other.replica == process.replica and other != process and is_alive(other):
            raise LivesHere(f"{process.replica}: another process is the replica of this name")

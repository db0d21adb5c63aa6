"""The other replicas: burying those that are certainly gone, and saying which of them keeps all from using anything."""

from __future__ import annotations

import random
from functools import partial

from spec_mcp.relay.board.identity import is_gone
from spec_mcp.relay.board.posts import Later
from spec_mcp.relay.board.worker import Worker
from spec_mcp.relay.saying import LogLevel, say
from spec_mcp.store.board import Fence, Member
from spec_mcp.store.store import StoreError

SAID_AFTER_LEASES = 5
"""A replica that is back within a few leases is nothing to speak of."""


class Silent:
    """Looks after the others for one replica, twice in each lease: who dies is seen to be gone before its own ends."""

    def __init__(self, lease_s: float, bury_after_s: float, worker: Worker, later: Later) -> None:
        """`bury_after_s` is after what silence one counts as gone, by the user's word; 0: never."""
        self.fence: Fence | None = None
        """Ours; None: we are no member."""
        self._lease_s = lease_s
        self._bury_after_s = bury_after_s
        self._worker = worker
        self._later = later
        self._said: set[Fence] = set()
        self._is_closed = False

    def start(self) -> None:
        """Begin to look."""
        self._later(self._lease_s * random.uniform(0.4, 0.6), self._look)

    def close(self) -> None:
        """Look no more."""
        self._is_closed = True

    def _look(self) -> None:
        if self._is_closed:
            return
        if self.fence is None:
            self.start()
        else:
            fence = self.fence
            self._worker.do(lambda board: board.sweep(fence), lambda _: None)
            self._worker.do(lambda board: board.members(), self._looked)

    def _looked(self, answer: list[Member] | StoreError) -> None:
        if not isinstance(answer, StoreError):
            others = [member for member in answer if member.fence != self.fence]
            for member in others:
                self._judge(member)
            self._come_back(others)
        self.start()

    def _judge(self, member: Member) -> None:
        is_given_up = not member.is_current and 0 < self._bury_after_s < member.silent_s
        if is_given_up or is_gone(member.process):
            self._worker.do(lambda board: board.bury(member.fence), partial(self._buried, member))
        elif not member.is_current and member.silent_s > SAID_AFTER_LEASES * self._lease_s:
            self._complain(member)

    def _buried(self, member: Member, answer: bool | StoreError) -> None:
        if answer is True:
            say(f"replica {member.process.replica} is gone; what it was writing counts as under way for a while")

    def _complain(self, member: Member) -> None:
        if member.fence not in self._said:
            self._said.add(member.fence)
            say(
                f"replica {member.process.replica} (process {member.process.pid}) has been silent for "
                f"{member.silent_s:.0f} s and may be writing: nothing is used ahead of time until it is back, or known "
                "to be gone ([store] bury_after_s, or `spec-mcp recover`)",
                LogLevel.WARNING,
            )

    def _come_back(self, others: list[Member]) -> None:
        silent = {member.fence for member in others if not member.is_current}
        if self._said and not self._said & silent:
            self._said.clear()
            say("no replica is silent any more: results are used again")

"""This process as a replica: carries out what the engine asks of the board, and tells it what comes of that."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.relay.board.held import Held
from spec_mcp.relay.board.lease import Lease
from spec_mcp.relay.board.posts import Later, Posts
from spec_mcp.relay.board.silent import Silent
from spec_mcp.relay.board.worker import Listener, OpenBoard, Soon, Worker
from spec_mcp.store.board import LEASE_S, Board, Fence, Posting, Process

BOARD_S = 0.1
"""How long a request waits for its posting before something is wrong: a hundred times what it takes."""

LEAVE_S = 1.0
"""How long our end may wait for the board: what we do not close, the others close in time."""


@dataclass(frozen=True, slots=True)
class ReplicaSettings:
    """What holds for one replica. Durations are seconds."""

    process: Process
    lease_s: float = LEASE_S
    board_s: float = BOARD_S
    bury_after_s: float = 0.0


class Replica:
    """Of one process. All but `open_board` is called on the loop's thread."""

    def __init__(
        self,
        settings: ReplicaSettings,
        open_board: OpenBoard,
        soon: Soon,
        later: Later,
        clock: Callable[[], float],
        feed: Callable[[events.Event], None],
        keep: Callable[[do.Take, bytes], int | None],
    ) -> None:
        """`feed` tells the engine; `keep` is `Held`'s."""
        self.children: set[str] = set()
        """Servers that are processes of ours: they do nothing once we are gone."""
        self._feed = feed
        self._open_board = open_board
        calls, lease, aside = (Worker(name, open_board, soon) for name in ("calls", "lease", "aside"))
        self._workers = (calls, aside, lease)
        self._posts = Posts(calls, aside, later, settings.board_s, self._posted)
        self._lease = Lease(settings.process, settings.lease_s, lease, self._posts, later, clock)
        self._held = Held(calls, aside, later, feed, keep)
        self._silent = Silent(settings.lease_s, settings.bury_after_s, aside, later)
        self._listener = Listener(open_board, soon, self._held.heard)
        self._lease_s = settings.lease_s
        self._lease.on_member, self._lease.on_cut_off = self._joined, self._cut_off
        self.commands: dict[type, Callable[..., None]] = {
            do.Post: self._post,
            do.Unpost: self._unpost,
            do.Offer: self._held.offer,
            do.Take: self._held.take,
        }
        self.drop = self._held.drop
        """Also told: the engine lets go of a speculation."""
        self.show = self._held.show
        """To be told: a speculation's result is held."""

    @property
    def is_member(self) -> bool:
        """Is what others and we hold of use?"""
        return self._lease.is_member

    def start(self) -> None:
        """Join, as soon as the board can be reached."""
        self._feed(events.CutOff())
        self._lease.start()
        self._silent.start()

    def give_up(self) -> None:
        """Nothing that we do is posted from now on: blocks until no lease of ours can be fresh."""
        self._lease.close()
        if self._lease.fence is not None:
            time.sleep(2 * self._lease_s)

    def close(self) -> None:
        """Leave in good order, nothing being under way any more. Blocks for a moment."""
        process = self._lease.process
        self._lease.close()
        self._silent.close()
        self._listener.close()

        def leave(board: Board) -> None:
            for member in board.members():  # we may have joined without having heard of it
                if member.process == process:
                    board.leave(member.fence)

        self._workers[-1].do(leave, lambda _: None)
        for worker in self._workers:
            worker.close()
        until_s = time.monotonic() + LEAVE_S
        for thread in (*reversed(self._workers), self._listener):
            thread.join(max(0.0, until_s - time.monotonic()))

    def _post(self, command: do.Post) -> None:
        dies_with_us = command.footprint.server in self.children
        self._posts.post(Posting(command.post, command.footprint, command.writes, dies_with_us))

    def _unpost(self, command: do.Unpost) -> None:
        self._posts.unpost(command.post)

    def _posted(self, post: events.PostId) -> None:
        self._feed(events.Posted(post))

    def _joined(self, fence: Fence) -> None:
        self._listener.fence = fence
        self._held.member(fence)
        self._silent.fence = fence
        self._feed(events.Rejoined())

    def _cut_off(self) -> None:
        self._feed(events.CutOff())
        self._held.member(None)
        self._silent.fence = None

"""How a replica ends: in good order it leaves, and where our own engine has failed it is one no more."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator

import pytest

from spec_mcp.engine import events
from spec_mcp.relay.board.identity import this_process
from spec_mcp.relay.board.replica import Replica, ReplicaSettings
from spec_mcp.store.board import Board
from tests.pipes import eventually
from tests.relay.board.by_hand import Faults, Loop
from tests.store.board_model import BoardModel

LEASE_S = 0.2


class Running:
    """A replica with threads of its own, whose loop is this test's."""

    def __init__(self) -> None:
        self.model = BoardModel(time.monotonic)
        self.faults = Faults()
        self.told: list[events.Event] = []
        self._loop, self._tasks = Loop(), queue.SimpleQueue[Callable[[], None]]()
        self._loop.now = time.monotonic()
        settings = ReplicaSettings(this_process("a"), LEASE_S, board_s=5.0)
        self.replica = Replica(
            settings, self._open, self._tasks.put, self._loop.later, time.monotonic, self.told.append, lambda *_: None
        )

    def _open(self) -> Board:
        return self.model.handle(self.faults)

    def turn(self) -> None:
        """What the loop does meanwhile."""
        self._loop.pass_time(max(0.0, time.monotonic() - self._loop.now))
        while not self._tasks.empty():
            self._tasks.get()()

    def until(self, holds: Callable[[], object], what: str) -> None:
        def does() -> bool:
            self.turn()
            return bool(holds())

        eventually(does, what)


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.replica.close()


def test_in_good_order_it_leaves(running: Running) -> None:
    running.replica.start()
    running.until(lambda: running.replica.is_member, "it is a member")
    assert running.told[:2] == [events.CutOff(), events.Rejoined()]
    running.replica.close()
    assert running.model.members == {}


def test_it_leaves_also_where_it_never_heard_that_it_had_joined(running: Running) -> None:
    running.replica.start()
    eventually(lambda: running.model.members, "it has joined")
    running.replica.close()
    assert running.model.members == {}


def test_where_the_engine_has_failed_no_lease_is_fresh_when_requests_go_on(running: Running) -> None:
    running.replica.start()
    running.until(lambda: running.replica.is_member, "it is a member")
    running.replica.give_up()
    (member,) = running.model.members.values()
    assert not running.model.is_fresh(member)
    running.turn()
    assert not running.model.is_fresh(member)

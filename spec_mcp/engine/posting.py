"""The ways of requests where several replicas share a board (rules 6, 7 and 9 over all of them).

A request goes out when it is posted, and is taken from the board when it can change nothing any more and its client has
seen what it shows. What was said without asking for an answer, and what a server said, is posted as well; nobody waits
for that.
"""

from __future__ import annotations

from spec_mcp.engine.board import Board
from spec_mcp.engine.commands import Post, Unpost
from spec_mcp.engine.connections import ConnectionState
from spec_mcp.engine.events import Posted
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.methods import TOUCHES_NOTHING
from spec_mcp.engine.waiting import Unposted
from spec_mcp.engine.world import World
from spec_mcp.engine.writes import Place


def needs_posting(world: World, call: CallState) -> bool:
    """Must the others know of it before it goes out?"""
    board = world.board
    return board is not None and call.id not in board.posted and call.method not in TOUCHES_NOTHING


def post(world: World, call: CallState) -> Unposted:
    """Have it posted; what it waits for."""
    board = world.board
    assert board is not None, "somebody else needs to know of it"
    if call.id not in board.asked:
        board.asked.add(call.id)
        world.out.append(Post(call.id, world.footprint(call), not call.reads))
    return Unposted(call.id)


def posted(world: World, event: Posted) -> None:
    """The others know of the request, or can adopt nothing: it may go out."""
    board = world.board
    if board is None or event.post not in board.asked:
        return
    board.asked.discard(event.post)
    board.posted.add(event.post)
    if event.post in world.calls:
        world.waiting.wake(Unposted(event.post))
    else:
        board.over.append(event.post)


def over(world: World, call: CallState) -> None:
    """It is no longer in flight."""
    if world.board is not None:
        world.board.over.append(call.id)


def unpost(world: World, board: Board) -> None:
    """Take from the board what has come to its end during this event."""
    writes = world.ledger.writes
    writes.pass_time(world.now_s)
    ended, board.over = board.over, []
    for place in writes.over or ():
        ended.append(place if isinstance(place, int) else board.notices.pop(place, 0))
    writes.over = []
    for number in dict.fromkeys(ended):
        if number in board.posted and number not in world.calls and number not in writes:
            board.posted.discard(number)
            world.out.append(Unpost(number))


def lasting_notice(world: World, connection: ConnectionState, place: Place) -> None:
    """The server may do something that no request asked for, until the ledger forgets this place."""
    board = world.board
    if board is not None and place not in board.notices:
        board.notices[place] = _notice(world, board, connection, True)


def notice(world: World, connection: ConnectionState, writes: bool) -> None:
    """The server has done, or shown, something that no request asked for."""
    if (board := world.board) is not None:
        board.over.append(_notice(world, board, connection, writes))


def _notice(world: World, board: Board, connection: ConnectionState, writes: bool) -> int:
    number = board.next_notice()
    board.posted.add(number)
    world.out.append(Post(number, connection.everything, writes))
    return number

"""What clients send beside calls: other requests, batches, notifications, answers.

What is not known to be a read is taken for a write of everything (rule 6).
"""

from __future__ import annotations

from spec_mcp.engine import lifecycle, spoiling
from spec_mcp.engine.connections import ConnectionState
from spec_mcp.engine.effects import reads
from spec_mcp.engine.events import BatchArrived, CallId, ClientAnswered, ClientNotified, RequestArrived, TaskEnded
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.methods import PURE_ANSWERS, PURE_NOTIFICATIONS, READS_EVERYTHING, SUBSCRIBING, TOUCHES_NOTHING
from spec_mcp.engine.world import World


def take_in(world: World, call: CallState) -> None:
    """It is in flight from now on."""
    world.calls.add(call)
    spoiling.forget_one_call_too_many(world, call.session)


def arrived(world: World, event: RequestArrived) -> None:
    """A request that is no call."""
    connection = world.connection(event.connection)
    call = _of_everything(world, event.call, event.session, connection, event.method)
    call.reads = event.method in READS_EVERYTHING
    if event.method in SUBSCRIBING:
        connection.server.subscribed_on.add(connection.name)
    take_in(world, call)
    if not call.reads and event.method not in TOUCHES_NOTHING:
        spoiling.begin_write(world, call, 0.0)
    lifecycle.invoke(world, call)


def batch_arrived(world: World, event: BatchArrived) -> None:
    """Rule 11: a batch spoils as its elements do and is made for real."""
    connection = world.connection(event.connection)
    call = _of_everything(world, event.call, event.session, connection, "batch")
    if any(method in SUBSCRIBING for method, _ in event.members):
        connection.server.subscribed_on.add(connection.name)
    call.reads = all(_only_looks(connection, method, tool) for method, tool in event.members)
    take_in(world, call)
    if not call.reads:
        spoiling.begin_write(world, call, connection.server.longest_settle_s)
    lifecycle.invoke(world, call)


def _of_everything(world: World, call: CallId, session: str, connection: ConnectionState, method: str) -> CallState:
    server = connection.server.name
    return CallState(call, session, server, connection.name, method, "", None, False, world.now_s)


def _only_looks(connection: ConnectionState, method: str, tool: str | None) -> bool:
    """Is a member of a batch known not to write?"""
    if method == "tools/call":
        return tool is not None and reads(connection.tool(tool))
    return method in TOUCHES_NOTHING | READS_EVERYTHING | PURE_NOTIFICATIONS


def client_notified(world: World, event: ClientNotified) -> None:
    """A client says something to which no answer comes."""
    if event.method not in PURE_NOTIFICATIONS:
        spoiling.take_notice(world, world.connection(event.connection))


def client_answered(world: World, event: ClientAnswered) -> None:
    """Rule 6: the roots that a server asked for, say, decide what its tools may read from now on."""
    if event.method not in PURE_ANSWERS:
        spoiling.take_notice(world, world.connection(event.connection))


def task_ended(world: World, event: TaskEnded) -> None:
    """What a task wrote is written."""
    world.ledger.writes.end_task(event.connection, event.task, world.now_s)

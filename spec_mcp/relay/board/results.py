"""A held result as the board keeps it: the server's line, and what its call would have been told before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from spec_mcp.relay import wire
from spec_mcp.relay.speculations import Speculation

if TYPE_CHECKING:
    from spec_mcp.engine.speculation import Speculation as Asked


class _Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Its form; another version's that differs is of no use."""

    own_id: bytes
    line: bytes
    notifications: list[bytes]


def packed(held: Speculation) -> bytes:
    """What another replica needs to answer a call with it."""
    return msgspec.msgpack.encode(_Packed(held.own_id, held.line, held.notifications))


def unpacked(data: bytes, asked: Asked) -> Speculation | None:
    """What `packed` made, as the result of this speculation; None where it is something else."""
    try:
        given = msgspec.msgpack.decode(data, type=_Packed)
    except msgspec.DecodeError:
        return None
    message = wire.read(given.line)
    if message is None or isinstance(message, wire.Batch) or message.id != given.own_id:
        return None
    return Speculation(
        asked.id,
        given.own_id,
        asked.session,
        asked.server,
        asked.tool,
        asked.arguments,
        notifications=given.notifications,
        line=given.line,
        result=message.result,
    )

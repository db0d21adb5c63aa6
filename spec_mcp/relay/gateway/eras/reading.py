"""Lines as messages, where batches do not matter any more."""

from __future__ import annotations

from spec_mcp.relay import wire


def messages(line: bytes) -> tuple[wire.Envelope, ...]:
    """The messages of a line, those of a batch one by one; none where it holds none.

    The other era has no batches, and each answer of one may come on its own. What has an id that is none cannot be
    answered, and is no message.
    """
    found = wire.read(line)
    if found is None:
        return ()
    members = found.members if isinstance(found, wire.Batch) else (found,)
    return tuple(one for one in members if one.id == wire.ABSENT or not isinstance(wire.id_value(one.id), bytes))

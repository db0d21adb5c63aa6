"""How a session's call over a connection looks, but for its tool and arguments, so that a speculation can match it.

That is learned from the session's own calls there. Before the first it is made up of what a client says to all servers
alike. A call that looks otherwise is not matched, and costs a wasted speculation at most.
"""

from __future__ import annotations

import json

from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.connections import ConnectionState
from spec_mcp.engine.world import SessionState, World

STANDARD_META = "io.modelcontextprotocol/"
"""What members of `_meta` begin with that the protocol asks for; without a handshake every request carries them."""


def likeness(world: World, session: SessionState, connection: ConnectionState) -> CallKey | None:
    """The key of such a call, but for its epoch, tool and arguments; None where nobody can tell."""
    own = session.template.get(connection.name)
    if own is not None:
        return own
    others = [other for other in session.template.values() if _is_standard(other.meta)]
    if len(others) < len(session.template):
        return None  # what the client told another server is not for this one
    if connection.protocol:
        made_up = CallKey(connection.name, connection.epoch, connection.protocol, "", session.principal, "", "{}")
        return made_up if session.principal else None
    for other in others:
        if other.meta != "{}" and not world.connection(other.connection).protocol:
            return other._replace(connection=connection.name)
    return None


def _is_standard(meta: str) -> bool:
    return meta == "{}" or all(name.startswith(STANDARD_META) for name in json.loads(meta))

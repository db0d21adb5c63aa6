"""Messages under other ids and progress tokens: where several clients or servers meet, two may use the same."""

from __future__ import annotations

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras.results import NO_RESULT
from spec_mcp.relay.gateway.eras.text import answer, failure
from spec_mcp.relay.gateway.splicing import spliced

TOO_LONG = f"the id or the progress token is longer than {wire.ID_MAX_BYTES} bytes"


def is_too_long(message: wire.Envelope) -> bool:
    """Would a server's question have us keep a name of its that nobody needs so long?"""
    return max(len(message.id), len(token_of(message.params))) > wire.ID_MAX_BYTES


def token_of(params: bytes) -> bytes:
    """The raw progress token of a request's params; `ABSENT` where it asks for no progress."""
    if b"progressToken" not in params and b"\\" not in params:
        return wire.ABSENT
    meta = wire.members(params).get("_meta", wire.ABSENT)
    return wire.members(meta).get("progressToken", wire.ABSENT)


def with_token(params: bytes, token: bytes) -> bytes:
    """A request's params with another token in the place of theirs."""
    meta = wire.members(params).get("_meta", wire.ABSENT)
    return spliced(params, "_meta", spliced(meta, "progressToken", token))


def answer_as(id_raw: bytes, message: wire.Envelope) -> bytes:
    """An answer under this id; one that holds neither a result nor an error becomes an error."""
    if message.error != wire.ABSENT:
        return failure(id_raw, message.error)
    return answer(id_raw, message.result) if message.result != wire.ABSENT else failure(id_raw, NO_RESULT)

"""Put another value in the place of one member of a JSON object, and leave every other byte as it is."""

from __future__ import annotations

from spec_mcp.relay import wire
from spec_mcp.relay.wire import ABSENT


def with_member(text: bytes, name: str, value: bytes) -> bytes:
    """The object with this value for the member of that name; unchanged where it has none.

    Where the name occurs twice, the last counts, as for those who read it.
    """
    span = _span(text, name)
    return text if span is None else text[: span[0]] + value + text[span[1] :]


def with_meta_member(params: bytes, name: str, value: bytes) -> bytes:
    """The params with this value for a member of their `_meta`."""
    meta = wire.members(params).get("_meta", ABSENT)
    changed = with_member(meta, name, value)
    if changed is meta or meta == ABSENT:
        return params
    if params.count(meta) == 1:  # far quicker than looking for the end of every member before it
        return params.replace(meta, changed)
    return with_member(params, "_meta", changed)


def _span(text: bytes, name: str) -> tuple[int, int] | None:
    found = None
    for member, begin, end in wire.spans(text) or ():
        if member == name:
            found = (begin, end)
    return found

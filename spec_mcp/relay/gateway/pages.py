"""The merged lists as a client gets them, in pages and with cursors of our own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.catalogue import Kind
from spec_mcp.relay.gateway.refusal import INVALID_PARAMS, Refusal
from spec_mcp.relay.gateway.splicing import written

PAGE_MAX_ITEMS = 1000
PAGE_MAX_BYTES = 4 * 2**20
"""Most clients read a list whole before they look at any of it, and some bound a message."""

STATELESS_MEMBERS = {"resultType": b'"complete"', "ttlMs": b"0", "cacheScope": b'"private"'}
"""Of every result that a client may keep: that it may not is always true, and asking us again costs no server."""

DIGEST_CHARS = 16


def page(kind: Kind, items: Sequence[bytes], params: bytes, meta: bytes = b"") -> bytes | Refusal:
    """The result of the kind's method: the page that the params ask for. A cursor holds as long as the list does.

    `meta` is the `_meta` of the result in the stateless era; empty in the other.
    """
    starts = _starts(items)
    cursors = [_cursor(items, start) for start in starts[1:]]
    at = 0
    wanted = wire.members(params).get("cursor", wire.NULL)
    if wanted != wire.NULL:
        cursor = wire.lenient(wanted)
        if not isinstance(cursor, str) or cursor not in cursors:
            return Refusal(INVALID_PARAMS, "the cursor is not of this list, which may have changed: begin anew")
        at = cursors.index(cursor) + 1
    end = starts[at + 1] if at < len(cursors) else len(items)
    members = {**STATELESS_MEMBERS, "_meta": meta} if meta else {}
    members[kind.value] = b"[%s]" % b",".join(items[starts[at] : end])
    if at < len(cursors):
        members["nextCursor"] = json.dumps(cursors[at]).encode()
    return written(members)


def _starts(items: Sequence[bytes]) -> list[int]:
    """Where each page begins; there is always one."""
    starts = [0]
    page_bytes = 0
    for index, item in enumerate(items):
        is_full = page_bytes + len(item) > PAGE_MAX_BYTES or index - starts[-1] >= PAGE_MAX_ITEMS
        if is_full and index > starts[-1]:
            starts.append(index)
            page_bytes = 0
        page_bytes += len(item)
    return starts


def _cursor(items: Sequence[bytes], start: int) -> str:
    """Of a page: it names all that stands before, so that it is of no other list."""
    found = hashlib.sha256(b"%d" % len(items))
    for item in items[:start]:
        found.update(b":%d:" % len(item) + item)
    return f"{found.hexdigest()[:DIGEST_CHARS]}-{start}"

"""A look of our own at a server's tools: which of their arguments it wants in headers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

from spec_mcp.relay import wire
from spec_mcp.relay.back.exchange import Exchange, make
from spec_mcp.relay.back.headers import Pairs, StatelessHeaders
from spec_mcp.relay.back.reaching import Body, Reach
from spec_mcp.relay.listing import PAGES_MAX, own_meta


async def list_tools(
    call: Exchange, reach: Reach, headers: StatelessHeaders, next_id: Callable[[], str]
) -> AsyncIterator[bytes]:
    """The results of the pages, as long as the server answers well. Asked for as `call` was.

    Raises:
        Failure: the server does not answer.
    """
    meta = own_meta(wire.members(wire.members(call.params).get("_meta", b"")))
    cursor = b""
    for _ in range(PAGES_MAX):
        id_raw = json.dumps(next_id()).encode()
        params = b'{"_meta":{%s}%s}' % (meta, b',"cursor":' + cursor if cursor else b"")
        line = b'{"jsonrpc":"2.0","id":%s,"method":"tools/list","params":%s}\n' % (id_raw, params)
        ids = {wire.id_value(id_raw): id_raw}
        listing = Exchange(line, "tools/list", params, ids, call.session, call.version, Body(line))
        message = wire.read(await _last_heard(listing, reach, headers.of(call.version, "tools/list", params)))
        if not isinstance(message, wire.Envelope) or not message.result:
            return
        yield message.result
        cursor = wire.members(message.result).get("nextCursor", wire.NULL)
        if cursor == wire.NULL:
            return


async def _last_heard(listing: Exchange, reach: Reach, headers: Pairs) -> bytes:
    heard = [b""]

    def hear(_: Exchange, line: bytes) -> None:
        heard[0] = line

    await make(listing, reach, headers, hear)
    return heard[0]

"""Our own look at a server's tools: it proves that ids of ours come back, and pins the definitions (rules 1 and 10).

It is taken when the client has been served first, and again when the server says that its tools changed. Without a
manifest there is nothing to speculate, and no request of ours is ever made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spec_mcp.engine.calls import OUR_META_PREFIX, UNMATCHED_META
from spec_mcp.engine.events import ToolsListed
from spec_mcp.engine.servers import LISTED_MAX
from spec_mcp.manifest.fingerprint import fingerprint
from spec_mcp.relay import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from spec_mcp.relay.bridge import Bridge

PAGES_MAX = 100
LISTED_MAX_BYTES = 16 * 2**20
"""A server whose list does not end is not speculated on."""

BEGINS_AFTER = frozenset({"tools/list", "tools/call"})
"""The client's first answer to one of these shows that the server is ready and the client served."""


class Listing:
    """The tool list of one connection."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.wanted = False
        """Is there a manifest that speaks of these tools?"""
        self.fingerprints: dict[str, str] | None = None
        """Of all tools of this connection, whatever a manifest says of them; None until they are listed."""
        self.on_tools: Callable[[list[dict[str, object]]], frozenset[str]] = lambda _: frozenset()
        """Told of the complete list; returns the tools on which the manifest's word must not be taken."""
        self._begun = False
        self._round = 0
        self._pages: list[dict[str, object]] = []
        self._pages_read = 0
        self._bytes_read = 0

    def forget(self) -> None:
        """The list holds no longer."""
        self._begun = False
        self._round += 1
        self.fingerprints = None

    def may_begin(self, answered: str) -> None:
        """The client has its answer to this method: list, if that is due."""
        if self._begun or not self.wanted or answered not in BEGINS_AFTER or not self._bridge.link.is_up:
            return
        if self._bridge.is_off:  # a plain proxy makes no request of its own; once switched on, the next answer begins
            return
        self._begin()

    @property
    def has_begun(self) -> bool:
        """Has it been asked for in this connection?"""
        return self._begun

    def must_begin(self) -> None:
        """Something has to be taken back there, which needs the list: ask for it, unless that is under way."""
        if not self._begun and self._bridge.link.is_up and self._bridge.has_begun:
            self._begin()

    def _begin(self) -> None:
        self._begun = True
        self._round += 1
        self._pages = []
        self._pages_read = 0
        self._bytes_read = 0
        self._ask(b"")

    def _ask(self, cursor: bytes) -> None:
        this_round = self._round

        def answered(message: wire.Envelope) -> None:
            if this_round == self._round:
                self._take(message)

        meta = own_meta(self._bridge.handshake.stateless_meta)
        members = [b'"cursor":' + cursor] if cursor else []
        members += [b'"_meta":{%s}' % meta] if meta else []
        self._bridge.link.ask("tools/list", b"{%s}" % b",".join(members) if members else b"", answered)

    def _take(self, message: wire.Envelope) -> None:
        result = wire.members(message.result)
        page = wire.value(result.get("tools", b"null"))
        self._pages_read += 1
        self._bytes_read += len(message.result)
        if not isinstance(page, list) or self._pages_read > PAGES_MAX or self._bytes_read > LISTED_MAX_BYTES:
            self._pages = []
            return  # without its list the server is not speculated on
        self._pages.extend(tool for tool in page if isinstance(tool, dict))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        cursor = result.get("nextCursor", b"null")
        if cursor != b"null":
            self._ask(cursor)
            return
        pages, self._pages = self._pages, []
        if len(pages) > LISTED_MAX:
            return  # as above: to look at each would hold up whoever waits
        doubtful = self.on_tools(pages)
        found = {name: fingerprint(tool) for tool in pages if isinstance(name := tool.get("name"), str)}
        self.fingerprints = found
        trusted = {name: seen for name, seen in found.items() if name not in doubtful}
        self._bridge.feed(ToolsListed(self._bridge.connection, trusted))


def own_meta(client_meta: Mapping[str, bytes]) -> bytes:
    """The members of `_meta` for a request of ours: those of the client's that speak of no request in particular."""
    kept = [
        b"%s:%s" % (json.dumps(name).encode(), raw)
        for name, raw in client_meta.items()
        if name not in UNMATCHED_META and not name.startswith(OUR_META_PREFIX)
    ]
    return b",".join(kept)

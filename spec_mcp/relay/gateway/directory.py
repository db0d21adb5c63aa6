"""What one client session sees of all servers, and where each of its requests goes.

    hub      what a server says of itself ──► View.updated     one view for all sessions that see the same
    session  Directory.show(view) ──► which list_changed its client must be told
             Directory.listing(…), initialized(…), discovered(…) ──► results of our own
             Directory.route(…) ──► servers and params, or the error

It does no I/O and makes no request. Of its own it remembers whose each task is, and what the client was promised.
"""

from __future__ import annotations

from collections.abc import Sequence

from spec_mcp.relay.gateway.catalogue import LIST_METHODS, Catalogue
from spec_mcp.relay.gateway.eras import result_for_handshake
from spec_mcp.relay.gateway.pages import page
from spec_mcp.relay.gateway.presenting import capabilities, discover_result, initialize_result, result_meta
from spec_mcp.relay.gateway.refusal import METHOD_NOT_FOUND, Refusal
from spec_mcp.relay.gateway.routing import Route, Routed, route
from spec_mcp.relay.gateway.tasks import Tasks
from spec_mcp.relay.gateway.view import View

__all__ = ["LIST_METHODS", "Directory", "Refusal", "Route", "Routed"]


class Directory:
    """Of one session."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.tasks = Tasks()
        self._promised: set[str] = set()
        """Capabilities that the client was told of: their lists stay, be they empty."""

    # --- what is known changes --------------------------------------------------------------------------------------

    def update(self, server: str, catalogue: Catalogue) -> frozenset[str]:
        """A server said this of itself; the notifications that the client needs, none where it sees the same."""
        return self.show(self.view.updated(server, catalogue))

    def show(self, view: View) -> frozenset[str]:
        """Show this view from now on; the notifications that the client needs, none where it sees the same."""
        before, self.view = self.view, view
        return view.changed_since(before)

    # --- answers of our own -----------------------------------------------------------------------------------------

    def initialized(self, version: str) -> bytes:
        """The result of `initialize` in this version of the protocol."""
        self._promise(is_stateless=False)
        return initialize_result(self.view, version)

    def discovered(self, versions: Sequence[str]) -> bytes:
        """The result of `server/discover`; `versions` are those that we take without a handshake."""
        self._promise(is_stateless=True)
        return discover_result(self.view, versions)

    def _promise(self, is_stateless: bool) -> None:
        self._promised |= capabilities(self.view, is_stateless).keys()

    def knows(self, method: str) -> bool:
        """Has every server said what it lists under this method of `LIST_METHODS`?"""
        return self.view.knows(LIST_METHODS[method])

    def listing(self, method: str, params: bytes, is_stateless: bool) -> bytes | Refusal:
        """The result of one of `LIST_METHODS`, by what is known now."""
        kind = LIST_METHODS[method]
        if kind.capability not in self._promised and not self.view.having(kind.capability):
            return Refusal(METHOD_NOT_FOUND, f"no server has {kind.capability}")
        if is_stateless:
            return page(kind, self.view.shown[kind], params, result_meta(self.view))
        result = page(kind, self.view.shown[kind], params)
        if isinstance(result, bytes) and any(known.is_stateless for known in self.view.catalogues.values()):
            return result_for_handshake(method, result)
        return result

    # --- requests to servers ----------------------------------------------------------------------------------------

    def route(self, method: str, params: bytes, is_stateless: bool) -> Routed | Refusal:
        """Who gets a request that is none of `LIST_METHODS`, and its params there."""
        return route(self.view, self.tasks, method, params, is_stateless)

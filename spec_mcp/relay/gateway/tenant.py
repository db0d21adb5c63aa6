"""All that is one principal's: what is learned for it, and what it sees of the servers (rule 15)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, cast

from spec_mcp.predict.disclosure import Guard
from spec_mcp.relay import wire
from spec_mcp.relay.gateway.ports import Principal
from spec_mcp.relay.gateway.session import GatewaySession
from spec_mcp.relay.gateway.view import View
from spec_mcp.relay.learning import Learner
from spec_mcp.store.rows import LOCAL_USER

if TYPE_CHECKING:
    from spec_mcp.relay.consulting import Shown

KEY_CHARS = 32


class Tenant:
    """One principal's."""

    def __init__(self, principal: Principal, learner: Learner, guard: Guard, view: View) -> None:
        self.principal = principal
        self.key = key_of(principal)
        self.learner = learner
        self.guard = guard
        """Sees to it that what it learns tells no server of another."""
        self.view = view
        self.sessions: dict[str, GatewaySession] = {}
        """By name."""
        self.calls_since_dump = 0
        self._shown: Shown | None = None
        self._tools_shown: dict[str, tuple[bytes, ...] | None] = {}

    def show_tools_to(self, shown: Shown) -> None:
        """Speculators are to see the tools that its clients see."""
        self._shown = shown
        self._show_tools(shown)

    def _show_tools(self, shown: Shown) -> None:
        shown.only(self.view.servers)
        for server, served in self.view.servers.items():
            catalogue = self.view.catalogues.get(server)
            if catalogue is None or catalogue.tools is None or catalogue.tools is self._tools_shown.get(server):
                continue
            self._tools_shown[server] = catalogue.tools
            tools = [
                cast("dict[str, object]", tool)
                for item in catalogue.tools
                if isinstance(tool := wire.value(item), dict)
            ]
            shown.listed(server, [tool for tool in tools if not served.refusal(server, str(tool.get("name")))])

    def show(self, view: View) -> None:
        """What its clients see has changed."""
        self.view = view
        if self._shown is not None:
            self._show_tools(self._shown)
        for session in list(self.sessions.values()):
            session.show(view)


def key_of(principal: Principal) -> str:
    """Whose rows these are in the store: no principal's are another's, and nothing of a credential is in it."""
    if principal == Principal():
        return LOCAL_USER
    parts = [principal.issuer, principal.subject, *principal.scopes, "", principal.credentials]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:KEY_CHARS]
    return f"{principal.subject}:{digest}"

"""A session at a bridge: in whose name a line came."""

from __future__ import annotations

from dataclasses import dataclass

from spec_mcp.relay.account import Account
from spec_mcp.relay.identity import Identities


@dataclass(frozen=True, slots=True)
class Seat:
    """What a bridge needs to know of one of its sessions."""

    session: str
    account: Account
    identities: Identities

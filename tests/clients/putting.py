"""Installing into and uninstalling from texts, as the commands do it with files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from spec_mcp.clients.installing import Gateways, Wish, plan_install
from spec_mcp.clients.ledger import Record
from spec_mcp.clients.places import CLIENTS, Client
from spec_mcp.clients.plans import Action, Plan, Read
from spec_mcp.clients.tree import data
from spec_mcp.clients.uninstalling import plan_uninstall
from spec_mcp.clients.wrapping import Wrapping

PROGRAM = ("/opt/spec-mcp/bin/spec-mcp",)
BIN = {name: f"/usr/bin/{name}" for name in ("npx", "node", "uvx", "docker", "python3")}
FILE = "the file"

WRAPPING = Wrapping(PROGRAM, BIN.get)
GATEWAYS = Gateways(lambda table: f"/home/me/gateways/{'-'.join(table)}.toml")
WISH = Wish(WRAPPING, lambda path: True)
JOIN = replace(WISH, gateways=GATEWAYS)


def nothing(client: Client) -> Record:
    """No record yet."""
    return Record(client=client.name, file=FILE, pieces=())


def put_in(client: str, text: str, wish: Wish = WISH, record: Record | None = None) -> Plan:
    """What `install` makes of a text."""
    known = CLIENTS[client]
    return plan_install(known, FILE, text, record or nothing(known), wish)


def taken_out(client: str, text: str, record: Record, names: Iterable[str] = ()) -> Plan:
    """What `uninstall` makes of it."""
    return plan_uninstall(CLIENTS[client], FILE, text, record, tuple(names))


def meaning(client: str, text: str) -> Any:
    """What a text means."""
    return data(Read.of(CLIENTS[client], FILE, text).document.root)


def servers(client: str, text: str, *projects: str) -> dict[str, Any]:
    """The user's own servers in a text, or those of a project."""
    found = meaning(client, text)
    for project in projects:
        found = found["projects"][project]
    return cast("dict[str, Any]", found.get(CLIENTS[client].key, {}))


def actions(plan: Plan) -> dict[str, Action]:
    """What becomes of each server."""
    return {step.name: step.action for step in plan.steps}


def why(plan: Plan, name: str) -> str:
    """The reason that is given."""
    return next(step.why for step in plan.steps if step.name == name)

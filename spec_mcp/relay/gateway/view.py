"""All servers as one: what is listed under which name, and whose it is.

A view is never changed: what a server says anew makes another view. So one view serves all clients that see the same
servers, and two views tell what a client must be told of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.catalogue import Catalogue, Kind
from spec_mcp.relay.gateway.names import SEPARATOR, ToolFilter, exposed, labels
from spec_mcp.relay.gateway.splicing import spliced
from spec_mcp.relay.gateway.uris import Owners

NAMED = (Kind.TOOLS, Kind.PROMPTS)
"""What goes by a name, before which the server's is put."""

LEFT_OUT_MAX = 100
"""How many reasons are kept for a person to read."""


@dataclass(frozen=True, slots=True)
class Named:
    """A tool or a prompt as its server knows it."""

    server: str
    name: str
    raw: bytes
    """The name as the server wrote it."""


@dataclass(frozen=True, slots=True)
class View:
    """What clients see. Made by `merged`."""

    servers: Mapping[str, ToolFilter]
    """In the order of the configuration."""
    catalogues: Mapping[str, Catalogue]
    """Of the servers that have ever been met."""
    shown: Mapping[Kind, tuple[bytes, ...]]
    """The items of each list."""
    by_label: Mapping[str, str]
    named: Mapping[Kind, Mapping[str, Named]]
    """Tools, denied ones too, and prompts by the name under which they are shown."""
    owners: Owners
    left_out: tuple[str, ...]
    """Why items are not shown that a server lists, for a person to read."""
    _schemas: dict[str, bytes] = field(default_factory=dict[str, bytes], init=False, compare=False, repr=False)
    """Those of the tools that were asked for: each is called more than once, and a list may be long."""

    @property
    def is_single(self) -> bool:
        """Is there one server, whose names are as it gave them?"""
        return len(self.servers) == 1

    def updated(self, server: str, catalogue: Catalogue) -> View:
        """What is seen once a server has said this of itself."""
        if self.catalogues.get(server) == catalogue:
            return self
        return merged(self.servers, {**self.catalogues, server: catalogue})

    def with_servers(self, servers: Mapping[str, ToolFilter]) -> View:
        """What is seen with another configuration."""
        return merged(servers, self.catalogues)

    def knows(self, kind: Kind) -> bool:
        """Is it known of every server what it lists?"""
        return all(
            (catalogue := self.catalogues.get(server)) is not None and catalogue.items(kind) is not None
            for server in self.servers
        )

    def having(self, capability: str) -> list[str]:
        """The servers that have a capability; one that has never been met may."""
        return [
            server
            for server in self.servers
            if (catalogue := self.catalogues.get(server)) is None or capability in catalogue.capabilities
        ]

    def find(self, kind: Kind, name: str) -> Named | None:
        """Whose tool or prompt this is. One that is not listed belongs to the server whose label it begins with."""
        if (found := self.named[kind].get(name)) is not None:
            return found
        label, separator, own = name.partition(SEPARATOR)
        server = self.by_label.get(label)
        if server is None or not separator or not own:
            return None
        return Named(server, own, json.dumps(own).encode())

    def shown_as(self, server: str, tool: str) -> str | None:
        """The name under which a server's tool is shown; None where it is not."""
        tools = self.servers.get(server)
        if tools is None or tools.refusal(server, tool):
            return None
        if self.is_single:
            return tool
        named = self.named[Kind.TOOLS].items()
        return next((shown for shown, found in named if (found.server, found.name) == (server, tool)), None)

    def input_schema(self, tool: str) -> bytes | None:
        """The raw input schema of a tool, by the name under which it is shown; None where it is not listed."""
        if (schema := self._schemas.get(tool)) is None and (schema := self._find_schema(tool)) is not None:
            self._schemas[tool] = schema
        return schema

    def _find_schema(self, tool: str) -> bytes | None:
        for item in self.shown[Kind.TOOLS]:
            if tool.encode() in item and (key := _key(item, Kind.TOOLS)) is not None and key[0] == tool:
                return wire.members(item).get("inputSchema")
        return None

    def owner(self, uri: str) -> str | None:
        """Whose resource this is; None where nobody can tell."""
        if (found := self.owners.owner(uri)) is not None:
            return found
        able = self.having(Kind.RESOURCES.capability)
        return able[0] if len(able) == 1 else None

    def changed_since(self, before: View) -> frozenset[str]:
        """The notifications that a client needs who has seen what was before."""
        return frozenset(kind.changed for kind in Kind if self.shown[kind] != before.shown[kind])


@dataclass(slots=True)
class _Merging:
    """One view in the making."""

    servers: Mapping[str, ToolFilter]
    catalogues: Mapping[str, Catalogue]
    left_out: list[str] = field(default_factory=list[str])
    owners: Owners = field(default_factory=Owners)

    def items(self, server: str, kind: Kind) -> tuple[bytes, ...]:
        catalogue = self.catalogues.get(server)
        return (catalogue.items(kind) if catalogue else None) or ()

    def leave_out(self, server: str, kind: Kind, key: str, why: str) -> None:
        if len(self.left_out) < LEFT_OUT_MAX:
            self.left_out.append(f"{server} lists {kind.value} {key!r}: {why}")

    def as_given(self, server: str, kind: Kind) -> tuple[bytes, ...]:
        """The items of the only server."""
        tools = self.servers[server]
        return tuple(
            item
            for item in self.items(server, kind)
            if kind is not Kind.TOOLS or (name := _key(item, kind)) is None or not tools.refusal(server, name[0])
        )

    def with_names(self, kind: Kind, server_labels: Mapping[str, str]) -> tuple[tuple[bytes, ...], Mapping[str, Named]]:
        """Tools or prompts under names of ours, and what these stand for."""
        listed: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        for server in self.servers:
            for item in self.items(server, kind):
                key = _key(item, kind)
                if key is None:
                    self.leave_out(server, kind, "", "it has no name, and clients would refuse the whole list")
                elif (server, key[0]) in listed:
                    self.leave_out(server, kind, key[0], "the name is there twice, which some clients refuse")
                else:
                    listed[server, key[0]] = (item, key[1])
        names = exposed(server_labels, listed)
        shown: list[bytes] = []
        for (server, own), (item, _) in listed.items():
            ours = names[server, own]
            renamed = spliced(item, kind.key, json.dumps(ours).encode())
            if kind is Kind.TOOLS and (why := self.servers[server].refusal(server, own)):
                self.leave_out(server, kind, own, why)
            elif renamed is item and ours != own:
                self.leave_out(server, kind, own, "it is too large to be read")
            else:
                shown.append(renamed)
        named = {names[server, own]: Named(server, own, raw) for (server, own), (_, raw) in listed.items()}
        return tuple(shown), named

    def with_uris(self, kind: Kind) -> tuple[bytes, ...]:
        """Resources or templates; of those that several servers have, the first's."""
        add = self.owners.add_uri if kind is Kind.RESOURCES else self.owners.add_template
        shown: list[bytes] = []
        for server in self.servers:
            for item in self.items(server, kind):
                key = _key(item, kind)
                if key is None:
                    self.leave_out(server, kind, "", f"it has no {kind.key}, and clients would refuse the whole list")
                elif add(key[0], server):
                    shown.append(item)
                else:
                    self.leave_out(server, kind, key[0], "a server before it in the configuration lists it too")
        return tuple(shown)


def merged(servers: Mapping[str, ToolFilter], catalogues: Mapping[str, Catalogue]) -> View:
    """The view of these servers, given in the order of the configuration, by what is known of them."""
    known = {server: catalogues[server] for server in servers if server in catalogues}
    merging = _Merging(servers, known)
    server_labels = labels(servers)
    named: dict[Kind, Mapping[str, Named]] = {kind: {} for kind in NAMED}
    shown: dict[Kind, tuple[bytes, ...]] = {}
    for kind in Kind:
        if len(servers) == 1:
            shown[kind] = merging.as_given(next(iter(servers)), kind)
        elif kind in NAMED:
            shown[kind], named[kind] = merging.with_names(kind, server_labels)
        else:
            shown[kind] = merging.with_uris(kind)
    by_label = {label: server for server, label in server_labels.items()}
    return View(dict(servers), known, shown, by_label, named, merging.owners, tuple(merging.left_out))


def _key(item: bytes, kind: Kind) -> tuple[str, bytes] | None:
    """What an item is known by, and as its server wrote it; None where it is no item."""
    raw = wire.members(item).get(kind.key, wire.ABSENT)
    key = wire.lenient(raw)
    return (key, raw) if isinstance(key, str) else None

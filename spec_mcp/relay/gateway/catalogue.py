"""What a server last said of itself: its answer to the handshake, and its lists.

All of it is kept as the bytes that came: what a server says of a tool in words of its own reaches the client too.
A catalogue is also kept on disk, so that a client can be answered while its servers are still starting.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from enum import StrEnum

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.names import label_of
from spec_mcp.relay.gateway.ports import Principal
from spec_mcp.relay.gateway.splicing import written

KEPT_MAX_BYTES = 16 * 2**20
"""A larger catalogue is not kept on disk: reading it would hold up the first client for longer than its server does."""

FORM = 1
"""Of the file. One of another form is as good as none."""

STEM_LABEL_CHARS = 40

STATELESS = "stateless"
"""The value of the `Era` that has no handshake."""


class Kind(StrEnum):
    """What servers list; the value is the member of a list's result."""

    TOOLS = "tools"
    PROMPTS = "prompts"
    RESOURCES = "resources"
    TEMPLATES = "resourceTemplates"

    @property
    def method(self) -> str:
        """By which it is listed."""
        return "resources/templates/list" if self is Kind.TEMPLATES else f"{self.value}/list"

    @property
    def capability(self) -> str:
        """Of a server that has such a list."""
        return "resources" if self is Kind.TEMPLATES else self.value

    @property
    def changed(self) -> str:
        """The notification that says that the list is another."""
        return f"notifications/{self.capability}/list_changed"

    @property
    def key(self) -> str:
        """The member by which a client names an item."""
        return {Kind.RESOURCES: "uri", Kind.TEMPLATES: "uriTemplate"}.get(self, "name")


LIST_METHODS = {kind.method: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list."""

    items: tuple[bytes, ...]
    next_cursor: bytes
    """As raw JSON; `ABSENT` with the last page."""


def page_of(kind: Kind, result: bytes) -> Page | None:
    """What a server answered to the kind's method; None where it is no list."""
    found = wire.members(result)
    items = found.get(kind.value, wire.ABSENT)
    if not items.startswith(b"["):
        return None
    cursor = found.get("nextCursor", wire.NULL)
    return Page(tuple(wire.elements(items)), wire.ABSENT if cursor == wire.NULL else cursor)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Of one server."""

    era: str
    """The value of an `Era`."""
    version: str
    """Of the protocol, as it is spoken with this server."""
    hello: bytes
    """The result of `initialize` or `server/discover`."""
    tools: tuple[bytes, ...] | None = None
    """None where it is not known what the server lists; empty where it lists nothing."""
    prompts: tuple[bytes, ...] | None = None
    resources: tuple[bytes, ...] | None = None
    templates: tuple[bytes, ...] | None = None

    def items(self, kind: Kind) -> tuple[bytes, ...] | None:
        """One of the lists, in the server's order."""
        return {
            Kind.TOOLS: self.tools,
            Kind.PROMPTS: self.prompts,
            Kind.RESOURCES: self.resources,
            Kind.TEMPLATES: self.templates,
        }[kind]

    def with_items(self, kind: Kind, items: tuple[bytes, ...]) -> Catalogue:
        """The same with another list."""
        match kind:
            case Kind.TOOLS:
                return replace(self, tools=items)
            case Kind.PROMPTS:
                return replace(self, prompts=items)
            case Kind.RESOURCES:
                return replace(self, resources=items)
            case Kind.TEMPLATES:
                return replace(self, templates=items)

    @property
    def is_complete(self) -> bool:
        """Are all lists known?"""
        return all(self.items(kind) is not None for kind in Kind)

    @property
    def is_stateless(self) -> bool:
        """Is it of the era without a handshake?"""
        return self.era == STATELESS

    @property
    def capabilities(self) -> dict[str, bytes]:
        """What the server says that it can do."""
        return wire.members(wire.members(self.hello).get("capabilities", wire.ABSENT))

    def tells_of(self, kind: Kind) -> bool:
        """Does the server say unasked that this list has changed? Without a handshake it does so on streams alone that
        clients open."""
        said = wire.members(self.capabilities.get(kind.capability, wire.ABSENT))
        return not self.is_stateless and said.get("listChanged") == b"true"

    def digest(self) -> str:
        """The same for two catalogues that say the same in the same bytes, and for no others."""
        found = hashlib.sha256()
        for text in (self.era.encode(), self.version.encode("utf-8", "surrogatepass"), self.hello):
            found.update(b"%d:" % len(text) + text)
        for kind in Kind:
            items = self.items(kind)
            found.update(b"?" if items is None else b"[%d]" % len(items))
            for item in items or ():
                found.update(b"%d:" % len(item) + item)
        return "sha256:" + found.hexdigest()

    def to_json(self) -> bytes | None:
        """As a file holds it; None where it is too much to be kept."""
        lists = {kind: self.items(kind) for kind in Kind}
        members = {
            "form": b"%d" % FORM,
            "digest": json.dumps(self.digest()).encode(),
            "era": json.dumps(self.era).encode(),
            "version": json.dumps(self.version).encode(),
            "hello": self.hello,
        }
        members |= {kind.value: b"[%s]" % b",\n".join(items) for kind, items in lists.items() if items is not None}
        text = written(members)
        return text if len(text) <= KEPT_MAX_BYTES else None

    @classmethod
    def from_json(cls, text: bytes) -> Catalogue | None:
        """What `to_json` gave; None for everything else, such as half a file or one of a newer program."""
        found = wire.members(text) if len(text) <= KEPT_MAX_BYTES else {}
        era, version, digest = (wire.lenient(found.get(name, wire.NULL)) for name in ("era", "version", "digest"))
        if found.get("form") != b"%d" % FORM or not isinstance(era, str) or not isinstance(version, str):
            return None
        catalogue = cls(era, version, found.get("hello", wire.ABSENT))
        for kind in Kind:
            if kind.value in found:
                catalogue = catalogue.with_items(kind, tuple(wire.elements(found[kind.value])))
        return catalogue if catalogue.digest() == digest else None


def stem(server: str, launch: str, principal: Principal) -> str:
    """The name of the file, without its ending, that keeps the catalogue of this server for this principal.

    `launch` tells one command line or URL from another, as in `Scope`.
    """
    parts = [server, launch, principal.issuer, principal.subject, *principal.scopes, principal.credentials]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return f"{label_of(server)[:STEM_LABEL_CHARS]}-{digest}"

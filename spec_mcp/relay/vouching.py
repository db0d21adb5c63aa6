"""Whose word is taken on a server's tools: its manifest, found by name, held against the tools that it lists.

A manifest that is named is read at once; else the server must first say its own name, which is asked for where no
client did, once the client has been served. Until then the server is passed through as it is.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spec_mcp.config import Server
from spec_mcp.engine.effects import NO_MANIFEST, ServerPolicy
from spec_mcp.engine.events import NOTHING_KNOWN, Known, ManifestFound, ToolsListed
from spec_mcp.engine.policy import Settings
from spec_mcp.errors import UserError
from spec_mcp.manifest import (
    Manifest,
    check_against_tools,
    find_manifest,
    load_manifest,
    match_manifest,
    with_trusted_annotations,
)
from spec_mcp.relay import wire
from spec_mcp.relay.listing import BEGINS_AFTER, own_meta
from spec_mcp.relay.saying import say

if TYPE_CHECKING:
    from spec_mcp.relay.bridge import Bridge
    from spec_mcp.relay.disk import Disk

SERVER_META = "io.modelcontextprotocol/serverInfo"


def named_manifest(
    given: str | None, configured: Server | None, home: Path, config_file: Path | None
) -> Manifest | None:
    """The manifest that the user names: on the command line, or in the server's configuration.

    Raises:
        UserError: there is no such manifest, or it is wrong.
    """
    if given is not None:
        return load_manifest(find_manifest(given, home))
    if configured is not None and configured.manifest is not None:
        base = None if config_file is None else config_file.parent
        return load_manifest(find_manifest(configured.manifest, home, base))
    return None


class Vouching:
    """For one connection."""

    def __init__(
        self,
        server: str,
        reached_by: Sequence[str],
        configured: Server | None,
        manifest: Manifest | None,
        home: Path,
        bridge: Bridge,
        disk: Disk,
        policies: dict[str, ServerPolicy],
        settings: Callable[[], Settings],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self.inheriting = bridge.inheriting
        self.on_reversible: Callable[[], None] = lambda: None
        """Told that what others do at the server has to be watched."""
        self.on_tools: Callable[[list[dict[str, object]]], None] = lambda _: None
        """Told of the server's tools."""
        self.on_word: Callable[[str], None] = lambda line: say(line, server=server)
        """Told what the user should know."""
        self._server = server
        self._reached_by = reached_by
        """The command line or the URL, for messages."""
        self._configured = configured
        self._manifest = manifest
        self._home = home
        self._bridge = bridge
        self._disk = disk
        self._policies = policies
        self._settings = settings
        self._soon = soon
        self._pins: Mapping[str, str] | None = None
        """None until the store has been read."""
        self._known = NOTHING_KNOWN
        self._looked_for = manifest is not None
        self._names: list[str] = []
        self._has_served = False
        bridge.handshake.on_server = self._heard_name
        bridge.listing.on_tools = self._judge

    def know(self, pins: Mapping[str, str], known: Known) -> None:
        """These tools have been seen before, and looked so; this is what comparisons have shown of them."""
        self._pins, self._known = pins, known
        self._apply()

    def review(self, manifest: Manifest | None) -> None:
        """The user has edited manifests: go by this one, or by that which speaks for the server's own name."""
        self._manifest = manifest
        self._looked_for = True
        if manifest is None and self._names:
            self._look_for_manifest()
        else:
            self._apply()

    def served(self, method: str) -> None:
        """The client has been served: now there is time for what is ours."""
        self._has_served |= method == "tools/call"
        if method in BEGINS_AFTER and not self._looked_for and not self._bridge.is_off:
            self._looked_for = True
            self._soon(self._look_for_manifest if self._names else self._ask_name)
        self._bridge.listing.may_begin(method)

    # --- which manifest ---------------------------------------------------------------------------------------------

    def _heard_name(self, result: Mapping[str, bytes]) -> None:
        about = result.get("serverInfo") or wire.members(result.get("_meta", b"")).get(SERVER_META, b"")
        name = wire.value(wire.members(about).get("name", b"null"))
        if isinstance(name, str) and name not in self._names:
            self._names.append(name)

    def _ask_name(self) -> None:
        """A stateless client need not have asked for it."""

        def answered(message: wire.Envelope) -> None:
            self._heard_name(wire.members(message.result))
            self._soon(self._look_for_manifest)

        if self._bridge.link.is_up:
            meta = own_meta(self._bridge.handshake.stateless_meta)
            self._bridge.link.ask("server/discover", b'{"_meta":{%s}}' % meta if meta else b"", answered)

    def _look_for_manifest(self) -> None:
        path = next((found for name in self._names if (found := match_manifest(name, self._home))), None)
        if path is not None:
            try:
                self._manifest = load_manifest(path)
            except UserError as error:
                self.on_word(f"{error} (until then the server is passed through as it is)")
        elif not self._trusts_annotations:
            known_as = self._names[0] if self._names else self._server
            # an address may hold a key, and is nothing that `draft` could start
            is_remote = len(self._reached_by) == 1 and "://" in self._reached_by[0]
            draft = (
                "" if is_remote else f"; to draft one: spec-mcp manifest draft --save -- {shlex.join(self._reached_by)}"
            )
            self.on_word(f"no manifest speaks for {known_as!r}, so it is passed through as it is{draft}")
        self._apply()

    @property
    def _trusts_annotations(self) -> bool:
        return self._configured is not None and self._configured.trust_annotations

    # --- what it says -----------------------------------------------------------------------------------------------

    def _apply(self) -> None:
        """Both must be known: what the manifest allows, and how the tools looked when they were first seen."""
        if self._pins is None or not self._looked_for:
            return
        bridge = self._bridge
        if bridge.listing.has_begun:  # something had to be taken back; the manifest has not judged that list
            bridge.listing.forget()
            bridge.feed(ToolsListed(bridge.connection, {}))
        policy = NO_MANIFEST if self._manifest is None else self._manifest.policy
        self._set_policy(policy, self._pins)
        bridge.list_if_needed()
        bridge.listing.wanted = bool(policy.tools) or self._trusts_annotations
        if self._names or self._has_served:
            bridge.listing.may_begin("tools/list")

    def _set_policy(self, policy: ServerPolicy, pins: Mapping[str, str]) -> None:
        if self._configured is not None:
            policy = replace(policy, rate_per_minute=self._configured.rate_per_minute)
        if any(tool.undo is not None for tool in policy.tools.values()):
            self.inheriting.serve()
            self.on_reversible()
            if self._settings().reversible:
                self._disk.warm_up()
                self._name_unproven(policy)
        self._policies[self._server] = policy
        self._bridge.feed(ManifestFound(self._bridge.connection, policy, pins, self._known))

    def _name_unproven(self, policy: ServerPolicy) -> None:
        """Who switches early writes on should know why none is made."""
        tools = unproven(policy, self._server, self._settings())
        if tools and self._manifest is not None:
            self.on_word(
                f"early writes are on, but nobody has proved how {', '.join(tools)} of {self._server} are undone: "
                f"spec-mcp manifest verify {Path(self._manifest.file).stem} -- {shlex.join(self._reached_by)}"
            )

    def _judge(self, tools: list[dict[str, object]]) -> frozenset[str]:
        """Hold the manifest against the tools that the server has; what is wrong in it is said, and not believed."""
        self.on_tools(tools)
        faulty: frozenset[str] = frozenset()
        if self._manifest is not None:
            comparison = check_against_tools(self._manifest, tools)
            faulty = comparison.faulty_tools
            for line in (*map(str, comparison.errors), *comparison.changed):
                self.on_word(line)
        if self._trusts_annotations and self._server in self._policies and self._pins is not None:
            self._set_policy(with_trusted_annotations(self._policies[self._server], tools), self._pins)
        return faulty


def unproven(policy: ServerPolicy, server: str, settings: Settings) -> list[str]:
    """The reversible tools that are not speculated since neither a proof nor the user speaks for their undo."""
    return sorted(
        name
        for name, tool in policy.tools.items()
        if tool.undo is not None and not tool.proved and f"{server}.{name}" not in settings.accept_unproven
    )

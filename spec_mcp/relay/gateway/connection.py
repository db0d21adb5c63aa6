"""One connection to a server and all that belongs to it: its link, its bridge, who vouches for it, its disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import anyio

from spec_mcp.config import Server
from spec_mcp.engine.events import ConnectionClosed
from spec_mcp.manifest import Manifest
from spec_mcp.relay.back.stdio import StdioBack
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.gateway.backs import back_to, reached_by
from spec_mcp.relay.gateway.contact import Contact
from spec_mcp.relay.gateway.parts import Parts
from spec_mcp.relay.saying import LogLevel, say
from spec_mcp.relay.seat import Seat
from spec_mcp.relay.variables import telling as telling_variables
from spec_mcp.relay.vouching import Vouching
from spec_mcp.store.instance import Launch

if TYPE_CHECKING:
    from spec_mcp.relay.back.remote import Remote


FAILED_PAUSE_S = 1.0
"""How soon a connection is kept again whose keeping failed, for want of threads or descriptors say."""


class Connection:
    """For as long as anybody uses it."""

    def __init__(self, name: str, contact: Contact, parts: Parts) -> None:
        self.name = name
        self.contact = contact
        self.vouching: Vouching | None = None
        """None: it is parked."""
        self._parts = parts
        self._link: StdioBack | Remote | None = None
        self._bridge: Bridge | None = None
        self._disk: Disk | None = None
        self._kept = anyio.CancelScope()

    @property
    def _named(self) -> dict[str, str]:
        """What it is, for the log."""
        return {"server": self.contact.server, "connection": self.name}

    @property
    def status(self) -> str:
        """How it is, for a person."""
        return self.contact.why or ("parked" if self._link is None else self._link.status)

    def open(
        self,
        configured: Server,
        manifest: Manifest | None,
        principal: str,
        seat: Seat,
        headers: Mapping[str, str],
    ) -> None:
        """Build its parts, and keep the link up until `close`.

        Raises:
            ValueError: the server's address, or a header, cannot be used.
        """
        parts, contact, server = self._parts, self.contact, self.contact.server
        link = self._link = back_to(configured, parts.starts, parts.clock, headers, parts.home, server)
        disk = self._disk = self._make_disk(configured, principal)
        bridge = self._bridge = Bridge(
            parts.deciding, server, self.name, seat, contact, link, parts.validators, disk, parts.clock
        )
        contact.connect(bridge)
        vouching = self.vouching = Vouching(
            server,
            reached_by(configured),
            configured,
            manifest,
            parts.home,
            bridge,
            disk,
            parts.policies,
            lambda: parts.deciding.settings,
            parts.rounds.call_soon,
        )
        vouching.on_reversible = lambda: parts.rounds.ticking.add(bridge.inheriting)
        bridge.on_served = vouching.served
        link.on_line, link.on_lost, link.on_restarted = self._heard, self._lost, self._restarted
        link.on_request_lost, link.on_fault = self._request_lost, bridge.give_up
        bridge.inheriting.look_at_start()
        if bridge.inheriting.gate is not None:
            parts.rounds.ticking.add(bridge.inheriting)
        parts.start(f"{server}: a connection is kept no more", partial(self._run, link))

    def _make_disk(self, configured: Server, principal: str) -> Disk:
        parts, command = self._parts, reached_by(configured)
        environ = {**parts.environ, **configured.env}
        names = telling_variables(environ)
        launch = Launch(command[0], command[1:], configured.cwd or os.getcwd(), env_names=names)
        return Disk(parts.store_path, self.contact.server, launch, environ, principal, parts.rounds.call_at_once)

    async def _run(self, link: StdioBack | Remote) -> None:
        try:
            with self._kept:
                while True:
                    await self._keep(link)
        finally:  # by now its process has gone, and can write nothing more
            self._parts.deciding.feed(ConnectionClosed(self.name, link.ends_with_server))

    async def _keep(self, link: StdioBack | Remote) -> None:
        try:
            await link.run()
        except Exception as error:  # noqa: BLE001  what fails here is one server's, and no other's
            what = f"{type(error).__name__}: {error}; it is tried again"
            say(f"{self.contact.server}: {what}", LogLevel.WARNING, **self._named)
            try:
                self._lost("its connection failed; the next request makes another")
            except Exception as fault:  # noqa: BLE001  as above, and it is kept again all the same
                self._parts.deciding.give_up(fault)
            await anyio.sleep(FAILED_PAUSE_S)

    # --- the server -------------------------------------------------------------------------------------------------

    def _heard(self, line: bytes) -> None:
        assert self._bridge is not None, "what is linked has a bridge"
        self._bridge.on_server_line(line)
        self._parts.rounds.line_came()

    def _request_lost(self, id_raw: bytes, why: str | None) -> None:
        assert self._bridge is not None, "what is linked has a bridge"
        self._bridge.on_request_lost(id_raw, why)
        self._parts.rounds.line_came()

    def _lost(self, why: str) -> None:
        say(f"{self.contact.server}: {why}", LogLevel.WARNING, **self._named)
        self.contact.lose(why)
        self._parts.rounds.line_came()

    def _restarted(self) -> None:
        assert self._bridge is not None, "what is linked has a bridge"
        say("a server is up", LogLevel.DEBUG, **self._named)
        self._bridge.connected()
        self.contact.restarted()

    def pause(self) -> None:
        """Read nothing more for now."""
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        """Read on."""
        if self._link is not None:
            self._link.resume()

    # --- the end ----------------------------------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Is nothing to be taken back there, or nothing that could be?"""
        engine = self._parts.deciding.engine
        return engine is None or self._bridge is None or not self._bridge.has_begun or engine.is_settled(self.name)

    def lose(self, why: str) -> None:
        """What was asked over it gets an error."""
        self.contact.lose(why)

    def close(self) -> None:
        """Nobody uses it any more."""
        self._kept.cancel()
        self.contact.close()
        if self._bridge is not None:
            self._parts.rounds.ticking.discard(self._bridge.inheriting)
        if self._link is None:
            self._parts.deciding.feed(ConnectionClosed(self.name))
        self._parts.deciding.bridges.pop(self.name, None)
        if self._disk is not None:
            self._disk.close()

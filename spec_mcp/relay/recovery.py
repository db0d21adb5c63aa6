"""Taking back what processes that are gone left, with no client there: the same engine, the same relay.

Each server instance is started as it was then, shaken hands with, and left again when all of its entries are settled.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import cast

from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Mode
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.states import State
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.account import Account
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.entries import Reversible
from spec_mcp.relay.identity import Identities
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.lines import LineReader, LineWriter
from spec_mcp.relay.process import CannotStart, ServerProcess
from spec_mcp.relay.pump import Pump
from spec_mcp.relay.recording import Recording
from spec_mcp.relay.seat import Seat
from spec_mcp.relay.speculations import line_of
from spec_mcp.relay.stdio import StdioLink
from spec_mcp.relay.stopping import Stopping
from spec_mcp.relay.validators import Validators
from spec_mcp.store.instance import Launch, instance_of, store_key
from spec_mcp.store.journal import Entry
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.rows import Row, Scope, SessionRow

BOUND_S = 120.0
"""For one server: a launcher such as npx may download it first, and a server that hangs is given up."""

LEGACY = "2025-11-25"
MODERN = "2026-07-28"
_META = "io.modelcontextprotocol/"


class CannotRecover(Exception):  # noqa: N818  what happened, in the words of the user
    """A server instance cannot be reached as it was then; the message says why."""


def environment(store: Path, entry: Entry, environ: Mapping[str, str], configured: Mapping[str, str]) -> dict[str, str]:
    """The values of the variables that the server was started with, as far as they told its store from others.

    Raises:
        CannotRecover: one is not set, or they have other values now.
    """
    launch = Launch.of_json(entry.launch)
    if launch.url:
        raise CannotRecover("is not a local server: this version settles those alone")
    values = {
        name: found for name in launch.env_names if (found := configured.get(name, environ.get(name))) is not None
    }
    if missing := [name for name in launch.env_names if name not in values]:
        raise CannotRecover(
            f"needs the environment that it was started with: {', '.join(missing)} not set. Set it for this command, "
            f"or by env in [servers.{entry.server}] of the configuration"
        )
    if instance_of(store_key(store), launch, values) != entry.instance:
        names = ", ".join(launch.env_names)
        raise CannotRecover(f"was started with other values of some of these: {names}. Set them as its client does")
    return values


class Recovery:
    """One server instance, from its start to its end. `settled` is told of each entry what became of it."""

    def __init__(
        self,
        store: Path,
        entries: Sequence[Entry],
        environ: Mapping[str, str],
        settled: Callable[[str, State, str], None],
    ) -> None:
        """Start the server.

        Raises:
            CannotRecover: it does not start.
        """
        launch = Launch.of_json(entries[0].launch)
        command, cwd = [launch.command, *launch.args], launch.cwd or None
        try:
            process = ServerProcess(command, environ, cwd)
        except CannotStart as error:
            raise CannotRecover(str(error)) from error
        self._open = {entry.id for entry in entries}
        self._settled = settled
        self._stopping = Stopping()
        self._read_fd, self._write_fd = os.pipe()
        self._null_fd = os.open(os.devnull, os.O_WRONLY)
        server = entries[0].server
        learner = Learner(Silent(), now_s)
        self._link = StdioLink(command, environ, process, now_s, cwd)
        self._validators = Validators(lambda task: self._pump.call_at_once(task))
        self._disk = Disk(
            store,
            server,
            launch,
            environ,
            entries[0].principal,
            lambda task: self._pump.call_at_once(task),
        )
        scope = Scope.of(server, command)
        session = SessionRow("recover", scope, entries[0].principal, 0.0, os.getpid())
        recording = Recording(cast("Recorder", NoRecord()), scope, session, now_s, now_s)
        out = LineWriter(self._null_fd)
        account = Account(session.session, learner, recording, now_s)
        self._bridge = Bridge(
            Deciding(Engine(Settings(), {}, mode=Mode.OFF), now_s),
            server,
            server,
            Seat(session.session, account, Identities(server, entries[0].principal)),
            out,
            self._link,
            self._validators,
            self._disk,
            now_s,
        )
        self._pump = Pump(
            self._bridge, self._link, LineReader(self._read_fd), out, learner, now_s, lambda: None, self._stopping
        )
        self._link.on_restarted = self._bridge.connected
        self._bridge.on_served = self._served
        self._bridge.reversing.on_settled = self._took
        self._bridge.inheriting.retry_stuck = True
        self._bridge.inheriting.on_known = self._stop_if_done

    def run(self, bound_s: float = BOUND_S) -> None:
        """Settle what can be, and end the server."""
        timer = threading.Timer(bound_s, lambda: self._stopping.stop(0))
        timer.daemon = True
        timer.start()
        try:
            self._bridge.connected()
            self._bridge.inheriting.look_at_start()
            client = {"name": "spec-mcp", "version": metadata.version("spec-mcp")}
            params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}
            self._says("initialize", params)
            self._pump.run()
        finally:
            timer.cancel()
            self._link.close(polite=True)
            self._disk.close()
            self._link.join()
            self._validators.close()
            self._pump.close()
            for fd in (self._read_fd, self._write_fd, self._null_fd):
                os.close(fd)

    def _says(self, method: str, params: Mapping[str, object]) -> None:
        self._bridge.on_client_line(line_of({"jsonrpc": "2.0", "id": method, "method": method, "params": params}))

    def _served(self, method: str) -> None:
        if method != "initialize":
            return
        if self._link.memory.initialize_params:
            self._bridge.on_client_line(line_of({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        else:  # a server of the stateless era alone
            client = {"name": "spec-mcp", "version": metadata.version("spec-mcp")}
            meta = {f"{_META}protocolVersion": MODERN, f"{_META}clientInfo": client, f"{_META}clientCapabilities": {}}
            self._says("server/discover", {"_meta": meta})

    def _took(self, held: Reversible, state: State, reason: str) -> None:
        self._open.discard(held.entry)
        self._settled(held.entry, state, reason)
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        if self._bridge.inheriting.gate is None and not self._bridge.reversing.has_any:
            self._stopping.stop(0)


class NoRecord:
    """Nothing of this is a session of anybody's."""

    def record(self, row: Row) -> None:
        """Forget it."""

    def skip(self, session: str, server: str, tool: str, reason: str) -> None:
        """Forget it."""

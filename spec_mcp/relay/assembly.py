"""Puts the parts of a wrapped server together, and takes them apart in the right order.

What is not needed for the first answer comes later: the store is opened by its own thread, and the manifest of a
server that must first say its name is looked for once the client has been served.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from spec_mcp.config import Server, find_config, home, load_config, resolve_mode
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import ModeSet, SessionClosed
from spec_mcp.predict.keeper import KIND as SHARE
from spec_mcp.relay import wire
from spec_mcp.relay.account import Account
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.identity import Identities
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.lines import LineReader
from spec_mcp.relay.making import (
    HISTORY,
    LEARNED_EVERY,
    RECORD_CLOSE_S,
    SPECULATORS,
    TIMING,
    Modes,
    advice_of,
    not_kept,
    predictor_of,
    session_id,
    settings_of,
    store_settings_of,
    take_learned,
)
from spec_mcp.relay.naming import name_of
from spec_mcp.relay.process import ServerProcess
from spec_mcp.relay.pump import Pump
from spec_mcp.relay.recording import Recording, new_session
from spec_mcp.relay.saying import say
from spec_mcp.relay.seat import Seat
from spec_mcp.relay.shared import SharedWriter
from spec_mcp.relay.sharing import Sharing
from spec_mcp.relay.stdio import StdioLink
from spec_mcp.relay.stopping import Stopping
from spec_mcp.relay.validators import Validators
from spec_mcp.relay.variables import telling as telling_variables
from spec_mcp.relay.vouching import Vouching, named_manifest
from spec_mcp.store.instance import Launch
from spec_mcp.store.place import Remote, locate
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.rows import LOCAL_USER, Scope
from spec_mcp.store.worker import Loaded, StoreState

if TYPE_CHECKING:
    from spec_mcp.relay.board.opening import Shared
    from spec_mcp.relay.wrap import MakePredictor, WrapOptions

STDIN, STDOUT = 0, 1


class Assembly:
    """One client, one server, and all that stands between them."""

    def __init__(
        self, options: WrapOptions, process: ServerProcess, make_predictor: MakePredictor | None, stopping: Stopping
    ) -> None:
        """Read the user's files and build the parts.

        Raises:
            UserError: one of the files is wrong.
        """
        self._config = load_config(find_config(options.config, os.environ))
        self._home = home(os.environ)
        self._name = options.name or name_of(options.command)
        self._command = options.command
        place = locate(self._config.store_url(os.environ), folder=self._home)
        for key in not_kept(self._config, place, self._name):
            say(f"{self._config.file}: {key}: `wrap` does not act on this yet; remove it, or do not rely on it")
        own_mode = resolve_mode(options.mode, os.environ, self._config)
        is_explicit = bool(options.mode or os.environ.get("SPEC_MCP_MODE"))
        configured = self._config.servers.get(self._name)
        manifest = named_manifest(options.manifest, configured, self._home, self._config.file)
        self._calls_at_last_dump = 0
        self._calls_served = 0

        self._recorder = Recorder(store_settings_of(self._config, place))
        self._modes = Modes(own_mode, is_explicit, self._recorder.switch)
        scope = Scope.of(self._name, options.command)
        session = new_session(scope, LOCAL_USER, time.time, session_id())
        self._session = session.session
        self._recording = Recording(self._recorder, scope, session, time.time, now_s)
        self._policies: dict[str, ServerPolicy] = {}
        self._remote = place.remote
        self._shared: Shared | None = None
        settings = settings_of(self._config, board=self._remote is not None)
        self._engine = Engine(settings, self._policies, mode=self._modes.now())
        self._sharing = Sharing(self._config.speculation, self._engine)
        self._sharing.listen(self._recording)
        self._deciding = Deciding(self._engine, now_s)
        predictor = predictor_of(make_predictor, self._policies, self._config)
        self._advice = advice_of(
            self._config, os.environ, options.record, options.replay, self._deciding, self._policies
        )
        merging = None if self._advice is None else self._advice.merging(predictor)
        self._learner = Learner(merging or predictor, now_s, policies=self._policies)
        self._client_out = SharedWriter(STDOUT)
        self._stopping = stopping
        message_bytes = (configured or Server()).message_bytes
        self._link = StdioLink(options.command, None, process, now_s, message_bytes=message_bytes)
        self._validators = Validators(self._call_at_once)
        launch = Launch(
            options.command[0], tuple(options.command[1:]), os.getcwd(), env_names=telling_variables(os.environ)
        )
        self._disk = Disk(place.path, self._name, launch, dict(os.environ), LOCAL_USER, self._call_at_once)
        self._deciding.on_pin = self._recording.pin
        self._deciding.on_demoted = self._recording.demoted
        self._deciding.scope_of = lambda server: scope
        account = Account(self._session, self._learner, self._recording, now_s)
        self._deciding.accounts[self._session] = account
        self._bridge = Bridge(
            self._deciding,
            self._name,
            self._name,
            Seat(self._session, account, Identities(self._name, LOCAL_USER)),
            self._client_out,
            self._link,
            self._validators,
            self._disk,
            now_s,
        )
        self._vouching = Vouching(
            self._name,
            options.command,
            configured,
            manifest,
            self._home,
            self._bridge,
            self._disk,
            self._policies,
            lambda: self._engine.world.settings,
            lambda task: self._pump.call_soon(task),
        )
        self._pump = Pump(
            self._bridge,
            self._link,
            LineReader(STDIN, message_bytes),
            self._client_out,
            self._learner,
            now_s,
            self._look_at_mode,
            stopping,
        )
        self._connect_parts(scope)
        if self._advice is not None and merging is not None:
            shown = self._advice.consult(self._learner, merging, self._pump.call_soon, self._recording.consulted)
            self._vouching.on_tools = lambda tools: shown.listed(self._name, tools)

    def run(self) -> int:
        """Serve until the client leaves or a signal comes; then end the server and write down what was learned."""
        try:
            if self._remote is not None:
                self._shared = self._one_of_several(self._remote)
            self._bridge.connected()
            self._bridge.inheriting.look_at_start()
            self._recorder.start()
            self._pump.run()
        finally:
            self._client_out.restore()
            self._close()
        return 0 if self._stopping.number is None else 128 + self._stopping.number

    def _close(self) -> None:
        """What takes its time goes on at once: the server's end, and what is written down."""
        # a server that has been told of the client's end had its time; one that still has it gets some
        self._link.close(polite=self._stopping.number is None and not self._pump.was_patient)
        self._learner.on_predicted = lambda _: None  # what waits to be learned may still predict, for nobody
        if self._advice is not None:
            self._advice.close()
        try:
            self._bridge.feed(SessionClosed(self._session))
            self._recording.close()
            self._learner.closed(self._session)
            self._learner.finish()
            self._write_down()
            self._disk.close()
            self._recorder.close(RECORD_CLOSE_S)
        finally:
            self._link.join()
            self._validators.close()
            if self._shared is not None:
                self._shared.end()
            self._pump.close()

    def _one_of_several(self, remote: Remote) -> Shared:
        from spec_mcp.relay.board.alarms import Alarms
        from spec_mcp.relay.board.opening import Shared

        alarms = Alarms(self._call_at_once)
        shared = Shared(
            self._config, remote, self._home, self._deciding, self._call_at_once, alarms.later, alarms.close
        )
        shared.serve(self._name, Server(command=self._command[0], args=tuple(self._command[1:])))
        return shared

    def _call_at_once(self, task: Callable[[], None]) -> None:
        self._pump.call_at_once(task)

    def _connect_parts(self, scope: Scope) -> None:
        self._learner.on_predicted = self._bridge.feed
        self._link.on_restarted = self._bridge.connected
        self._bridge.handshake.on_client = self._heard_client
        self._bridge.on_served = self._served
        loading = self._recorder.load(scope, LOCAL_USER)
        loading.add_done_callback(lambda future: self._pump.call_soon(lambda: self._take_loaded(future.result())))

    # --- mode -------------------------------------------------------------------------------------------------------

    def _look_at_mode(self) -> None:
        mode = self._modes.now()
        if mode is not self._engine.world.mode:
            self._bridge.feed(ModeSet(mode))

    # --- what the client and the server say of themselves ------------------------------------------------------------

    def _heard_client(self, about: Mapping[str, bytes]) -> None:
        name, version = (wire.value(about.get(key, b'""')) for key in ("name", "version"))
        self._recording.client_is(name if isinstance(name, str) else "", version if isinstance(version, str) else "")

    def _served(self, method: str) -> None:
        """The client has been served: now there is time for what is ours."""
        self._calls_served += method == "tools/call"
        if self._advice is not None:
            self._advice.served()
        self._vouching.served(method)
        if self._calls_served - self._calls_at_last_dump >= LEARNED_EVERY:
            self._calls_at_last_dump = self._calls_served
            self._pump.call_soon(self._write_down)

    def _take_loaded(self, loaded: Loaded) -> None:
        take_learned(loaded, self._learner, self._engine, self._sharing)
        if loaded.state is not StoreState.NEWER:
            self._vouching.know(loaded.pins, loaded.known)

    # --- what was learned -------------------------------------------------------------------------------------------

    def _write_down(self) -> None:
        self._recording.learned(HISTORY, self._learner.dump())
        self._recording.learned(SPECULATORS, self._learner.dump_speculators())
        self._recording.learned(TIMING, self._engine.world.timing.dump_json())
        self._recording.learned(SHARE, self._sharing.dump())

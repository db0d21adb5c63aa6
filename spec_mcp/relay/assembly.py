"""Puts the parts of a wrapped server together, and takes them apart in the right order.

What is not needed for the first answer comes later: the store is opened by its own thread, and the manifest of a
server that must first say its name is looked for once the client has been served.
"""

from __future__ import annotations

import os
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spec_mcp.config import DEFAULTS, Config, Server, find_config, home, load_config, resolve_mode
from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import NO_MANIFEST, ServerPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import ManifestFound, Mode, ModeSet, SessionClosed, ToolsListed
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import merge_timings
from spec_mcp.errors import UserError
from spec_mcp.manifest import (
    Manifest,
    check_against_tools,
    find_manifest,
    load_manifest,
    match_manifest,
    with_trusted_annotations,
)
from spec_mcp.predict.keeper import KIND as SHARE
from spec_mcp.predict.keeper import latest
from spec_mcp.predict.silent import Silent
from spec_mcp.relay import wire
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.lines import LineReader
from spec_mcp.relay.link import ServerLink
from spec_mcp.relay.listing import BEGINS_AFTER, own_meta
from spec_mcp.relay.naming import name_of
from spec_mcp.relay.process import ServerProcess
from spec_mcp.relay.pump import Pump
from spec_mcp.relay.recording import Recording, new_session
from spec_mcp.relay.saying import say
from spec_mcp.relay.shared import SharedWriter
from spec_mcp.relay.sharing import Sharing
from spec_mcp.relay.stopping import Stopping
from spec_mcp.relay.validators import Validators
from spec_mcp.relay.variables import telling as telling_variables
from spec_mcp.store.instance import Launch
from spec_mcp.store.mode import ModeSwitch
from spec_mcp.store.place import locate
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.rows import LOCAL_USER, Scope
from spec_mcp.store.settings import StoreSettings
from spec_mcp.store.worker import Loaded, StoreState

if TYPE_CHECKING:
    from spec_mcp.predict.predictor import Predictor
    from spec_mcp.relay.wrap import MakePredictor, WrapOptions

HISTORY = "history/1"
"""The kind of learned rows that the predictor reads."""

TIMING = "timing/1"
"""The kind of learned rows that the measured durations are kept in."""

LEARNED_EVERY = 50
"""Calls between two writings of what was learned, so that a kill loses little."""

RECORD_CLOSE_S = 1.0
"""How long our end may wait for the last rows: clients wait about 2 s for us, in all."""

STDIN, STDOUT = 0, 1

SERVER_META = "io.modelcontextprotocol/serverInfo"

CAUTION = {Mode.OFF: 0, Mode.SHADOW: 1, Mode.ON: 2}


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
        for key in not_kept(self._config, self._name):
            say(f"{self._config.file}: {key}: `wrap` does not act on this yet; remove it, or do not rely on it")
        self._explicit_mode = bool(options.mode or os.environ.get("SPEC_MCP_MODE"))
        self._own_mode = resolve_mode(options.mode, os.environ, self._config)
        self._manifest = self._named_manifest(options)
        self._loaded: Loaded | None = None
        self._looked_for_manifest = self._manifest is not None
        self._server_names: list[str] = []
        self._calls_at_last_dump = 0
        self._calls_served = 0

        store_path = locate(self._config.store_url(os.environ), folder=self._home)
        self._switch = ModeSwitch(store_path)
        scope = Scope.of(self._name, options.command)
        session = new_session(scope, LOCAL_USER, time.time, _session_id())
        self._session = session.session
        self._recorder = Recorder(_store_settings(self._config, store_path))
        self._recording = Recording(self._recorder, scope, session, time.time, now_s)
        self._policies: dict[str, ServerPolicy] = {}
        self._engine = Engine(_settings(self._config), self._policies, mode=self._mode())
        self._sharing = Sharing(self._config.speculation, self._engine, self._recording)
        self._learner = Learner(_predictor(make_predictor, self._policies, self._config), now_s)
        self._client_out = SharedWriter(STDOUT)
        self._stopping = stopping
        self._link = ServerLink(options.command, None, process, now_s)
        self._validators = Validators(self._call_at_once)
        launch = Launch(
            options.command[0], tuple(options.command[1:]), os.getcwd(), env_names=telling_variables(os.environ)
        )
        self._disk = Disk(store_path, self._name, launch, dict(os.environ), LOCAL_USER, self._call_at_once)
        self._bridge = Bridge(
            self._engine,
            self._name,
            self._session,
            self._client_out,
            self._link,
            self._learner,
            self._recording,
            self._validators,
            self._disk,
            now_s,
            LOCAL_USER,
        )
        self._pump = Pump(
            self._bridge,
            self._link,
            LineReader(STDIN),
            self._client_out,
            self._learner,
            now_s,
            self._look_at_mode,
            stopping,
        )
        self._connect_parts(scope)

    def run(self) -> int:
        """Serve until the client leaves or a signal comes; then end the server and write down what was learned."""
        try:
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
            self._pump.close()

    def _call_at_once(self, task: Callable[[], None]) -> None:
        self._pump.call_at_once(task)

    def _connect_parts(self, scope: Scope) -> None:
        self._learner.on_predicted = self._bridge.feed
        self._link.on_restarted = self._bridge.connected
        self._bridge.handshake.on_server = self._heard_name
        self._bridge.handshake.on_client = self._heard_client
        self._bridge.on_served = self._served
        self._bridge.listing.on_tools = self._judge_tools
        loading = self._recorder.load(scope, LOCAL_USER)
        loading.add_done_callback(lambda future: self._pump.call_soon(lambda: self._take_loaded(future.result())))

    # --- mode -------------------------------------------------------------------------------------------------------

    def _mode(self) -> Mode:
        """What this process was told, and what the switch says: the more cautious where both are explicit."""
        switched = self._switch.read()
        if switched is None:
            return self._own_mode
        return min(self._own_mode, switched, key=CAUTION.__getitem__) if self._explicit_mode else switched

    def _look_at_mode(self) -> None:
        mode = self._mode()
        if mode is not self._engine.world.mode:
            self._bridge.feed(ModeSet(mode))

    # --- the manifest -----------------------------------------------------------------------------------------------

    def _named_manifest(self, options: WrapOptions) -> Manifest | None:
        configured = self._config.servers.get(self._name)
        if options.manifest is not None:
            return load_manifest(find_manifest(options.manifest, self._home))
        if configured is not None and configured.manifest is not None:
            base = None if self._config.file is None else self._config.file.parent
            return load_manifest(find_manifest(configured.manifest, self._home, base))
        return None

    def _heard_name(self, result: Mapping[str, bytes]) -> None:
        about = result.get("serverInfo") or wire.members(result.get("_meta", b"")).get(SERVER_META, b"")
        name = wire.value(wire.members(about).get("name", b"null"))
        if isinstance(name, str) and name not in self._server_names:
            self._server_names.append(name)

    def _heard_client(self, about: Mapping[str, bytes]) -> None:
        name, version = (wire.value(about.get(key, b'""')) for key in ("name", "version"))
        self._recording.client_is(name if isinstance(name, str) else "", version if isinstance(version, str) else "")

    def _served(self, method: str) -> None:
        """The client has been served: now there is time for what is ours."""
        self._calls_served += method == "tools/call"
        if method in BEGINS_AFTER and not self._looked_for_manifest and not self._bridge.is_off:
            self._looked_for_manifest = True
            if self._server_names:
                self._pump.call_soon(self._look_for_manifest)
            else:
                self._pump.call_soon(self._ask_name)
        self._bridge.listing.may_begin(method)
        if self._calls_served - self._calls_at_last_dump >= LEARNED_EVERY:
            self._calls_at_last_dump = self._calls_served
            self._pump.call_soon(self._write_down)

    def _ask_name(self) -> None:
        """A stateless client need not have asked for it."""

        def answered(message: wire.Envelope) -> None:
            self._heard_name(wire.members(message.result))
            self._pump.call_soon(self._look_for_manifest)

        if self._link.is_up:
            meta = own_meta(self._bridge.handshake.stateless_meta)
            self._link.ask("server/discover", b'{"_meta":{%s}}' % meta if meta else b"", answered)

    def _look_for_manifest(self) -> None:
        path = next((found for name in self._server_names if (found := match_manifest(name, self._home))), None)
        if path is not None:
            try:
                self._manifest = load_manifest(path)
            except UserError as error:
                say(f"{error} (until then the server is passed through as it is)")
        elif not self._trusts_annotations():
            known_as = self._server_names[0] if self._server_names else self._name
            say(
                f"no manifest speaks for {known_as!r}, so it is passed through as it is; to draft one: "
                f"spec-mcp manifest draft --save -- {shlex.join(self._command)}"
            )
        self._apply_manifest()

    def _trusts_annotations(self) -> bool:
        configured = self._config.servers.get(self._name)
        return configured is not None and configured.trust_annotations

    def _take_loaded(self, loaded: Loaded) -> None:
        self._loaded = loaded
        for row in loaded.learned:
            if row.kind == HISTORY:
                self._learner.load(row.data)
            elif row.kind == TIMING:
                _load_timing(self._engine, row.data)
            elif row.kind == SHARE:
                self._sharing.load(row.data)
        self._apply_manifest()

    def _apply_manifest(self) -> None:
        """Both must be known: what the manifest allows, and how the tools looked when they were first seen."""
        if self._loaded is None or self._loaded.state is StoreState.NEWER or not self._looked_for_manifest:
            return
        if self._bridge.listing.has_begun:  # something had to be taken back; the manifest has not judged that list
            self._bridge.listing.forget()
            self._bridge.feed(ToolsListed(self._name, {}))
        policy = NO_MANIFEST if self._manifest is None else self._manifest.policy
        self._set_policy(policy)
        self._bridge.list_if_needed()
        self._bridge.listing.wanted = bool(policy.tools) or self._trusts_annotations()
        if self._server_names or self._calls_served:
            self._bridge.listing.may_begin("tools/list")

    def _set_policy(self, policy: ServerPolicy) -> None:
        assert self._loaded is not None, "pins are known before a manifest is applied"
        configured = self._config.servers.get(self._name)
        if configured is not None:
            policy = replace(policy, rate_per_minute=configured.rate_per_minute)
        if any(tool.undo is not None for tool in policy.tools.values()):
            self._bridge.inheriting.serve()
            if self._engine.world.settings.reversible:
                self._disk.warm_up()
                self._name_unproven(policy)
        self._policies[self._name] = policy
        self._bridge.feed(ManifestFound(self._name, policy, self._loaded.pins))

    def _name_unproven(self, policy: ServerPolicy) -> None:
        """Who switches early writes on should know why none is made."""
        tools = unproven(policy, self._name, self._engine.world.settings)
        if tools and self._manifest is not None:
            say(
                f"early writes are on, but nobody has proved how {', '.join(tools)} of {self._name} are undone: "
                f"spec-mcp manifest verify {Path(self._manifest.file).stem} -- {shlex.join(self._command)}"
            )

    def _judge_tools(self, tools: list[dict[str, object]]) -> frozenset[str]:
        """Hold the manifest against the tools that the server has; what is wrong in it is said, and not believed."""
        faulty: frozenset[str] = frozenset()
        if self._manifest is not None:
            comparison = check_against_tools(self._manifest, tools)
            faulty = comparison.faulty_tools
            for line in (*map(str, comparison.errors), *comparison.changed):
                say(line)
        if self._trusts_annotations() and self._name in self._policies:
            self._set_policy(with_trusted_annotations(self._policies[self._name], tools))
        return faulty

    # --- what was learned -------------------------------------------------------------------------------------------

    def _write_down(self) -> None:
        self._recording.learned(HISTORY, self._learner.dump())
        self._recording.learned(TIMING, self._engine.world.timing.dump_json())
        self._sharing.write_down()


def _predictor(make_predictor: MakePredictor | None, policies: Mapping[str, ServerPolicy], config: Config) -> Predictor:
    if make_predictor is None and not config.predictors.history:
        return Silent()
    if make_predictor is None:
        from spec_mcp.predict.default import make_predictor
    return make_predictor(policies, secrets.randbits(32))


def unproven(policy: ServerPolicy, server: str, settings: Settings) -> list[str]:
    """The reversible tools that are not speculated since neither a proof nor the user speaks for their undo."""
    return sorted(
        name
        for name, tool in policy.tools.items()
        if tool.undo is not None and not tool.proved and f"{server}.{name}" not in settings.accept_unproven
    )


def not_kept(config: Config, server: str) -> list[str]:
    """What the user set for this server that this version does not act on: a bound that is silently ignored is none."""
    keys = [f"[predictors.{name}]" for name in config.predictors.models]
    for key in ("price_per_hour_saved", "attach"):
        if getattr(config.speculation, key) != getattr(DEFAULTS.speculation, key):
            keys.append(f"[speculation] {key}")
    if (own := config.servers.get(server)) is not None:
        unset = Server()
        for key in ("allow", "deny", "forward_headers", "isolation"):
            if getattr(own, key) != getattr(unset, key):
                keys.append(f"[servers.{server}] {key}")
    return keys


def _settings(config: Config) -> Settings:
    chosen = config.speculation
    return Settings(
        chosen.wasted_call_s,
        chosen.breadth,
        chosen.depth,
        chosen.in_flight,
        chosen.join,
        chosen.reversible,
        frozenset(chosen.accept_unproven),
        chosen.lossy,
    )


def _store_settings(config: Config, path: Path) -> StoreSettings:
    from spec_mcp.predict.merging import add_up

    kept = config.store
    merges = {TIMING: merge_timings, HISTORY: add_up, SHARE: latest}
    return StoreSettings(path, kept.retention_days, kept.record_results, tuple(kept.redact), merges)


def _session_id() -> str:
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)


def _load_timing(engine: Engine, data: Json) -> None:
    try:
        engine.world.timing.load_json(data)
    except ValueError as error:
        say(f"the store: what was measured of latencies is left aside: {error}")

"""All servers of a configuration as one, for any number of clients: one engine, and a session for each client."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import anyio
from anyio import to_thread

from spec_mcp.config import Config, load_config
from spec_mcp.engine import commands as do
from spec_mcp.engine.calls import Json
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import HeldDropped, ModeSet, SessionClosed
from spec_mcp.errors import UserError
from spec_mcp.predict.disclosure import Guard
from spec_mcp.predict.guessing import Answered
from spec_mcp.relay.gateway.backs import reached_by
from spec_mcp.relay.gateway.catalogue import Catalogue
from spec_mcp.relay.gateway.directory import Directory
from spec_mcp.relay.gateway.greeting import ClientAbout
from spec_mcp.relay.gateway.leg import Leg
from spec_mcp.relay.gateway.levels import levels_of
from spec_mcp.relay.gateway.names import ToolFilter
from spec_mcp.relay.gateway.parts import Parts
from spec_mcp.relay.gateway.ports import ClientOut, Principal, Visitor
from spec_mcp.relay.gateway.reloading import LOOK_S, Watch
from spec_mcp.relay.gateway.served import IDLE_S, SETTLED_POLL_S, Served, Visit
from spec_mcp.relay.gateway.session import GatewaySession
from spec_mcp.relay.gateway.shelf import Shelf
from spec_mcp.relay.gateway.telemetry import ObservedAccount, Telemetry
from spec_mcp.relay.gateway.tenant import Tenant, key_of
from spec_mcp.relay.gateway.view import merged
from spec_mcp.relay.identity import Identities
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.making import (
    HISTORY,
    SHARE,
    SPECULATORS,
    TIMING,
    WAYS,
    Modes,
    advice_of,
    predictor_of,
    session_id,
    settings_of,
    take_learned,
)
from spec_mcp.relay.recording import Recording, new_session, question_row
from spec_mcp.relay.saying import LogLevel, say
from spec_mcp.relay.seat import Seat
from spec_mcp.relay.sharing import Sharing
from spec_mcp.store.rows import DemotionRow, LearnedRow, PinRow, Scope
from spec_mcp.store.worker import Loaded, StoreState

MODE_LOOK_S = 1.0
"""How often the mode switch is looked at."""

LEVELS_LOOK_S = 1.0
"""How often those are counted that are exported: more often than anybody comes for them."""

WRITE_DOWN_S = 60.0
"""How often what was learned is put on record, so that a kill loses little."""


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """What the command line says."""

    mode: str | None = None
    only: tuple[str, ...] = ()
    """The servers to serve; empty: all."""
    record: str | None = None
    replay: str | None = None
    """Files for exchanges with speculators."""
    metrics: tuple[str, int] | None = None
    """The host and the port where metrics are served."""

    def names(self, config: Config) -> tuple[str, ...]:
        """The servers of a configuration that are served, in its order."""
        return tuple(name for name in config.servers if not self.only or name in self.only)


class ServersGateway:
    """Made by `gateway_of`."""

    def __init__(self, config: Config, options: GatewayOptions, parts: Parts, engine: Engine, modes: Modes) -> None:
        self._config = config
        self._parts = parts
        self._advice = advice_of(config, parts.environ, options.record, options.replay, parts.deciding, parts.policies)
        self._engine = engine
        self._modes = modes
        self._sharing = Sharing(config.speculation, engine)
        self._shelf = Shelf(parts.home)
        self._telemetry = Telemetry(parts.clock)
        self._options = options
        self._watch = Watch(config, parts.home)
        self._served = {name: self._serve(name, config) for name in options.names(config)}
        self._tenants: dict[str, Tenant] = {}
        self._scope = self._own_scope()
        parts.deciding.on_pin = self._pin
        parts.deciding.on_demoted = self._demoted
        parts.deciding.scope_of = lambda server: found.scope if (found := self._served.get(server)) else None
        parts.rounds.every(MODE_LOOK_S, self._follow_mode)
        parts.rounds.every(LOOK_S, self._look_at_files)
        parts.rounds.every(WRITE_DOWN_S, self.write_down)

    # --- clients ----------------------------------------------------------------------------------------------------

    def open(self, visitor: Visitor, client: ClientOut) -> GatewaySession:
        """A client has come."""
        parts, tenant = self._parts, self._tenant(visitor.principal)
        if self._advice is not None:
            self._advice.served()
        row = new_session(self._scope, tenant.key, time.time, session_id())
        name = row.session
        recording = Recording(parts.recorder, self._scope, row, time.time, parts.clock)
        self._sharing.listen(recording)
        account = ObservedAccount(name, tenant.learner, recording, parts.clock, self._telemetry)
        parts.deciding.accounts[name] = account
        self._telemetry.session_opened()

        # a stateless conversation is the same one at whichever replica its next request arrives
        whose = f"stateless {visitor.conversation}" if visitor.is_stateless else name

        def seat_at(connection: str) -> Seat:
            return Seat(name, account, Identities(connection, f"{tenant.key}/{whose}"))

        visit = Visit(name, tenant, seat_at, visitor.headers)

        def open_leg(server: str, about: ClientAbout, to_client: Callable[[Leg, bytes], None]) -> Leg:
            return self._served[server].open_leg(visit, about, to_client)

        session = GatewaySession(client, Directory(tenant.view), open_leg, parts.rounds.later)
        say("a session begins", LogLevel.DEBUG, session=name, principal=tenant.key)
        session.on_client = lambda about: recording.client_is(*about.name)
        session.on_version = account.speaks
        session.on_hints = account.hinted
        account.shown_as = session.shown_as
        session.on_line = parts.rounds.line_came
        session.on_fault = parts.deciding.give_up
        session.on_drop = lambda: parts.deciding.feed(HeldDropped(name))
        session.on_closed = lambda: self._closed(tenant, name, recording, account)
        tenant.sessions[name] = session
        return session

    def _closed(self, tenant: Tenant, name: str, recording: Recording, account: ObservedAccount) -> None:
        tenant.sessions.pop(name, None)
        self._telemetry.session_closed()
        say("a session ends", LogLevel.DEBUG, session=name)
        self._parts.deciding.feed(SessionClosed(name))
        self._parts.deciding.accounts.pop(name, None)
        account.closed()
        recording.close()
        tenant.learner.closed(name)
        if not tenant.sessions and tenant.key != key_of(Principal()):
            self._parts.rounds.later(IDLE_S, partial(self._forget, tenant))

    def _forget(self, tenant: Tenant) -> None:
        """Nobody of this principal has been there for a while: what was learned for it is on record."""
        if not tenant.sessions and self._tenants.get(tenant.key) is tenant:
            self._learned(tenant, HISTORY, tenant.learner.dump())
            self._learned(tenant, SPECULATORS, tenant.learner.dump_speculators())
            self._learned(tenant, WAYS, tenant.guard.dump())
            del self._tenants[tenant.key]

    # --- principals -------------------------------------------------------------------------------------------------

    def _tenant(self, principal: Principal) -> Tenant:
        key = key_of(principal)
        if (found := self._tenants.get(key)) is not None:
            return found
        catalogues = self._remembered(principal)
        guard = Guard()
        guard.serve(self._values_from, ())
        predictor = predictor_of(None, self._parts.policies, self._config)
        merging = None if self._advice is None else self._advice.merging(predictor)
        learner = Learner(merging or predictor, self._parts.clock, guard, self._parts.policies)
        learner.on_predicted = self._parts.deciding.feed
        learner.on_work = partial(self._parts.rounds.has_work, learner)
        tenant = self._tenants[key] = Tenant(principal, learner, guard, merged(self._filters, catalogues))
        if self._advice is not None and merging is not None:
            tenant.show_tools_to(
                self._advice.consult(learner, merging, self._parts.rounds.call_at_once, self._consulted)
            )
        for scope in dict.fromkeys([*(served.scope for served in self._served.values()), self._scope]):
            self._learn_from(scope, tenant)
        return tenant

    def _remembered(self, principal: Principal) -> dict[str, Catalogue]:
        """What servers said of themselves in earlier runs."""
        found = {name: self._shelf.read(name, served.scope.launch, principal) for name, served in self._served.items()}
        return {name: catalogue for name, catalogue in found.items() if catalogue is not None}

    @property
    def _filters(self) -> dict[str, ToolFilter]:
        return {
            name: ToolFilter(served.configured.allow, served.configured.deny) for name, served in self._served.items()
        }

    @property
    def _values_from(self) -> dict[str, tuple[str, ...]]:
        """By server, those of whose values the user lets it be told early."""
        return {name: served.configured.values_from for name, served in self._served.items()}

    def _listed(self, server: str, tenant: Tenant, catalogue: Catalogue) -> None:
        """A server has said what it lists."""
        view = tenant.view.updated(server, catalogue)
        if view is tenant.view:
            return
        if catalogue.is_complete:
            self._keep(server, tenant, catalogue)
        tenant.show(view)

    def _keep(self, server: str, tenant: Tenant, catalogue: Catalogue) -> None:
        launch = self._served[server].scope.launch
        write = partial(self._shelf.write, server, launch, tenant.principal, catalogue)
        self._parts.start(f"{server}: what it lists cannot be kept", lambda: to_thread.run_sync(write))

    # --- what is kept -----------------------------------------------------------------------------------------------

    def _own_scope(self) -> Scope:
        """With one server it is the server's own, so that `wrap` and `run` learn from each other."""
        if len(self._served) == 1:
            return next(iter(self._served.values())).scope
        launches = [part for served in self._served.values() for part in (served.name, *reached_by(served.configured))]
        return Scope.of("+".join(self._served), launches)

    def _load(self, served: Served) -> None:
        """Ask the store how the tools looked when they were seen first."""

        def take(loaded: Loaded) -> None:
            if loaded.state is not StoreState.NEWER:
                served.know(dict(loaded.pins), loaded.known)

        self._ask_store(served.scope, key_of(Principal()), take)

    def _learn_from(self, scope: Scope, tenant: Tenant) -> None:
        self._ask_store(
            scope, tenant.key, lambda loaded: take_learned(loaded, tenant.learner, self._engine, self._sharing)
        )

    def _ask_store(self, scope: Scope, principal: str, take: Callable[[Loaded], None]) -> None:
        loading = self._parts.recorder.load(scope, principal)
        loading.add_done_callback(lambda future: self._parts.rounds.call_at_once(partial(take, future.result())))

    def _pin(self, command: do.PinFingerprint) -> None:
        if (served := self._served.get(command.server)) is not None:
            row = PinRow(served.scope, command.tool, command.fingerprint, time.time())
            self._parts.recorder.record(row)

    def _demoted(self, command: do.Demote) -> None:
        if (served := self._served.get(command.server)) is not None:
            self._parts.recorder.record(DemotionRow(served.scope, command.tool, command.entry, time.time()))

    def _consulted(self, answered: Answered) -> None:
        self._parts.recorder.record(question_row(answered, time.time()))

    def write_down(self) -> None:
        """Put on record what was learned since the last time."""
        for tenant in self._tenants.values():
            self._learned(tenant, HISTORY, tenant.learner.dump())
            self._learned(tenant, SPECULATORS, tenant.learner.dump_speculators())
            self._learned(tenant, WAYS, tenant.guard.dump())
        local = self._tenants.get(key_of(Principal())) or next(iter(self._tenants.values()), None)
        if local is not None:  # durations are nobody's secret, but rows have an owner
            self._learned(local, TIMING, self._engine.world.timing.dump_json())
            self._learned(local, SHARE, self._sharing.dump())

    def _learned(self, tenant: Tenant, kind: str, data: Json) -> None:
        if data:
            text = json.dumps(data, separators=(",", ":")).encode()
            self._parts.recorder.record(LearnedRow(self._scope, tenant.key, kind, text, time.time()))

    # --- the user's files -------------------------------------------------------------------------------------------

    def _serve(self, name: str, config: Config) -> Served:
        served = Served(name, config, self._parts, partial(self._listed, name))
        self._load(served)
        if not served.parked:
            self._parts.on_serving(name, served.configured)
        return served

    def _look_at_files(self) -> None:
        config_changed, manifests_changed = self._watch.looked()
        try:
            if config_changed:
                self._reload(load_config(self._config.file))
            elif manifests_changed:
                self._review()
        except UserError as error:
            say(f"{error}; going on as before", LogLevel.WARNING)

    def _reload(self, config: Config) -> None:
        """Serve what the configuration says now. Sessions stay; what was asked of a server that changed gets an
        error."""
        names = self._options.names(config)
        if not names:
            say(f"{config.file}: no servers any more; going on with those that were there")
            return
        before, self._config = self._config, config
        self._watch.watch(config)
        self._engine.world.settings = settings_of(config, board=self._engine.world.settings.board)
        self.write_down()  # of the servers as they were
        for name in list(self._served):
            if name not in names or config.servers[name] != before.servers[name]:
                self._forsake(name, "the configuration has changed; ask again")
        self._served = {name: self._served.get(name) or self._serve(name, config) for name in names}
        self._scope = self._own_scope()
        for tenant in self._tenants.values():
            tenant.guard.serve(self._values_from, tenant.sessions)
            catalogues = {**self._remembered(tenant.principal), **tenant.view.catalogues}
            tenant.show(merged(self._filters, catalogues))
        if config.predictors != before.predictors:
            say(f"{config.file}: [predictors] stays as it was until the next start")
        say(f"{config.file}: read anew; serving {', '.join(names)}")

    def _forsake(self, name: str, why: str) -> None:
        self._served.pop(name).close(why)
        for tenant in self._tenants.values():
            tenant.learner.left(name)
            for session in list(tenant.sessions.values()):
                session.leave(name, why)

    def _review(self) -> None:
        for served in self._served.values():
            if not served.parked:
                served.review(self._config)

    # --- as time passes ---------------------------------------------------------------------------------------------

    def _follow_mode(self) -> None:
        mode = self._modes.now()
        if mode is not self._engine.world.mode:
            self._parts.deciding.feed(ModeSet(mode))

    def stop_speculating(self) -> None:
        """Do nothing early any more, and take back what was done so and nobody used: we are about to leave."""
        self._modes.end()
        self._follow_mode()

    def look_at_levels(self) -> None:
        """For whoever exports them."""
        self._telemetry.levels = levels_of(self._engine.world, self._parts.recorder)

    @property
    def names(self) -> tuple[str, ...]:
        """The servers that are served, in the order of the configuration."""
        return tuple(self._served)

    def statuses(self) -> dict[str, str]:
        """By server, how it is, for a person."""
        return {name: served.status for name, served in self._served.items()}

    def schema_of(self, principal: Principal, tool: str) -> bytes | None:
        """The input schema of a tool as this principal sees it; None where that is not known."""
        tenant = self._tenants.get(key_of(principal))
        return None if tenant is None else tenant.view.input_schema(tool)

    def pause(self) -> None:
        """Read nothing more of the servers for now: the only client does not read either."""
        for served in self._served.values():
            served.pause()

    def resume(self) -> None:
        """Read on."""
        for served in self._served.values():
            served.resume()

    async def settled(self) -> None:
        """End all sessions, and wait until nothing is left of what was done early and not used."""
        for tenant in list(self._tenants.values()):
            for session in list(tenant.sessions.values()):
                session.closed()
        while not all(served.is_settled for served in self._served.values()):  # noqa: ASYNC110  it tells nobody
            await anyio.sleep(SETTLED_POLL_S)

    def close(self) -> None:
        """Let go of all servers and write down what was learned."""
        if self._advice is not None:
            self._advice.close()
        for tenant in self._tenants.values():
            tenant.learner.on_predicted = lambda _: None  # what waits to be learned may still predict, for nobody
            tenant.learner.finish()
        for served in self._served.values():
            served.close("the gateway ends")
        self.write_down()

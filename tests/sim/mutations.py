"""Each rule of the engine, switched off: the simulation must find a seed that shows it.

A mutation patches one function of the engine into a no-op or its opposite for as long as its context lasts. A rule
that two places keep is switched off in both.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from spec_mcp.engine import (
    admission,
    attaching,
    checking,
    engine,
    expiring,
    ledger,
    lifecycle,
    methods,
    requests,
    resources,
    servers,
    sessions,
    spoiling,
    standing,
    surrogates,
    world,
)
from spec_mcp.engine.calls import CallKey, canonical
from spec_mcp.engine.commands import ForwardCancellation, PassOn
from spec_mcp.engine.connections import ConnectionState, ServerState
from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Mode
from spec_mcp.engine.evidence import Evidence
from spec_mcp.engine.inflight import CallState, InFlight
from spec_mcp.engine.ledger import Ledger, Touched
from spec_mcp.engine.resources import Footprint, everything
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import How, Reason, State
from spec_mcp.engine.timing import Timing
from spec_mcp.engine.world import SessionState, World
from spec_mcp.engine.writes import OpenWrite, OpenWrites
from tests.sim import relay

Mutation = Callable[[], AbstractContextManager[Any]]

UPDATED = frozenset({"notifications/resources/updated"})

HARMLESS = ToolPolicy(Effect.READ, None, ttl_s=60.0, open_world=False)


def _put(place: object, name: str, what: object) -> Mutation:
    return lambda: patch.object(place, name, what)


def _both(*mutations: Mutation) -> Mutation:
    @contextmanager
    def together() -> Generator[None]:
        with ExitStack() as stack:
            for mutation in mutations:
                stack.enter_context(mutation())
            yield

    return together


def _wrap(place: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Mutation:
    return lambda: patch.object(place, name, make(getattr(place, name)))


def _wrap_function(name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Mutation:
    return lambda: patch.object(attaching, name, make(getattr(attaching, name)))


# --- rules 1 to 4 -----------------------------------------------------------------------------------------------------


def _blind_to(*reasons: Reason) -> Mutation:
    """The doubt about a definition is not raised for these reasons."""

    def make(doubt: Callable[..., Reason | None]) -> Callable[..., Reason | None]:
        def blind(self: ConnectionState, tool: str) -> Reason | None:
            reason = doubt(self, tool)
            return None if reason in reasons else reason

        return blind

    return _wrap(ConnectionState, "doubt", make)


def _takes_unlisted_for_reads(self: ServerPolicy, name: str) -> ToolPolicy:
    return self.tools.get(name, HARMLESS)


def _stays_connected(world: World, event: Any) -> None:
    servers_disconnected(world, event)
    world.connection(event.connection).connected = True


servers_disconnected = servers.disconnected


# --- rule 5 -----------------------------------------------------------------------------------------------------------


def _keys_without(member: str) -> Mutation:
    """Keys are equal though this member differs."""

    def identity(key: CallKey) -> tuple[object, ...]:
        return tuple(getattr(key, name) for name in CallKey._fields if name != member)

    def same(one: CallKey, other: object) -> bool:
        return isinstance(other, CallKey) and identity(one) == identity(other)

    return _both(_put(CallKey, "__eq__", same), _put(CallKey, "__hash__", lambda key: hash(identity(key))))


def _loose_arguments(arguments: Mapping[str, Any], equal: object) -> str:
    """Numbers, texts of numbers and truth values are all the same."""
    try:
        return canonical({name: str(float(value)) for name, value in arguments.items()})
    except (TypeError, ValueError):
        return canonical(dict(arguments))


def _nothing_left(world: World, connection: ConnectionState, reason: Reason) -> None:
    """Nothing is discarded when a server goes or comes."""


# --- rule 6 -----------------------------------------------------------------------------------------------------------


def _flushes_only(world: World, written: Footprint) -> None:
    waited_for = [speculation for speculation in world.ledger.conflicting(written) if speculation.caller is not None]
    lifecycle.discard_all(world, waited_for, Reason.SPOILED)


def _spoils_only_what_nobody_waits_for(world: World, written: Footprint) -> None:
    idle = [speculation for speculation in world.ledger.conflicting(written) if speculation.caller is None]
    lifecycle.discard_all(world, idle, Reason.SPOILED)
    world.ledger.forget_answers(written)


def _spoils_its_own_connection(world: World, call: CallState, settle_s: float) -> None:
    written = world.footprint(call)
    own = [held for held in world.ledger.conflicting(written) if held.connection == call.connection]
    lifecycle.discard_all(world, own, Reason.SPOILED)
    world.ledger.forget_answers(written)
    world.ledger.writes.open(call.id, OpenWrite(written, call.connection, settle_s), world.now_s)


def _trusts_when_anybody_leaves(parts: Callable[..., None]) -> Callable[..., None]:
    def trusts(self: World, session: SessionState, connection: ConnectionState) -> None:
        parts(self, session, connection)
        connection.mistrusted_for = None

    return trusts


def _settles_at_once(close: Callable[..., None]) -> Callable[..., None]:
    def closes(self: OpenWrites, call: int, now_s: float, task: str | None, is_task: bool) -> None:
        self.settles_with(call, 0.0)
        close(self, call, now_s, task, is_task)

    return closes


def _task_is_final(close: Callable[..., None]) -> Callable[..., None]:
    return lambda self, call, now_s, task, is_task: close(self, call, now_s, None, False)


def _forgets_all_writes(self: OpenWrites, connection: str, *_: float) -> None:
    for place in list(self._on.of(connection)):
        self._forget(place)


def _cancelled_is_final(cancelled: Callable[..., None]) -> Callable[..., None]:
    def cancels(self: Engine, event: Any) -> None:
        cancelled(self, event)
        self.world.ledger.writes.drop(event.call)

    return cancels


def _touches_nothing(server: ServerState, policy: ToolPolicy, arguments: Any) -> Footprint:
    if policy.touches is None:
        return Footprint(server.name, ())
    return resources.footprint(server.name, policy.touches, arguments, policy.equal)


def _keeps_names_apart(review: Callable[..., None]) -> Callable[..., None]:
    def reviews(self: ServerState, policy: ServerPolicy, pins: Any) -> None:
        review(self, policy, pins)
        self.everything = everything(self.name)

    return reviews


def _first_of_a_list(values: Callable[..., Any]) -> Callable[..., Any]:
    return lambda value, equivalences: values(value[0] if isinstance(value, list) and value else value, equivalences)


# --- rules 7 to 11 ----------------------------------------------------------------------------------------------------


def _always_valid(validated: Callable[..., None]) -> Callable[..., None]:
    def validates(self: Engine, event: Any) -> None:
        speculation = self.world.ledger.live.get(event.speculation)
        if event.call is not None and speculation is not None:
            event = replace(event, value=speculation.valid)
        validated(self, event)

    return validates


def _adopts_guesses(answer: Callable[..., None]) -> Callable[..., None]:
    def answers(self: Engine, call: CallState) -> None:
        held = [held for held in self.world.ledger.live.of(call.session) if held.stands_for == call.key]
        ready = [held for held in held if held.state is State.READY and held.caller is None]
        if call.key is not None and ready and self.world.mode is Mode.ON:
            self._adopt(call, ready[0], How.HIT)
        else:
            answer(self, call)

    return answers


def _forwards_always(cancelled: Callable[..., None]) -> Callable[..., None]:
    def cancels(self: Engine, event: Any) -> None:
        call = self.world.calls.get(event.call)
        cancelled(self, event)
        if call is not None and not call.invoked:
            self.world.out.append(ForwardCancellation(call.connection, event.call))

    return cancels


def _joins_on(cancelled: Callable[..., None]) -> Callable[..., None]:
    def cancels(self: Engine, event: Any) -> None:
        call = self.world.calls.get(event.call)
        if call is not None and call.invoked:
            cancelled(self, event)

    return cancels


def _leaves_callers(closed: Callable[..., None]) -> Callable[..., None]:
    def closes(world: World, event: Any) -> None:
        for speculation in world.ledger.live:
            if speculation.session == event.session:
                speculation.caller = None
        closed(world, event)

    return closes


def _goes_on_speculating(world: World, connection: ConnectionState) -> None:
    spoiling.leave(world, connection, Reason.PROMPTED)


def _passes_all_on(world: World, event: Any) -> None:
    world.out.append(PassOn(event.connection, event.request))


def _spoils_only_what_may_answer(world: World, written: Footprint) -> None:
    may_answer = [held for held in world.ledger.conflicting(written) if held.compared_with is None]
    lifecycle.discard_all(world, may_answer, Reason.SPOILED)
    world.ledger.forget_answers(written)


def _compares_unseen(self: Engine, speculation: Speculation) -> None:
    lifecycle.compare(self.world, speculation)


def _only_sets_the_mode(world: World, event: Any) -> None:
    world.mode = event.mode


# --- attach mode ------------------------------------------------------------------------------------------------------


def _attaches_what_others_read(attach: Callable[..., Any]) -> Callable[..., Any]:
    def attaches(world: World, call: CallState, host: Speculation | None) -> Any:
        with patch.object(Touched, "of", lambda self, session: list(self)):
            return attach(world, call, host)

    return attaches


def _attaches_to_errors(self: Engine, event: Any) -> None:
    if (call := self.world.calls.get(event.call)) is not None:
        attaching.given(self.world, attaching.attach(self.world, call, None))


def _holds_extras_of_all(hold: Callable[..., None]) -> Callable[..., None]:
    def holds(self: Engine, speculation: Speculation, outcome: Any) -> None:
        hold(self, speculation, outcome)
        speculation.extra_bytes = outcome.extra_bytes

    return holds


def _once_more(held: Callable[..., bool]) -> Callable[..., bool]:
    def may(world: World, session: SessionState, speculation: Speculation) -> bool:
        with patch.object(speculation, "attached_to", None):
            return held(world, session, speculation)

    return may


@dataclass(frozen=True)
class Rule:
    """A rule of the engine: in which worlds it matters, and how it is switched off."""

    theme: str
    off: Mutation


RULES: dict[str, Rule] = {
    # rule 1
    "unlisted tools are unsafe": Rule(
        "mixed", _both(_put(ServerPolicy, "tool", _takes_unlisted_for_reads), _blind_to(Reason.UNLISTED))
    ),
    "only reads are speculated": Rule("mixed", _put(standing, "_forbidden", lambda *_: None)),
    "changed definitions are unsafe": Rule("definitions", _blind_to(Reason.CHANGED)),
    "definitions are listed first": Rule("definitions", _blind_to(Reason.NOT_LISTED_YET)),
    # rule 2
    "rate limits pause": Rule("mixed", _put(Engine, "_note_rate_limit", lambda *_: None)),
    # rule 3
    "hosts are allowed": Rule("mixed", _put(admission, "may_reach_outside", lambda *_: True)),
    "the outside has a budget": Rule("mixed", _put(ServerState, "within_budget", lambda *_: True)),
    # rule 4
    "places are bounded": Rule(
        "order", _both(_put(admission, "has_place", lambda *_: True), _put(checking, "has_place", lambda *_: True))
    ),
    "validated launches look again": Rule("files", _put(admission, "no_longer", lambda *_: None)),
    "cancellation must be borne": Rule("order", _put(lifecycle, "bears_cancellation", lambda *_: True)),
    "speculation starts no server": Rule(
        "definitions",
        _both(_put(servers, "disconnected", _stays_connected), _blind_to(Reason.NOT_LISTED_YET, Reason.CHANGED)),
    ),
    "what kills is not repeated": Rule("restarts", _put(ServerState, "died_under", lambda *_: False)),
    "unknown servers are serial": Rule("order", _put(Timing, "works_side_by_side", lambda *_: True)),
    "the user bounds the rate": Rule("order", _put(ServerState, "within_rate", lambda *_: True)),
    # rule 5
    "principals are told apart": Rule("departures", _keys_without("principal")),
    "_meta is told apart": Rule("mixed", _keys_without("meta")),
    "types are told apart": Rule(
        "mixed",
        _both(
            _put(relay, "canonical_arguments", _loose_arguments),
            _put(admission, "canonical_arguments", _loose_arguments),
        ),
    ),
    "one result answers once": Rule(
        "mixed",
        _both(
            _put(lifecycle, "keeps_for_reuse", lambda *_: True),
            _put(expiring, "ends_at", lambda _: None),
            _put(ledger, "ends_at", lambda _: None),
        ),
    ),
    # rule 6
    "writes spoil": Rule("order", _put(spoiling, "spoil", _flushes_only)),
    "open writes stop launches": Rule("late", _put(OpenWrites, "touch", lambda *_: False)),
    "writes settle": Rule("late", _wrap(OpenWrites, "close", _settles_at_once)),
    "tasks go on": Rule("late", _wrap(OpenWrites, "close", _task_is_final)),
    "cancelled writes stay open": Rule("late", _wrap(Engine, "_call_cancelled", _cancelled_is_final)),
    "writes wait through a restart": Rule("revivals", _put(OpenWrites, "forget_lost", _forgets_all_writes)),
    "notices spoil": Rule("roots", _put(spoiling, "take_notice", lambda *_: None)),
    "notices settle": Rule("roots", _put(spoiling, "NOTICE_SETTLE_S", 0.0)),
    "servers tell of changes": Rule(
        "outside",
        _both(
            _put(servers, "SPOILING_NOTIFICATIONS", methods.SPOILING_NOTIFICATIONS - UPDATED),
            _put(servers, "HARMLESS_NOTIFICATIONS", methods.HARMLESS_NOTIFICATIONS | UPDATED),
        ),
    ),
    "unknown requests write": Rule(
        "roots", _put(requests, "TOUCHES_NOTHING", methods.TOUCHES_NOTHING | {"logging/setLevel"})
    ),
    "batches write": Rule("order", _put(requests, "_only_looks", lambda *_: True)),
    "undeclared touches everything": Rule(
        "mixed",
        _both(_put(world, "footprint_by", _touches_nothing), _put(admission, "footprint_by", _touches_nothing)),
    ),
    "servers share names": Rule("mixed", _wrap(ServerState, "review", _keeps_names_apart)),
    "lists fan out": Rule("late", _put(resources, "_values", _first_of_a_list(resources._values))),
    # rule 7
    "results age": Rule("outside", _put(Speculation, "outdated_at", None)),
    "a clock set back expires": Rule("outside", _put(expiring, "clock_set_back", lambda _: None)),
    "validators must hold": Rule("files", _wrap(Engine, "_validated", _always_valid)),
    "later replies overtake": Rule("outside", _put(spoiling, "overtake", lambda *_: None)),
    "polls are not speculated": Rule("mixed", _put(Ledger, "remember_answer", lambda *_: None)),
    # rule 8
    "errors are discarded": Rule("mixed", _put(engine, "is_good", lambda *_: True)),
    "nothing crosses a restart": Rule("restarts", _both(_keys_without("epoch"), _put(servers, "leave", _nothing_left))),
    # guesses of surrogates
    "a guess is no answer": Rule("guesses", _wrap(Engine, "_answer_read", _adopts_guesses)),
    "what rests on wrong guesses falls": Rule("guesses", _put(surrogates, "_fall", lambda *_: None)),
    "guesses keep to the depth": Rule(
        "guesses",
        _both(_put(surrogates, "steps_ahead", lambda *_: 0), _put(admission, "steps_ahead", lambda *_: 0)),
    ),
    # rule 9
    "joined reads go first": Rule("overtaking", _put(spoiling, "spoil", _spoils_only_what_nobody_waits_for)),
    "joins are bounded": Rule("order", _put(Engine, "_join_bound_s", lambda *_: 1e9)),
    # rule 10
    "cancelled joins are not forwarded": Rule("order", _wrap(Engine, "_call_cancelled", _forwards_always)),
    "cancelled joins end": Rule("order", _wrap(Engine, "_call_cancelled", _joins_on)),
    "leaving frees the calls of others": Rule("departures", _wrap(sessions, "closed", _leaves_callers)),
    # rule 11
    "prompts are refused": Rule("mixed", _put(servers, "asked", _passes_all_on)),
    "speculations' logs are withheld": Rule("mixed", _put(servers, "may_be_ours", lambda *_: False)),
    "calls' prompts are passed on": Rule("mixed", _put(World, "works_for_clients", lambda *_: False)),
    "doubt ends speculation": Rule("mixed", _put(servers, "stop_speculating_on", _goes_on_speculating)),
    # many sessions
    "connections are told apart": Rule("many", _keys_without("connection")),
    "writes spoil over all connections": Rule("many", _put(spoiling, "begin_write", _spoils_its_own_connection)),
    "what is left behind may go on": Rule("many", _put(OpenWrites, "abandon", _forgets_all_writes)),
    "doubt lasts while its sessions do": Rule("many", _wrap(World, "parts", _trusts_when_anybody_leaves)),
    # rules 16 to 18
    "held results are bounded": Rule("order", _put(Ledger, "overfull", lambda *_: iter(()))),
    "a write in between voids a comparison": Rule("checks", _put(spoiling, "spoil", _spoils_only_what_may_answer)),
    "a validator decides whether a comparison counts": Rule("checks", _put(Engine, "_compare", _compares_unseen)),
    "what differs is demoted": Rule("checks", _put(Evidence, "convicts", lambda *_: False)),
    "what is demoted is left alone": Rule("checks", _put(Evidence, "is_demoted", lambda *_: False)),
    "checks keep the rules of speculations": Rule("checks", _put(checking, "_forbidden", lambda *_: None)),
    "checks wait for calls": Rule("checks", _put(InFlight, "working_on", lambda *_: 0)),
    "checks are bounded": Rule("checks", _put(checking, "CHECKS_PER_MINUTE", 1e9)),
    # attach mode
    "only where it is switched on": Rule("mixed", _put(attaching, "_takes_extras", lambda _, call: call.may_attach)),
    "only to those who know extras": Rule(
        "attached", _put(attaching, "_takes_extras", lambda world, _: world.settings.attach)
    ),
    "only to good answers": Rule("attached", _put(Engine, "_answer_coming", _attaches_to_errors)),
    "only good results are attached": Rule("attached", _wrap(Engine, "_hold", _holds_extras_of_all)),
    "only to adopted results with room": Rule("attached", _put(attaching, "_has_room", lambda _: True)),
    "only likely reads are attached": Rule("attached", _put(attaching, "LEAST_Q", 0.0)),
    "only what was foreseen of late": Rule(
        "attached", _put(attaching, "_is_likely", lambda _, held: held.foreseen[1] >= attaching.LEAST_Q)
    ),
    "what was answered is not attached": Rule(
        "attached",
        _both(_put(attaching, "_is_news", lambda *_: True), _put(attaching, "_is_at_hand", lambda *_: True)),
    ),
    "only what needs no proof": Rule("attached", _put(attaching, "_needs_no_proof", lambda _: True)),
    "attached reads are as calls now": Rule("attached", _put(attaching, "_would_answer", lambda *_: True)),
    "attached reads are the session's own": Rule("attached", _wrap_function("attach", _attaches_what_others_read)),
    "nothing is attached twice": Rule(
        "attached",
        _both(_wrap_function("_may_be_attached", _once_more), _put(attaching, "_is_news", lambda *_: True)),
    ),
    "attached reads follow their answer": Rule("attached", _put(attaching, "_runs_backwards", lambda *_: False)),
    "attached reads have been seen": Rule("attached", _put(attaching, "_seen", lambda *_: None)),
    "few are attached": Rule("attached", _put(attaching, "ATTACHED_MAX", 1000)),
    "little is attached": Rule("attached", _put(attaching, "ATTACHED_MAX_BYTES", 10**9)),
    "switching off is heeded": Rule("mixed", _put(sessions, "mode_set", _only_sets_the_mode)),
}

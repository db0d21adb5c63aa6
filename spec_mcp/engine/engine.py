"""The engine: a synchronous function from an event and the time to a list of commands.

A call that arrives is matched against the ledger: its result is held (a hit), or on its way (a join), or the call is
made for real (a miss). A request that is not known to be a read spoils what it overlaps before it goes out. After
each step of a session the predictor is asked, and what it guesses goes through `admission.consider`. Each method
below is one event; the rules that it keeps are named by their numbers in the design.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spec_mcp.engine import admission, lifecycle
from spec_mcp.engine.commands import (
    Command,
    ForwardCancellation,
    How,
    Keep,
    PassOn,
    PinFingerprint,
    Predict,
    Refuse,
    Validate,
    Withhold,
)
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import (
    Answer,
    BatchArrived,
    CallArrived,
    CallCancelled,
    CallReturned,
    ClientNotified,
    Connected,
    Disconnected,
    Event,
    ManifestFound,
    Mode,
    ModeSet,
    Outcome,
    Predicted,
    RequestArrived,
    ServerAsked,
    ServerNotified,
    SessionClosed,
    SpeculationReturned,
    TaskEnded,
    Ticked,
    ToolsListed,
    Validated,
)
from spec_mcp.engine.ledger import OpenWrite, Speculation
from spec_mcp.engine.methods import (
    ALWAYS_PASSED_ON,
    HARMLESS_NOTIFICATIONS,
    PURE_NOTIFICATIONS,
    READS_EVERYTHING,
    SPOILING_NOTIFICATIONS,
    TOUCHES_NOTHING,
)
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.resources import Footprint, everything
from spec_mcp.engine.states import Reason, State, Step
from spec_mcp.engine.timing import Timing
from spec_mcp.engine.world import CallState, ServerState, SessionState, World, footprint_of, reads

RATE_LIMIT_PAUSE_S = 30.0
"""How long a server that answered with a rate limit is left alone."""

JOIN_SLACK_S = 0.25
"""How far beyond what a call itself is expected to take a join may wait, at the least."""


class Engine:
    """Decides. One engine serves all servers and sessions of a process.

    `handle` carries one event through completely; its commands are to be carried out in order before the next event
    is handed in. Times are seconds on one clock that runs while the machine sleeps.
    """

    def __init__(
        self,
        settings: Settings,
        policies: Mapping[str, ServerPolicy],
        *,
        mode: Mode = Mode.ON,
        pins: Mapping[str, Mapping[str, str]] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.world = World(settings, policies, pins or {}, timing or Timing(), mode)
        self._handlers: dict[type, Callable[..., None]] = {
            Connected: self._connected,
            Disconnected: self._disconnected,
            ToolsListed: self._tools_listed,
            ManifestFound: self._manifest_found,
            CallArrived: self._call_arrived,
            RequestArrived: self._request_arrived,
            CallCancelled: self._call_cancelled,
            ClientNotified: self._client_notified,
            BatchArrived: self._batch_arrived,
            SessionClosed: self._session_closed,
            CallReturned: self._call_returned,
            SpeculationReturned: self._speculation_returned,
            TaskEnded: self._task_ended,
            ServerNotified: self._server_notified,
            ServerAsked: self._server_asked,
            Validated: self._validated,
            Predicted: self._predicted,
            ModeSet: self._mode_set,
            Ticked: self._nothing,
        }

    def handle(self, event: Event, now_s: float) -> list[Command]:
        """Take one event; return what is to be done about it, in order."""
        world = self.world
        world.out = []
        if now_s < world.now_s:  # rule 7: a clock that jumps back expires everything
            world.now_s = now_s
            lifecycle.discard_all(world, world.ledger.live.values(), Reason.EXPIRED)
        world.now_s = now_s
        self._expire()
        self._handlers[type(event)](event)
        return world.out

    @property
    def deadline_s(self) -> float | None:
        """When `Ticked` is due; None while nothing is held or joined."""
        times = [
            time
            for speculation in self.world.ledger.live.values()
            for time in (_ends_at(speculation), speculation.join_until)
            if time is not None
        ]
        return min(times, default=None)

    # --- calls ------------------------------------------------------------------------------------------------------

    def _call_arrived(self, event: CallArrived) -> None:
        world = self.world
        session, server = world.session(event.session), world.server(event.server)
        policy = server.tool(event.tool)
        call = CallState(
            event.call,
            event.session,
            event.server,
            "tools/call",
            event.tool,
            event.key,
            footprint_of(server, event.tool, event.arguments),
            reads(policy),
            world.now_s,
        )
        self._session_steps(session)
        if event.key is not None:
            session.template[server.name] = event.key
        world.calls[call.id] = call
        if call.reads:
            self._answer_read(call)
        else:
            self._begin_write(call, server.policy.tool(event.tool).settle_s)
            lifecycle.invoke(world, call)
        if call.id in world.calls:
            self._predict(session)

    def _answer_read(self, call: CallState) -> None:
        """A hit, a join or a miss."""
        world = self.world
        speculation = None if call.key is None else world.ledger.by_key.get(call.key)
        if speculation is None or speculation.caller is not None or speculation.compared_with is not None:
            lifecycle.invoke(world, call)
        elif world.mode is not Mode.ON:
            self._shadow(call, speculation)
        elif speculation.state in (State.READY, State.ADOPTED):
            self._hit(call, speculation)
        elif speculation.state is State.LAUNCHED and world.settings.join:
            self._join(call, speculation)
        else:
            lifecycle.invoke(world, call)

    def _hit(self, call: CallState, speculation: Speculation) -> None:
        if speculation.policy.fresh is None:
            self._adopt(call, speculation, How.HIT)
            return
        speculation.caller = call.id
        call.speculation = speculation.id
        self._revalidate(speculation)

    def _join(self, call: CallState, speculation: Speculation) -> None:
        world = self.world
        expected_s = world.timing.latency_s(call.server, call.tool, 0.875)
        speculation.move(Step.JOIN)
        speculation.caller = call.id
        speculation.join_until = world.now_s + expected_s + max(JOIN_SLACK_S, expected_s)
        call.speculation = speculation.id

    def _shadow(self, call: CallState, speculation: Speculation) -> None:
        lifecycle.invoke(self.world, call)
        if self.world.mode is Mode.SHADOW and speculation.state in (State.LAUNCHED, State.READY):
            speculation.compared_with = call.id
            call.speculation = speculation.id
            self.world.out.append(Keep(speculation.id, call.id))

    def _adopt(self, call: CallState, speculation: Speculation, how: How) -> None:
        world = self.world
        lifecycle.adopt(world, speculation, call, how)
        assert speculation.returned_at is not None, "an adopted speculation was answered"
        self._overtake(speculation.footprint, speculation.returned_at, speculation)
        session = world.session(call.session)
        session.step += 1
        self._predict(session)

    def _call_returned(self, event: CallReturned) -> None:
        world = self.world
        outcome = event.outcome
        if outcome.answer is not Answer.NONE:
            world.ledger.close_write(event.call, world.now_s, outcome.task)
        if (call := world.calls.get(event.call)) is None:
            return
        server = world.server(call.server)
        self._note_rate_limit(server, outcome)
        if call.is_tool_call and call.invoked_at is not None and outcome.answer in (Answer.RESULT, Answer.TOOL_ERROR):
            latency_s = world.now_s - call.invoked_at
            world.timing.compared(call.server, call.tool, latency_s, call.beside)
            world.timing.took(call.server, call.tool, latency_s)
        shadowed = world.ledger.live.get(call.speculation) if call.speculation is not None else None
        lifecycle.settle(world, call, How.MISS, None, 0.0)
        if shadowed is not None:
            self._shadow_answered(shadowed, outcome)
        if call.reads and outcome.answer is not Answer.NONE:
            self._read_answered(call)
        session = world.session(call.session)
        if call.is_tool_call:
            session.step += 1
        admission.fill_places(world, server)
        if call.is_tool_call:
            self._predict(session)

    def _read_answered(self, call: CallState) -> None:
        """Rule 7: the client has seen this moment, and must not see an earlier one afterwards."""
        world = self.world
        self._overtake(call.footprint, world.now_s, None)
        if call.key is not None and call.is_tool_call and not world.ledger.being_written(call.footprint, world.now_s):
            world.ledger.remember_answer(call.key, call.footprint)

    def _overtake(self, seen: Footprint, at_s: float, itself: Speculation | None) -> None:
        world = self.world
        overtaken = [
            speculation
            for speculation in world.ledger.conflicting(seen)
            if speculation is not itself
            and speculation.may_be_overtaken
            and speculation.caller is None
            and speculation.launched_at is not None
            and speculation.launched_at < at_s
        ]
        lifecycle.discard_all(world, overtaken, Reason.OVERTAKEN)

    def _call_cancelled(self, event: CallCancelled) -> None:
        world = self.world
        if (call := world.calls.get(event.call)) is None:
            return
        if call.invoked:  # it may never be answered: what it writes stays open, but it is no longer waited for
            world.out.append(ForwardCancellation(call.id))
            lifecycle.settle(world, call, How.MISS, None, 0.0)
            return
        speculation = world.ledger.live.get(call.speculation) if call.speculation is not None else None
        lifecycle.settle(world, call, How.MISS, None, 0.0)
        if speculation is not None:
            speculation.caller = None
            lifecycle.discard(world, speculation, Reason.CANCELLED)

    # --- what is not known to be a read -----------------------------------------------------------------------------

    def _begin_write(self, call: CallState, settle_s: float) -> None:
        """Rules 6 and 9: it spoils what it overlaps, and joined reads that came before it go out before it."""
        world = self.world
        self._spoil(call.footprint)
        world.ledger.writes[call.id] = OpenWrite(call.footprint, world.server(call.server).epoch, settle_s)

    def _spoil(self, written: Footprint) -> None:
        lifecycle.discard_all(self.world, self.world.ledger.conflicting(written), Reason.SPOILED)
        self.world.ledger.forget_answers(written)

    def _task_ended(self, event: TaskEnded) -> None:
        self.world.ledger.end_task(event.server, event.task, self.world.now_s)

    def _request_arrived(self, event: RequestArrived) -> None:
        world = self.world
        looks = event.method in READS_EVERYTHING
        call = CallState(
            event.call,
            event.session,
            event.server,
            event.method,
            "",
            None,
            everything(event.server),
            looks,
            world.now_s,
        )
        world.calls[call.id] = call
        if not looks and event.method not in TOUCHES_NOTHING:
            self._begin_write(call, 0.0)
        lifecycle.invoke(world, call)

    def _batch_arrived(self, event: BatchArrived) -> None:
        """Rule 11: a batch spoils as its elements do and is made for real."""
        world = self.world
        server = world.server(event.server)
        call = CallState(
            event.call, event.session, event.server, "batch", "", None, everything(event.server), False, world.now_s
        )
        world.calls[call.id] = call
        for method, tool in event.members:
            known_read = reads(server.tool(tool)) if method == "tools/call" and tool is not None else False
            if not known_read and method not in TOUCHES_NOTHING | READS_EVERYTHING | PURE_NOTIFICATIONS:
                longest_s = max((policy.settle_s for policy in server.policy.tools.values()), default=0.0)
                self._begin_write(call, longest_s)
                break
        lifecycle.invoke(world, call)

    def _client_notified(self, event: ClientNotified) -> None:
        if event.method not in PURE_NOTIFICATIONS:
            self._spoil(everything(event.server))

    # --- speculations -----------------------------------------------------------------------------------------------

    def _predict(self, session: SessionState) -> None:
        if self.world.mode is not Mode.OFF:
            self.world.out.append(Predict(session.name, session.step))

    def _predicted(self, event: Predicted) -> None:
        admission.consider(self.world, event)

    def _speculation_returned(self, event: SpeculationReturned) -> None:
        world = self.world
        speculation = world.ledger.outstanding.pop(event.speculation, None)
        if speculation is None:
            return
        server = world.server(speculation.server)
        self._note_rate_limit(server, event.outcome)
        if event.speculation in world.ledger.live:
            self._hold(speculation, event.outcome)
        admission.fill_places(world, server)

    def _hold(self, speculation: Speculation, outcome: Outcome) -> None:
        """Rule 8: only a good answer is held; the call that waits for any other is made for real."""
        world = self.world
        speculation.returned_at = world.now_s
        good = outcome.answer is Answer.RESULT or (
            outcome.answer is Answer.TOOL_ERROR and speculation.policy.adopt_errors
        )
        if not good:
            prompted = outcome.answer is Answer.INPUT_REQUIRED
            lifecycle.discard(world, speculation, Reason.PROMPTED if prompted else Reason.ERROR)
            return
        assert speculation.launched_at is not None, "an answered speculation was launched"
        world.timing.took(speculation.server, speculation.tool, world.now_s - speculation.launched_at)
        world.ledger.hold(speculation, outcome.size_bytes)
        if (call := world.caller_of(speculation)) is not None:
            self._finish_join(call, speculation)
            return
        speculation.move(Step.RETURN)
        if speculation.compared_with is not None and speculation.compared_with not in world.calls:
            lifecycle.compare(world, speculation)
            return
        lifecycle.discard_all(world, world.ledger.overfull(), Reason.EVICTED)
        if speculation.state is State.READY:
            admission.look_beyond(world, speculation)

    def _finish_join(self, call: CallState, speculation: Speculation) -> None:
        if speculation.policy.fresh is None:
            self._adopt(call, speculation, How.JOIN)
        else:
            self._revalidate(speculation)

    def _revalidate(self, speculation: Speculation) -> None:
        assert speculation.policy.fresh is not None, "only validated tools are validated"
        self.world.out.append(
            Validate(speculation.id, speculation.caller, speculation.policy.fresh, speculation.arguments)
        )

    def _validated(self, event: Validated) -> None:
        world = self.world
        if (speculation := world.ledger.live.get(event.speculation)) is None:
            return
        if event.call is None:
            if speculation.state is State.PROPOSED:
                admission.validated_for_launch(world, speculation, event.value)
            return
        call = world.caller_of(speculation)
        if call is None or call.id != event.call:
            return
        if event.value is not None and event.value == speculation.valid:
            self._adopt(call, speculation, How.JOIN if speculation.state is State.JOINED else How.HIT)
        else:
            lifecycle.discard(world, speculation, Reason.STALE)

    def _shadow_answered(self, speculation: Speculation, outcome: Outcome) -> None:
        """Shadow mode: the real call is answered; the speculation may be still on its way."""
        if outcome.answer is Answer.NONE:
            lifecycle.discard(self.world, speculation, Reason.DISCONNECTED)
        elif speculation.state is State.READY:
            lifecycle.compare(self.world, speculation)

    def _expire(self) -> None:
        world = self.world
        if not world.ledger.live:
            return
        for speculation in list(world.ledger.live.values()):
            ends_at = _ends_at(speculation)
            if speculation.join_until is not None and world.now_s >= speculation.join_until:
                lifecycle.discard(world, speculation, Reason.LATE)
            elif ends_at is not None and world.now_s > ends_at:
                running = speculation.state is State.LAUNCHED
                lifecycle.discard(world, speculation, Reason.LATE if running else Reason.EXPIRED)

    # --- servers and sessions ---------------------------------------------------------------------------------------

    def _connected(self, event: Connected) -> None:
        """Rule 8: nothing crosses a restart or a new handshake."""
        server = self.world.server(event.server)
        self._leave(server, Reason.DISCONNECTED)
        self.world.ledger.forget_writes_before(server.name, event.epoch)
        server.epoch = event.epoch
        server.connected = True
        server.fingerprints = None

    def _disconnected(self, event: Disconnected) -> None:
        server = self.world.server(event.server)
        server.deadly.update(speculation.tool for speculation in self.world.ledger.outstanding_on(server.name))
        server.connected = False
        server.fingerprints = None
        self._leave(server, Reason.DISCONNECTED)
        for speculation in self.world.ledger.outstanding_on(server.name):
            del self.world.ledger.outstanding[speculation.id]

    def _leave(self, server: ServerState, reason: Reason) -> None:
        server.queue.clear()
        lifecycle.discard_all(self.world, self.world.ledger.conflicting(everything(server.name)), reason)
        self.world.ledger.forget_answers(everything(server.name))

    def _tools_listed(self, event: ToolsListed) -> None:
        """Rule 1: what is seen first is pinned; what has changed since is not speculated."""
        server = self.world.server(event.server)
        server.fingerprints = dict(event.fingerprints)
        for tool, fingerprint in event.fingerprints.items():
            policy = server.policy.tools.get(tool)
            if policy is not None and policy.fingerprint is None and tool not in server.pins:
                server.pins[tool] = fingerprint
                self.world.out.append(PinFingerprint(server.name, tool, fingerprint))

    def _manifest_found(self, event: ManifestFound) -> None:
        server = self.world.server(event.server)
        self._leave(server, Reason.SPOILED)
        server.policy = event.policy
        server.pins = dict(event.pins)

    def _server_notified(self, event: ServerNotified) -> None:
        if event.method in SPOILING_NOTIFICATIONS:
            self._spoil(everything(event.server))
            if event.method == "notifications/tools/list_changed":
                self.world.server(event.server).fingerprints = None
        elif event.method not in HARMLESS_NOTIFICATIONS and self._may_be_ours(event.server):
            world = self.world
            if not world.invoked_on(event.server):
                world.out.append(Withhold(event.server))
            self._stop_speculating_on(event.server)

    def _server_asked(self, event: ServerAsked) -> None:
        """Rule 11: no prompt that the client did not cause, and no doubt about which did."""
        world = self.world
        refused = False
        if event.method not in ALWAYS_PASSED_ON and self._may_be_ours(event.server):
            refused = not world.invoked_on(event.server)
            self._stop_speculating_on(event.server)
        world.out.append((Refuse if refused else PassOn)(event.server, event.request))

    def _may_be_ours(self, server: str) -> bool:
        return bool(self.world.ledger.outstanding_on(server))

    def _stop_speculating_on(self, name: str) -> None:
        server = self.world.server(name)
        server.chatty = True
        self._leave(server, Reason.PROMPTED)

    def _session_closed(self, event: SessionClosed) -> None:
        world = self.world
        own = [speculation for speculation in world.ledger.live.values() if speculation.session == event.session]
        for call in [call for call in world.calls.values() if call.session == event.session and not call.invoked]:
            del world.calls[call.id]
        for speculation in own:
            speculation.caller = None
        lifecycle.discard_all(world, own, Reason.SESSION_ENDED)
        world.clear_queues(event.session)
        world.sessions.pop(event.session, None)

    def _mode_set(self, event: ModeSet) -> None:
        world = self.world
        world.mode = event.mode
        if event.mode is not Mode.ON:
            lifecycle.discard_all(world, world.ledger.live.values(), Reason.SWITCHED_OFF)
            for server in world.servers.values():
                server.queue.clear()

    def _session_steps(self, session: SessionState) -> None:
        """The client makes a call: what was planned for the step before it is void."""
        world = self.world
        if session.outstanding == 0 and session.idle_since is not None:
            world.timing.thought(world.now_s - session.idle_since)
        session.outstanding += 1
        session.step += 1
        world.clear_queues(session.name)

    def _note_rate_limit(self, server: ServerState, outcome: Outcome) -> None:
        if outcome.rate_limited:
            server.quiet_until = self.world.now_s + RATE_LIMIT_PAUSE_S

    def _nothing(self, event: Event) -> None:
        """Time alone has passed; what was due has been done."""


def _ends_at(speculation: Speculation) -> float | None:
    """When a speculation is of no more use if nothing happens."""
    if speculation.state is State.READY or speculation.state is State.ADOPTED:
        if speculation.adopted_by is not None and speculation.launched_at is not None:
            return speculation.launched_at + speculation.policy.reuse_s
        return speculation.outdated_at
    if speculation.launched_at is None or speculation.state is State.JOINED:
        return None
    limit = speculation.launched_at + admission.SPECULATION_LIMIT_S
    return min(limit, speculation.outdated_at) if speculation.outdated_at is not None else limit

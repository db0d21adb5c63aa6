"""The engine: a synchronous function from an event and the time to a list of commands.

A call that arrives is matched against the ledger: its result is held (a hit), or on its way (a join), or the call is
made for real (a miss). A request that is not known to be a read spoils what it overlaps before it goes out. After
each step of a session the predictor is asked, and what it guesses goes through `admission.consider`. Each method
below is one event; the rules that it keeps are named by their numbers in the design.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from spec_mcp.engine import (
    admission,
    attaching,
    checking,
    expiring,
    lifecycle,
    lossy,
    posting,
    requests,
    reversing,
    servers,
    sessions,
    sharing,
    spoiling,
    surrogates,
    undoing,
)
from spec_mcp.engine.commands import (
    Command,
    ForwardCancellation,
    How,
    Keep,
    Predict,
    Validate,
)
from spec_mcp.engine.connections import ServerState
from spec_mcp.engine.effects import ServerPolicy, reads
from spec_mcp.engine.events import (
    Answer,
    AnswerComing,
    Attached,
    BatchArrived,
    CallArrived,
    CallCancelled,
    CallReturned,
    Claimed,
    ClientAnswered,
    ClientNotified,
    Compared,
    Connected,
    ConnectionClosed,
    ConnectionName,
    Disconnected,
    Event,
    GuessesJudged,
    HeldDropped,
    Inherited,
    ManifestFound,
    Mode,
    ModeSet,
    Moment,
    Outcome,
    Predicted,
    Probed,
    Recorded,
    RequestArrived,
    ServerAsked,
    ServerNotified,
    SessionClosed,
    Settled,
    SpeculationReturned,
    StateRead,
    SurrogateBound,
    Taken,
    TaskEnded,
    Ticked,
    ToolsListed,
    Undone,
    Validated,
)
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.speculation import Met, Speculation
from spec_mcp.engine.states import Reason, State, Step
from spec_mcp.engine.timing import Timing
from spec_mcp.engine.world import SessionState, World

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
        if settings.board:  # what has an effect, or goes along with other calls, is not put to the board
            settings = replace(settings, reversible=False, lossy=False, attach=False)
        self.world = World(settings, policies, pins or {}, timing or Timing(), mode)
        self._handlers: dict[type, Callable[..., None]] = {
            Attached: partial(servers.attached, self.world),
            Connected: partial(servers.connected, self.world),
            Disconnected: partial(servers.disconnected, self.world),
            ConnectionClosed: partial(servers.closed, self.world),
            ToolsListed: partial(servers.tools_listed, self.world),
            ManifestFound: partial(servers.manifest_found, self.world),
            CallArrived: self._call_arrived,
            RequestArrived: partial(requests.arrived, self.world),
            CallCancelled: self._call_cancelled,
            ClientNotified: partial(requests.client_notified, self.world),
            ClientAnswered: partial(requests.client_answered, self.world),
            BatchArrived: partial(requests.batch_arrived, self.world),
            SessionClosed: partial(sessions.closed, self.world),
            HeldDropped: partial(sessions.held_dropped, self.world),
            AnswerComing: self._answer_coming,
            CallReturned: self._call_returned,
            SpeculationReturned: self._speculation_returned,
            TaskEnded: partial(requests.task_ended, self.world),
            ServerNotified: partial(servers.notified, self.world),
            ServerAsked: partial(servers.asked, self.world),
            Validated: self._validated,
            StateRead: self._state_read,
            Recorded: partial(reversing.recorded, self.world),
            Claimed: self._claimed,
            Probed: partial(undoing.probed, self.world),
            Undone: partial(undoing.undone, self.world),
            Settled: partial(undoing.settled, self.world),
            Inherited: partial(undoing.inherited, self.world),
            Compared: partial(checking.compared, self.world),
            Predicted: self._predicted,
            SurrogateBound: partial(surrogates.bound, self.world),
            GuessesJudged: partial(surrogates.judged, self.world),
            ModeSet: partial(sessions.mode_set, self.world),
            Ticked: self._nothing,
            Taken: partial(sharing.taken, self.world, self._adopt),
            **sharing.handlers(self.world),
        }

    def handle(self, event: Event, now_s: float) -> list[Command]:
        """Take one event; return what is to be done about it, in order."""
        return self.decide(event, now_s) + self.settle()

    def decide(self, event: Event, now_s: float) -> list[Command]:
        """The first part of `handle`: what a client waits for. `settle` is due before the next event."""
        world = self.world
        world.out = []
        set_back = now_s < world.now_s
        world.now_s = now_s
        if set_back:
            expiring.clock_set_back(world)
        expiring.expire(world)
        self._release()
        self._handlers[type(event)](event)
        return world.out

    def settle(self) -> list[Command]:
        """The second part of `handle`: what follows from an answer that has gone out."""
        world = self.world
        world.out = []
        tasks, world.later = world.later, []
        for task in tasks:
            task()
        self._release()
        if world.board is not None:
            posting.unpost(world, world.board)
        return world.out

    @property
    def deadline_s(self) -> float | None:
        """When `Ticked` is due; None while nothing is held or joined."""
        return expiring.deadline_s(self.world)

    def is_settled(self, connection: ConnectionName) -> bool:
        """Is nothing to be taken back over this connection, so that it may be closed?"""
        return self.world.is_settled(connection)

    # --- calls ------------------------------------------------------------------------------------------------------

    def _call_arrived(self, event: CallArrived) -> None:
        world = self.world
        session, connection = world.session(event.session), world.connection(event.connection)
        world.travels(session, connection)
        policy = connection.tool(event.tool)
        call = CallState(
            event.call,
            event.session,
            connection.server.name,
            connection.name,
            "tools/call",
            event.tool,
            event.key,
            reads(policy),
            world.now_s,
            event.arguments,
            may_attach=event.may_attach,
            was_attached=attaching.was_attached(world, session, event.key),
        )
        sessions.steps(world, session)
        if event.key is not None:
            session.template[connection.name] = event.key
        requests.take_in(world, call)
        surrogates.follows(world, call)
        if call.reads:
            self._answer_read(call)
        elif (foretold := self._foretold_write(call)) is not None:
            reversing.meet(world, call, foretold)
        elif (set_before := self._set_before(call)) is not None:
            lossy.meet(world, call, set_before)
            self._take(call, set_before)
        else:
            spoiling.begin_write(world, call, connection.policy.tool(event.tool).settle_s)
            lifecycle.invoke(world, call)
        if call.id in world.calls:
            self._predict(session)

    def _foretold_write(self, call: CallState) -> Speculation | None:
        if not self.world.ledger.unadopted or self.world.mode is not Mode.ON:
            return None
        return reversing.find(self.world, call)

    def _set_before(self, call: CallState) -> Speculation | None:
        if not self.world.settings.lossy or self.world.mode is not Mode.ON:
            return None
        return lossy.find(self.world, call)

    def _take(self, call: CallState, speculation: Speculation) -> None:
        if speculation.state is State.READY:
            self._adopt(call, speculation, How.LOSSY)
        else:
            self._join(call, speculation)

    def _answer_read(self, call: CallState) -> None:
        """A hit, a join or a miss."""
        world = self.world
        speculation = None if call.key is None else world.ledger.by_key.get(call.key)
        if speculation is None and (foreign := sharing.foreign(world, call)) is not None:
            self._join(call, foreign)
            sharing.fetch(world, call, foreign)
        elif (
            speculation is None
            or speculation.caller is not None
            or speculation.compared_with is not None
            or not reversing.stands_on_its_own(world, speculation)
        ):
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
            self._may_adopt(call, speculation, How.HIT)
            return
        speculation.caller = call.id
        speculation.join_until = self.world.now_s + JOIN_SLACK_S
        self.world.watch(speculation)
        call.speculation = speculation.id
        self._revalidate(speculation)

    def _join(self, call: CallState, speculation: Speculation) -> None:
        world = self.world
        speculation.move(Step.JOIN)
        speculation.caller = call.id
        speculation.join_until = world.now_s + self._join_bound_s(call)
        world.watch(speculation)
        call.speculation = speculation.id

    def _join_bound_s(self, call: CallState) -> float:
        """Rule 9: what the call itself is expected to take, and a little."""
        expected_s = self.world.timing.latency_s(call.server, call.tool, 0.875)
        return expected_s + max(JOIN_SLACK_S, expected_s)

    def _shadow(self, call: CallState, speculation: Speculation) -> None:
        lifecycle.invoke(self.world, call)
        if self.world.mode is Mode.SHADOW and speculation.state in (State.LAUNCHED, State.READY):
            speculation.compared_with = call.id
            speculation.met = Met(call.arrived_at, speculation.state is State.READY)
            call.speculation = speculation.id
            self.world.out.append(Keep(speculation.connection, speculation.id, call.id))

    def _may_adopt(self, call: CallState, speculation: Speculation, how: How) -> None:
        """As far as this replica can tell. Where there are others, the board has the last word."""
        if self.world.board is None:
            self._adopt(call, speculation, how)
        else:
            sharing.take(self.world, call, speculation, how)

    def _adopt(self, call: CallState, speculation: Speculation, how: How) -> None:
        world = self.world
        given = attaching.attach(world, call, speculation) if reads(speculation.policy) else []
        world.later.append(partial(checking.propose, world, speculation, call, how))
        lifecycle.adopt(world, speculation, call, how)
        world.later.append(partial(self._adopted, call, speculation))
        attaching.given(world, given)

    def _adopted(self, call: CallState, speculation: Speculation) -> None:
        world = self.world
        assert speculation.returned_at is not None, "an adopted speculation was answered"
        surrogates.answered(world, call.session, call.server, call.key)
        spoiling.overtake(world, speculation.footprint, speculation.returned_at, speculation)
        self._make_room(speculation.session)  # it may be kept for reuse
        self._step_answered(call)

    def _make_room(self, session: str) -> None:
        lifecycle.discard_all(self.world, self.world.ledger.overfull(session), Reason.EVICTED)

    def _step_answered(self, call: CallState) -> None:
        if (session := self.world.sessions.get(call.session)) is not None:
            session.step += 1
            self._predict(session)

    def _answer_coming(self, event: AnswerComing) -> None:
        call = self.world.calls.get(event.call)
        if call is not None and event.outcome.answer is Answer.RESULT:
            attaching.given(self.world, attaching.attach(self.world, call, None))

    def _call_returned(self, event: CallReturned) -> None:
        world = self.world
        outcome = event.outcome
        if outcome.answer is not Answer.NONE:
            world.ledger.writes.close(event.call, world.now_s, outcome.task, outcome.answer is Answer.TASK)
        call = world.calls.get(event.call)
        if call is None or not call.invoked:
            world.calls.answered_late(event.call)
            return
        connection = world.connection(call.connection)
        self._note_rate_limit(connection.server, outcome)
        self._measure(call, outcome)
        shadowed = world.ledger.live.get(call.speculation) if call.speculation is not None else None
        lifecycle.settle(world, call)
        surrogates.answered(world, call.session, call.server, call.key)
        if shadowed is not None:
            self._shadow_answered(shadowed, outcome)
        if outcome.answer is Answer.NONE:  # its death may be reported later, and a speculation must not start it again
            surrogates.never_answered(world, call)
            return
        if call.reads:
            spoiling.read_answered(world, call, outcome)
        admission.fill_places(world, connection)
        if call.is_tool_call:
            self._step_answered(call)

    def _measure(self, call: CallState, outcome: Outcome) -> None:
        world = self.world
        if call.is_tool_call and call.invoked_at is not None and outcome.answer in (Answer.RESULT, Answer.TOOL_ERROR):
            latency_s = world.now_s - call.invoked_at
            world.timing.compared(call.server, call.tool, latency_s, call.beside, call.connection)
            world.timing.took(call.server, call.tool, latency_s)

    def _call_cancelled(self, event: CallCancelled) -> None:
        world = self.world
        if (call := world.calls.get(event.call)) is None:
            return
        if call.id in world.waiting:  # it may write, so it goes out and is cancelled as it would have been
            lifecycle.wait_no_longer(world, call.connection)  # unless something is in its way still
        if not call.invoked:  # its server never sees it
            world.ledger.writes.drop(call.id)
        speculation = world.ledger.live.get(call.speculation) if call.speculation is not None else None
        if call.invoked:  # it may never be answered: what it writes stays open, but it is no longer waited for
            world.out.append(ForwardCancellation(call.connection, call.id))
            world.calls.cancel(call)
        lifecycle.settle(world, call)
        surrogates.answered(world, call.session, call.server, call.key)
        surrogates.never_answered(world, call)
        if speculation is not None:
            speculation.caller = None
            lifecycle.discard(world, speculation, Reason.CANCELLED)

    # --- speculations -----------------------------------------------------------------------------------------------

    def _predict(self, session: SessionState) -> None:
        if self.world.mode is not Mode.OFF:
            self.world.out.append(Predict(session.name, session.step))
            surrogates.ask(self.world, session)

    def _predicted(self, event: Predicted) -> None:
        admission.consider(self.world, event)

    def _speculation_returned(self, event: SpeculationReturned) -> None:
        world = self.world
        speculation = world.no_longer_outstanding(event.speculation)
        if speculation is None:
            return
        connection = world.connection(speculation.connection)
        self._note_rate_limit(connection.server, event.outcome)
        if speculation.policy.lossy:
            lossy.returned(world, speculation, event.outcome)
        if event.outcome.answer is Answer.NONE:  # rule 4, where the death itself is reported later
            connection.server.deadly.add(speculation.tool)
        if event.speculation in world.ledger.live:
            self._hold(speculation, event.outcome)
        if event.outcome.answer is not Answer.NONE:
            admission.fill_places(world, connection)

    def _hold(self, speculation: Speculation, outcome: Outcome) -> None:
        """Rule 8: only a good answer is held; the call that waits for any other is made for real."""
        world = self.world
        if speculation.reversal is not None:
            reversing.returned(world, speculation, outcome, is_good(outcome, speculation))
            if speculation.state is State.READY:
                admission.look_beyond(world, speculation)
            return
        speculation.returned_at = world.now_s
        if not is_good(outcome, speculation):
            prompted = outcome.answer is Answer.INPUT_REQUIRED
            lifecycle.discard(world, speculation, Reason.PROMPTED if prompted else Reason.ERROR)
            return
        assert speculation.launched_at is not None, "an answered speculation was launched"
        world.timing.took(speculation.server, speculation.tool, world.now_s - speculation.launched_at)
        world.ledger.hold(speculation, outcome.size_bytes)
        speculation.extra_bytes = outcome.extra_bytes if outcome.answer is Answer.RESULT else 0
        if (call := world.caller_of(speculation)) is not None:
            self._finish_join(call, speculation)
            return
        speculation.move(Step.RETURN)
        surrogates.answered(world, speculation.session, speculation.server, speculation.key)
        is_awaited = speculation.compared_with is not None and speculation.compared_with not in world.calls
        if is_awaited:
            self._compare(speculation)
        self._make_room(speculation.session)
        if speculation.state is State.READY and not is_awaited:
            admission.look_beyond(world, speculation)

    def _finish_join(self, call: CallState, speculation: Speculation) -> None:
        if speculation.policy.fresh is None:
            self._may_adopt(call, speculation, How.LOSSY if speculation.policy.lossy else How.JOIN)
        else:
            self._revalidate(speculation)
            self._make_room(speculation.session)

    def _revalidate(self, speculation: Speculation) -> None:
        assert speculation.policy.fresh is not None, "only validated tools are validated"
        self.world.out.append(
            Validate(
                speculation.connection,
                speculation.id,
                speculation.caller,
                speculation.policy.fresh,
                speculation.arguments,
            )
        )

    def _validated(self, event: Validated) -> None:
        world = self.world
        if (speculation := world.ledger.live.get(event.speculation)) is None:
            return
        holds = event.value is not None and event.value == speculation.valid
        if event.call is None:
            if speculation.state is State.PROPOSED:
                admission.validated_for_launch(world, speculation, event.value)
        elif event.call == speculation.compared_with:
            if holds:
                lifecycle.compare(world, speculation)
            else:
                lifecycle.discard(world, speculation, Reason.STALE)
        elif (call := world.caller_of(speculation)) is not None and call.id == event.call:
            if holds:
                self._may_adopt(call, speculation, How.JOIN if speculation.state is State.JOINED else How.HIT)
            else:
                lifecycle.discard(world, speculation, Reason.STALE)

    def _state_read(self, event: StateRead) -> None:
        speculation = undoing.state_read(self.world, event)
        if speculation is None:
            return
        if event.moment is Moment.BEFORE:
            reversing.state_before(self.world, speculation, event)
        else:
            reversing.state_left(self.world, speculation, event)

    def _claimed(self, event: Claimed) -> None:
        if event.into is State.COMPENSATING:
            undoing.claimed(self.world, event)
        elif (adopted := reversing.adoption_claimed(self.world, event)) is not None:
            self._adopt(*adopted)

    def _shadow_answered(self, speculation: Speculation, outcome: Outcome) -> None:
        """Shadow mode: the real call is answered; the speculation may be still on its way."""
        assert speculation.met is not None, "a call that is compared has met its speculation"
        speculation.met.answered_at = self.world.now_s
        if outcome.answer is Answer.NONE:
            lifecycle.discard(self.world, speculation, Reason.DISCONNECTED)
        elif outcome.rate_limited or outcome.answer not in (Answer.RESULT, Answer.TOOL_ERROR):
            lifecycle.discard(self.world, speculation, Reason.ERROR)  # that says nothing of the result
        elif speculation.state is State.READY:
            self._compare(speculation)

    def _compare(self, speculation: Speculation) -> None:
        """Rule 18: a comparison counts only where nothing can have changed in between, as far as that can be told."""
        if (fresh := speculation.policy.fresh) is None:
            lifecycle.compare(self.world, speculation)
        else:
            call, connection = speculation.compared_with, speculation.connection
            self.world.out.append(Validate(connection, speculation.id, call, fresh, speculation.arguments))

    def _release(self) -> None:
        if len(self.world.waiting):
            lifecycle.release(self.world)

    def _note_rate_limit(self, server: ServerState, outcome: Outcome) -> None:
        if outcome.rate_limited:
            server.quiet_until = self.world.now_s + expiring.RATE_LIMIT_PAUSE_S

    def _nothing(self, event: Event) -> None:
        """Time alone has passed; what was due has been done."""


def is_good(outcome: Outcome, speculation: Speculation) -> bool:
    """Rule 8: may this answer stand for the call's own?"""
    if outcome.rate_limited:
        return False
    return outcome.answer is Answer.RESULT or (outcome.answer is Answer.TOOL_ERROR and speculation.policy.adopt_errors)

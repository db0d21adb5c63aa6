"""Carries out what the engine asks for the sake of a reversible speculation: readings, the journal, probes and undos.

The engine decides each step and awaits its answer; here is what a step takes. Whatever fails is told as such: a state
that cannot be read for certain has no digest, an undo that cannot be made for certain is not made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import cast

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.events import Answer, Event, Moment, Outcome, SpeculationId, UndoOutcome
from spec_mcp.engine.ledger import Speculation
from spec_mcp.engine.states import State
from spec_mcp.manifest.evaluate import Unbound, bind, is_true, result_of
from spec_mcp.relay import wire
from spec_mcp.relay.asking import Asking, Told
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.entries import Reversible, state_of
from spec_mcp.relay.link import ServerLink
from spec_mcp.relay.listing import Listing
from spec_mcp.relay.saying import LogLevel, say

SHORT = 120
"""Characters of a call's arguments in a message."""

MENDED_BY = "`spec-mcp recover` shows what is open and settles it"


class Reversing:
    """Of one connection. `feed` tells the engine, `find` looks a speculation up there."""

    def __init__(
        self,
        link: ServerLink,
        listing: Listing,
        asking: Asking,
        disk: Disk,
        feed: Callable[[Event], None],
        find: Callable[[SpeculationId], Speculation | None],
    ) -> None:
        self.on_settled: Callable[[Reversible, State, str], None] = lambda held, state, reason: None
        """Told what became of each."""
        self.disk = disk
        self._link = link
        self._listing = listing
        self._asking = asking
        self._feed = feed
        self._find = find
        self._held: dict[SpeculationId, Reversible] = {}
        self.commands: dict[type, Callable[..., None]] = {
            do.ReadState: self._read_state,
            do.Intend: self._intend,
            do.NoteOutcome: self._note_outcome,
            do.Claim: self._claim,
            do.Probe: self._probe,
            do.Undo: self._undo,
            do.Settle: self._settle,
            do.Wake: self._wake,
        }

    @property
    def has_any(self) -> bool:
        """Is there any reversible speculation on its way?"""
        return bool(self._held)

    @property
    def unsettled(self) -> list[Reversible]:
        """Those that may have changed something and are neither adopted nor taken back nor stuck."""
        return [held for held in self._held.values() if held.entry]

    def inherit(self, held: Reversible) -> None:
        """A reversible speculation of a process that is gone is ours now."""
        self._held[held.number] = held

    def drop(self, number: SpeculationId) -> None:
        """The engine has done with it."""
        held = self._held.get(number)
        if held is not None and not held.entry:  # one with a record goes with that
            self._forget(number)

    def answered(self, number: SpeculationId, result: bytes, outcome: Outcome) -> Callable[[], None] | None:
        """The server answered a speculation; what is to be written of that once the engine has been told."""
        held = self._held.get(number)
        if held is None or not held.entry:
            return None
        is_good = outcome.answer is Answer.RESULT
        held.result = result if is_good else b""
        return lambda: None if held.is_adopting else self.disk.returned(held, is_good)

    def connection_lost(self) -> None:
        """No answer will come to what was asked."""
        self._asking.connection_lost()

    # --- up to the launch -------------------------------------------------------------------------------------------

    def _read_state(self, command: do.ReadState) -> None:
        held, moment = self._of(command.speculation), command.moment
        if held is None or (moment is Moment.BEFORE and not self._may_begin(held)):
            self._feed(events.StateRead(command.speculation, moment, None))
            return

        def told(answer: Told | None) -> None:
            found = state_of(answer.result) if answer is not None and answer.is_good else None
            if found is None:
                self._feed(events.StateRead(held.number, moment, None))
                return
            digest, state = found
            unless = False
            if moment is Moment.BEFORE:
                held.before, held.before_digest = state, digest
                unless = _must_not(held)
            self._feed(events.StateRead(held.number, moment, digest, unless))

        before = held.policy.before
        arguments = None if before is None else _bound(before.arguments, arguments=held.arguments)
        if before is None or arguments is None or not self._is_unchanged(held, before.tool):
            told(None)
        else:
            self._asking.call(before.tool, arguments, told)

    def _of(self, number: SpeculationId) -> Reversible | None:
        if (held := self._held.get(number)) is not None:
            return held
        if (found := self._find(number)) is None:
            return None
        held = Reversible(number, found.session, found.tool, found.arguments, found.policy)
        self._held[number] = held
        return held

    def _may_begin(self, held: Reversible) -> bool:
        known = self._listing.fingerprints or {}
        if held.policy.undo is None or not all(tool in known for tool in held.tools):
            return False
        held.fingerprints = {tool: known[tool] for tool in held.tools}
        return self.disk.take_right()

    def _is_unchanged(self, held: Reversible, tool: str) -> bool:
        """Rule 14: has the tool the definition that it had at the launch?"""
        known = self._listing.fingerprints
        return known is not None and known.get(tool) == held.fingerprints.get(tool)

    def _intend(self, command: do.Intend) -> None:
        held = self._held[command.speculation]
        if not self.disk.works_with(self._link.group):
            self._feed(events.Recorded(held.number, False))
            return
        self.disk.intend(held, lambda ok: self._feed(events.Recorded(held.number, ok)))

    # --- what became of it ------------------------------------------------------------------------------------------

    def _note_outcome(self, command: do.NoteOutcome) -> None:
        held = self._held.get(command.speculation)
        if held is not None and command.left is not None:
            self.disk.left(held, command.left)

    def _claim(self, command: do.Claim) -> None:
        held = self._held[command.speculation]
        held.is_adopting = command.into is State.ADOPTED

        def told(ok: bool) -> None:
            held.is_adopting = False
            self._feed(events.Claimed(held.number, command.into, ok))

        if command.into is State.ADOPTED:
            self.disk.claim(held, "adopted", told)
        else:
            self.disk.claim(held, "compensating", told)

    def _probe(self, command: do.Probe) -> None:
        held = self._held[command.speculation]

        def told(answer: Told | None) -> None:
            done = None if answer is None or not answer.is_good else _is_done(held, answer.result)
            self._feed(events.Probed(held.number, done))

        probe = held.policy.probe
        arguments = None if probe is None else _bound(probe.arguments, arguments=held.arguments, before=held.before)
        if probe is None or arguments is None or not self._is_unchanged(held, probe.tool):
            told(None)
        else:
            self._asking.call(probe.tool, arguments, told)

    def _undo(self, command: do.Undo) -> None:
        held = self._held[command.speculation]
        undo = held.policy.undo
        arguments = None if undo is None else self._undo_arguments(held, undo.arguments)
        if undo is None or arguments is None:
            self._undone(held, UndoOutcome.UNBOUND)
        elif self._listing.fingerprints is None or not self._link.is_up:  # nothing was sent: it may be tried again
            self._undone(held, UndoOutcome.FAILED)
        elif not self._is_unchanged(held, undo.tool):
            say(f"{self.disk.server}: {undo.tool} is not what it was when {held.tool} was made ahead: it is not called")
            self._undone(held, UndoOutcome.UNBOUND)
        elif not self.disk.works_with(self._link.group):
            self._undone(held, UndoOutcome.UNRECORDED)
        else:
            tool = undo.tool
            self.disk.undo_sent(held, lambda ok: self._send_undo(held, tool, arguments, ok))

    def _undo_arguments(self, held: Reversible, expressions: Mapping[str, str]) -> Arguments | None:
        try:
            return bind(expressions, arguments=held.arguments, result=held.seen_result(), before=held.before)
        except Unbound as error:
            say(f"{self.disk.server}: {held.tool} cannot be taken back: {error}")
            return None

    def _send_undo(self, held: Reversible, tool: str, arguments: Arguments, ok: bool) -> None:
        if not ok:
            self._undone(held, UndoOutcome.UNRECORDED)
        elif not self._link.is_up or not self._is_unchanged(held, tool):  # lost, or begun anew, while the disk wrote
            self._undone(held, UndoOutcome.FAILED)
        else:
            self._asking.call(tool, arguments, lambda answer: self._undone(held, _outcome_of(answer)))

    def _undone(self, held: Reversible, outcome: UndoOutcome) -> None:
        self._feed(events.Undone(held.number, outcome))

    # --- ends -------------------------------------------------------------------------------------------------------

    def _settle(self, command: do.Settle) -> None:
        """Asked again where the disk did not take it."""
        held = self._held.get(command.speculation)
        if held is None or not held.entry:  # nothing was written
            self._forget(command.speculation)
            self._feed(events.Settled(command.speculation, True))
            return

        def told(ok: bool) -> None:
            if ok or command.state is State.STUCK:
                self._forget(held.number)
                self.on_settled(held, command.state, command.reason)
            self._feed(events.Settled(held.number, ok))

        if command.state is State.ADOPTED:  # its record went with the claim
            told(True)
        elif command.state is State.STUCK:
            self._tell_stuck(held, command.reason)
            self.disk.stuck(held, command.reason, told)
        else:
            self.disk.settled(held, told)

    def _forget(self, number: SpeculationId) -> None:
        self._held.pop(number, None)
        if not self._held:
            self.disk.has_done()
            self.disk.give_right()

    def _tell_stuck(self, held: Reversible, reason: str) -> None:
        say(
            f"STUCK: {self.disk.server}: {short(held)} was made ahead, was not wanted and cannot be taken back "
            f"({reason}). Calls that touch the same get an error until it is settled; {MENDED_BY}",
            LogLevel.ERROR,
            server=self.disk.server,
        )

    def _wake(self, command: do.Wake) -> None:
        self._link.wake()
        self._listing.must_begin()

    def abandon(self) -> str:
        """Rule 17: speculation has failed. What is unsettled stays in the journal; what calls get from now on."""
        unsettled = self.unsettled
        self._held.clear()
        if not unsettled:
            return ""
        what = " and ".join(short(held) for held in unsettled)
        say(
            f"NOT TAKEN BACK: {self.disk.server}: {what} was made ahead and may be there still. Calls get an error "
            f"until this server is started anew; {MENDED_BY}",
            LogLevel.ERROR,
            server=self.disk.server,
        )
        return f"what was speculated with {' and '.join(held.tool for held in unsettled)} could not be taken back"


def short(held: Reversible) -> str:
    """A call for a message."""
    text = json.dumps(held.arguments)
    return f"{held.tool} {text if len(text) <= SHORT else text[: SHORT - 1] + '…'}"


def _bound(expressions: Mapping[str, str], *, arguments: Arguments, before: Json = None) -> Arguments | None:
    try:
        return bind(expressions, arguments=arguments, before=before)
    except Unbound:
        return None


def _must_not(held: Reversible) -> bool:
    """Does the manifest forbid to speculate it in this state? Where that cannot be told, it does."""
    if held.policy.unless is None:
        return False
    try:
        return is_true(held.policy.unless, arguments=held.arguments, before=held.before)
    except Unbound:
        return True


def _is_done(held: Reversible, result: bytes) -> bool | None:
    decoded = wire.value(result)
    assert held.policy.probe is not None, "it was asked"
    if isinstance(decoded, bytes):
        return None
    try:
        seen = result_of(cast("Json", decoded))
        return is_true(held.policy.probe.done, arguments=held.arguments, before=held.before, result=seen)
    except Unbound:
        return None


def _outcome_of(answer: Told | None) -> UndoOutcome:
    if answer is None:
        return UndoOutcome.LOST
    if answer.answer in (Answer.TOOL_ERROR, Answer.ERROR) or answer.rate_limited:
        return UndoOutcome.FAILED
    return UndoOutcome.DONE if answer.is_good else UndoOutcome.GOES_ON

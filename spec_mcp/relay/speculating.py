"""Carries out what the engine asks for a speculation's sake: requests of our own, and what is made of their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import ToolValidator
from spec_mcp.engine.events import Answer, CallId, Outcome
from spec_mcp.relay import extras, wire
from spec_mcp.relay.asking import Asking, Told
from spec_mcp.relay.comparing import Kept, side
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.learning import Held
from spec_mcp.relay.link import ServerLink
from spec_mcp.relay.reversing import Reversing
from spec_mcp.relay.speculations import Speculation, Speculations, cancellation_of
from spec_mcp.relay.validators import Read, Validators


class Speculating:
    """Our side of one connection."""

    def __init__(
        self,
        link: ServerLink,
        deciding: Deciding,
        validators: Validators,
        reversing: Reversing,
        asking: Asking,
    ) -> None:
        self._asking = asking
        self._link = link
        self._validators = validators
        self._reversing = reversing
        self._feed = deciding.feed
        self._deciding = deciding
        self._speculations = Speculations(link.own_marker)
        self._kept = Kept()
        self.commands: dict[type, Callable[..., None]] = {
            do.Launch: self._launch,
            do.CancelSpeculation: self._cancel,
            do.Drop: self._drop,
            do.Validate: self._validate,
            do.Keep: self._keep,
            do.Recall: self._recall,
            do.Compare: self._compare,
            **reversing.commands,
        }

    # --- what the server says ---------------------------------------------------------------------------------------

    def speaks_of_us(self, line: bytes) -> bool:
        """Does it name a request of ours? Then it is not for the client (rule 10)."""
        return self._link.own_marker in line

    def own_id(self, id_raw: bytes) -> bytes | None:
        """An answer's id, if it is one of ours, as we write it."""
        if id_raw.startswith(b'"' + self._link.own_marker):
            return id_raw
        if b"\\" in id_raw:  # some codecs escape what needs it not
            name = wire.id_value(id_raw)
            if isinstance(name, str) and name.startswith(self._link.own_prefix):
                return b'"%s"' % name.encode("utf-8", "replace")
        return None

    def take_answer(self, own_id: bytes, message: wire.Envelope, line: bytes) -> bool:
        """An answer under an id of ours; False where we asked for none."""
        found = self._speculations.answered(own_id, message, line)
        if found is None:
            return self._link.take_own_answer(own_id[1:-1].decode(), message)
        number, tainted = found
        outcome = self._with_extra(number, wire.outcome(message, len(line), tainted))
        write_down = self._reversing.answered(number, message.result, outcome)
        self._feed(events.SpeculationReturned(number, outcome))
        if write_down is not None:
            write_down()
        if (held := self._speculations.get(number)) is not None:
            self._deciding.returned(held)
        return True

    def take_over(self, command: do.Take, result: bytes) -> int | None:
        """Hold what another replica gave for this speculation; its size, None where it is of no use."""
        from spec_mcp.relay.board.results import unpacked

        engine = self._deciding.engine
        asked = None if engine is None else engine.world.ledger.live.get(command.speculation)
        held = None if asked is None else unpacked(result, asked)
        if held is None:
            return None
        self._speculations.take_over(held)
        return len(held.line)

    def _with_extra(self, number: events.SpeculationId, outcome: Outcome) -> Outcome:
        """Attach mode: what it takes as an extra item, under the name that its client knows."""
        held = self._speculations.get(number)
        if held is None or outcome.answer is not Answer.RESULT or not self._deciding.settings.attach:
            return outcome
        account = self._deciding.accounts.get(held.session)
        name = None if account is None else account.shown_as(held.server, held.tool)
        held.extra = b"" if name is None else extras.item(name, held.arguments, held.result)
        return replace(outcome, extra_bytes=len(held.extra))

    def lost(self, own_id: bytes, is_read: Callable[[str], bool]) -> bool:
        """No answer will come under an id of ours, though the server may have done it; False where we asked for none.

        Of a read that is no more than a failure; of anything else nobody knows whether it was done.
        """
        found = self._speculations.lost(own_id)
        if found is None:
            return self._link.take_own_answer(own_id[1:-1].decode(), wire.Envelope())
        number, tool = found
        self._feed(events.SpeculationReturned(number, Outcome(Answer.ERROR if is_read(tool) else Answer.NONE)))
        return True

    def notified(self, message: wire.Envelope, line: bytes) -> None:
        """The server speaks of a request of ours: its progress is held, anything else spoils it."""
        self._speculations.notified(message, line)

    def hold(self, number: events.SpeculationId, line: bytes) -> None:
        """The server speaks of what a speculation did: that belongs to the call which adopts it."""
        self._speculations.hold(number, line)

    # --- what is held -----------------------------------------------------------------------------------------------

    def get(self, number: events.SpeculationId) -> Speculation | None:
        """What is kept of a speculation, until it is dropped."""
        return self._speculations.get(number)

    def call_answered(self, call: CallId, result: bytes) -> None:
        """A call has its real answer, which shadow mode may want to compare."""
        self._kept.answered(call, result)

    def held(self, number: events.SpeculationId) -> Held | None:
        """A speculation as far as a chain needs it."""
        return self._speculations.held(number)

    def connection_lost(self) -> None:
        """No answer will come to what was asked."""
        self._speculations.forget_connection()

    def stop(self) -> None:
        """Hold nothing any more; answers are still swallowed."""
        self._speculations.clear()
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._speculations) + len(self._kept)

    # --- commands ---------------------------------------------------------------------------------------------------

    def _launch(self, command: do.Launch) -> None:
        if self._link.takes_own_lines:
            self._link.say(self._speculations.launch(command, self._link.next_own_id()))
        else:
            self._feed(events.SpeculationReturned(command.speculation, Outcome(Answer.ERROR)))

    def _cancel(self, command: do.CancelSpeculation) -> None:
        held = self._speculations.get(command.speculation)
        if held is not None and not held.line:
            self._link.say(cancellation_of(held))

    def _drop(self, command: do.Drop) -> None:
        self._speculations.drop(command.speculation)
        self._kept.drop(command.speculation)
        self._reversing.drop(command.speculation)

    def _validate(self, command: do.Validate) -> None:
        def told(value: str | None) -> None:
            self._feed(events.Validated(command.speculation, command.call, value))

        if isinstance(command.validator, ToolValidator):
            self._ask_for_version(command.validator, command.arguments, told)
        else:
            self._validators.read(command.validator, command.arguments, told)

    def _ask_for_version(self, validator: ToolValidator, arguments: Arguments, told: Read) -> None:
        from spec_mcp.manifest.evaluate import Unbound, bind
        from spec_mcp.relay.entries import state_of

        def answered(answer: Told | None) -> None:
            found = state_of(answer.result) if answer is not None and answer.is_good else None
            told(None if found is None else found[0])

        try:
            bound = bind(validator.arguments, arguments=arguments)
        except Unbound:
            told(None)
        else:
            self._asking.call(validator.tool, bound, answered)

    def _keep(self, command: do.Keep) -> None:
        self._kept.expect(command.call, command.speculation)

    def _recall(self, command: do.Recall) -> None:
        if (held := self._speculations.get(command.adopted)) is not None:
            self._kept.keep(command.check, held.result)

    def _compare(self, command: do.Compare) -> None:
        kept, held = self._kept.take(command.speculation), self._speculations.get(command.speculation)
        if kept is not None and held is not None:
            told = side(held.result)
            early, real = (kept, told) if command.is_check else (told, kept)
            self._deciding.compare(held.session, command, early, real)

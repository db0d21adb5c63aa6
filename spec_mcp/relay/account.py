"""What is told of one session's calls to the record and to the predictor: always after the line that matters has gone
on."""

from __future__ import annotations

from collections.abc import Callable

from spec_mcp.engine import commands as do
from spec_mcp.engine.results import Verdict, compare_results
from spec_mcp.hints import ITEMS_MAX, Said, new_since
from spec_mcp.predict.predictor import CallBegan
from spec_mcp.relay.asked import Asked
from spec_mcp.relay.comparing import FAST, Side
from spec_mcp.relay.learning import Held, Learner, look_into_arguments, worth_a_look
from spec_mcp.relay.recording import Recording
from spec_mcp.relay.wire import Call
from spec_mcp.relay.words import Reader
from spec_mcp.store.rows import Scope


class Account:
    """Of one session, whichever servers it calls."""

    def __init__(self, session: str, learner: Learner, recording: Recording, clock: Callable[[], float]) -> None:
        self.session = session
        self._learner = learner
        self._recording = recording
        self._clock = clock
        self._arriving: tuple[Asked, str, Call, bool] | None = None
        self._hints = Reader()
        self._heard: list[Said] = []
        """The end of what the client has told of the conversation."""
        self.version = ""
        """Of the protocol, as it was agreed on with the client; empty: its calls, or its server's handshake, say it."""
        self.shown_as: Callable[[str, str], str | None] = lambda server, tool: tool
        """The name by which the client knows a server's tool; None where it does not."""

    def speaks(self, version: str) -> None:
        """This version of the protocol was agreed on with the client."""
        self.version = version

    def hinted(self, raw: bytes) -> None:
        """Hints came with a request, of which is told next: what is new in them is for the predictor and the record."""
        said = self._hints.read(raw)
        new = new_since(self._heard, said)
        self._heard = [*self._heard, *new][-ITEMS_MAX:]
        for one in new:
            self._recording.said(one.role, one.text)
            self._learner.said(self.session, one.role, one.text)
        if new:
            self._learner.heard(self.session)

    def arriving(self, asked: Asked, server: str, call: Call, writes: bool) -> None:
        """A call has arrived and is on its way; what must be noted of it is noted by `catch_up`."""
        self._arriving = (asked, server, call, writes)

    def catch_up(self) -> None:
        """Note the call that has just arrived. Due as soon as its line has gone on, and before anything else of it."""
        if self._arriving is None:
            return
        (asked, server, call, writes), self._arriving = self._arriving, None
        asked.record = self._recording.call_began(asked.call, call.tool, call.arguments, writes)
        raw, at_s = worth_a_look(call.arguments), self._clock()

        def make() -> CallBegan:
            arguments = look_into_arguments(raw)
            return CallBegan(self.session, asked.call, server, call.tool, arguments, at_s, writes)

        self._learner.began(make, len(raw))

    def answered(self, asked: Asked, answer: bytes, result: bytes, is_error: bool) -> None:
        """A call has its answer: a result, or an error."""
        self.catch_up()
        if asked.record is None:
            return
        asked.record.answered(answer, is_error)
        self._learner.ended(self.session, asked.call, result, is_error)
        for read in asked.extras:
            self._learner.attached(self.session, read)

    def unanswered(self, asked: Asked) -> None:
        """A call's server is gone."""
        self.catch_up()
        if asked.record is not None:
            asked.record.answered(b"", True)

    # --- what the engine reports ------------------------------------------------------------------------------------

    def settled(self, command: do.CallSettled) -> None:
        """The engine has done with a call."""
        self.catch_up()
        self._recording.settled(command)

    def predict(self, command: do.Predict, held: Callable[[int], Held | None]) -> None:
        """Have it guessed what comes next, when there is time."""
        self.catch_up()
        self._learner.predict(command, held)

    def bind_surrogate(self, command: do.BindSurrogate) -> None:
        """Have the call of a surrogate made out, when there is time."""
        self.catch_up()
        self._learner.bind(command)

    def speculation_ended(self, command: do.SpeculationEnded) -> None:
        """A speculation came to an end."""
        self._recording.ended(command)

    def skipped(self, command: do.Skipped) -> None:
        """A candidate was not launched."""
        self._recording.skipped(command)

    def compare(
        self, command: do.Compare, scope: Scope, early: Side, real: Side, told: Callable[[Verdict], None]
    ) -> None:
        """Have two results of a call held against each other when there is time, and put on record what that finds."""

        def look() -> None:
            comparison = compare_results(early.text, real.text, command.equal, command.apart, FAST)
            self._recording.compared(command, scope, comparison, early, real)
            told(comparison.verdict)

        self._learner.later(look, len(early.text) + len(real.text))

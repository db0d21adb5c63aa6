"""What goes on record: rows for the store, made on the loop's thread without looking into payloads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spec_mcp.engine import commands as do
from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import CallId
from spec_mcp.engine.results import Comparison, Verdict
from spec_mcp.engine.states import State
from spec_mcp.predict.guessing import Answered
from spec_mcp.relay.comparing import Side
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.rows import (
    CallRow,
    ComparisonRow,
    DemotionRow,
    LearnedRow,
    PinRow,
    QuestionRow,
    Role,
    Scope,
    SessionRow,
    SpeculationRow,
    TextRow,
)

RECORDED_MAX_BYTES = 1 << 20
"""A larger result is recorded as absent: the store is for learning and for looking back, not for payloads."""

SIDE_MAX_BYTES = 32 * 2**10
"""A larger result is not kept beside the one from which it differs: nobody compares so much by eye."""

RECORDS_MAX = 8192
"""Calls without an answer that are on record; the oldest are left out, since their server never answers."""


@dataclass(slots=True)
class CallRecord:
    """A call on its way to a row."""

    tool: str
    arguments: bytes
    writes: bool
    batch: int
    began_at: float
    result: bytes = b""
    is_error: bool = False
    heard: Callable[[], None] = field(default=lambda: None)

    def answered(self, result: bytes, is_error: bool) -> None:
        """Its answer has come, from its server or from a speculation."""
        self.result = result if len(result) <= RECORDED_MAX_BYTES else b""
        self.is_error = is_error
        self.heard()


class Recording:
    """The record of one session with one server."""

    def __init__(
        self,
        recorder: Recorder,
        scope: Scope,
        session: SessionRow,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._recorder = recorder
        self._scope = scope
        self._session = session
        self._wall_clock = wall_clock
        self._clock = clock
        self._records: dict[CallId, CallRecord] = {}
        self._turn = 0
        self._texts = 0
        self._turn_ended = True
        self.on_speculation: Callable[[bool], None] = lambda used: None
        """Told of each launched speculation whether it was used."""
        recorder.record(session)

    def client_is(self, name: str, version: str) -> None:
        """The client has given its name."""
        self._session = replace(self._session, client_name=name, client_version=version)
        self._recorder.record(self._session)

    def call_began(self, call: CallId, tool: str, arguments: bytes, writes: bool) -> CallRecord:
        """A call has arrived; calls that arrive before any answer are one batch."""
        if self._turn_ended:
            self._turn += 1
            self._turn_ended = False
        kept = arguments if len(arguments) <= RECORDED_MAX_BYTES else b""
        record = CallRecord(tool, kept, writes, self._turn, self._wall_clock(), heard=self._heard)
        self._records[call] = record
        if len(self._records) > RECORDS_MAX:
            del self._records[next(iter(self._records))]
        return record

    def said(self, role: Role, text: str) -> None:
        """The client tells what was said."""
        self._texts += 1
        self._recorder.record(TextRow(self._session.session, self._texts, role, text, self._wall_clock()))

    def settled(self, command: do.CallSettled) -> None:
        """A call has its answer, or will get none."""
        record = self._records.pop(command.call, None)
        if record is None:
            return
        self._recorder.record(
            CallRow(
                session=command.session,
                number=command.call,
                server=command.server,
                tool=command.tool,
                arguments=record.arguments or None,
                result=record.result or None,
                is_error=record.is_error,
                kind="write" if record.writes else "read",
                batch=record.batch,
                t_start=record.began_at,
                t_end=record.began_at + command.wait_s,
                how=str(command.how),
                wait_s=command.wait_s,
                saved_s=command.saved_s,
                speculation=command.speculation,
                was_attached=command.was_attached,
            )
        )

    def ended(self, command: do.SpeculationEnded) -> None:
        """A speculation came to an end."""
        is_used = command.state is State.ADOPTED
        if command.launched_at is not None and (is_used or command.attached_to is None):
            self.on_speculation(is_used)
        self._recorder.record(SpeculationRow.of(command, self._wall_clock() - self._clock()))

    def skipped(self, command: do.Skipped) -> None:
        """A candidate was not launched."""
        self._recorder.skip(command.session, command.server, command.tool, command.reason)

    def pin(self, command: do.PinFingerprint) -> None:
        """A tool was seen for the first time."""
        self._recorder.record(PinRow(self._scope, command.tool, command.fingerprint, self._wall_clock()))

    def learned(self, kind: str, data: Json) -> None:
        """Something was learned since the last such row."""
        if data:
            text = json.dumps(data, separators=(",", ":")).encode()
            self._recorder.record(LearnedRow(self._scope, self._session.principal, kind, text, self._wall_clock()))

    def compared(self, command: do.Compare, scope: Scope, comparison: Comparison, early: Side, real: Side) -> None:
        """Two results of a call were held against each other; both are kept where they differ."""
        differs = comparison.verdict is not Verdict.SAME
        self._recorder.record(
            ComparisonRow(
                session=self._session.session,
                scope=scope,
                tool=command.tool,
                entry=command.entry,
                arguments=command.arguments if differs else None,
                is_check=command.is_check,
                how=str(command.how),
                verdict=str(comparison.verdict),
                differences=comparison.differences,
                saved_s=command.saved_s,
                at=self._wall_clock(),
                early=early.text if differs and early.size_bytes <= SIDE_MAX_BYTES else None,
                real=real.text if differs and real.size_bytes <= SIDE_MAX_BYTES else None,
                early_bytes=early.size_bytes,
                real_bytes=real.size_bytes,
            )
        )

    def consulted(self, answered: Answered) -> None:
        """A speculator was asked."""
        self._recorder.record(question_row(answered, self._wall_clock()))

    def demoted(self, command: do.Demote) -> None:
        """A tool is not speculated any more, or may be again."""
        self._recorder.record(DemotionRow(self._scope, command.tool, command.entry, self._wall_clock()))

    def close(self) -> None:
        """The client left; calls without an answer are recorded as they are."""
        for call, record in list(self._records.items()):
            waited_s = self._wall_clock() - record.began_at
            server = self._session.scope.server
            row = do.CallSettled(
                call, self._session.session, server, server, record.tool, do.How.MISS, None, waited_s, 0.0
            )
            record.is_error = True
            self.settled(row)
        self._recorder.record(replace(self._session, ended_at=self._wall_clock()))

    def _heard(self) -> None:
        self._turn_ended = True


def new_session(scope: Scope, principal: str, wall_clock: Callable[[], float], token: str) -> SessionRow:
    """The row of a session that begins now."""
    return SessionRow(token, scope, principal, wall_clock(), os.getpid())


def question_row(answered: Answered, at: float) -> QuestionRow:
    """The row of a question to a speculator."""
    question, spent = answered.question, answered.spent
    return QuestionRow(
        session=question.session,
        speculator=question.speculator,
        about=question.about.value,
        ending=answered.ending.value,
        guesses=len(answered.guesses),
        input_tokens=spent.input_tokens,
        cached_tokens=spent.cached_tokens,
        output_tokens=spent.output_tokens,
        price=spent.price,
        took_s=spent.took_s,
        at=at,
    )

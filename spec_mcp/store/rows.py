"""What is handed to the record. Times are seconds since the epoch; JSON is text as it came, or as it will be kept.

The relay makes these on the event loop's thread, so making one costs nothing: payloads stay bytes, and the worker
thread decodes, redacts and writes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.commands import SpeculationEnded
from spec_mcp.engine.results import Difference

LOCAL_USER = "local"
"""The principal of a client over stdio."""

Role = Literal["user", "assistant"]

Kind = Literal["read", "write"]
"""What a call was taken for: everything not known to be a read is a write."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose history it is: a server's name and what launches or reaches it. Two launches share nothing."""

    server: str
    launch: str
    """A digest: command lines and URLs may hold secrets, which must not be kept."""

    @classmethod
    def of(cls, server: str, launched_by: str | Sequence[str]) -> Scope:
        """The scope of a server with this command line or URL."""
        parts = [launched_by] if isinstance(launched_by, str) else list(launched_by)
        # each part is closed by a NUL, which no argument can hold: ["a b"] and ["a", "b"] are two launches
        text = "".join(part + "\0" for part in parts)
        return cls(server, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24])


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One client's stay. Recorded again when more is known of it: what is empty or None then changes nothing."""

    session: str
    scope: Scope
    principal: str
    started_at: float
    pid: int
    client_name: str = ""
    client_version: str = ""
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call that has its answer, or will get none."""

    session: str
    number: int
    server: str
    tool: str
    arguments: bytes | None
    """JSON text; None where there were none."""
    result: bytes | None
    """JSON text of the answer's `result`, or of its `error`; None where there is none, or it is not to be kept."""
    is_error: bool
    kind: Kind
    batch: int | None
    """Equal for calls that the client made in one turn."""
    t_start: float
    t_end: float | None
    how: str
    """`hit`, `join` or `miss`."""
    wait_s: float
    saved_s: float
    speculation: int | None = None
    """The speculation that answered it."""
    result_bytes: int = 0
    """The result's size as the server sent it; the recorder fills in what is 0."""
    was_attached: bool = False
    """The client had been given this result with an earlier reply."""


@dataclass(frozen=True, slots=True)
class SpeculationRow:
    """A speculation that came to an end."""

    session: str
    number: int
    server: str
    tool: str
    arguments: bytes | Arguments
    state: str
    reason: str
    q: float
    source: str
    launched_at: float | None
    """None: it was never launched, and counts neither as a speculation nor as waste."""
    returned_at: float | None
    ended_at: float
    call: int | None
    """The call that it answered or was compared with."""
    attached_to: int | None = None
    """The call with whose answer the client was given its result."""
    attached_bytes: int = 0

    @classmethod
    def of(cls, ended: SpeculationEnded, clock_offset_s: float) -> SpeculationRow:
        """The row of what the engine reports; the offset added to the engine's clock gives seconds since the epoch."""

        def wall(at: float | None) -> float | None:
            return None if at is None else at + clock_offset_s

        return cls(
            session=ended.session,
            number=ended.speculation,
            server=ended.server,
            tool=ended.tool,
            arguments=ended.arguments,
            state=str(ended.state),
            reason=str(ended.reason),
            q=ended.q,
            source=ended.source,
            launched_at=wall(ended.launched_at),
            returned_at=wall(ended.returned_at),
            ended_at=ended.ended_at + clock_offset_s,
            call=ended.call,
            attached_to=ended.attached_to,
            attached_bytes=ended.attached_bytes,
        )


@dataclass(frozen=True, slots=True)
class TextRow:
    """What the user or the assistant said, as far as the client tells it by hints."""

    session: str
    number: int
    """Counts within the session."""
    role: Role
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class SkipRow:
    """How often candidates of a tool were not launched, for one reason. Counts of equal rows add up."""

    session: str
    server: str
    tool: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class PinRow:
    """A tool's definition at first sight. The first one stays; a later one changes nothing."""

    scope: Scope
    tool: str
    fingerprint: str
    seen_at: float


@dataclass(frozen=True, slots=True)
class LearnedRow:
    """What a predictor, or the timing of tools, learned since its last such row: rows of a kind add up."""

    scope: Scope
    principal: str
    kind: str
    """Whose data it is and in which shape, such as `history/1`: only its owner reads it."""
    data: bytes
    """JSON text."""
    added_at: float


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """Two results of one call that were held against each other. What is kept of them is there where they differed."""

    session: str
    scope: Scope
    tool: str
    entry: str
    """What the manifest said of the tool, as a digest; empty: it counts as evidence no more."""
    arguments: bytes | Arguments | None
    is_check: bool
    """It checked what a call had been given; else it is shadow mode's."""
    how: str
    """How the call was answered, or would have been."""
    verdict: str
    differences: tuple[Difference, ...]
    saved_s: float
    """The wait that was spared, or would have been."""
    at: float
    early: bytes | None = None
    """JSON text of the result that came from speculation."""
    real: bytes | None = None
    """Of the one that came later."""
    early_bytes: int = 0
    real_bytes: int = 0
    """Their sizes as the server sent them."""

    @property
    def arguments_text(self) -> bytes | None:
        """The arguments as the store gives them back."""
        return self.arguments if isinstance(self.arguments, bytes) else None


@dataclass(frozen=True, slots=True)
class DemotionRow:
    """A tool that is not speculated any more, since its results were seen to differ. The last one counts."""

    scope: Scope
    tool: str
    entry: str
    """What the manifest said of it, as a digest; empty: the tool is speculated again."""
    at: float


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """What came of a question to a speculator, and what it cost."""

    session: str
    speculator: str
    about: str
    ending: str
    guesses: int
    input_tokens: int
    """With those that were read from the prompt cache."""
    cached_tokens: int
    output_tokens: int
    price: float
    """In the currency of the prices that are set."""
    took_s: float
    at: float


Row = (
    SessionRow
    | CallRow
    | TextRow
    | SpeculationRow
    | SkipRow
    | PinRow
    | LearnedRow
    | ComparisonRow
    | DemotionRow
    | QuestionRow
)

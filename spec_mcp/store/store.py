"""What a store is: the one contract that every implementation is tested against.

A store is used by one thread at a time. It keeps what it is given: leaving out what must not be kept is the
recorder's duty. Everything that it raises for a file's sake is a `StoreError`, one line that a person can act on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import Known, Mode
from spec_mcp.errors import UserError
from spec_mcp.store.rows import (
    CallRow,
    ComparisonRow,
    LearnedRow,
    Row,
    Scope,
    SessionRow,
    SkipRow,
    SpeculationRow,
    TextRow,
)


class StoreError(UserError):
    """The store cannot be used now: `FILE: what is wrong: what to do`."""


class StoreBusy(StoreError):  # noqa: N818  named for what happened
    """Another program holds it for longer than we wait. Worth trying again."""


class StoreCorrupt(StoreError):  # noqa: N818
    """Its content is damaged, or it is no store at all."""

    def __init__(self, message: str, inode: int | None = None) -> None:
        super().__init__(message)
        self.inode = inode
        """Which file it was: by now another one may lie in its place."""


class StoreNewer(StoreError):  # noqa: N818
    """A newer version of the program wrote it: this one must neither read nor write it."""


Merge = Callable[[list[Json]], Json]
"""Adds up the data of rows of one kind. Raises `ValueError` where a row has another shape."""


@dataclass(frozen=True, slots=True)
class ToolTotals:
    """What happened to the calls of one tool, or of all."""

    calls: int = 0
    hits: int = 0
    joins: int = 0
    misses: int = 0
    speculations: int = 0
    """Launched ones."""
    wasted: int = 0
    """Launched ones that no call used; those that shadow mode compared are not among them."""
    compensated: int = 0
    """Reversible ones among the wasted that were taken back."""
    lossy: int = 0
    """Calls that were answered from a speculation with a tool of which the last write wins: neither hits nor joins."""
    saved_s: float = 0.0
    attached: int = 0
    """Reads whose results went along with the replies of other calls, which is not lossless: they count neither as used
    nor as wasted, unless a call used them too."""
    attached_bytes: int = 0
    attached_called: int = 0
    """Calls that the client made all the same."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened in all that is kept."""

    sessions: int = 0
    all: ToolTotals = field(default_factory=ToolTotals)
    skips: Mapping[str, int] = field(default_factory=dict[str, int])
    tools: Mapping[tuple[str, str], ToolTotals] = field(default_factory=dict[tuple[str, str], ToolTotals])
    """By server and tool."""


@dataclass(frozen=True, slots=True)
class ToolComparisons:
    """What comparisons have found of one tool, or of all: shadow mode's, and checks of what was adopted."""

    shadow: int = 0
    hits: int = 0
    """Calls that shadow mode would have answered from a result that was there."""
    joins: int = 0
    """The same, from one on its way."""
    would_save_s: float = 0.0
    """The wait that these would have been spared."""
    checks: int = 0
    same: int = 0
    passing: int = 0
    """Those in which only values differed that go with the time or the request."""
    different: int = 0
    places: Mapping[str, int] = field(default_factory=dict[str, int])
    """Where results differed, and how often."""
    passing_places: frozenset[str] = frozenset()
    """Those of the places whose values have always gone with the time or the request."""
    demoted: bool = False

    @property
    def compared(self) -> int:
        """All of them."""
        return self.shadow + self.checks


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One session in a list."""

    session: SessionRow
    totals: ToolTotals


@dataclass(frozen=True, slots=True)
class SessionTrace:
    """All that is kept of one session, calls by their start and speculations by their launch."""

    session: SessionRow
    calls: tuple[CallRow, ...]
    speculations: tuple[SpeculationRow, ...]
    skips: tuple[SkipRow, ...]
    texts: tuple[TextRow, ...] = ()
    """What the client told of the conversation, in its order."""


@dataclass(frozen=True, slots=True)
class Consulted:
    """One speculator's questions together."""

    asked: int
    """Without those that a bound held back: of these nothing was sent."""
    answered: int
    guesses: int
    held_back: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    price: float
    took_s: float
    """Of all that were answered, together."""
    endings: Mapping[str, int]
    """How many questions ended in which way."""


class Store(Protocol):
    """Keeps rows, and answers what the commands ask. All methods may raise `StoreError`."""

    def write(self, rows: Sequence[Row]) -> None:
        """Keep all of the rows or none, durably enough to survive the process. Writing a row again changes nothing,
        but for skips and learned rows, which add up.

        Raises:
            ValueError: a row can never be kept; none of the others was.
        """
        ...

    def sessions(self, limit: int | None = None) -> list[SessionSummary]:
        """The newest sessions, newest first."""
        ...

    def session_ids(self, prefix: str = "") -> list[str]:
        """The sessions whose id begins so, oldest first."""
        ...

    def trace(self, session: str) -> SessionTrace:
        """One session.

        Raises:
            KeyError: there is none of this id.
        """
        ...

    def traces(self) -> Iterator[SessionTrace]:
        """All sessions, oldest first."""
        ...

    def totals(self) -> Totals:
        """Sums over all that is kept."""
        ...

    def servers(self) -> list[str]:
        """The names of the servers of which anything is kept."""
        ...

    def pins(self, scope: Scope) -> dict[str, str]:
        """The fingerprints of tools at first sight."""
        ...

    def known(self, scope: Scope) -> Known:
        """What comparisons have shown of the tools, and which are demoted."""
        ...

    def comparisons(self) -> dict[tuple[str, str], ToolComparisons]:
        """Sums by server and tool; of the demoted ones also where nothing else is kept."""
        ...

    def divergences(self, limit: int) -> list[ComparisonRow]:
        """The newest comparisons that found a difference, newest first."""
        ...

    def consulted(self, session: str | None = None) -> dict[str, Consulted]:
        """By speculator, what questions of all sessions, or of one, came to and cost."""
        ...

    def prices(self) -> dict[str, float]:
        """By session in which speculators were asked, what that cost."""
        ...

    def pardon(self, server: str | None) -> list[tuple[str, str]]:
        """Let the demoted tools of a server, or all, be speculated again; which they were, by server and tool."""
        ...

    def learned(self, scope: Scope, principal: str) -> list[LearnedRow]:
        """All learned rows, oldest first."""
        ...

    def compact(self, scope: Scope, principal: str, kind: str, merge: Merge) -> bool:
        """Put one row in the place of all of a kind, as one step for every process; False where that was not possible.
        What another process adds meanwhile is neither lost nor counted twice."""
        ...

    def upkeep(self, now: float, retention_days: float) -> bool:
        """Delete what is older than the retention or beyond the store's size, unless that was done within a day."""
        ...

    def forget(self, server: str | None) -> int:
        """Delete for good what was recorded and learned of a server, or everything; the number of sessions deleted."""
        ...

    def switched(self) -> Mode | None:
        """The mode that the switch says, where it lies in the store; None where nobody turned it, or it does not."""
        ...

    def displaced(self) -> bool:
        """Has it been deleted or replaced under us, so that what is written now is lost? Open it again then."""
        ...

    def close(self) -> None:
        """Let go of it. Nothing else may be called afterwards."""
        ...

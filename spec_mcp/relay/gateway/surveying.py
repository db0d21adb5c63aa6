"""Learning what a server lists: all its lists when it has been met, and again each that it says has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.catalogue import Catalogue, Kind, page_of
from spec_mcp.relay.gateway.greeting import Ask, Hello, is_lost

if TYPE_CHECKING:
    from spec_mcp.relay.gateway.waiting import Later

PAGES_MAX = 1000
LISTED_MAX_BYTES = 64 * 2**20
"""A list that does not end is cut here: its server may be lying, and others need the room."""

CALLABLE_MAX = 10_000
"""Tools, or prompts, of one server: no client takes a tenth of it, and each needs a name while all others wait."""

READABLE_MAX = 100_000
"""Resources, or templates."""

RELIST_S = 1.0
"""How soon a list is asked for again: some servers say all the time that theirs has changed, or whenever it is read."""


@dataclass(slots=True)
class _Round:
    """One attempt to read a list."""

    kind: Kind
    number: int
    items: list[bytes] = field(default_factory=list[bytes])
    pages: int = 0
    listed_bytes: int = 0

    @property
    def room(self) -> int:
        """How many items more are taken."""
        most = CALLABLE_MAX if self.kind in (Kind.TOOLS, Kind.PROMPTS) else READABLE_MAX
        return most - len(self.items)


class Surveying:
    """Of one connection. `surveyed` is told the catalogue whenever something in it is known anew."""

    def __init__(
        self, ask: Ask, surveyed: Callable[[Catalogue], None], remembered: Catalogue | None, later: Later
    ) -> None:
        self._ask = ask
        self._surveyed = surveyed
        self._later = later
        self._catalogue = remembered
        self._meta = b""
        self._rounds: dict[Kind, _Round] = {}
        """Those under way: an answer to an earlier one is of no use."""
        self._begun = dict.fromkeys(Kind, 0)
        self._read = dict.fromkeys(Kind, 0)
        """The last round that came to its end."""
        self._resting: set[Kind] = set()
        """Asked for a moment ago."""
        self._behind: set[Kind] = set()
        """Said to have changed, and not known since."""
        self._again: set[Kind] = set()
        """Said so after they were asked for."""

    # --- the beginning and the end ----------------------------------------------------------------------------------

    def introduced(self, hello: Hello) -> None:
        """The server has been met: what it can do is known, and of its lists what was known before."""
        catalogue = Catalogue(hello.era.value, hello.version, hello.result)
        for kind in Kind:
            old = None if self._catalogue is None else self._catalogue.items(kind)
            items = old if kind.capability in catalogue.capabilities else ()
            if items is not None:
                catalogue = catalogue.with_items(kind, items)
        self._catalogue = catalogue
        self._surveyed(catalogue)

    def begin(self, meta: bytes) -> None:
        """List everything. `meta` is the `_meta` of each request; empty where the era needs none."""
        assert self._catalogue is not None, "who lists has been introduced"
        self._meta = meta
        for kind in Kind:
            if kind.capability in self._catalogue.capabilities:
                self._list(kind)

    def lost(self) -> None:
        """The connection is gone: no answer to what was asked says anything of the lists."""
        self._rounds.clear()
        self._behind.clear()
        self._again.clear()

    # --- changes ----------------------------------------------------------------------------------------------------

    def due(self, kind: Kind) -> int:
        """The round that will show this list as it is now; 0 where what is known shows it."""
        if kind not in self._behind:
            return 0
        return self._begun[kind] + 1 if kind in self._again else self._begun[kind]

    def has_read(self, kind: Kind, number: int) -> bool:
        """Has this round come to its end, or is there no need for it any more?"""
        return kind not in self._behind or self._read[kind] >= number

    def noticed(self, message: wire.Envelope | wire.Batch | None) -> None:
        """The server said something that may mean that a list has changed."""
        if not isinstance(message, wire.Envelope) or self._catalogue is None:
            return
        for kind in Kind:
            if message.method == kind.changed and kind.capability in self._catalogue.capabilities:
                self._behind.add(kind)
                self._again.add(kind)
                self._list_again(kind)

    def refresh(self, kind: Kind) -> None:
        """Look again at a list whose changes the server does not tell of, unless that is under way."""
        known = self._catalogue
        if known is None or kind.capability not in known.capabilities or known.tells_of(kind):
            return
        self._behind.add(kind)
        if kind not in self._rounds:
            self._list(kind)

    def _rested(self, kind: Kind) -> None:
        self._resting.discard(kind)
        self._list_again(kind)

    def _list_again(self, kind: Kind) -> None:
        if kind in self._again and kind not in self._resting and kind not in self._rounds:
            self._list(kind)

    # --- lists ------------------------------------------------------------------------------------------------------

    def _list(self, kind: Kind) -> None:
        self._resting.add(kind)
        self._later(RELIST_S, lambda: self._rested(kind))
        self._again.discard(kind)
        self._begun[kind] += 1
        self._rounds[kind] = _Round(kind, self._begun[kind])
        self._ask_page(self._rounds[kind], wire.ABSENT)

    def _ask_page(self, this_round: _Round, cursor: bytes) -> None:
        def answered(message: wire.Envelope) -> None:
            if self._rounds.get(this_round.kind) is this_round:
                self._take(this_round, message)

        members = [b'"cursor":' + cursor] if cursor else []
        members += [b'"_meta":' + self._meta] if self._meta else []
        self._ask(this_round.kind.method, b"{%s}" % b",".join(members) if members else b"", answered)

    def _take(self, this_round: _Round, message: wire.Envelope) -> None:
        kind, page = this_round.kind, page_of(this_round.kind, message.result)
        assert self._catalogue is not None, "what is listed has been begun"
        if is_lost(message.error):  # it is asked again when the server is there again
            del self._rounds[kind]
            return
        if page is None:  # it does not list this, whatever it said; what was known of it stays
            known = self._catalogue.items(kind)
            self._know(kind, tuple(this_round.items) if known is None else known)
            return
        this_round.items += page.items[: this_round.room]
        this_round.pages += 1
        this_round.listed_bytes += len(message.result)
        may_go_on = this_round.pages < PAGES_MAX and this_round.listed_bytes <= LISTED_MAX_BYTES and this_round.room
        if page.next_cursor and may_go_on:
            self._ask_page(this_round, page.next_cursor)
        else:
            self._know(kind, tuple(this_round.items))

    def _know(self, kind: Kind, items: tuple[bytes, ...]) -> None:
        assert self._catalogue is not None, "what is listed has been begun"
        self._read[kind] = self._rounds.pop(kind).number
        self._catalogue = self._catalogue.with_items(kind, items)
        if kind not in self._again:
            self._behind.discard(kind)
        self._surveyed(self._catalogue)
        self._list_again(kind)

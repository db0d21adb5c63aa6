"""The undo journal: what is needed to take a reversible speculation back, on disk before it is launched.

    intend ──► launch ──► returned, left ──► claim "adopted"                          the entry is gone
                                        └──► claim "compensating" ──► undo_sent ──► settled     gone
                                                                              └──► stuck        kept for a person

An entry belongs to one owner, the process that made it or took it over, and every statement names that owner: a
process that lost an entry can do nothing to it. Who may take over is told by owners.py, where it may be undone by
instance.py; markers.py tells a start, without opening anything, whether there is something to be looked at.

The values under `redact` keys are not left out here, since an undo needs them. For their sake the file is its user's
alone (mode 0600), an entry lives until it is settled and no longer, and what is deleted is overwritten.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from spec_mcp.store.store import StoreError

EntryState = Literal["intended", "compensating", "stuck"]
Claim = Literal["adopted", "compensating"]
Outcome = Literal["", "result", "error"]
"""What the server answered; empty while that is not known."""

MAX_ENTRY_BYTES = 16 * 2**20
"""What one entry may hold, and what its result may: more is not worth a wait for the disk."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One reversible speculation that is neither adopted nor taken back. Times are seconds since the epoch."""

    id: str
    """Made by `id_of`: it stays when another owner takes over."""
    owner: str
    instance: str
    """The server instance that it changes; the entry may be undone there alone."""
    server: str
    launch: bytes
    """JSON text, as `Launch.to_json` makes it: the names of environment variables, never their values."""
    principal: str
    session: str
    tool: str
    arguments: bytes
    """JSON text."""
    reversal: bytes
    """JSON text that the store does not read: how to undo, check and probe it."""
    made_at: float
    changed_at: float
    before: bytes | None = None
    """What was read before the launch."""
    outcome: Outcome = ""
    result: bytes | None = None
    """What the server answered."""
    left: str = ""
    """The digest of the state that it left; empty while that is not known."""
    state: EntryState = "intended"
    undo_sent: int = 0
    """How many undos may have reached the server."""
    reason: str = ""
    """Why it is stuck."""


def id_of(owner: str, number: int) -> str:
    """The id of an owner's entry; each number is used once."""
    return f"{owner}-{number}"


def bounded(where: object, *parts: bytes | None) -> None:
    """See that an entry is not too large to be kept there.

    Raises:
        StoreError: it is.
    """
    if sum(len(part) for part in parts if part is not None) > MAX_ENTRY_BYTES:
        raise StoreError(f"{where}: more than {MAX_ENTRY_BYTES >> 20} MB to keep for one undo: it is not tried early")


class Journal(Protocol):
    """Keeps entries until they are settled. Used by one thread at a time.

    What a method did is on disk, and outlives a power cut, when it returns. When it raises `StoreError` that is not
    certain either way: act as if it had not been done, and ask again or let the entry be. Where one returns False or
    None it has changed nothing: the entry is another owner's, gone, or in another state.
    """

    def intend(self, entry: Entry) -> None:
        """Keep a new entry, whose owner this process thereby is for its life. Launch only after this.

        Raises:
            ValueError: there is an entry of this id, or a value can never be kept.
        """
        ...

    def returned(self, entry_id: str, owner: str, outcome: Outcome, result: bytes | None) -> bool:
        """The server answered. The first answer stays."""
        ...

    def left(self, entry_id: str, owner: str, digest: str) -> bool:
        """This is the state that the speculation left."""
        ...

    def claim(self, entry_id: str, owner: str, into: Claim) -> bool:
        """Decide what becomes of an intended entry, once for all; an adopted one is gone at once.

        False: it was decided otherwise before. No byte of an adopted answer leaves before this is True.
        """
        ...

    def undo_sent(self, entry_id: str, owner: str) -> bool:
        """An undo is about to be sent: only when this is True. A stuck entry whose undo is tried again is compensating
        again."""
        ...

    def stuck(self, entry_id: str, owner: str, reason: str) -> bool:
        """It cannot be taken back for certain: keep it for a person to settle."""
        ...

    def settled(self, entry_id: str, owner: str) -> bool:
        """Nothing of it is left in the world, or a person took care of it: forget it."""
        ...

    def open_entries(self, instance: str | None = None) -> list[Entry]:
        """All entries, or those of one instance, in the order in which they were intended."""
        ...

    def take_over(self, entry_id: str, from_owner: str, to_owner: str) -> Entry | None:
        """Make an entry another owner's, whom this process thereby is; the entry as it is now, or None where it is not
        that owner's. Only while holding the old owner's lock (`Owners.seize`).

        Go by what this returns: the old owner may have done more, and died, since `open_entries` was asked.
        """
        ...

    def together(self) -> AbstractContextManager[None]:
        """Make what is done within it one step: all of it on disk when it is left, or nothing where it raises."""
        ...

    def tidy(self) -> None:
        """Take away what still stands for instances without entries. Never raises `StoreError`; outside of `together`
        each method does so by itself."""
        ...

    def close(self) -> None:
        """Let go of the store, and of being an owner: what is still open is then for others to settle."""
        ...

"""What outlives us of reversible speculations at one server: the undo journal, our name in it, the right to the server.

Nothing of it is touched before it is needed: the journal and its thread by the first entry, the lock of the instance
once a manifest has reversible tools. What is reported comes on the loop's thread.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from spec_mcp.relay.entries import Reversible, reversal_of
from spec_mcp.relay.saying import say
from spec_mcp.store.instance import SERVE_WAIT_S, InstanceLock, Launch, instance_of, store_key
from spec_mcp.store.journal import Claim, Entry, Journal, id_of
from spec_mcp.store.journal_thread import JournalThread
from spec_mcp.store.lingering import Lingering
from spec_mcp.store.markers import Markers
from spec_mcp.store.owners import Owners, Seized, new_token
from spec_mcp.store.store import StoreError

T = TypeVar("T")

Done = Callable[[bool], None]
"""Told whether it is on disk."""


class Disk:
    """Of one process and one server. `soon` has a function called on the loop's thread, and at once."""

    def __init__(
        self,
        store_path: Path,
        server: str,
        launch: Launch,
        environ: Mapping[str, str],
        principal: str,
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self.owner = new_token()
        self.server = server
        self._store_path = store_path
        self._launch = launch
        self._environ = environ
        self._principal = principal
        self._soon = soon
        self._instance = ""
        self._journal: JournalThread | None = None
        self._lock: InstanceLock | None = None
        self._is_serving = False
        self._made = 0
        self._said: set[str] = set()
        self._lingering = Lingering(store_path)
        self._group = 0
        """Of the server that is noted as ours."""

    @property
    def instance(self) -> str:
        """What this launch of the server reaches.

        Raises:
            StoreError: that cannot be told.
        """
        if not self._instance:
            self._instance = instance_of(store_key(self._store_path), self._launch, self._environ)
        return self._instance

    def has_open(self) -> bool:
        """May there be something of this instance to be taken back, of whomever? Cheap where there is not."""
        markers = Markers(self._store_path)
        if not markers.any_open():
            return False
        try:
            return markers.has_open(self.instance)
        except StoreError as error:
            self._complain(error)
            return True

    # --- the journal ------------------------------------------------------------------------------------------------

    def warm_up(self) -> None:
        """Have loaded what the first reversible speculation needs, beside the loop."""
        self.do(_load_codecs, lambda _: None)

    def do(self, operation: Callable[[Journal], T], done: Callable[[T | StoreError], None]) -> None:
        """Have the journal's thread do something."""
        if self._journal is None:
            self._journal = JournalThread(self._store_path)
        self._journal.submit(operation, lambda result: self._soon(lambda: done(result)))

    def _change(self, operation: Callable[[Journal], bool], done: Done) -> None:
        def told(result: bool | StoreError) -> None:
            if isinstance(result, StoreError):
                self._complain(result)
            done(result is True)

        self.do(operation, told)

    def intend(self, held: Reversible, done: Done) -> None:
        """Keep all that is needed to take it back."""
        self._made += 1
        held.entry = id_of(self.owner, self._made)
        try:
            entry = self._entry_of(held)
        except StoreError as error:
            self._complain(error)
            held.entry = ""
            done(False)
            return

        was_written = False

        def intend(journal: Journal) -> bool:
            nonlocal was_written
            journal.intend(entry)
            was_written = True
            return True

        def told(ok: bool) -> None:
            if not was_written:  # else it may be there, though the disk said otherwise
                held.entry = ""
            done(ok)

        self._change(intend, told)

    def _entry_of(self, held: Reversible) -> Entry:
        from spec_mcp.relay.speculations import line_of

        now = time.time()
        before = json.dumps(held.before, separators=(",", ":")).encode()
        return Entry(
            held.entry,
            self.owner,
            self.instance,
            self.server,
            self._launch.to_json(),
            self._principal,
            held.session,
            held.tool,
            line_of(held.arguments).strip(),  # pyright: ignore[reportArgumentType]
            reversal_of(held),
            now,
            now,
            before,
        )

    def returned(self, held: Reversible, is_good: bool) -> None:
        """The server answered; nobody waits for this to be on disk."""
        outcome = "result" if is_good else "error"
        result = held.result or None
        self._change(lambda journal: journal.returned(held.entry, self.owner, outcome, result), _nobody_waits)

    def left(self, held: Reversible, digest: str) -> None:
        """This is the state that it left; nobody waits."""
        held.left = digest
        self._change(lambda journal: journal.left(held.entry, self.owner, digest), _nobody_waits)

    def claim(self, held: Reversible, into: Claim, done: Done) -> None:
        """Decide what becomes of it."""
        if into == "adopted":
            self._change(lambda journal: journal.claim(held.entry, self.owner, into), done)
        else:
            self._change(lambda journal: self._compensate(journal, held), done)

    def _compensate(self, journal: Journal, held: Reversible) -> bool:
        """It is to be taken back. What we decided before of it may be there, though the disk said otherwise."""
        if journal.claim(held.entry, self.owner, "compensating"):
            return True
        for entry in journal.open_entries(self.instance):
            if entry.id == held.entry:
                return entry.owner == self.owner and entry.state == "compensating"
        # adopted, and no byte of the answer has left: it is ours as before
        outcome = "result" if held.result else "error"
        entry = self._entry_of(held)
        journal.intend(
            replace(entry, state="compensating", outcome=outcome, result=held.result or None, left=held.left)
        )
        return True

    def undo_sent(self, held: Reversible, done: Done) -> None:
        """Its undo is about to go out."""
        self._change(lambda journal: journal.undo_sent(held.entry, self.owner), done)

    def stuck(self, held: Reversible, reason: str, done: Done) -> None:
        """A person has to settle it."""
        self._end(lambda journal: journal.stuck(held.entry, self.owner, reason), done)

    def settled(self, held: Reversible, done: Done) -> None:
        """Nothing of it is left."""
        self._end(lambda journal: journal.settled(held.entry, self.owner), done)

    def _end(self, operation: Callable[[Journal], bool], done: Done) -> None:
        """An entry that is gone already is one that has ended."""

        def end(journal: Journal) -> bool:
            operation(journal)
            return True

        self._change(end, done)

    # --- what others left -------------------------------------------------------------------------------------------

    def open_entries(self, done: Callable[[list[Entry] | StoreError], None]) -> None:
        """All that is open at this instance."""
        try:
            instance = self.instance
        except StoreError as error:
            done(error)
            return
        self.do(lambda journal: journal.open_entries(instance), done)

    def seize(self, owner: str) -> Seized | None:
        """Act for an owner that is gone, until `release`; None where it lives, or that cannot be told."""
        try:
            return Owners(self._store_path).seize(owner)
        except StoreError as error:
            self._complain(error)
            return None

    def works_with(self, group: int) -> bool:
        """Note the server of which something is about to be asked; False where that cannot be done."""
        if group != self._group:
            try:
                self._lingering.note(self.owner, group)
            except StoreError as error:
                self._complain(error)
                return False
            self._group = group
        return True

    def has_done(self) -> None:
        """Nothing that our server does is to be taken back any more."""
        if self._group:
            self._group = 0
            self._lingering.forget(self.owner)

    def lingers(self, owner: str) -> bool:
        """Does the server of an owner that is gone still run?"""
        return self._lingering.has(owner)

    def has_made(self, entry: Entry) -> bool:
        """Is it ours from its beginning?"""
        return entry.id.startswith(f"{self.owner}-")

    def take_over(self, entries: list[Entry], done: Callable[[list[Entry] | StoreError], None]) -> None:
        """Be the owner of these; those that are ours now, as they are now."""

        def take_over(journal: Journal) -> list[Entry]:
            taken = [journal.take_over(entry.id, entry.owner, self.owner) for entry in entries]
            return [entry for entry in taken if entry is not None]

        self.do(take_over, done)

    # --- the right to the instance ----------------------------------------------------------------------------------

    def serve_now(self) -> bool:
        """Take the share in the instance that serving needs; False where another process has it alone just now."""
        try:
            if self._lock is None:
                self._lock = InstanceLock(self._store_path, self.instance)
            self._is_serving = self._lock.serve(0.0)
        except StoreError as error:
            self._complain(error)
            return True  # without locks nobody has it alone, and nothing reversible is done early
        return self._is_serving

    def serve_later(self, done: Done) -> None:
        """The same, waiting on a thread of its own for up to `SERVE_WAIT_S`."""
        lock = self._lock
        assert lock is not None, "it was tried at once first"

        def wait() -> None:
            try:
                served = lock.serve(SERVE_WAIT_S)
            except StoreError as error:
                trouble = error
                self._soon(lambda: told(trouble))
            else:
                self._soon(lambda: told(served))

        def told(served: bool | StoreError) -> None:
            if isinstance(served, StoreError):
                self._complain(served)
                done(True)  # as in `serve_now`
                return
            self._is_serving = served
            done(served)

        threading.Thread(target=wait, name="spec-mcp right", daemon=True).start()

    def take_right(self) -> bool:
        """Have the instance alone."""
        try:
            return self._is_serving and self._lock is not None and self._lock.upgrade()
        except StoreError as error:
            self._complain(error)
            return False

    @property
    def has_right(self) -> bool:
        """Have we the instance alone?"""
        return self._lock is not None and self._is_serving and self._lock.exclusive

    def is_wanted(self) -> bool:
        """Does another process wait for us to give that back?"""
        try:
            return self._lock is not None and self._lock.is_wanted()
        except StoreError as error:
            self._complain(error)
            return False

    def give_right(self) -> None:
        """Let others serve it too: all that we did early is adopted or taken back."""
        try:
            if self._lock is not None and self._is_serving:
                self._lock.downgrade()
        except StoreError as error:
            self._complain(error)

    def close(self) -> None:
        """Write what waits, as far as that takes no longer than the end of a process may, and let go of all."""
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None and self._is_serving:
            self._lock.release()

    def _complain(self, error: StoreError) -> None:
        if str(error) not in self._said:
            self._said.add(str(error))
            say(f"the undo journal: {error}")


def _load_codecs(journal: Journal) -> None:
    """jmespath takes 10 to 20 ms to be loaded."""
    import spec_mcp.predict.functions  # noqa: F401  # pyright: ignore[reportUnusedImport]


def _nobody_waits(is_done: bool) -> None:
    """Whether it is on disk changes nothing but what a crash costs."""

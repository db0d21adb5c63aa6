"""A stdio server behind a gateway: the same pipes as in front of one client, kept by a task instead of a loop.

Nothing here waits for anything but the server: a start, an end and a server that does not read hold up nobody else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import anyio
from anyio import to_thread

from spec_mcp.relay import wire
from spec_mcp.relay.back.due import Due
from spec_mcp.relay.back.starting import STARTING_S, Place, Starts
from spec_mcp.relay.back.words import Words
from spec_mcp.relay.bounds import DEFAULT_BOUNDS, Bounds, mib
from spec_mcp.relay.lines import LineWriter, Piece
from spec_mcp.relay.process import ENDING_S, CannotStart, ServerProcess
from spec_mcp.relay.saying import is_structured, say
from spec_mcp.relay.stdio import OLD_ONE_S, StdioLink

DEAF_S = 1.0
"""How long a server that takes no more lines may go on speaking: the end of its output follows at once as a rule."""

STATUS_POLL_S = 0.005


class StdioBack(StdioLink):
    """Lines to and from one server's process, and the next ones. `run` keeps it."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None,
        cwd: str | None,
        clock: Callable[[], float],
        starts: Starts,
        bounds: Bounds = DEFAULT_BOUNDS,
        chance: Callable[[], float] = random.random,
        name: str = "",
    ) -> None:
        """`name` is the server's, for the log."""
        self._has_output = anyio.Event()
        super().__init__(command, env, None, clock, cwd, chance, bounds.message_bytes)
        self.on_line: Callable[[bytes], None] = lambda line: None
        """Told each line of the server."""
        self.on_lost: Callable[[str], None] = lambda why: None
        """Told that the process is gone, or was never there, and why."""
        self.on_fault: Callable[[Exception], None] = _tell_fault
        """Told of what the others raise: their faults are no reason to lose a server."""
        self._due = Due(self, clock)
        self._starts = starts
        self._bounds = bounds
        self._spoken = anyio.Event()
        self._was_asked = False
        self._reading: anyio.CancelScope | None = None
        self._why = ""
        """Why we ended it."""
        self._is_paused = False
        self._listen: Callable[[bool], None] = _nobody_listens
        """Take lines of the server's, or do not."""
        self._name = name
        self._words: Words | None = None
        """What it says on standard error, where that is not simply ours."""

    @property
    def status(self) -> str:
        """How it is, for a person."""
        return "up" if self.is_up else "not running" if self.start_at_s is None else "starting"

    # --- lines ------------------------------------------------------------------------------------------------------

    def send(self, method: str, line: bytes) -> str | None:
        """Send a request, or keep it until the server is there again; why not, where it will not be."""
        if self.waiting_bytes > self._bounds.waiting_bytes:
            return "the server does not read what it is sent"
        return super().send(method, line)

    def tell(self, line: bytes) -> None:
        """Send what is no request; a server that does not read is not told."""
        if self.waiting_bytes <= self._bounds.waiting_bytes:
            super().tell(line)

    def pause(self) -> None:
        """Read nothing more for now: those who get the lines do not read either."""
        self._is_paused = True
        self._listen(False)

    def resume(self) -> None:
        """Read on."""
        self._is_paused = False
        self._listen(True)

    def _writer_to(self, fd: int) -> LineWriter:
        return _NotingWriter(fd, self._note_output)

    def _note_output(self) -> None:
        self._was_asked = True
        if self.writer.waiting_bytes or self.writer.broken:
            self._has_output.set()

    # --- keeping it -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep it until this is cancelled: start it when that is due, and tell of its end. Leaves no process behind."""
        try:
            while True:
                await self._due.wait()
                await self._live()
        finally:
            self.close(polite=True)
            with anyio.CancelScope(shield=True):
                await self._old_one_gone()

    async def _live(self) -> None:
        """One process, from its start to its end."""
        place = await self._starts.take()
        try:
            if not await self._start():
                return
            async with anyio.create_task_group() as tasks:
                self._reading = tasks.cancel_scope
                tasks.start_soon(self._flush)
                tasks.start_soon(self._watch_start, place)
                if self._words is not None:
                    tasks.start_soon(self._words.run)
                await self._read()
                tasks.cancel_scope.cancel()
        finally:
            self._reading = None
            if self._words is not None:
                self._words.close()
            place.give_back()
        await self._tell_lost()

    async def _start(self) -> bool:
        await self._old_one_gone()
        self._started_at_s = self._clock()
        self._spoken = anyio.Event()
        self._was_asked = False
        self._why = ""
        words = self._words = Words(self._name) if is_structured() else None
        stderr = None if words is None else words.write_fd
        try:
            process = await to_thread.run_sync(partial(ServerProcess, self.command, self._env, self._cwd, stderr))
        except CannotStart as error:
            self._let_go()
            self._safely(self.on_lost, str(error))
            return False
        if words is not None:
            words.started()
        self._take(process)
        return True

    async def _old_one_gone(self) -> None:
        while self.is_old_one_there:  # noqa: ASYNC110  a thread ends it
            await anyio.sleep(OLD_ONE_S)

    async def _watch_start(self, place: Place) -> None:
        bound_s = self._bounds.start_s
        until_s = anyio.current_time() + bound_s
        with anyio.move_on_after(min(STARTING_S, bound_s)):
            await self._spoken.wait()
        place.give_back()
        with anyio.move_on_at(until_s):
            await self._spoken.wait()
        if not self._spoken.is_set() and self._was_asked:
            self._end_it(f"the server said nothing within {bound_s:.0f} s of its start, and was ended")

    async def _read(self) -> None:
        """Hear the server until its output ends. The descriptor is let go of before anybody can close it."""
        reader, loop, ended = self.reader, asyncio.get_running_loop(), anyio.Event()

        def hear() -> None:
            for line in reader.read():
                self._hear(line)
            if reader.ended:
                listen(False)
                ended.set()

        def listen(is_listening: bool) -> None:
            if is_listening:
                loop.add_reader(reader.fd, hear)
            else:
                loop.remove_reader(reader.fd)

        self._listen = listen
        listen(not self._is_paused)
        try:
            await ended.wait()
        finally:
            self._listen = _nobody_listens
            listen(False)

    def _hear(self, line: bytes) -> None:
        self._spoken.set()
        if type(line) is Piece:
            most = mib(self._bounds.message_bytes)
            self._end_it(
                f"the server sent a message of more than {most}, or too much at once with others, and was ended"
            )
        elif line.endswith(b"\n"):
            self._safely(self.on_line, line)
        elif wire.read(line) is not None:  # it died before the newline; half a line is nobody's
            self._safely(self.on_line, line + b"\n")

    async def _flush(self) -> None:
        writer = self.writer
        while not writer.broken:
            await self._has_output.wait()
            self._has_output = anyio.Event()
            writer.flush()
            while writer.waiting_bytes:
                await anyio.wait_writable(writer.fd)
                writer.flush()
        await anyio.sleep(DEAF_S)
        self._end_it("the server takes no more requests, and was ended")

    def _end_it(self, why: str) -> None:
        self._why = self._why or why
        if self._reading is not None:
            self._reading.cancel()

    async def _tell_lost(self) -> None:
        process = self.process
        assert process is not None, "it was started"
        if not self._why:
            with anyio.move_on_after(ENDING_S):
                while process.exit_status() is None:  # noqa: ASYNC110  a process tells nobody of its end
                    await anyio.sleep(STATUS_POLL_S)
        status = process.exit_status()
        # only now, and at once: what is sent while it is thought to be there is lost with it
        self._let_go()
        self._end(process, polite=not self._why)
        how = "" if status is None else f" (exit code {status})" if status >= 0 else f" (signal {-status})"
        why = self._why or f"the server ended{how} before it answered; the next request starts it again"
        self._safely(self.on_lost, why)

    def _safely(self, task: Callable[..., None], argument: bytes | str) -> None:
        try:
            task(argument)
        except Exception as error:  # noqa: BLE001  rule 17: a fault of ours costs speculation, never a server
            self.on_fault(error)


class _NotingWriter(LineWriter):
    """Tells when something waits to be written."""

    def __init__(self, fd: int, note: Callable[[], None]) -> None:
        super().__init__(fd)
        self._note = note

    def put(self, line: bytes) -> None:
        """Queue a line; it is written soon."""
        super().put(line)
        self._note()

    def send(self, line: bytes) -> None:
        """Write a line at once, or queue it behind what waits."""
        LineWriter.put(self, line)
        self.flush()
        self._note()


def _nobody_listens(is_listening: bool) -> None:
    """Where no process is there to listen to."""


def _tell_fault(error: Exception) -> None:
    say(f"a line could not be looked into ({type(error).__name__}: {error})")

"""One connection to a stdio server: its process, the pipes to and from it, and its end.

A new process is started when the one before has gone with all that it started: two of one server might disturb each
other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from spec_mcp.relay.lines import LineReader, LineWriter, Piece
from spec_mcp.relay.link import ServerLink
from spec_mcp.relay.process import ServerProcess

OLD_ONE_S = 0.02
"""How often to look whether the old process has gone."""


class StdioLink(ServerLink):
    """Lines to and from one server's process, and the next ones. Who holds it reads, flushes, and starts when due."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None,
        process: ServerProcess | None,
        clock: Callable[[], float],
        cwd: str | None = None,
        chance: Callable[[], float] = lambda: 0.0,
        message_bytes: int | None = None,
    ) -> None:
        """Of a line longer than `message_bytes` only pieces are read."""
        self.command = list(command)
        self.process = process
        self._message_bytes = message_bytes
        self.reader = self._reader_of(process)
        self.writer = self._writer_to(-1 if process is None else process.input_fd)
        super().__init__(self.writer, clock, process is not None, chance)
        self._env = env
        self._cwd = cwd
        self._is_passing = False
        """A line goes on in pieces, and its end has not come."""
        self._is_lost = False
        """The process that got the beginning of that line, or should have, is gone."""
        self._enders: list[threading.Thread] = []

    @property
    def ends_with_server(self) -> bool:
        """The process is gone, and what it was doing with it."""
        return True

    @property
    def group(self) -> int:
        """The group of the server's processes; 0 where there is none."""
        return 0 if self.process is None else self.process.pid

    def pass_on(self, piece: Piece) -> None:
        """Send part of a line that is too long to be collected; who has not got its beginning gets nothing of it."""
        if not self._is_passing:
            self._is_lost = False
        self._is_passing = not piece.endswith(b"\n")
        if not self._is_lost:
            self._is_lost = self.send("", piece) is not None

    # --- ends and beginnings ----------------------------------------------------------------------------------------

    def lost(self) -> int | None:
        """The process is gone: what waited and what was asked of it is forgotten. Returns its exit code, if known."""
        process = self._let_go()
        if process is None:
            return None
        status = process.final_status()
        # what is left of its group may take its time; nobody waits for it but the next process
        self._end(process, polite=True)
        return status

    def close_input(self) -> None:
        """The client has left: tell the server that nothing more will come."""
        self.writer.stop()
        if self.process is not None:
            self.process.close_input()

    def close(self, polite: bool) -> None:
        """Begin to end the process and all that it started."""
        process, self.process = self.process, None
        self._is_connected = False
        self.writer.stop()
        if process is not None:
            self._end(process, polite)

    def join(self) -> None:
        """Wait until all that was begun to be ended has gone."""
        for ender in self._enders:
            ender.join()

    @property
    def is_old_one_there(self) -> bool:
        """Has something that was begun to be ended not gone yet?"""
        return any(ender.is_alive() for ender in self._enders)

    def _let_go(self) -> ServerProcess | None:
        process, self.process = self.process, None
        self._is_lost = True
        self._disconnected()  # the descriptor of its input will be another's
        return process

    def _end(self, process: ServerProcess, polite: bool) -> None:
        ender = threading.Thread(target=process.end, args=(polite,), name="spec-mcp ender", daemon=True)
        try:
            ender.start()
        except RuntimeError:  # the system has no thread left for us
            process.end(polite=False)
            return
        self._enders = [thread for thread in self._enders if thread.is_alive()] + [ender]

    def start(self) -> None:
        """Start a new process and tell it what the old one knew; later, if the old one has not gone yet.

        Raises:
            CannotStart: the command does not start any more.
        """
        if self.is_old_one_there:
            self.start_at_s = self._clock() + OLD_ONE_S
            return
        self.start_at_s = None
        self._started_at_s = self._clock()
        self._take(ServerProcess(self.command, self._env, self._cwd))

    def _take(self, process: ServerProcess) -> None:
        self.process = process
        self.reader = self._reader_of(process)
        self.writer = self._writer_to(process.input_fd)
        self._connected(self.writer)

    def _reader_of(self, process: ServerProcess | None) -> LineReader:
        return LineReader(-1 if process is None else process.output_fd, self._message_bytes)

    def _writer_to(self, fd: int) -> LineWriter:
        return LineWriter(fd)

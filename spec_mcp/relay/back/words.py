"""What a server says on standard error, where each line of our log is an object: one for each of its lines."""

from __future__ import annotations

import os
import select
import threading
import time

import anyio

from spec_mcp.relay.saying import say

READ_BYTES = 1 << 16

LEFT_BEHIND_S = 60.0
"""How long what a server has left behind may go on speaking in its name: each such has a thread and a descriptor."""

LINE_MAX_BYTES = 1 << 12
"""A longer line is said in parts: more of one is cut off in the log."""


class Words:
    """Of one process: a pipe whose one end is its standard error."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._rest = b""
        self._ended = False

    def started(self) -> None:
        """The process has its end: ours is closed."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    async def run(self) -> None:
        """Say what comes, until this is cancelled or nothing more can come."""
        while not self._ended:
            await anyio.wait_readable(self._read_fd)
            self._say()

    def close(self) -> None:
        """The process is ending, or there is none. What it says meanwhile is taken: a pipe that nobody reads could end
        it too soon."""
        self.started()
        self._say()
        try:
            if not self._ended:
                threading.Thread(target=self._say_rest, name="spec-mcp words", daemon=True).start()
                return
        except RuntimeError:  # the system has no thread left for us
            pass
        os.close(self._read_fd)

    def _say_rest(self) -> None:
        poller, until_s = select.poll(), time.monotonic() + LEFT_BEHIND_S
        poller.register(self._read_fd, select.POLLIN)
        while not self._ended and (left_s := until_s - time.monotonic()) > 0:
            if poller.poll(left_s * 1000):
                self._say()
        os.close(self._read_fd)

    def _say(self) -> None:
        """Say what there is now."""
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return
        self._ended = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._ended or len(self._rest) > LINE_MAX_BYTES:
            lines.append(self._rest)
            self._rest = b""
        for line in filter(None, lines):
            say(line.decode(errors="replace"), server=self._server, source="stderr")

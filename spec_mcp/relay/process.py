"""A server's process: started at once, with its stderr passed through, and ended as a group.

The process leads a session of its own, so that all it starts can be ended with it. Should we be killed ourselves, a
guard (a shell that waits on a pipe which only we hold open) ends the group in our place.

This module is on the path of `wrap`'s start: it imports little.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

POLITE_S = 1.0
"""How long a server may take to leave after its input was closed, and again after SIGTERM; clients wait about 2 s."""

POLL_S = 0.01

GUARD = 'read -r word || { kill -TERM "-$1"; sleep 1; kill -KILL "-$1"; } 2>/dev/null'
"""Without `--` before the group: the kill of dash does not know it."""


class CannotStart(Exception):  # noqa: N818  what happened, in the words of the user
    """The command could not be started; the message says why."""


class ServerProcess:
    """A running server with pipes to its input and from its output, both non-blocking."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> None:
        """Start the command, in the folder `cwd` where one is given.

        Raises:
            CannotStart: there is no such program or folder, or it may not be run.
        """
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env=None if env is None else {**os.environ, **env},
                cwd=cwd,
            )
        except OSError as error:
            raise CannotStart(f"cannot start {command[0]!r}: {error.strerror or error}") from error
        assert self._process.stdin is not None, "a pipe was asked for"
        assert self._process.stdout is not None, "a pipe was asked for"
        self.input_fd = self._process.stdin.fileno()
        self.output_fd = self._process.stdout.fileno()
        os.set_blocking(self.input_fd, False)
        os.set_blocking(self.output_fd, False)
        self.started_at = time.monotonic()
        self._guard = self._start_guard()

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def close_input(self) -> None:
        """Tell the server that nothing more will come."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def end(self, polite: bool = True) -> None:
        """End the whole group: by the end of its input, then SIGTERM, then SIGKILL. Returns when it is gone."""
        self.close_input()
        if polite:
            self._wait(POLITE_S)
        if self._signal(signal.SIGTERM):
            self._wait(POLITE_S)
            self._signal(signal.SIGKILL)
        self._process.wait()
        self._dismiss_guard()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _wait(self, bound_s: float) -> None:
        until = time.monotonic() + bound_s
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(POLL_S)

    def _signal(self, number: signal.Signals) -> bool:
        """Signal the group; False if nobody is left in it."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _start_guard(self) -> subprocess.Popen[bytes] | None:
        try:
            return subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "spec-mcp-guard", str(self.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:  # without a shell the server still sees the end of its input when we die
            return None

    def _dismiss_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is None or guard.stdin is None:
            return
        try:
            guard.stdin.write(b"done\n")
            guard.stdin.close()
        except OSError:  # it is gone already
            pass
        guard.wait()

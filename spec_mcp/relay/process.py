"""A server's process: started at once, with its stderr passed through, and ended as a group.

The process leads a session of its own, so that all it starts can be ended with it. Should we be killed ourselves, a
guard (a shell that waits on a pipe which only we hold open) ends the group in our place.

A group is known by the number of its leader, and that number is free for others once the leader has been reaped. So
the leader is looked at without reaping it, and reaped only when the group has got its last signal.

This module is on the path of `wrap`'s start: it imports little.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

POLITE_S = 1.0
"""How long a server may take to leave after its input was closed. Clients wait about 2 s for us, in all."""

TERM_S = 0.5
"""How long after SIGTERM."""

KILLED_S = 1.0
"""How long after SIGKILL: only a process that hangs in the system itself takes any time."""

ENDING_S = 0.03
"""How long to wait for the exit status after the end of the output: it makes an error clearer, no more."""

POLL_S = 0.005

DRAIN_BYTES = 1 << 16

DRAINED_AT_ONCE = 16
"""Reads of a server's last words between two looks at the time: it may never stop talking."""

GUARD = """
read -r word && exit
kill -TERM "-$1" || exit
for tenth in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; kill -0 "-$1" || exit; done
kill -KILL "-$1"
"""
"""Without `--` before the group: the kill of dash does not know it."""


DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
"""How many files we might have open when we were started. Servers may as many: where we take more for ourselves, some
would close or watch them all."""


class CannotStart(Exception):  # noqa: N818  what happened, in the words of the user
    """The command could not be started; the message says why."""


class ServerProcess:
    """A running server with pipes to its input and from its output, both non-blocking."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stderr: int | None = None,
    ) -> None:
        """Start the command, in the folder `cwd` where one is given. Its standard error is ours, or this descriptor.

        Raises:
            CannotStart: there is no such program or folder, or it may not be run.
        """
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                start_new_session=True,
                env=None if env is None else {**os.environ, **env},
                cwd=cwd,
            )
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the command
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise CannotStart(f"cannot start {command[0]!r}: {reason}") from error
        _limit_descriptors(self._process.pid)
        assert self._process.stdin is not None, "a pipe was asked for"
        assert self._process.stdout is not None, "a pipe was asked for"
        self.input_fd = self._process.stdin.fileno()
        self.output_fd = self._process.stdout.fileno()
        os.set_blocking(self.input_fd, False)
        os.set_blocking(self.output_fd, False)
        self._output_ended = False
        self._guard = self._start_guard()

    @property
    def pid(self) -> int:
        """The process's id, which is its group's too."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """The exit code, negative for a signal; None while it runs. Its number stays taken."""
        if self._process.returncode is not None:
            return self._process.returncode
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self._process.poll()
        try:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # somebody else reaped it
            return self._process.poll()
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def final_status(self) -> int | None:
        """The exit status of a process that has closed its output and so, as a rule, is about to end."""
        self._wait(ENDING_S, lambda: self.exit_status() is not None)
        return self.exit_status()

    def close_input(self) -> None:
        """Tell the server that nothing more will come."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def end(self, polite: bool = True) -> None:
        """End the whole group: by the end of its input, then SIGTERM, then SIGKILL. Returns when it is gone.

        It takes `POLITE_S` (where `polite`), `TERM_S` and `KILLED_S` at the most.
        """
        self.close_input()
        if polite:
            self._wait(POLITE_S, self._is_gone)
        self._signal(signal.SIGTERM)
        self._wait(TERM_S, self._is_gone)
        self._signal(signal.SIGKILL)
        self._wait(KILLED_S, lambda: self.exit_status() is not None)
        self._dismiss_guard()
        self._process.poll()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _is_gone(self) -> bool:
        """Has the leader ended, and all of its group that could still write to us?"""
        return self.exit_status() is not None and self._has_output_ended()

    def _has_output_ended(self) -> bool:
        for _ in range(DRAINED_AT_ONCE):
            if self._output_ended:
                break
            try:
                self._output_ended = not os.read(self.output_fd, DRAIN_BYTES)
            except BlockingIOError:
                return False
            except OSError:
                self._output_ended = True
        return self._output_ended

    def _wait(self, bound_s: float, happened: Callable[[], bool]) -> None:
        until = time.monotonic() + bound_s
        while not happened() and time.monotonic() < until:
            time.sleep(POLL_S)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is not None:  # reaped: the number may be another's by now
            return
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # a group of which only the dead leader is left, on some systems
            pass

    def _start_guard(self) -> subprocess.Popen[bytes] | None:
        try:
            return subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "spec-mcp-guard", str(self.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
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
        except OSError:  # it is gone already
            pass
        guard.stdin.close()
        try:
            guard.wait(KILLED_S)
        except subprocess.TimeoutExpired:  # somebody has stopped it
            guard.kill()


def _limit_descriptors(pid: int) -> None:
    """Give a process the bound on open files that we were given ourselves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == DESCRIPTORS or not hasattr(resource, "prlimit"):  # macOS: a child keeps what it inherits
        return
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    except (OSError, ValueError):  # it has gone, or may do as it likes
        pass

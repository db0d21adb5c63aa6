"""Programs that serve: started as processes, found by the URL that they print, ended, and never left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SERVERS = ROOT / "tests" / "servers"

URL = re.compile(rb"https?://[^\s\"']+/(?:mcp|sse)\b")
START_S = 60.0
END_S = 15.0
KEPT_LINES = 200
"""Of what a program printed: enough to tell why it failed."""


class NotServing(Exception):  # noqa: N818  what happened
    """A program ended, or printed no URL in time. The message holds what it printed."""


class Program:
    """A process that serves at `url`. What it prints is read all the time, so that it never blocks on it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.command = list(command)
        self.url = ""
        self.printed: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
        self._said_or_ended = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_url(self, within_s: float = START_S) -> str:
        """Where it serves.

        Raises:
            NotServing: it ended before it said so, or took too long.
        """
        self._said_or_ended.wait(within_s)
        if not self.url:
            raise NotServing(f"{self.command}: no URL within {within_s} s; it printed:\n{self.text()}")
        return self.url

    def text(self) -> str:
        """The end of what it printed."""
        return b"".join(self.printed).decode(errors="replace")

    def kill(self) -> None:
        """End it as an accident would: without a warning, with all its group."""
        self._signal_group(signal.SIGKILL)
        self._finish()

    def end(self) -> int:
        """Ask it to end and wait; its exit status. What does not end in time is killed, status -9."""
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._signal_group(signal.SIGKILL)
        return self._finish()

    def running(self) -> bool:
        return self._process.poll() is None

    def _finish(self) -> int:
        status = self._process.wait(END_S)
        self._reader.join(END_S)
        if self._process.stdout and not self._reader.is_alive():
            self._process.stdout.close()
        return status

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass  # it has gone by itself

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.printed.append(line)
            if not self.url and (found := URL.search(line)):
                self.url = found.group().decode()
                self._said_or_ended.set()
        self._said_or_ended.set()


@contextmanager
def serving(command: Sequence[str], env: Mapping[str, str] | None = None) -> Generator[Program]:
    """A program that serves, until the block ends.

    Raises:
        NotServing: it does not.
    """
    program = Program(command, env if env is not None else os.environ)
    try:
        program.wait_url()
        yield program
    finally:
        program.end()


def gateway(config: Path, *options: str) -> list[str]:
    """The gateway in front of a configuration, over stdio; with `--http HOST:PORT` over HTTP."""
    return [str(BIN / "spec-mcp"), "run", "--config", str(config), *options]


OVER_HTTP = ("--http", "127.0.0.1:0")


def server(name: str, *options: str) -> list[str]:
    """One of our test servers."""
    return [sys.executable, str(SERVERS / name), *options]

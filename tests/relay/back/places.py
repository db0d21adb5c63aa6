"""Real servers behind every kind of link: where they run, how they die and how they come back."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.http import HttpBack
from spec_mcp.relay.back.sse import SseBack
from spec_mcp.relay.back.starting import Starts
from spec_mcp.relay.back.stdio import StdioBack
from spec_mcp.relay.clock import now_s
from tests.pipes import Missing
from tests.relay.back.keeping import HANDSHAKE, STATELESS, WAIT_S

BUSY = Path(__file__).resolve().parents[2] / "servers" / "busy.py"
QUIET = ("-W", "ignore")


class Piped:
    """A server that the link itself starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.era = HANDSHAKE
        self.tells_of_its_end = True
        self.begin()

    def begin(self) -> None:
        """A test begins: with a link and a folder of its own."""
        self.link = StdioBack(busy(), {"BUSY_FOLDER": str(self.folder)}, None, now_s, Starts())
        for path in self.folder.iterdir():
            path.unlink()

    def kill(self) -> None:
        """The server dies."""
        os.kill(self.link.group, signal.SIGKILL)

    async def come_back(self) -> None:
        """It can be reached again."""

    def end(self) -> None:
        """The test is over."""


class Served:
    """A server that listens on a port of loopback, and keeps that."""

    def __init__(
        self, folder: Path, command: Sequence[str], way: str, era: str, make: Callable[..., HttpBack | SseBack]
    ) -> None:
        self.folder = folder
        self.era = era
        self.tells_of_its_end = make is SseBack
        self._command = [*command]
        self._way = way
        self._make = make
        self.process, self.url = self._start("0")
        self.begin()

    def _start(self, port: str) -> tuple[subprocess.Popen[bytes], str]:
        environment = {**os.environ, "BUSY_FOLDER": str(self.folder)}
        command = [*self._command, self._way, port]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], WAIT_S)[0]:
            process.kill()
            raise Missing(f"{command} says no address")
        return process, process.stdout.readline().decode().strip()

    def begin(self) -> None:
        """A test begins: with a link and a folder of its own."""
        self.link = self._make(Address(self.url, {}), now_s)
        for path in self.folder.iterdir():
            path.unlink()

    @property
    def port(self) -> str:
        return self.url.rsplit(":", 1)[1].split("/", 1)[0]

    def kill(self) -> None:
        """The server dies."""
        self.process.kill()
        self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    async def come_back(self) -> None:
        """It can be reached again, under the same address."""
        self.process, url = await anyio.to_thread.run_sync(self._start, self.port)
        assert url == self.url

    def end(self) -> None:
        """The test is over."""
        self.kill()


def over_http(folder: Path) -> Served:
    """Streamable HTTP in the handshake era."""
    return Served(folder, busy(), "--http", HANDSHAKE, HttpBack)


def over_stateless_http(folder: Path) -> Served:
    """Streamable HTTP in the stateless era."""
    return Served(folder, busy(), "--http", STATELESS, HttpBack)


def over_sse(folder: Path) -> Served:
    """The older transport."""
    return Served(folder, busy(), "--sse", HANDSHAKE, SseBack)


def busy() -> list[str]:
    """The command of the server whose tools take their time."""
    return [sys.executable, *QUIET, str(BUSY)]

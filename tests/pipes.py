"""A raw MCP client over pipes: it sends any bytes, keeps every line that comes back, and waits with a bound."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

LEGACY = "2025-11-25"
MODERN = "2026-07-28"
WAIT_S = 60.0
"""What a test waits at most for something that must happen: the machine of a CI is slow at times."""

STEP_S = 0.005


class Missing(AssertionError):  # noqa: N818  what was waited for
    """What a test waited for did not happen in time."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that the server side wrote."""

    raw: bytes
    message: Any
    """Decoded; None where it is no JSON."""
    at_s: float

    @property
    def is_answer(self) -> bool:
        return isinstance(self.message, dict) and "method" not in self.message and "id" in self.message

    @property
    def method(self) -> str | None:
        return self.message.get("method") if isinstance(self.message, dict) else None

    @property
    def text(self) -> str:
        """The text of the first item of a tool's result."""
        return self.message["result"]["content"][0]["text"]

    def member(self, name: str) -> bytes | None:
        """The bytes of a top-level member as they came; None where there is none."""
        try:
            raw = msgspec.json.decode(self.raw, type=dict[str, msgspec.Raw]).get(name)
            return None if raw is None else bytes(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # a lone surrogate: take it out of the text, the member is the last but for closing brackets
            start = self.raw.find(b'"' + name.encode() + b'":')
            return None if start < 0 else self.raw[start + len(name) + 3 : -1]


class RawClient:
    """A client of one command. Requests of the server are answered by `answers`, by method; others stay open."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        answers: Mapping[str, Any] | None = None,
        preexec: Callable[[], None] | None = None,
        sent: list[Line] | None = None,
    ) -> None:
        self.lines: list[Line] = []
        self.sent = [] if sent is None else sent
        self.stderr = b""
        self.answers = dict(answers or {})
        self._changed = threading.Condition()
        self._ended = False
        self._next_id = 0
        self._writing = threading.Lock()
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=preexec,
        )
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- sending ----------------------------------------------------------------------------------------------------

    def send_bytes(self, data: bytes) -> None:
        """Send these very bytes."""
        assert self.process.stdin
        with self._writing:
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def send_line(self, raw: bytes) -> None:
        """Send one line as it is."""
        self.sent.append(decode_line(raw))
        self.send_bytes(raw + b"\n")

    def send(self, message: Any) -> None:
        """Send one message."""
        self.send_line(json.dumps(message, separators=(",", ":")).encode())

    def request(self, method: str, params: Mapping[str, Any] | None = None, request: Any = None) -> Any:
        """Send a request and return its id."""
        if request is None:
            self._next_id += 1
            request = self._next_id
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": request, "method": method}
        if params is not None:
            message["params"] = params
        self.send(message)
        return request

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})})

    def begin_call(self, tool: str, arguments: Mapping[str, Any] | None = None, **params: Any) -> Any:
        """Send a `tools/call` and return its id."""
        return self.request("tools/call", {"name": tool, "arguments": arguments or {}, **params})

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Line:
        """Send a request and wait for its answer."""
        return self.answer(self.request(method, params))

    def call(self, tool: str, arguments: Mapping[str, Any] | None = None, **params: Any) -> Line:
        """Make a `tools/call` and wait for its answer."""
        return self.answer(self.begin_call(tool, arguments, **params))

    def initialize(self, protocol: str = LEGACY, capabilities: Mapping[str, Any] | None = None) -> Line:
        """The handshake, then `notifications/initialized`."""
        answer = self.ask(
            "initialize",
            {
                "protocolVersion": protocol,
                "capabilities": capabilities or {},
                "clientInfo": {"name": "raw", "version": "0"},
            },
        )
        self.notify("notifications/initialized")
        return answer

    def list_tools(self) -> list[Any]:
        """All pages of the tool list."""
        tools: list[Any] = []
        params: dict[str, Any] = {}
        while True:
            result = self.ask("tools/list", params).message["result"]
            tools += result["tools"]
            if "nextCursor" not in result:
                return tools
            params = {"cursor": result["nextCursor"]}

    # --- waiting ----------------------------------------------------------------------------------------------------

    def wait(self, wanted: Callable[[Line], bool], timeout_s: float = WAIT_S, start: int = 0) -> Line:
        """The first line from `start` on that is wanted.

        Raises:
            Missing: it did not come in time, or the other side closed its output first.
        """
        deadline_s = time.monotonic() + timeout_s
        position = start
        with self._changed:
            while True:
                while position < len(self.lines):
                    if wanted(self.lines[position]):
                        return self.lines[position]
                    position += 1
                left_s = deadline_s - time.monotonic()
                if self._ended or left_s <= 0:
                    reason = "output ended" if self._ended else f"nothing in {timeout_s} s"
                    raise Missing(
                        f"{reason}; last lines {[line.raw[:300] for line in self.lines[-5:]]}, {self.stderr!r}"
                    )
                self._changed.wait(left_s)

    def answer(self, request: Any, timeout_s: float = WAIT_S) -> Line:
        """The answer to the request of this id."""
        return self.wait(
            lambda line: line.is_answer and line.message["id"] == request and type(line.message["id"]) is type(request),
            timeout_s,
        )

    def notifications(self, method: str | None = None) -> list[Line]:
        """All notifications that came until now, of one method or of any."""
        with self._changed:
            return [
                line
                for line in self.lines
                if line.method and "id" not in line.message and method in (None, line.method)
            ]

    def wait_stderr(self, text: bytes, timeout_s: float = WAIT_S) -> None:
        """Wait until standard error holds this text."""
        eventually(lambda: text in self.stderr, f"{text!r} in standard error", timeout_s, lambda: repr(self.stderr))

    # --- ending -----------------------------------------------------------------------------------------------------

    def close_input(self) -> None:
        """Leave politely."""
        assert self.process.stdin
        if not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass  # it is gone already

    def wait_exit(self, timeout_s: float = WAIT_S) -> int:
        """The exit code.

        Raises:
            Missing: it still runs.
        """
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise Missing(f"still running after {timeout_s} s; standard error: {self.stderr!r}") from None

    def wait_silence(self, timeout_s: float = WAIT_S) -> None:
        """Wait until nobody is left who could write to its standard error: its server has that from it.

        Raises:
            Missing: somebody still runs.
        """
        self._readers[1].join(timeout_s)
        if self._readers[1].is_alive():
            raise Missing(f"its standard error is open after {timeout_s} s; {self.stderr!r}")

    def close(self) -> None:
        """Leave, and make sure that nothing of the process group stays."""
        self.close_input()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # the group is gone, as it should be
        self.process.wait(WAIT_S)
        for reader in self._readers:
            reader.join(WAIT_S)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()

    def _read_lines(self) -> None:
        assert self.process.stdout
        for raw in self.process.stdout:
            line = decode_line(raw)
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
            if line.method in self.answers and "id" in line.message:
                self.send({"jsonrpc": "2.0", "id": line.message["id"], **self.answers[line.method]})
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_stderr(self) -> None:
        assert self.process.stderr
        while chunk := os.read(self.process.stderr.fileno(), 1 << 16):
            self.stderr += chunk


def eventually(
    holds: Callable[[], object],
    what: str,
    timeout_s: float = WAIT_S,
    seen: Callable[[], str] = lambda: "nothing more is known",
) -> None:
    """Wait until something holds.

    Raises:
        Missing: it did not in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise Missing(f"not within {timeout_s} s: {what}; {seen()}")
        time.sleep(STEP_S)


def is_alive(pid: int) -> bool:
    """Does a process of this number run, and not as a zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def decode_line(raw: bytes) -> Line:
    """A line with what it says."""
    try:
        message = json.loads(raw)
    except (ValueError, RecursionError):
        message = None
    return Line(raw.removesuffix(b"\n"), message, time.monotonic())

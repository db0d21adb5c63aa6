"""The wire of the hostile server: lines in and out over file descriptors, with every received byte kept in a file.

Nothing of an SDK and nothing of spec_mcp: what a test learns from here does not depend on what it tests.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

READ_BYTES = 1 << 16
GATE_STEP_S = 0.002
PEER_ANSWER_S = 30.0
"""A client that does not answer within this time has lost the request."""


class Wire:
    """Standard input and output. Writes of several threads never mix; reads are logged byte for byte."""

    def __init__(self, received: Path | None, marks: Path | None) -> None:
        self._received = received.open("ab", buffering=0) if received else None
        self._marks = marks.open("ab", buffering=0) if marks else None
        self._writing = threading.Lock()
        self._asked: dict[Any, threading.Event] = {}
        self._answers: dict[Any, bytes] = {}
        self._next_ask = 0

    def lines(self):
        """Every complete line that the client sends, without its end."""
        pending = bytearray()  # bytes would be copied whole for each part of a large line
        while chunk := os.read(0, READ_BYTES):
            if self._received:
                self._received.write(chunk)
            first, *others = chunk.split(b"\n")
            pending += first
            for other in others:
                yield bytes(pending)
                pending = bytearray(other)

    def mark(self, what: str, **details: Any) -> None:
        """Note for the test what happened, in a line of its own."""
        if self._marks:
            self._marks.write(json.dumps({"what": what, **details}).encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Write these very bytes."""
        with self._writing:
            self._write_all(data)

    def write_slowly(self, data: bytes, chunk_bytes: int, gap_s: float) -> None:
        """Write these bytes in pieces, so that the reader sees partial lines."""
        with self._writing:
            for start in range(0, len(data), chunk_bytes):
                self._write_all(data[start : start + chunk_bytes])
                time.sleep(gap_s)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; lone surrogates leave as escapes."""
        self.write(encode(message))

    def answer(self, request: Any, result: Any) -> None:
        """Answer a request."""
        self.send({"jsonrpc": "2.0", "id": request, "result": result})

    def ask(self, method: str, params: dict[str, Any]) -> bytes:
        """Send a request to the client and wait for its answer: the raw line."""
        self._next_ask += 1
        request = f"ask-{self._next_ask}"
        event = self._asked[request] = threading.Event()
        self.send({"jsonrpc": "2.0", "id": request, "method": method, "params": params})
        if not event.wait(PEER_ANSWER_S):
            return b'{"error":"no answer"}'
        return self._answers.pop(request)

    def answered(self, request: Any, line: bytes) -> bool:
        """Take an answer of the client; False where nothing was asked under this id."""
        event = self._asked.pop(request, None) if isinstance(request, str) else None
        if event is None:
            return False
        self._answers[request] = line
        event.set()
        return True

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


def encode(message: Any) -> bytes:
    """One line of JSON."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def wait_for_gate(gate: str, cancelled: threading.Event) -> bool:
    """Wait until the file exists; False when cancelled first."""
    while not Path(gate).exists():
        if cancelled.wait(GATE_STEP_S):
            return False
    return True

"""`spec-mcp wrap` in front of the hostile server, as a client starts it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.pipes import RawClient, eventually

ROOT = Path(__file__).resolve().parents[2]
SPEC_MCP = Path(sys.executable).parent / "spec-mcp"
HOSTILE = ROOT / "tests" / "servers" / "hostile.py"
MANIFEST = ROOT / "tests" / "servers" / "hostile.toml"


class Wrapped(RawClient):
    """A raw client of our own process, with what the server behind it noted."""

    def __init__(
        self, folder: Path, server_options: Sequence[str], wrap_options: Sequence[str], **options: Any
    ) -> None:
        self.received_path = folder / "received"
        self._marks_path = folder / "marks"
        server = [sys.executable, str(HOSTILE), "--received", str(self.received_path), "--marks", str(self._marks_path)]
        command = [str(SPEC_MCP), "wrap", "--manifest", str(MANIFEST), *wrap_options, "--", *server, *server_options]
        super().__init__(command, **options)

    def marks(self, what: str) -> list[Any]:
        """What the server noted of one kind."""
        lines = self._marks_path.read_text().splitlines() if self._marks_path.exists() else []
        return [mark for line in lines if line.endswith("}") and (mark := json.loads(line))["what"] == what]

    def wait_mark(self, what: str, count: int = 1) -> Any:
        """Wait until the server noted this so often; the last of them."""
        eventually(lambda: len(self.marks(what)) >= count, f"{count} times {what!r}", seen=lambda: repr(self.stderr))
        return self.marks(what)[count - 1]

    def __enter__(self) -> Wrapped:
        return self

    @property
    def received(self) -> bytes:
        """Every byte that the server got."""
        return self.received_path.read_bytes() if self.received_path.exists() else b""


MakeWrapped = Callable[..., Wrapped]


@pytest.fixture
def wrap(tmp_path: Path) -> Generator[MakeWrapped]:
    """Start one: `wrap("--banner", wrap_options=["--mode", "off"])`; all are gone after the test."""
    with ExitStack() as stack:

        def make(*server_options: str, wrap_options: Sequence[str] = (), **options: Any) -> Wrapped:
            return stack.enter_context(Wrapped(tmp_path, server_options, wrap_options, **options))

        yield make

"""Exchanges with speculators as lines of a file: written while they are asked, and answered from in their place.

One JSON object a line: `{"speculator", "api", "from", "request", "answer" or "error", "took_s", "at"}`. `request` is
what was sent, without credentials; `from` is where it was sent; `answer` is `{"text", "tokens"}`. A request that was
made several times is answered as it was each time, in order, and as the last time from then on.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

import msgspec

from spec_mcp.config import ModelPredictor
from spec_mcp.errors import UserError
from spec_mcp.speculators.api import (
    NO_TOKENS,
    Api,
    ApiError,
    Body,
    Refused,
    Reply,
    TimedOut,
    Tokens,
    Unreachable,
    Unrecorded,
)
from spec_mcp.speculators.bodies import api_name_of

CANCELLED = "cancelled"
_KINDS: dict[type[ApiError], str] = {TimedOut: "timed-out", Unreachable: "unreachable", Refused: "refused"}


class Fault(msgspec.Struct):
    """Why there was no answer."""

    kind: str
    said: str = ""
    status: int = 0
    retry_after_s: float | None = None


class Exchange(msgspec.Struct, kw_only=True):
    """One line."""

    speculator: str
    api: str
    source: str = msgspec.field(name="from")
    request: dict[str, Any]
    text: str | None = None
    tokens: Tokens = NO_TOKENS
    error: Fault | None = None
    took_s: float
    at: float


class Tape:
    """A file that is written, one line an exchange."""

    def __init__(self, path: Path) -> None:
        """Raises:
        UserError: it cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # it holds what tools said
        except OSError as error:
            raise UserError(f"--record {path}: {error.strerror or error}: name a file that can be written") from error
        self._file: IO[bytes] = os.fdopen(descriptor, "ab")

    def write(self, exchange: Exchange) -> None:
        """One more; a disk that is full loses it."""
        try:
            self._file.write(msgspec.json.encode(exchange) + b"\n")
            self._file.flush()
        except (OSError, ValueError, UnicodeEncodeError):
            pass

    def close(self) -> None:
        """No more."""
        try:
            self._file.close()
        except OSError:
            pass


class RecordingApi:
    """Any API, with each exchange written down."""

    def __init__(self, name: str, settings: ModelPredictor, api: Api, write: Callable[[Exchange], None]) -> None:
        self._name = name
        self._settings = settings
        self._api = api
        self._write = write

    async def send(self, body: Body, within_s: float) -> Reply:
        at, began_s = time.time(), time.monotonic()
        reply: Reply | None = None
        fault: Fault | None = None
        try:
            return (reply := await self._api.send(body, within_s))
        except asyncio.CancelledError:
            fault = Fault(CANCELLED)
            raise
        except ApiError as error:
            fault = _fault_of(error)
            raise
        finally:
            self._write(
                Exchange(
                    speculator=self._name,
                    api=api_name_of(self._settings),
                    source=source_of(self._settings),
                    request=body,
                    text=None if reply is None else reply.text,
                    tokens=NO_TOKENS if reply is None else reply.tokens,
                    error=fault,
                    took_s=round(time.monotonic() - began_s, 6),
                    at=at,
                )
            )

    async def close(self) -> None:
        await self._api.close()


class ReplayingApi:
    """Answers from a recording; there is no network here."""

    def __init__(self, name: str, settings: ModelPredictor, recorded: Recorded) -> None:
        self._name = name
        self._api_name = api_name_of(settings)
        self._recorded = recorded

    async def send(self, body: Body, within_s: float) -> Reply:
        exchange = self._recorded.next_for(self._api_name, body)
        if exchange is None:
            raise Unrecorded(f"a request that {self._recorded.path} does not hold: it was recorded in another course")
        if exchange.error is not None and exchange.error.kind in (CANCELLED, _KINDS[TimedOut]):
            await asyncio.sleep(within_s)
            raise TimedOut("no answer in time")
        await asyncio.sleep(min(exchange.took_s, within_s))
        if exchange.error is not None:
            raise _raised(exchange.error)
        return Reply(exchange.text or "", exchange.tokens)

    async def close(self) -> None:
        """Nothing is open."""


class Recorded:
    """The exchanges of a file."""

    def __init__(self, path: Path) -> None:
        """Raises:
        UserError: it cannot be read, or holds something else.
        """
        self.path = path
        self._left: dict[tuple[str, str], list[Exchange]] = {}
        """By API and request, the last one first."""
        for exchange in _read(path):
            self._left.setdefault((exchange.api, _canonical(exchange.request)), []).insert(0, exchange)

    def next_for(self, api: str, body: Body) -> Exchange | None:
        """What came of this request, the next time; None where it was never made."""
        left = self._left.get((api, _canonical(body)))
        if not left:
            return None
        return left.pop() if len(left) > 1 else left[0]


def source_of(settings: ModelPredictor) -> str:
    """Where requests go, without what may be a password in the address."""
    if settings.base_url is None:
        return "the vendor's own server"
    parts = urlsplit(settings.base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _read(path: Path) -> Iterable[Exchange]:
    number = 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                if line.strip():
                    yield msgspec.json.decode(line, type=Exchange)
    except OSError as error:
        raise UserError(f"--replay {path}: {error.strerror or error}: name a file that --record has written") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"--replay {path}:{number}: no exchange with a speculator: {error}") from error


def _fault_of(error: ApiError) -> Fault:
    kind = _KINDS.get(type(error), "unreachable")
    if isinstance(error, Refused):
        return Fault(kind, error.said, error.status, error.retry_after_s)
    return Fault(kind, str(error))


def _raised(fault: Fault) -> ApiError:
    if fault.kind == _KINDS[Refused]:
        return Refused(fault.status, fault.said, fault.retry_after_s)
    return Unreachable(fault.said)


def _canonical(value: object) -> str:
    return json.dumps(cast("Any", value), sort_keys=True, separators=(",", ":"))

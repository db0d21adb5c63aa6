"""What a session came to: every answer, every notification and every request of the server, in comparable form."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parity.agent import Wire
from tests.pipes import Line, decode_line

Normalise = Callable[[bytes], bytes]

ENVELOPE = ("result", "error")


@dataclass(frozen=True, slots=True)
class Transcript:
    """Bytes as they came, but for what `normalise` takes out since it differs from run to run."""

    answers: tuple[tuple[Any, str, tuple[bytes | None, ...]], ...]
    """For each request of the client, in its order: id, method, the bytes of result and error."""
    progress: tuple[tuple[Any, tuple[bytes, ...]], ...]
    """For each progress token, in order of first use: the bytes of each notification's params, in order."""
    late_progress: tuple[Any, ...]
    """Tokens with progress after the answer, or before the request."""
    notifications: tuple[tuple[str, bytes | None], ...]
    """All other notifications of the server, in order."""
    asked: tuple[tuple[str, bytes | None], ...]
    """What the server asked of the client, in order; the ids are the server's own count, of which nobody is told."""
    other: tuple[bytes, ...]
    """Lines that are none of these, answers to unknown ids among them."""
    seen: tuple[str, ...]
    """What the client library made of it all."""


def transcript_of(wire: Wire, seen: Sequence[str], normalise: Normalise) -> Transcript:
    """Sort a session's lines."""
    requests = [line for line in wire.sent if line.method and "id" in line.message]
    ids = {_id(line): line for line in requests}
    answers: dict[Any, Line] = {}
    progress: dict[Any, list[bytes]] = {}
    late: list[Any] = []
    notifications: list[tuple[str, bytes | None]] = []
    asked: list[tuple[str, bytes | None]] = []
    other: list[bytes] = []
    token_of = {_token(line): _id(line) for line in requests}
    for line in wire.received:
        params = _normal(line.member("params"), normalise)
        if line.method == "notifications/progress":
            token = line.message["params"]["progressToken"]
            progress.setdefault(token, []).append(params or b"")
            if token_of.get(token) is None or token_of[token] in answers:
                late.append(token)
        elif line.method and "id" in line.message:
            asked.append((line.method, params))
        elif line.method:
            notifications.append((line.method, params))
        elif line.is_answer and _id(line) in ids and _id(line) not in answers:
            answers[_id(line)] = line
        else:
            other.append(normalise(line.raw))
    return Transcript(
        answers=tuple(
            (line.message["id"], line.method or "", _outcome(answers.get(_id(line)), normalise)) for line in requests
        ),
        progress=tuple((token, tuple(params)) for token, params in progress.items()),
        late_progress=tuple(late),
        notifications=tuple(notifications),
        asked=tuple(asked),
        other=tuple(other),
        seen=tuple(normalise(text.encode()).decode() for text in seen),
    )


@dataclass(frozen=True, slots=True)
class Tapped:
    """What went through right in front of the server."""

    to_server: tuple[Line, ...]
    from_server: tuple[Line, ...]

    def requests(self, ids: set[Any], own: bool) -> list[Line]:
        """Requests under the client's own ids, or under others: those are ours."""
        return [line for line in self.to_server if line.method and "id" in line.message and ((_id(line) in ids) is own)]


def read_tap(path: Path) -> Tapped:
    """What the tap logged until now; a last line that is not complete yet is left out."""
    raw = path.read_bytes() if path.exists() else b""
    lines = raw[: raw.rfind(b"\n") + 1].split(b"\n")
    return Tapped(
        tuple(decode_line(line[2:]) for line in lines if line.startswith(b"> ")),
        tuple(decode_line(line[2:]) for line in lines if line.startswith(b"< ")),
    )


def call_of(line: Line) -> tuple[str, Any] | None:
    """Tool and arguments of a `tools/call`."""
    if line.method != "tools/call":
        return None
    params = line.message["params"]
    return params["name"], params.get("arguments") or {}


def scrub(*patterns: str) -> Normalise:
    """A normaliser that takes out what matches: times, mostly."""
    compiled = [re.compile(pattern.encode()) for pattern in patterns]

    def normalise(raw: bytes) -> bytes:
        for pattern in compiled:
            raw = pattern.sub(b"<scrubbed>", raw)
        return raw

    return normalise


def ids_of(wire: Wire) -> set[Any]:
    """The ids of the client's requests."""
    return {_id(line) for line in wire.sent if line.method and "id" in line.message}


def ids_at_server(tapped: Tapped) -> set[Any]:
    """The ids of all requests that the server saw."""
    return {_id(line) for line in tapped.to_server if line.method and "id" in line.message}


def _id(line: Line) -> Any:
    """An id that does not take 1 for "1"."""
    return type(line.message["id"]).__name__, line.message["id"]


def _token(line: Line) -> Any:
    params = line.message.get("params") or {}
    return (params.get("_meta") or {}).get("progressToken")


def _outcome(answer: Line | None, normalise: Normalise) -> tuple[bytes | None, ...]:
    if answer is None:
        return ()
    return tuple(_normal(answer.member(name), normalise) for name in ENVELOPE)


def _normal(raw: bytes | None, normalise: Normalise) -> bytes | None:
    return None if raw is None else normalise(raw)

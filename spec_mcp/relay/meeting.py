"""Meeting a server for its own sake: start it, shake hands in whichever era it speaks, read its tool list, end it.

For the commands that look at a server (`manifest draft`, `check` and `lock`, `doctor`) or try its tools (`manifest
verify`), not for those that serve one. A server on the network is met by `back/meeting.py`, over lines of its own.
Tools stay the decoded JSON that the relay's own look at them gives, so that a fingerprint taken here is the one that
the relay compares; a typed layer would drop unknown fields.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol, cast

import msgspec

from spec_mcp.relay import wire
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.lines import LineReader, LineWriter
from spec_mcp.relay.listing import PAGES_MAX
from spec_mcp.relay.process import CannotStart, ServerProcess

BOUND_S = 60.0
"""For the whole meeting: a launcher such as npx may download the server first."""

PROBE_S = 10.0
"""How long `server/discover` may stay without an answer before `initialize` is sent after it: some old servers never
answer what they do not know."""

MODERN = "2026-07-28"
LEGACY = "2025-11-25"

_META = "io.modelcontextprotocol/"
_CAPABILITIES: Mapping[str, Any] = {
    "roots": {},
    "sampling": {},
    "elicitation": {"form": {}, "url": {}},
    "tasks": {"requests": {"sampling": {"createMessage": {}}, "elicitation": {"create": {}}}},
}
"""All of them: some servers list further tools to a client that can do more."""

_ANSWERS: Mapping[str, Any] = {"ping": {}, "roots/list": {"roots": []}}
"""What is answered when the server asks; anything else is refused, since nobody is there to be asked."""


class CannotMeet(Exception):  # noqa: N818  what happened, in the words of the user
    """The server could not be met; the message says why, as the end of a sentence that names the server."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a server says of itself. Durations are seconds."""

    name: str
    """serverInfo.name; empty where it gives none."""
    version: str
    protocol: str
    tools: tuple[Mapping[str, Any], ...]
    handshake_s: float
    """From the start of its process to the end of the handshake."""
    list_s: float
    strays: int
    """Lines on its standard output that are no protocol: clients may choke on them."""


def meet(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    bound_s: float = BOUND_S,
    clock: Callable[[], float] = now_s,
) -> Introduction:
    """Meet a stdio server; its stderr passes through, and it is gone afterwards.

    Raises:
        CannotMeet: it does not start, ends, stays silent beyond the bound, or answers with an error.
    """
    with visit(command, env, cwd, bound_s, clock) as visited:
        return visited.introduction


@contextmanager
def visit(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    bound_s: float = BOUND_S,
    clock: Callable[[], float] = now_s,
) -> Generator[Visit]:
    """Meet a stdio server and stay, to call its tools; its stderr passes through, and it is gone afterwards.

    Raises:
        CannotMeet: as `meet`.
    """
    started_s = clock()
    try:
        process = ServerProcess(command, env, cwd)
    except CannotStart as error:
        raise CannotMeet(f"does not start: {error}") from error
    try:
        yield meet_over(_Pipes(process), started_s, bound_s, clock)
    finally:
        process.end()


def meet_over(lines: Lines, started_s: float, bound_s: float, clock: Callable[[], float]) -> Visit:
    """Meet the server at the other end of these lines.

    Raises:
        CannotMeet: as `meet`.
    """
    meeting = _Meeting(lines, started_s + bound_s, bound_s, clock)
    about = meeting.shake_hands()
    met_s = clock()
    tools = meeting.tools() if about.has_tools else []
    introduction = Introduction(
        about.name, about.version, about.protocol, tuple(tools), met_s - started_s, clock() - met_s, meeting.strays
    )
    return Visit(introduction, meeting)


class Visit:
    """A server that was met and is still there, for one call at a time."""

    def __init__(self, introduction: Introduction, meeting: _Meeting) -> None:
        self.introduction = introduction
        self._meeting = meeting

    def call(self, tool: str, arguments: Mapping[str, Any], bound_s: float) -> tuple[bool, object]:
        """Call a tool: whether it was answered with a result, and that decoded; else the error.

        Raises:
            CannotMeet: the server ends, stays silent beyond the bound, or answers what cannot be decoded.
        """
        return self._meeting.call(tool, arguments, bound_s)


class _Ended(Exception):  # noqa: N818  what happened
    """The server's process is at its end; the message says how."""


class Lines(Protocol):
    """Lines to one server and from it."""

    def tell(self, method: str, line: bytes) -> None:
        """Have a line go out; `method` is empty for a response.

        Raises:
            CannotMeet: nobody takes it.
        """
        ...

    def hear(self, wait_s: float) -> Sequence[bytes]:
        """The lines that came since, or that come first within so many seconds; none where none did.

        Raises:
            CannotMeet: there will be none.
        """
        ...


class _Pipes:
    """A process of ours."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process
        self._reader = LineReader(process.output_fd)
        self._writer = LineWriter(process.input_fd)

    def tell(self, method: str, line: bytes) -> None:
        del method
        self._writer.put(line)
        self._writer.flush()

    def hear(self, wait_s: float) -> Sequence[bytes]:
        if self._reader.ended:
            raise _Ended(self._how_it_ended())
        poll = select.poll()
        poll.register(self._reader.fd, select.POLLIN)
        poll.poll(wait_s * 1000)
        self._writer.flush()
        return self._reader.read()

    def _how_it_ended(self) -> str:
        self._process.end(polite=True)
        status = self._process.exit_status()
        return f"was ended by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"


@dataclass(frozen=True, slots=True)
class _About:
    name: str
    version: str
    protocol: str
    has_tools: bool


class _Meeting:
    """One connection, from its first line to the tool list."""

    def __init__(self, lines: Lines, until_s: float, bound_s: float, clock: Callable[[], float]) -> None:
        self.strays = 0
        self._lines = lines
        self._until_s = until_s
        self._bound_s = bound_s
        self._clock = clock
        self._asked: list[str] = []
        """The methods of our requests; a request's id is its place, counted from 1."""
        self._heard: deque[wire.Envelope] = deque()
        self._meta: dict[str, Any] = {}

    def shake_hands(self) -> _About:
        """Probe the stateless era as clients do, then greet as the older one does."""
        client = {"name": "spec-mcp", "version": metadata.version("spec-mcp")}
        meta = {
            f"{_META}protocolVersion": MODERN,
            f"{_META}clientInfo": client,
            f"{_META}clientCapabilities": _CAPABILITIES,
        }
        probe = self._ask("server/discover", {"_meta": meta})
        found = self._answer((probe,), min(self._until_s, self._clock() + PROBE_S))
        if found is None or not _speaks_modern(found[1]):
            greeting = {"protocolVersion": LEGACY, "capabilities": _CAPABILITIES, "clientInfo": client}
            greeted = self._ask("initialize", greeting)
            found = self._first((probe, greeted))
            # a probe that is answered late, and well, has settled the era: the greeting is refused then
            while found[0] == probe and not _speaks_modern(found[1]):
                found = self._first((greeted,))
        number, envelope = found
        result = self._result(number, envelope)
        if number == probe:
            self._meta = {"_meta": meta}
            return _about(result, MODERN)
        self._tell({"method": "notifications/initialized"})
        version = wire.value(result.get("protocolVersion", b"null"))
        return _about(result, version if isinstance(version, str) else LEGACY)

    def tools(self) -> list[Mapping[str, Any]]:
        """The complete tool list."""
        tools: list[Mapping[str, Any]] = []
        cursor: object = None
        for _ in range(PAGES_MAX):
            page = self._ask("tools/list", {**({} if cursor is None else {"cursor": cursor}), **self._meta})
            result = self._result(*self._first((page,)))
            listed = wire.value(result.get("tools", b"null"))
            if isinstance(listed, bytes):
                raise CannotMeet("sends a tool list that holds broken text, so it can only be passed through")
            if not isinstance(listed, list):
                raise CannotMeet("answers tools/list without a list of tools")
            tools += [tool for tool in cast("list[Any]", listed) if isinstance(tool, dict)]
            cursor = wire.value(result.get("nextCursor", b"null"))
            if cursor is None:
                return tools
        raise CannotMeet(f"sends a tool list that does not end within {PAGES_MAX} pages")

    def call(self, tool: str, arguments: Mapping[str, Any], bound_s: float) -> tuple[bool, object]:
        """Call a tool, as `Visit` says."""
        self._until_s, self._bound_s = self._clock() + bound_s, bound_s
        asked = self._ask("tools/call", {"name": tool, "arguments": arguments, **self._meta})
        found = self._answer((asked,), self._until_s)
        if found is None:
            raise CannotMeet(f"does not answer a call of {tool} within {bound_s:.0f} s")
        envelope = found[1]
        failed = envelope.error != wire.ABSENT
        decoded = wire.value(envelope.error if failed else envelope.result)
        if isinstance(decoded, bytes):
            raise CannotMeet(f"answers {tool} with broken text, which cannot be compared")
        return not failed, decoded

    def _ask(self, method: str, params: Mapping[str, Any]) -> int:
        self._asked.append(method)
        number = len(self._asked)
        self._tell({"id": number, "method": method, "params": params} if params else {"id": number, "method": method})
        return number

    def _tell(self, members: Mapping[str, Any]) -> None:
        line = msgspec.json.encode({"jsonrpc": "2.0", **members}) + b"\n"
        self._lines.tell(str(members.get("method", "")), line)

    def _result(self, number: int, envelope: wire.Envelope) -> dict[str, bytes]:
        if envelope.error != wire.ABSENT:
            message = wire.value(wire.members(envelope.error).get("message", b"null"))
            told = f": {message}" if isinstance(message, str) and message else ""
            raise CannotMeet(f"answers {self._asked[number - 1]} with an error{told}")
        return wire.members(envelope.result)

    def _first(self, numbers: Sequence[int]) -> tuple[int, wire.Envelope]:
        """The first answer to one of these requests."""
        found = self._answer(numbers, self._until_s)
        if found is None:
            method = self._asked[numbers[-1] - 1]
            raise CannotMeet(f"does not answer {method} within {self._bound_s:.0f} s of its start")
        return found

    def _answer(self, numbers: Sequence[int], until_s: float) -> tuple[int, wire.Envelope] | None:
        """The first answer to one of these requests; None where none came in time."""
        while True:
            while self._heard:
                envelope = self._heard.popleft()
                if envelope.is_request:
                    self._reply(envelope)
                elif envelope.is_response and (number := wire.id_value(envelope.id)) in numbers:
                    return cast("int", number), envelope
            left_s = until_s - self._clock()
            if left_s <= 0:
                return None
            self._hear(left_s)

    def _hear(self, wait_s: float) -> None:
        try:
            lines = self._lines.hear(wait_s)
        except _Ended as how:
            raise CannotMeet(f"{how} before it answered {self._asked[-1]}; what it said is on standard error") from how
        for line in lines:
            message = wire.read(line)
            if isinstance(message, wire.Batch):
                self._heard.extend(message.members)
            elif message is not None:
                self._heard.append(message)
            elif line.strip():
                self.strays += 1

    def _reply(self, request: wire.Envelope) -> None:
        if request.method in _ANSWERS:
            told: dict[str, Any] = {"result": _ANSWERS[request.method]}
        else:
            told = {"error": {"code": -32601, "message": "nobody is here to be asked"}}
        self._tell({"id": msgspec.Raw(request.id), **told})


def _speaks_modern(envelope: wire.Envelope) -> bool:
    versions = wire.value(wire.members(envelope.result).get("supportedVersions", b"null"))
    return isinstance(versions, list) and MODERN in versions


def _about(result: Mapping[str, bytes], protocol: str) -> _About:
    info = result.get("serverInfo") or wire.members(result.get("_meta", b"")).get(f"{_META}serverInfo", b"")
    name, version = (wire.value(wire.members(info).get(key, b"null")) for key in ("name", "version"))
    return _About(
        name if isinstance(name, str) else "",
        version if isinstance(version, str) else "",
        protocol,
        "tools" in wire.members(result.get("capabilities", b"")),
    )

"""The dashboard over HTTP, as an ASGI application. It stands below its prefix and its token, whatever is above it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs

import anyio
import msgspec
from anyio import to_thread
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from spec_mcp.dashboard import comparisons, coverage, figures, predictions, reviewing, sessions, undos
from spec_mcp.dashboard.figures import Part
from spec_mcp.dashboard.guard import HEADERS, Guard, Refused
from spec_mcp.dashboard.live import MAX_STREAMS, Live
from spec_mcp.dashboard.place import Place
from spec_mcp.dashboard.programs import Programs
from spec_mcp.dashboard.reading import Reader
from spec_mcp.errors import Failed, UserError

STATIC = Path(__file__).parent / "static"

MAX_BODY_BYTES = 2**20
"""A review of many tools; nothing else is as large."""

READS_AT_ONCE = 2
"""Threads that read the store: a page that asks for much must not take the interpreter from calls."""

T = TypeVar("T")


class Dashboard:
    """One dashboard. `end` lets the streams of its pages end."""

    def __init__(
        self,
        place: Place,
        *,
        prefix: str = "",
        token: str | None = None,
        password: str = "",
        checks_host: bool = True,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """`prefix` is the path that it stands below; `password` is a second token that opens the page there."""
        self._place = place
        self._prefix = prefix
        self._guard = Guard(token, password, checks_host=checks_host)
        self._reader = Reader(place.store, place.remote)
        self._live = Live(place, self._reader)
        self._programs = Programs(place)
        self._readers = anyio.CapacityLimiter(READS_AT_ONCE)
        self._wall_s = wall_s
        self._pages = Starlette(
            routes=[
                Route("/", self._page),
                Mount("/static", StaticFiles(directory=STATIC)),
                Route("/api/events", self._events),
                *(Route(f"/api/{name}", self._reads(answer)) for name, answer in self._questions().items()),
                *(Route(f"/api/{name}", act, methods=["POST"]) for name, act in self._acts().items()),
            ],
            exception_handlers={Refused: _refused},
        )

    @property
    def address(self) -> str:
        """The path of the page, which is a secret."""
        return f"{self._prefix}/{self._guard.token}/"

    @property
    def entrance(self) -> str:
        """The path where a token is asked for, which is none."""
        return self._prefix or "/"

    def end(self) -> None:
        """The server stops."""
        self._live.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")

        has_begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                message["headers"] = [*message["headers"], *_RAW_HEADERS]
            await send(message)

        try:
            self._guard.check(Headers(scope=scope))
            await self._below(scope, receive, send_guarded)
        except Refused as refused:
            await _said(refused)(scope, receive, send_guarded)
        except ClientDisconnect:
            pass
        except Exception as error:  # noqa: BLE001  the boundary: a fault of ours costs one request
            if not has_begun:
                await _said(Refused(500, f"A fault of the dashboard: {type(error).__name__}"))(
                    scope, receive, send_guarded
                )

    async def _below(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"]).removeprefix(self._prefix)
        token, slash, _ = path.removeprefix("/").partition("/")
        if self._guard.knows(token):
            root = scope.get("root_path", "") + f"{self._prefix}/{token}"
            if not slash:
                await RedirectResponse(f"{root}/", 308)(scope, receive, send)
                return
            await self._pages({**scope, "root_path": root}, receive, send)
        elif path in ("", "/"):
            await self._enter(Request(scope, receive))(scope, receive, send)
        elif path == "/enter" and scope["method"] == "POST":
            response = await self._opened(Request(scope, receive))
            await response(scope, receive, send)
        elif path in ("/static/app.css", "/static/icon.svg"):  # of the page that asks for the token
            await FileResponse(STATIC / path.rpartition("/")[2])(scope, receive, send)
        else:
            raise Refused(404, "Nothing is here: open the address that spec-mcp has shown, with its token")

    # --- coming in ------------------------------------------------------------------------------------------------

    def _enter(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "Method not allowed")
        text = (STATIC / "enter.html").read_text("utf-8").replace("{prefix}", self._prefix)
        return Response(text, 401, media_type="text/html")

    async def _opened(self, request: Request) -> Response:
        given = parse_qs((await _body(request)).decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not self._guard.lets_in(given):
            raise Refused(403, "This is not the token")
        return RedirectResponse(self.address, 303)

    async def _page(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    # --- looking --------------------------------------------------------------------------------------------------

    def _questions(self) -> dict[str, Callable[[Mapping[str, str]], Any]]:
        """What may be asked, and who answers; each reads the store on a thread."""
        return {
            "overview": self._overview,
            "over-time": lambda asked: figures.over_time(self._reader, self._part(asked), self._wall_s()),
            "tools": self._tools,
            "parts": lambda asked: {"parts": figures.parts(self._reader)},
            "sessions": self._sessions,
            "session": self._session,
            "predictions": lambda asked: predictions.predictions(self._reader, self._part(asked)),
            "curve": self._curve,
            "comparisons": lambda asked: {
                "tools": comparisons.by_tool(self._reader),
                "differences": comparisons.differences(self._reader),
            },
            "undos": lambda asked: {"entries": undos.entries(self._reader, self._place.redactor)},
            "manifests": lambda asked: coverage.overview(self._reader, self._place),
            "manifest": self._manifest,
        }

    def _reads(self, answer: Callable[[Mapping[str, str]], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            return await self._answered(partial(answer, request.query_params))

        return respond

    async def _answered(self, answer: Callable[[], Any]) -> Response:
        try:
            found = await self._thread(answer)
        except (UserError, Failed) as error:
            return _json({"error": str(error)}, 409)
        return _json({"error": "There is nothing of this name"}, 404) if found is None else _json(found)

    async def _thread(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._readers)

    def _part(self, asked: Mapping[str, str]) -> Part:
        hours = _number(asked.get("hours"))
        since = self._wall_s() - hours * 3_600 if hours else 0.0
        return Part(asked.get("server", ""), asked.get("tool", ""), since)

    def _overview(self, asked: Mapping[str, str]) -> dict[str, Any]:
        part = self._part(asked)
        newest = sessions.listed(self._reader, self._wall_s())["sessions"]
        return {
            "mode": self._place.mode(self._reader.switched()),
            "store": self._place.shown,
            "summary": figures.summary(self._reader, part),
            "sessions": newest[:8],
            "comparisons": comparisons.by_tool(self._reader),
            "undos": [
                {"server": entry["server"], "tool": entry["tool"], "state": entry["state"]}
                for entry in undos.entries(self._reader, self._place.redactor)
            ],
        }

    def _tools(self, asked: Mapping[str, str]) -> dict[str, Any]:
        part = self._part(asked)
        return {
            "tools": figures.by_tool(self._reader, part),
            "skips": figures.skips(self._reader, part),
        }

    def _sessions(self, asked: Mapping[str, str]) -> dict[str, Any]:
        return sessions.listed(
            self._reader, self._wall_s(), _number(asked.get("before")) or None, asked.get("server", "")
        )

    def _session(self, asked: Mapping[str, str]) -> dict[str, Any] | None:
        before = _number(asked.get("before"))
        cost = sessions.Cost(self._place.config.speculation.wasted_call_s)
        return sessions.timeline(
            self._reader, asked.get("id", ""), cost, self._wall_s(), int(before) if before else None
        )

    def _curve(self, asked: Mapping[str, str]) -> dict[str, Any]:
        return {
            "curve": self._programs.curve,
            "drawing": self._programs.is_tuning,
            "now": self._place.config.speculation.wasted_call_s,
            "calls": figures.summary(self._reader, Part())["calls"] if self._reader.is_there else 0,
        }

    def _manifest(self, asked: Mapping[str, str]) -> dict[str, Any] | None:
        found = coverage.found_manifests(self._place.home).get(asked.get("name", ""))
        if found is None:
            return None
        servers = coverage.seen_servers(self._reader)
        server = asked.get("server", "")
        return reviewing.form(found, reviewing.seen_of(servers, server), server)

    async def _events(self, request: Request) -> Response:
        if self._live.streams >= MAX_STREAMS:
            return _json({"error": "too many pages are open"}, 503)
        return StreamingResponse(
            self._live.events(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    # --- acting ---------------------------------------------------------------------------------------------------

    def _acts(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        return {
            "draw-curve": self._draw,
            "close-undo": self._close_undo,
            "recover": self._recover,
            "review": self._review,
        }

    async def _draw(self, request: Request) -> Response:
        await _object(request)
        try:
            return _json({"curve": await self._programs.tune()})
        except Failed as error:
            return _json({"error": str(error)}, 409)

    async def _recover(self, request: Request) -> Response:
        server = (await _object(request)).get("server", "")
        try:
            return _json({"entries": await self._programs.recover(str(server))})
        except Failed as error:
            return _json({"error": str(error)}, 409)

    async def _close_undo(self, request: Request) -> Response:
        entry = str((await _object(request)).get("id", ""))
        return await self._answered(lambda: {"closed": undos.close(self._place.store, entry)})

    async def _review(self, request: Request) -> Response:
        _require_json(request)
        body = await _body(request)
        return await self._answered(lambda: self._reviewed(body))

    def _reviewed(self, body: bytes) -> dict[str, Any] | None:
        review = reviewing.decoded(body)
        found = coverage.found_manifests(self._place.home).get(review.manifest)
        if found is None:
            return None
        seen = reviewing.seen_of(coverage.seen_servers(self._reader), review.server)
        result = reviewing.outcome(found, seen, review, self._place.home, datetime.date.today())
        if review.digest:
            reviewing.save(result, review)
        return {
            "file": str(result.target),
            "difference": result.difference,
            "widened": result.widened,
            "digest": result.digest,
            "written": bool(review.digest),
        }


_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _said(refused: Refused) -> Response:
    return Response(f"{refused.words}.\n", refused.status, media_type="text/plain")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused), "asked for no other"
    return _said(error)


def _number(text: str | None) -> float:
    """Zero where it is none."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0.0 <= value < 2.0**53 else 0.0


def _require_json(request: Request) -> None:
    """A form of another page cannot send this kind."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "The content type has to be application/json")


async def _object(request: Request) -> Mapping[str, object]:
    _require_json(request)
    try:
        return msgspec.json.decode(await _body(request), type=dict[str, object])
    except msgspec.DecodeError as error:
        raise Refused(400, f"No object in JSON: {error}") from error


async def _body(request: Request) -> bytes:
    taken = bytearray()
    async for part in request.stream():
        taken += part
        if len(taken) > MAX_BODY_BYTES:
            raise Refused(413, "This is too large")
    return bytes(taken)

"""Logging in to a server by hand: an address for the person's browser, and a place on this machine for its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import metadata
from urllib.parse import parse_qs, urlsplit

import anyio
import h11
from anyio.abc import Listener, SocketAttribute, SocketStream
from mcp.shared.auth import AuthorizationCodeResult

from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.auth import OAuth
from spec_mcp.relay.back.exchange import ACCEPTED, HANDSHAKE_S, JSON_SENT, SESSION, STREAM_ACCEPTED, refusal_of
from spec_mcp.relay.back.failures import Barred, Failure
from spec_mcp.relay.back.reaching import Body, Reach
from spec_mcp.relay.back.remote import LEAVE_S
from spec_mcp.relay.back.tokens import Keeping, Tokens

LOGIN_S = 300.0
"""How long a person may take."""

LOOPBACK = "127.0.0.1"
PATH = "/callback"
PROTOCOL = "2025-11-25"
DONE = b"<!doctype html><title>spec-mcp</title><p>That was it. You can close this window.</p>"


class Browser:
    """A person with a browser on this machine; it is listened to from now on."""

    def __init__(self, listener: Listener[SocketStream], say: Callable[[str], None]) -> None:
        self._listener = listener
        self._say = say
        self._answers: list[AuthorizationCodeResult] = []
        self._answered = anyio.Event()
        self.redirect_uri = f"http://{LOOPBACK}:{listener.extra(SocketAttribute.local_port)}{PATH}"

    async def show(self, address: str) -> None:
        """Have them open this address."""
        self._say(f"to log in, open this address in a browser on this machine:\n\n    {address}\n")

    async def answer(self) -> AuthorizationCodeResult:
        """Wait for what comes of it.

        Raises:
            Barred: nothing came.
        """
        with anyio.move_on_after(LOGIN_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listener.serve, self._serve)
                await self._answered.wait()
                tasks.cancel_scope.cancel()
        if not self._answers:
            raise Barred(f"nobody logged in within {LOGIN_S / 60:.0f} minutes")
        return self._answers[0]

    async def _serve(self, stream: SocketStream) -> None:
        async with stream:
            try:
                await self._reply(stream, h11.Connection(h11.SERVER))
            except (h11.RemoteProtocolError, anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async def _reply(self, stream: SocketStream, connection: h11.Connection) -> None:
        while not isinstance(event := connection.next_event(), h11.Request):
            connection.receive_data(await stream.receive())
        asked = urlsplit(event.target.decode("latin-1"))
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        is_answer = asked.path == PATH and "state" in query
        head = h11.Response(
            status_code=200 if is_answer else 404,
            headers=[("Content-Type", "text/html; charset=utf-8"), ("Connection", "close")],
        )
        body = h11.Data(data=DONE if is_answer else b"")
        for part in (head, body, h11.EndOfMessage()):
            await stream.send(connection.send(part) or b"")
        if is_answer and not self._answers:
            self._answers.append(
                AuthorizationCodeResult(code=query.get("code", ""), state=query["state"], iss=query.get("iss"))
            )
            self._answered.set()


async def log_in(address: Address, keeping: Keeping, say: Callable[[str], None]) -> str:
    """Log in to a server, with a person at hand; what comes of it is kept. Returns what there is to be said.

    Raises:
        Failure: the server cannot be reached, or lets us in no more than before.
    """
    async with await _listener(Tokens(str(address), keeping)) as listener:
        auth = OAuth(address, keeping, "", person=Browser(listener, say))
        reach = Reach(address, auth)
        reach.open_up()
        try:
            await _greet(reach)
            return "logged in" if await auth.header() is not None else "the server wants no login"
        finally:
            await reach.close()


async def _listener(tokens: Tokens) -> Listener[SocketStream]:
    """On the port that we are registered with, if it is free: many authorization servers insist on it."""
    client = await tokens.get_client_info()
    for redirect_uri in () if client is None else client.redirect_uris or ():
        try:
            return await _listen_on(redirect_uri.port or 0)
        except OSError:  # then we register anew
            await tokens.forget_client_info()
    return await _listen_on(0)


async def _listen_on(port: int) -> Listener[SocketStream]:
    multi = await anyio.create_tcp_listener(local_host=LOOPBACK, local_port=port)
    return multi.listeners[0]


async def _greet(reach: Reach) -> None:
    """Say hello: a server that wants a login says so now, in whichever way it is spoken to."""
    client = {"name": "spec-mcp", "version": metadata.version("spec-mcp")}
    params = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    async with await reach.ask("POST", [ACCEPTED, JSON_SENT], Body(line), HANDSHAKE_S) as reply:
        session = reply.headers.get("mcp-session-id")
    if reply.status in (404, 405):  # it may be an older one
        async with await reach.ask("GET", [STREAM_ACCEPTED], Body(b""), HANDSHAKE_S) as reply:
            pass
    if not reply.is_success and reply.status != 400:  # which is a server of another era
        raise refusal_of(reply)
    if session is not None:
        try:
            async with await reach.ask("DELETE", [(SESSION, session.encode())], Body(b""), LEAVE_S) as reply:
                await reply.drain()
        except Failure:  # it ends sessions as it likes
            return

"""OAuth 2.1 to a server, by the SDK's client: which steps there are is its affair, when they are taken is ours.

The SDK's flow goes around each request and holds a lock until that is answered, so that a slow call would hold up all
others. Here it runs on its own, between requests: what is sent is its own requests alone, and a call gets the token.
A server that names other addresses for that gets us to ask there, so only such are asked as can hold secrets.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import anyio
import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthRegistrationError, OAuthTokenError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from pydantic import AnyUrl

from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.failures import Barred, Failure
from spec_mcp.relay.back.reaching import Body, Reach, Reply
from spec_mcp.relay.back.tokens import Keeping, Tokens

STEP_S = 30.0
"""How long an authorization server may take for one answer."""

ANSWER_MAX_BYTES = 1 << 20
"""Metadata and tokens are some kilobytes."""

PAST_S = 1.0
"""A time at which no token holds any more."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

OWN_HEADERS = frozenset({"host", "content-length", "accept-encoding", "user-agent", "connection"})


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What a program shows on its own behalf, without a person."""

    client_id: str
    client_secret: str
    issuer: str
    """Whom these may be shown to, and nobody else."""
    scope: str | None = None


class Person(Protocol):
    """Somebody who can be asked to log in."""

    redirect_uri: str
    """Where their browser is sent with the answer."""

    async def show(self, address: str) -> None:
        """Have them open this address."""
        ...

    async def answer(self) -> AuthorizationCodeResult:
        """Wait for what comes of it."""
        ...


class OAuth:
    """The credentials for one server."""

    def __init__(
        self,
        address: Address,
        keeping: Keeping,
        how: str,
        credentials: ClientCredentials | None = None,
        person: Person | None = None,
    ) -> None:
        """`how` says what a person can do where a login is wanted, as the end of a sentence."""
        self._address = address
        self._how = how
        self._tokens = Tokens(str(address), keeping)
        self._can_begin = credentials is not None or person is not None
        self._provider = _provider(str(address.url), self._tokens, credentials, person)
        self._lock = anyio.Lock()
        self._is_loaded = False

    async def header(self) -> bytes | None:
        """The value of `Authorization`, renewed where its time is over; None where there is no token."""
        if not self._is_loaded or not self._holds:
            async with self._lock:
                await self._load()
                if not self._holds and self._provider.context.can_refresh_token():
                    await self._drive(None)
        return self._header()

    async def renew(self, used: bytes | None, reply: Reply) -> None:
        """Get a better token than the one that was used.

        Raises:
            Barred: that takes a person, or is refused.
        """
        async with self._lock:
            if self._is_other(used):  # somebody was faster
                return
            self._is_loaded = False
            await self._load()
            if self._is_other(used):  # so was another process
                return
            context = self._provider.context
            if context.can_refresh_token():
                context.token_expiry_time = PAST_S
                await self._drive(None)
                if self._is_other(used):
                    return
            if not self._can_begin:
                raise Barred(f"the server wants a login ({reply.status}): {self._how}")
            await self._drive(reply)
            if not self._is_other(used):
                raise Barred(f"the login to the server gave nothing that it takes ({reply.status})")

    @property
    def _holds(self) -> bool:
        return self._provider.context.is_token_valid()

    def _header(self) -> bytes | None:
        tokens = self._provider.context.current_tokens
        return None if tokens is None else b"Bearer " + tokens.access_token.encode()

    def _is_other(self, used: bytes | None) -> bool:
        return self._header() not in (None, used) and self._holds

    async def _load(self) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            context = self._provider.context
            context.current_tokens = await self._tokens.get_tokens()
            context.token_expiry_time = await self._tokens.expires_at_s()
            context.client_info = context.client_info or await self._tokens.get_client_info()

    async def _drive(self, refused: Reply | None) -> None:
        """Take the flow's own steps: to a fresh token where one can be renewed, and after a refusal to a new one."""
        request = httpx2.Request("POST", self._address.url)  # it stands for one, and is never sent
        flow = self._provider.async_auth_flow(request)
        try:
            outgoing = await anext(flow)
            while outgoing is not request or refused is not None:
                if outgoing is request and refused is not None:
                    response = httpx2.Response(refused.status, headers=refused.headers.raw, request=request)
                    refused = None
                else:
                    response = await self._fetch(outgoing)
                outgoing = await flow.asend(response)
        except StopAsyncIteration:
            return
        except Failure as failure:
            raise Barred(f"the login to the server failed: {failure}") from None
        except Exception as error:  # noqa: BLE001  what an authorization server says may be anything
            raise Barred(f"the login to the server failed: {_words(error)}") from None
        finally:
            await flow.aclose()

    async def _fetch(self, request: httpx2.Request) -> httpx2.Response:
        """One step of the flow, over connections of its own."""
        if not self._may_be_asked(request.url):
            raise Barred("it names an address to log in at that cannot keep a secret")
        reach = Reach(Address(str(request.url), {}))
        reach.open_up()
        headers = [(name, value) for name, value in request.headers.raw if name.lower().decode() not in OWN_HEADERS]
        try:
            body = Body(request.content)
            async with await reach.fetch(request.method, headers, body, STEP_S, request.url) as reply:
                content = await reply.collect(ANSWER_MAX_BYTES)
                kept = [(name, value) for name, value in reply.headers.raw if name.lower() != b"content-encoding"]
                return httpx2.Response(reply.status, headers=kept, content=content, request=request)
        finally:
            await reach.close()

    def _may_be_asked(self, url: httpx2.URL) -> bool:
        own = self._address.url
        if url.scheme != "http" or own.scheme != "http":
            return url.scheme == "https"
        return url.host == own.host or (url.host in LOOPBACK and own.host in LOOPBACK)


def _provider(
    url: str, tokens: Tokens, credentials: ClientCredentials | None, person: Person | None
) -> OAuthClientProvider:
    logging.getLogger("mcp.client.auth").setLevel(logging.CRITICAL)  # it writes down what servers answered
    if credentials is not None:
        return ClientCredentialsOAuthProvider(
            url,
            tokens,
            credentials.client_id,
            credentials.client_secret,
            scope=credentials.scope,
            issuer=credentials.issuer,
        )
    show: Callable[[str], Awaitable[None]] | None = None if person is None else person.show
    answer: Callable[[], Awaitable[AuthorizationCodeResult]] | None = None if person is None else person.answer
    metadata = OAuthClientMetadata(
        client_name="spec-mcp",
        redirect_uris=None if person is None else [AnyUrl(person.redirect_uri)],
    )
    return OAuthClientProvider(url, metadata, tokens, show, answer)


def _words(error: Exception) -> str:
    """What went wrong, without what servers said: it may be a secret."""
    if isinstance(error, OAuthRegistrationError):
        return "the authorization server does not register us"
    if isinstance(error, OAuthTokenError):
        return "the authorization server gives no token"
    if isinstance(error, OAuthFlowError):
        return "the server and its authorization server do not agree"
    return f"the authorization server answered with what is no part of a login ({type(error).__name__})"

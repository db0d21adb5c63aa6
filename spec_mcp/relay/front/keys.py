"""The issuer's public keys: fetched when they are needed, kept a while, and asked for again when a new one turns up."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx2
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from spec_mcp.relay.front import sdk
from spec_mcp.relay.front.settings import is_loopback

FRESH_S = 600.0
"""A key that the issuer has withdrawn is taken for so long."""

RETRY_S = 10.0
"""Strangers can make up key ids: the issuer is asked no more often than this."""

FETCH_S = 5.0
"""A client is waiting meanwhile."""

FETCH_MAX_BYTES = 256 * 1024
"""Key sets are some kilobytes."""

MAX_KEYS = 64
"""Issuers have two or three at a time."""

Fetch = Callable[[str], Awaitable[bytes]]


class Unreachable(Exception):  # noqa: N818  what happened
    """The issuer's keys cannot be had now."""


async def fetch(url: str) -> bytes:
    """What is there.

    Raises:
        Unreachable: nothing that is of use.
    """
    try:
        with anyio.fail_after(FETCH_S):
            async with (
                httpx2.AsyncClient(timeout=FETCH_S, follow_redirects=False) as client,
                client.stream("GET", url, headers={"accept": "application/json"}) as response,
            ):
                if response.status_code != 200:
                    raise Unreachable(f"{url} answers {response.status_code}")
                return await _bounded(response, url)
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        raise Unreachable(f"{url} cannot be reached: {type(error).__name__}") from error


async def _bounded(response: httpx2.Response, url: str) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > FETCH_MAX_BYTES:
            raise Unreachable(f"{url} answers with more than {FETCH_MAX_BYTES} bytes")
    return bytes(body)


class Keys:
    """Those of one issuer. `jwks_url` empty: the issuer's metadata names it."""

    def __init__(self, issuer: str, jwks_url: str, now_s: Callable[[], float], get: Fetch = fetch) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._now_s = now_s
        self._get = get
        self._keys: dict[str, PyJWK] = {}
        """By id; one without an id under the empty one."""
        self._fetched_s: float | None = None
        self._tried_s: float | None = None
        self._fetching = anyio.Lock()

    async def find(self, key_id: str) -> PyJWK | None:
        """The key of this id; of an issuer with one key, that one where no id is given.

        Raises:
            Unreachable: there are none.
        """
        if self._is_old(FRESH_S, self._fetched_s) or (self._find(key_id) is None):
            async with self._fetching:  # others wait for the same answer
                if self._is_old(FRESH_S, self._fetched_s) or self._find(key_id) is None:
                    await self._refresh()
        return self._find(key_id)

    def _find(self, key_id: str) -> PyJWK | None:
        if not key_id and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _is_old(self, limit_s: float, since_s: float | None) -> bool:
        return since_s is None or self._now_s() - since_s >= limit_s

    async def _refresh(self) -> None:
        if self._is_old(RETRY_S, self._tried_s):
            self._tried_s = self._now_s()
            try:
                self._keys = _keys(_table(await self._get(await self._where())))
                self._fetched_s = self._now_s()
            except Unreachable:
                if not self._keys:
                    raise
        if not self._keys:
            raise Unreachable("the issuer's keys could not be had a moment ago")

    async def _where(self) -> str:
        if self._jwks_url:
            return self._jwks_url
        reason = Unreachable("the issuer has no metadata")
        for url in sdk.issuer_metadata_urls(self._issuer, self._issuer):
            try:
                metadata = _table(await self._get(url))
            except Unreachable as error:
                reason = error
                continue
            if metadata.get("issuer") != self._issuer:
                raise Unreachable(f"{url} speaks of another issuer")
            self._jwks_url = _safe(metadata.get("jwks_uri"), url)
            return self._jwks_url
        raise reason


def _table(text: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreachable("the issuer's answer is no JSON") from error
    if not isinstance(value, dict):
        raise Unreachable("the issuer's answer is no object")
    return cast("dict[str, Any]", value)


def _safe(address: object, told_by: str) -> str:
    """Where the keys are, if nobody on the way can change them."""
    parts = urlsplit(address) if isinstance(address, str) else urlsplit("")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return parts.geturl()
    raise Unreachable(f"{told_by} names no safe address of its keys")


def _keys(jwks: dict[str, Any]) -> dict[str, PyJWK]:
    found: dict[str, PyJWK] = {}
    listed: object = jwks.get("keys")
    for entry in cast("list[object]", listed)[:MAX_KEYS] if isinstance(listed, list) else []:
        table = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
        if table.get("use", "sig") != "sig":
            continue
        try:
            found[str(table.get("kid", ""))] = PyJWK(table)
        except (PyJWTError, ValueError, TypeError, KeyError):  # of a kind that we do not know: others may fit
            continue
    if not found:
        raise Unreachable("the issuer lists no key that we know how to use")
    return found

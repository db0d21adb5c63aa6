"""Where a server is, as it may be shown, and what may be sent there."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import metadata

import httpx2

USER_AGENT = f"spec-mcp/{metadata.version('spec-mcp')}"


class Address:
    """Where a server is, as it may be shown, and what is sent with every request there."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """Take an address apart.

        Raises:
            ValueError: it is no address of HTTP, or a header cannot be sent; the message does not show it.
        """
        try:
            found = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise ValueError("no address of HTTP") from None
        if found.scheme not in ("http", "https") or not found.host:
            raise ValueError("no address of HTTP")
        self.headers = _encoded(headers)
        if found.userinfo and not any(name.lower() == b"authorization" for name, _ in self.headers):
            self.headers.append(
                (b"Authorization", b"Basic " + base64.b64encode(f"{found.username}:{found.password}".encode()))
            )
        self.url = found.copy_with(userinfo=b"", fragment=None)

    @property
    def has_credentials(self) -> bool:
        """Is it known already what to show there?"""
        return any(name.lower() == b"authorization" for name, _ in self.headers)

    def __str__(self) -> str:
        return shown(self.url)


def is_same_origin(url: httpx2.URL, to: httpx2.URL) -> bool:
    """May what is meant for the one be sent to the other? Only to the same place, or to its encrypted side."""
    if to.userinfo:
        return False
    if (url.scheme, url.host, url.port) == (to.scheme, to.host, to.port):
        return True
    is_encrypting = (url.scheme, to.scheme) == ("http", "https") and url.port is None and to.port is None
    return is_encrypting and url.host == to.host


def shown(url: httpx2.URL) -> str:
    """An address without what may be a secret in it."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    try:
        found = [(name.encode("ascii"), value.strip().encode()) for name, value in headers.items()]
    except UnicodeError:
        raise ValueError("a header's name is not ASCII") from None
    for name, value in found:
        if not name or any(byte in value for byte in b"\r\n\0"):
            raise ValueError(f"the header {name.decode()!r} cannot be sent")
    return [(b"User-Agent", USER_AGENT.encode()), (b"Accept-Encoding", b"gzip"), *found]

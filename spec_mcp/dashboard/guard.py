"""Whose request is answered.

The address holds a random token, so nobody finds the page who was not told. A name that is not ours is refused (DNS
rebinding), and so is what another page's script or link asks, by the browser's own word (`Sec-Fetch-Site`) or, where a
browser gives none, by `Origin`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Whatever the port: it may be reached through a tunnel."""

OWN_SITES = frozenset({"same-origin", "none"})
"""`none`: a person has typed or opened the address."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""Of every answer: nothing of it runs, loads or is shown anywhere else, and nobody learns the address from it."""


class Refused(Exception):  # noqa: N818  it is an answer
    """A request that is not answered, with the status and what to tell."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Guard:
    """Knows the token, and a second one where the gateway has one of its user's."""

    def __init__(self, token: str | None = None, password: str = "", *, checks_host: bool = True) -> None:
        self.token = token or secrets.token_urlsafe(32)
        self._password = _digest(password) if password else b""
        self._checks_host = checks_host
        """False: who hands requests on has done so."""

    def check(self, headers: Headers) -> None:
        """Let through what is meant for us and comes from no other page.

        Raises:
            Refused: it is not, or does.
        """
        host = headers.get("host", "").strip().lower()
        if self._checks_host and _name(host) not in LOOPBACK:
            raise Refused(421, "This name is not served here: use 127.0.0.1 or localhost")
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        is_own = site in OWN_SITES if site is not None else origin is None or urlsplit(origin).netloc.lower() == host
        if not is_own:
            raise Refused(403, "Another page has asked for this: open the address yourself")

    def knows(self, token: str) -> bool:
        """Is this the token of the address?"""
        return hmac.compare_digest(_digest(self.token), _digest(token))

    def lets_in(self, given: str) -> bool:
        """Is it the token, or the gateway's own?"""
        return self.knows(given) or (bool(self._password) and hmac.compare_digest(self._password, _digest(given)))


def _name(host: str) -> str:
    """Without the port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

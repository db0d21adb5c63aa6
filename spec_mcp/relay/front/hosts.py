"""Who is addressed, and by whose page: what keeps a web page from reaching us through its own name (DNS rebinding)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from spec_mcp.relay.front.http import Http, Refusal
from spec_mcp.relay.front.settings import HttpSettings, is_loopback

ANY = "*"

REMEMBERED_NAMES = 32
"""A client sends the same one with every request."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:/?#@\[\]\s]+)(?::[0-9]{1,5})?")


class Hosts:
    """The names that we answer to, and the pages that may ask us."""

    def __init__(self, settings: HttpSettings, bound_host: str) -> None:
        listen = settings.listen
        public = urlsplit(listen.public_url)
        self._hosts = {name.lower() for name in listen.allowed_hosts if name != ANY}
        self._hosts |= {name for name in (public.netloc.lower(), _as_host(bound_host)) if name}
        self._takes_any = ANY in listen.allowed_hosts and settings.asks_for_tokens
        self._origins = set(_origins(listen.allowed_origins))
        if public.netloc:
            self._origins.add(f"{public.scheme}://{public.netloc}".lower())
        self.knows = lru_cache(REMEMBERED_NAMES)(self._knows)
        """Is a `Host` header's value one of our names?"""

    def check(self, http: Http) -> None:
        """Let through what is meant for us and comes from where it may.

        Raises:
            Refusal: it is not or does not.
        """
        if not self.knows(http.header(b"host")):
            raise Refusal(421, "This name is not served here; [listen] allowed_hosts says which are")
        origin = http.headers.get(b"origin")
        if origin is not None and not self.lets_in(origin.decode("latin-1")):
            raise Refusal(403, "This origin may not ask; [listen] allowed_origins says which may")

    def _knows(self, host: str) -> bool:
        host = host.strip().lower()
        if not host:
            return False
        name = _without_port(host)
        return self._takes_any or is_loopback(name) or host in self._hosts or name in self._hosts

    def lets_in(self, origin: str) -> bool:
        """May a page of this origin ask?"""
        origin = origin.strip().lower()
        if origin in self._origins:
            return True
        scheme, separator, host = origin.partition("://")
        return bool(separator) and scheme in ("http", "https") and is_loopback(_without_port(host))


def _without_port(host: str) -> str:
    """The name in `name`, `name:port` or `[address]:port`; empty where it is none of these."""
    found = _HOST.fullmatch(host)
    return found["name"] if found else ""


def _as_host(bound: str) -> str:
    """As clients would write the address that we listen at; empty for all addresses at once."""
    if bound in ("", "0.0.0.0", "::"):
        return ""
    return f"[{bound.lower()}]" if ":" in bound else bound.lower()


def _origins(given: Iterable[str]) -> Iterable[str]:
    return (origin.rstrip("/").lower() for origin in given)

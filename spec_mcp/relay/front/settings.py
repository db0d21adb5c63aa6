"""Who may come in over HTTP, as the configuration and the environment say it."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from spec_mcp.config import Config, ConfigError, Listen
from spec_mcp.errors import UserError

NOTICE_S = 5.0
"""A few looks of a load balancer at `/readyz`; Kubernetes tells its proxies of an end within about a second."""


class Secret:
    """What only its owner knows. Nothing shows it: only its digest is kept."""

    __slots__ = ("_digest",)

    def __init__(self, text: str) -> None:
        self._digest = _digest(text.encode())

    def __repr__(self) -> str:
        return "Secret(…)"

    def equals(self, given: bytes) -> bool:
        """Is it this? Takes as long for any other text."""
        return hmac.compare_digest(self._digest, _digest(given))


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """All that the front is told."""

    listen: Listen = field(default_factory=Listen)
    token: Secret | None = None
    """The one token of `[listen] token_env`, where that is set."""
    forwarded: frozenset[str] = frozenset()
    """Headers, in lower case, that some server is to get: no others are remembered."""

    @property
    def asks_for_tokens(self) -> bool:
        """Must clients show who they are?"""
        return self.token is not None or bool(self.listen.issuer)


def http_settings(config: Config, environ: Mapping[str, str]) -> HttpSettings:
    """The settings of a configuration.

    Raises:
        ConfigError: an address in `[listen]` is none, or is not safe.
    """
    file = "the configuration" if config.file is None else str(config.file)
    listen = config.listen
    for key, address in (("issuer", listen.issuer), ("jwks_url", listen.jwks_url), ("public_url", listen.public_url)):
        if address:
            _require_safe(address, file, f"[listen] {key}")
    if listen.issuer and not (listen.audience or listen.public_url):
        mend = "add the audience that its tokens are made out for, or public_url"
        raise ConfigError(file, "[listen] issuer", "takes tokens made out for anybody", mend)
    token = environ.get(listen.token_env, "").strip() if listen.token_env else ""
    forwarded = {name.lower() for server in config.servers.values() for name in server.forward_headers}
    return HttpSettings(listen, Secret(token) if token else None, frozenset(forwarded))


def require_safe_place(settings: HttpSettings, host: str) -> None:
    """Only this machine is served where nobody is asked for a token.

    Raises:
        ConfigError: others could reach this address.
    """
    if settings.asks_for_tokens or is_loopback(host):
        return
    variable = settings.listen.token_env or "SPEC_MCP_TOKEN"
    raise ConfigError(
        "", "--http", f"{host or 'every address'} can be reached by others", f"set {variable}, or use 127.0.0.1"
    )


def address_of(text: str, what: str, such_as: int) -> tuple[str, int]:
    """The host and the port; without a host this machine alone. `what` is where the user has written it.

    Raises:
        UserError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise UserError(f"{what}: write HOST:PORT, such as 127.0.0.1:{such_as}")
    return host.strip("[]") or "127.0.0.1", int(port)


def notice_s_of(settings: HttpSettings, host: str) -> float:
    """How long requests are still taken once we were told to stop, at this address."""
    if settings.listen.notice_s is not None:
        return settings.listen.notice_s
    return 0.0 if is_loopback(host) else NOTICE_S


def is_loopback(host: str) -> bool:
    """Is this a name or an address of this machine alone? Takes no port; an IPv6 address may have its brackets."""
    bare = host.removeprefix("[").removesuffix("]").lower()
    if bare == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _require_safe(address: str, file: str, key: str) -> None:
    """Keys and names from an address that others can speak for are worth nothing."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or parts.scheme not in ("https", "http"):
        raise ConfigError(file, key, "is no address of the web", "write https://…")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(file, key, "an address without user, query and fragment is meant", "leave them out")
    if parts.scheme == "http" and key != "[listen] public_url" and not is_loopback(host):
        raise ConfigError(file, key, "what comes over http can be changed on the way", "write https://…")


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()

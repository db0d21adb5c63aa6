"""Who is let in: everybody of this machine where no token is asked for, else who shows one that is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
from pydantic import AnyHttpUrl

from spec_mcp.relay.clock import now_s
from spec_mcp.relay.front import sdk
from spec_mcp.relay.front.forwarding import forwarded_headers
from spec_mcp.relay.front.http import JSON, Http, Refusal
from spec_mcp.relay.front.keys import Fetch, Keys, Unreachable, fetch
from spec_mcp.relay.front.settings import HttpSettings
from spec_mcp.relay.front.tokens import NotTaken, TokenCheck
from spec_mcp.relay.gateway.ports import Principal, Visitor

METADATA_PATH = "/.well-known/oauth-protected-resource"

LOCAL = Principal()


@dataclass(frozen=True, slots=True)
class _Shown:
    principal: Principal
    until_s: float | None = None


class Door:
    """Tells visitors apart by what they show."""

    def __init__(
        self,
        settings: HttpSettings,
        resource: str,
        get: Fetch = fetch,
        steady_s: Callable[[], float] = now_s,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        listen = settings.listen
        self._settings = settings
        self._resource = listen.public_url or resource
        """Our address as clients know it."""
        self._tokens: TokenCheck | None = None
        if listen.issuer:
            keys = Keys(listen.issuer, listen.jwks_url, steady_s, get)
            self._tokens = TokenCheck(listen.issuer, listen.audience or listen.public_url, keys, wall_s)

    async def visitor(self, http: Http) -> Visitor:
        """Whoever sent this request.

        Raises:
            Refusal: they may not come in.
        """
        shown = await self._shown(http) if self._settings.asks_for_tokens else _Shown(LOCAL)
        forwarded = forwarded_headers(http.headers, self._settings.forwarded)
        principal = shown.principal
        if forwarded:
            principal = replace(principal, credentials=forwarded.digest())
        return Visitor(principal, headers=forwarded, until_s=shown.until_s)

    def metadata(self) -> bytes | None:
        """Where clients get a token (RFC 9728); None where no issuer is named."""
        listen = self._settings.listen
        if not listen.issuer:
            return None
        return msgspec.json.encode(
            sdk.ProtectedResourceMetadata.model_validate(
                {
                    "resource": self._resource,
                    "authorization_servers": [listen.issuer],
                    "scopes_supported": list(listen.required_scopes) or None,
                    "bearer_methods_supported": ["header"],
                }
            ).model_dump(mode="json", exclude_none=True)
        )

    async def _shown(self, http: Http) -> _Shown:
        scheme, _, token = http.header(b"authorization").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise self._refusal(401, "", "A token is needed")
        if self._settings.token is not None and self._settings.token.equals(token.encode("latin-1", "replace")):
            return _Shown(LOCAL)
        if self._tokens is None:
            raise self._refusal(401, "invalid_token", "The token is not the one of [listen] token_env")
        try:
            bearer = await self._tokens.check(token)
        except NotTaken as error:
            raise self._refusal(401, "invalid_token", str(error)) from error
        except Unreachable as error:
            raise Refusal(503, f"No token can be checked: {error}", code=sdk.INTERNAL_ERROR) from error
        missing = sorted({*self._settings.listen.required_scopes} - {*bearer.principal.scopes})
        if missing:
            raise self._refusal(403, "insufficient_scope", f"The token lacks the scope {missing[0]}")
        return _Shown(bearer.principal, bearer.until_s)

    def _refusal(self, status: int, error: str, description: str) -> Refusal:
        """As RFC 6750 and RFC 9728 ask for it: why, and where a token is to be had."""
        parts = [f'error="{error}"', f'error_description="{description}"'] if error else []
        if self._settings.listen.issuer:
            if self._settings.listen.required_scopes:
                parts.append(f'scope="{" ".join(self._settings.listen.required_scopes)}"')
            parts.append(f'resource_metadata="{self._metadata_url()}"')
        challenge = "Bearer " + ", ".join(parts) if parts else "Bearer"
        return Refusal(status, description).with_header(b"www-authenticate", challenge.encode("latin-1", "replace"))

    def _metadata_url(self) -> str:
        return str(sdk.build_resource_metadata_url(AnyHttpUrl(self._resource)))


METADATA_HEADERS = (JSON, (b"access-control-allow-origin", b"*"), (b"cache-control", b"public, max-age=3600"))
"""Web pages of any origin may read where tokens are to be had: nothing in it is secret."""

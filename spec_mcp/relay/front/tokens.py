"""Whom a token speaks for (JWT, RFC 9068), and why another is not taken. No token is ever told to anybody."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import jwt
from jwt.exceptions import PyJWTError

from spec_mcp.relay.front.keys import Keys
from spec_mcp.relay.gateway.ports import Principal

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
"""Signatures that only the issuer can make. `none`, and those that whoever checks them could make, are not among
them."""

LEEWAY_S = 30.0
"""By how much clocks differ, for a token that was made out just now. What expires does so by our clock."""

TOKEN_MAX_CHARS = 16 * 1024
"""Issuers stay below 8 kB."""

CHECKED_MAX_TOKENS = 4096
"""Four for each session there may be by default."""

CHECKED_S = 60.0
"""So long a signature need not be checked again, even if its key has been withdrawn."""


class NotTaken(Exception):  # noqa: N818  an answer
    """A token that is not taken; the message is for its owner."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token speaks for."""

    principal: Principal
    until_s: float
    """When it expires, on the wall clock."""


class TokenCheck:
    """Checks tokens of one issuer, made out for us."""

    def __init__(self, issuer: str, audience: str, keys: Keys, wall_s: Callable[[], float]) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._wall_s = wall_s
        self._checked: OrderedDict[bytes, tuple[Bearer, float]] = OrderedDict()
        """By their digests: whom they speak for, and until when that need not be checked again."""

    async def check(self, token: str) -> Bearer:
        """Whom the token speaks for.

        Raises:
            NotTaken: it is not valid here and now.
            Unreachable: nobody can say.
        """
        if len(token) > TOKEN_MAX_CHARS:
            raise NotTaken("The token is too long")
        digest = hashlib.sha256(token.encode("latin-1", "replace")).digest()
        known = self._checked.get(digest)
        if known is not None and self._wall_s() < known[1]:
            return known[0]
        bearer = await self._verify(token)
        self._checked[digest] = (bearer, min(bearer.until_s, self._wall_s() + CHECKED_S))
        self._checked.move_to_end(digest)
        if len(self._checked) > CHECKED_MAX_TOKENS:
            self._checked.popitem(last=False)
        return bearer

    async def _verify(self, token: str) -> Bearer:
        try:
            head = jwt.get_unverified_header(token)
        except (PyJWTError, ValueError) as error:
            raise NotTaken("The token is no JWT") from error
        if head.get("alg") not in ALGORITHMS:
            raise NotTaken("The token is not signed in a way that is taken")
        key = await self._keys.find(str(head.get("kid", "")))
        if key is None:
            raise NotTaken("The token is signed with a key that its issuer does not list")
        try:
            claims = jwt.decode(
                token,
                key=key,  # it is good for one algorithm alone
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "sub", "aud"], "enforce_minimum_key_length": True},
            )
        except (PyJWTError, ValueError, TypeError) as error:
            raise NotTaken("The token is not valid here") from error
        until_s = float(claims["exp"])
        if until_s <= self._wall_s():
            raise NotTaken("The token has expired")
        return Bearer(Principal(claims["sub"], self._issuer, _scopes(claims)), until_s)


def _scopes(claims: dict[str, Any]) -> tuple[str, ...]:
    """RFC 9068's `scope`, or the `scp` that some issuers write; sorted."""
    given: object = claims.get("scope", claims.get("scp", ""))
    words = given.split() if isinstance(given, str) else cast("list[object]", given) if isinstance(given, list) else []
    return tuple(sorted({word for word in words if isinstance(word, str)}))

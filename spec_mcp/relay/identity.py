"""By what a call is known: the key under which a speculation may answer it (rule 5)."""

from __future__ import annotations

import re
from typing import cast

import msgspec

from spec_mcp.engine.calls import (
    MAX_KEY_CHARS,
    Arguments,
    CallKey,
    Unmatchable,
    canonical_arguments,
    canonical_meta,
    decode_strict,
)
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.relay.wire import Call

MATCHED_MAX_BYTES = 64 * 1024
"""Larger arguments are not compared: no predictor guesses them."""

MATCHED_ID_MAX_BYTES = 1024
"""A call with a longer id is not answered by us: we would have to remember it."""

PROTOCOL_META = "io.modelcontextprotocol/protocolVersion"


_SIMPLE = re.compile(
    rb'\{(?:"[ !#-\[\]-~]*":(?:"[ !#-\[\]-~]*"|-?(?:0|[1-9][0-9]{0,14})|true|false|null)(?:,(?=")|(?=\})))*\}'
)
"""An object of printable ASCII strings, small integers and names, without white space or escapes."""

_codec = msgspec.json.Decoder(dict[str, str | int | bool | None])
_sorted = msgspec.json.Encoder(order="sorted")


class Identities:
    """Makes the keys of one client's calls over one connection."""

    def __init__(self, connection: str, principal: str) -> None:
        self._connection = connection
        self.principal = principal
        self._last_meta = (b"{}", "", "{}")
        """The last call's `_meta`: as it came, the protocol version in it, and its identity."""

    def of(
        self, call: Call, id_raw: bytes, policy: ServerPolicy, epoch: int, protocol: str
    ) -> tuple[Arguments | None, CallKey | None]:
        """A call's arguments, and what it is known by. Nothing that is in doubt has a key.

        `protocol` is what the handshake agreed on; the call's `_meta` may say otherwise.
        """
        if not policy.tools or len(call.arguments) > MATCHED_MAX_BYTES:
            return None, None
        try:
            arguments, text = simple_arguments(call.arguments)
            if arguments is None:
                arguments = decode_strict(call.arguments) if call.arguments else {}
            if not isinstance(arguments, dict):
                return None, None
            if not call.is_plain or len(id_raw) > MATCHED_ID_MAX_BYTES:
                return arguments, None
            version, meta = self._of_meta(call.meta or b"{}")
            equal = policy.tool(call.tool).equal
            if equal or not text:
                text = canonical_arguments(arguments, equal)
        except Unmatchable:
            return None, None
        key = CallKey(self._connection, epoch, version or protocol, call.tool, self.principal, text, meta)
        return arguments, key

    def _of_meta(self, raw: bytes) -> tuple[str, str]:
        if raw != self._last_meta[0]:  # clients send the same one again and again
            self._last_meta = (raw, *meta_identity(raw))
        return self._last_meta[1], self._last_meta[2]


def simple_arguments(raw: bytes) -> tuple[Arguments | None, str]:
    """The arguments and their canonical text where they come as that text, as nearly all do; else None.

    Nothing here is needed but for its speed: after a pause each line of code that runs costs ten times its time.
    """
    if len(raw) > MAX_KEY_CHARS or not _SIMPLE.fullmatch(raw):
        return None, ""
    arguments = _codec.decode(raw)
    if _sorted.encode(arguments) != raw:  # keys in another order, or twice; an integer like `-0`
        return None, ""
    return cast("Arguments", arguments), raw.decode()


def meta_identity(raw: bytes) -> tuple[str, str]:
    """The protocol version that a call's `_meta` names, and what of it must be equal.

    Raises:
        Unmatchable: it cannot be compared.
    """
    meta = decode_strict(raw)
    if not isinstance(meta, dict):
        raise Unmatchable("_meta is no object")
    version = meta.get(PROTOCOL_META, "")
    return (version if isinstance(version, str) else "?"), canonical_meta(meta)

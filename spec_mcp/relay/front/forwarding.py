"""The headers of a client that some server is to get in its name. Their values are shown to nobody else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec


class Forwarded(dict[str, str]):
    """Names in lower case, and values."""

    def __repr__(self) -> str:
        return f"Forwarded({sorted(self)})"

    def digest(self) -> str:
        """By what clients that bring other values are told apart; empty where there are none."""
        return hashlib.sha256(msgspec.json.encode(sorted(self.items()))).hexdigest() if self else ""


def forwarded_headers(raw: Mapping[bytes, bytes], names: frozenset[str]) -> Forwarded:
    """Those of a request's headers that are to be passed on."""
    return Forwarded({name: raw[name.encode()].decode("latin-1") for name in names if name.encode() in raw})

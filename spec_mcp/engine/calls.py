"""What a call is, and when two calls are the same call.

A key is a value object. Two calls are the same only if every member of their keys is equal (rule 5 of the design):
server, connection, protocol version, tool, principal, arguments and `_meta` but for what is named in
`UNMATCHED_META`. Arguments are equal as JSON texts with the order of object keys alone free: `1` and `1.0`, `true`
and `1`, an absent member and its default all differ. Text with duplicate keys, or with a number that a double cannot
hold, has no key and never matches.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A decoded JSON value."""

Arguments = dict[str, Json]
"""The arguments of a call, decoded."""

MAX_EXACT_INTEGER = 2**53
"""Integers of larger magnitude are not the same number in every JSON reader, so they never match."""

MAX_EXACT_DIGITS = 17
"""A decimal with more significant digits is not the same number in every JSON reader."""

UNMATCHED_META = frozenset(
    {
        "progressToken",  # names the call, says nothing to the tool
        "traceparent",
        "tracestate",
        "baggage",
        "claudecode/toolUseId",  # made anew by Claude Code for each call
        "x-codex-turn-metadata",  # made anew by Codex for each turn
    }
)
"""Members of `_meta` that tell one call from the next and never reach what a read may depend on."""

OUR_META_PREFIX = "spec-mcp/"
"""Members of `_meta` that are meant for us."""


class Unmatchable(ValueError):  # noqa: N818  not an error of anybody's, but a property of the text
    """The text has no canonical form that is safe to compare."""


class Equivalence(StrEnum):
    """How a manifest may widen the equality of one argument's values."""

    POSIX_PATH = "posix-path"
    CASEFOLD = "casefold"
    TRIM = "trim"
    UNORDERED = "unordered"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class CallKey:
    """The identity of a call: equal keys are the same call."""

    server: str
    epoch: int
    """Counts the connections to the server: nothing crosses a restart."""
    protocol: str
    tool: str
    principal: str
    arguments: str
    """Canonical JSON text."""
    meta: str
    """Canonical JSON text, without `UNMATCHED_META` and our own members."""


def decode_strict(text: bytes | str) -> Json:
    """Decode JSON so that equal results mean equal texts; lone surrogates are kept.

    Raises:
        Unmatchable: duplicate keys, NaN, a number that a double cannot hold, or no JSON at all.
    """
    try:
        return cast(
            "Json",
            json.loads(
                text,
                object_pairs_hook=_object,
                parse_float=_float,
                parse_int=_int,
                parse_constant=_constant,
            ),
        )
    except Unmatchable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unmatchable(str(error)) from error


def canonical(value: Json) -> str:
    """The canonical text of a decoded value: sorted keys, no white space, integers and floats told apart.

    Raises:
        Unmatchable: as `decode_strict`, for values that were not decoded by it.
    """
    _require_exact(value)
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unmatchable(str(error)) from error


def canonical_arguments(arguments: Arguments, equal: Mapping[str, Sequence[Equivalence]]) -> str:
    """The canonical text of a call's arguments under the equivalences that a manifest states for them."""
    if equal:
        arguments = {
            name: _fold(value, equal.get(name, ()))
            for name, value in arguments.items()
            if Equivalence.IGNORE not in equal.get(name, ())
        }
    return canonical(arguments)


def canonical_meta(meta: Mapping[str, Json]) -> str:
    """The canonical text of what a call's `_meta` may tell the tool."""
    return canonical(matched_meta(meta))


def matched_meta(meta: Mapping[str, Json]) -> dict[str, Json]:
    """The members of `_meta` that a speculation must share with the call it stands for."""
    return {
        name: value
        for name, value in meta.items()
        if name not in UNMATCHED_META and not name.startswith(OUR_META_PREFIX)
    }


def fold_text(value: str, equivalences: Sequence[Equivalence]) -> str:
    """One string under its equivalences, in the order of the enumeration's sense: trim, case, path."""
    if Equivalence.TRIM in equivalences:
        value = value.strip()
    if Equivalence.CASEFOLD in equivalences:
        value = value.casefold()
    if Equivalence.POSIX_PATH in equivalences and value:
        leading = value.startswith("/")
        # a `..` may cross a symbolic link, so only what cannot change the meaning is folded
        parts = [part for part in value.split("/") if part not in ("", ".")]
        value = posixpath.join("/" if leading else "", *parts) if parts else ("/" if leading else ".")
    return value


def _fold(value: Json, equivalences: Sequence[Equivalence]) -> Json:
    if not equivalences:
        return value
    if isinstance(value, str):
        return fold_text(value, equivalences)
    if isinstance(value, list):
        folded = [_fold(item, equivalences) for item in value]
        return sorted(folded, key=canonical) if Equivalence.UNORDERED in equivalences else folded
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Unmatchable("an object has the same key twice")
    return result


def _float(text: str) -> float:
    number = float(text)
    digits = sum(character.isdigit() for character in text.lower().split("e")[0].lstrip("-0."))
    if not math.isfinite(number) or digits > MAX_EXACT_DIGITS:
        raise Unmatchable(f"{text[:40]} is beyond a double")
    return number


def _int(text: str) -> int:
    if len(text) > 17 or abs(number := int(text)) > MAX_EXACT_INTEGER or text == "-0":
        raise Unmatchable(f"{text[:40]} is beyond a double")
    return number


def _constant(text: str) -> float:
    raise Unmatchable(f"{text} is no JSON")


def _require_exact(value: Json) -> None:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int):
        if abs(value) > MAX_EXACT_INTEGER:
            raise Unmatchable(f"{str(value)[:40]} is beyond a double")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unmatchable(f"{value} is no JSON")
    elif isinstance(value, list):
        for item in value:
            _require_exact(item)
    else:
        for item in value.values():
            _require_exact(item)

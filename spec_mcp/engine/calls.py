"""What a call is, and when two calls are the same call.

A key is a value object. Two calls are the same only if every member of their keys is equal (rule 5 of the design):
server, connection, protocol version, tool, principal, arguments and `_meta` but for what is named in
`UNMATCHED_META`. Arguments are equal as JSON texts with the order of object keys alone free: `1` and `1.0`, `true`
and `1`, an absent member and its default all differ. Text with duplicate keys, or with a number that a double cannot
hold, has no key and never matches.
"""

from __future__ import annotations

import json
import json.encoder
import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, cast

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""A decoded JSON value."""

Arguments = dict[str, Json]
"""The arguments of a call, decoded."""

MAX_EXACT_INTEGER = 2**53
"""Integers of larger magnitude are not the same number in every JSON reader, so they never match."""

MAX_EXPONENT_CHARS = 6
"""A sign and more digits than the exponent of a double has."""

MAX_KEY_CHARS = 16 * 1024
"""Longer arguments are guessed by no predictor, and every key that is remembered would cost their size."""

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


quoted = json.encoder.encode_basestring_ascii
"""A text as a JSON string."""


class Unmatchable(ValueError):  # noqa: N818  not an error of anybody's, but a property of the text
    """The text has no canonical form that is safe to compare."""


class Equivalence(StrEnum):
    """How a manifest may widen the equality of one argument's values."""

    POSIX_PATH = "posix-path"
    CASEFOLD = "casefold"
    TRIM = "trim"
    UNORDERED = "unordered"
    IGNORE = "ignore"


class CallKey(NamedTuple):
    """The identity of a call: equal keys are the same call."""

    connection: str
    epoch: int
    """Counts the restarts and handshakes of the connection, which nothing crosses."""
    protocol: str
    tool: str
    principal: str
    arguments: str
    """Canonical JSON text."""
    meta: str
    """Canonical JSON text, without `UNMATCHED_META` and our own members."""


def decode_strict(text: bytes | str) -> Json:
    """Decode JSON so that equal results mean equal texts; escaped lone surrogates are kept.

    Raises:
        Unmatchable: duplicate keys, NaN, a number that a double cannot hold, no UTF-8, or no JSON at all.
    """
    try:
        if isinstance(text, bytes):  # the codec would take raw surrogates, which each server reads in its own way
            text = text.decode("utf-8")
        return cast("Json", _DECODER.decode(text))
    except Unmatchable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unmatchable(str(error)) from error


def canonical(value: Json) -> str:
    """The canonical text of a decoded value: sorted keys, no white space, integers and floats told apart.

    Raises:
        Unmatchable: as `decode_strict`, for values that were not decoded by it.
    """
    try:
        if isinstance(value, dict) and (text := plain_text(value)) is not None:
            return text
        _require_exact(value)
        return _ENCODER.encode(value)
    except Unmatchable:
        raise
    except (AttributeError, TypeError, ValueError, RecursionError) as error:  # a predictor may break its word
        raise Unmatchable(str(error)) from error


def plain_text(members: Mapping[str, Json]) -> str | None:
    """What `canonical` makes of an object of texts, whole numbers and lists of texts, as most arguments are, in a third
    of the time; None of any other."""
    parts: list[str] = []
    for name in sorted(members):
        member = members[name]
        if type(member) is str:
            text = quoted(member)
        elif type(member) is int and -MAX_EXACT_INTEGER <= member <= MAX_EXACT_INTEGER:
            text = str(member)
        elif type(member) is list:
            items = [quoted(item) for item in member if type(item) is str]
            if len(items) < len(member):
                return None
            text = f"[{','.join(items)}]"
        else:
            return None
        parts.append(f"{quoted(name)}:{text}")
    return f"{{{','.join(parts)}}}"


def canonical_arguments(arguments: Arguments, equal: Mapping[str, Sequence[Equivalence]]) -> str:
    """The canonical text of a call's arguments under the equivalences that a manifest states for them.

    Raises:
        Unmatchable: as `canonical`, and for more than `MAX_KEY_CHARS`.
    """
    if equal:
        try:
            arguments = {
                name: fold(value, equal.get(name, ()))
                for name, value in arguments.items()
                if Equivalence.IGNORE not in equal.get(name, ())
            }
        except RecursionError as error:
            raise Unmatchable(str(error)) from error
    return _bounded(canonical(arguments))


def canonical_meta(meta: Mapping[str, Json]) -> str:
    """The canonical text of what a call's `_meta` may tell the tool.

    Raises:
        Unmatchable: as `canonical_arguments`.
    """
    return _bounded(canonical(matched_meta(meta)))


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
        # a `..` may cross a symbolic link and a `/` at the end asks for a folder: without them it is another path
        pieces = value.split("/")
        parts = [part for part in pieces if part not in ("", ".")]
        root = "/" if value.startswith("/") else ""
        folder = "/" if parts and pieces[-1] in ("", ".") else ""
        value = root + "/".join(parts) + folder or "."
    return value


def fold(value: Json, equivalences: Sequence[Equivalence]) -> Json:
    """A value, its strings and lists under its equivalences; what is ignored is left out by whoever asks."""
    if not equivalences:
        return value
    if isinstance(value, str):
        return fold_text(value, equivalences)
    if isinstance(value, list):
        folded = [fold(item, equivalences) for item in value]
        return sorted(folded, key=canonical) if Equivalence.UNORDERED in equivalences else folded
    return value


def _bounded(text: str) -> str:
    if len(text) > MAX_KEY_CHARS:
        raise Unmatchable(f"more than {MAX_KEY_CHARS} characters")
    return text


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Unmatchable("an object has the same key twice")
    return result


def _float(text: str) -> float:
    """A decimal that a double prints as the same decimal: any other is not the same number in every JSON reader."""
    number = float(text)
    if not math.isfinite(number) or _decimal(text) != _decimal(repr(number)):
        raise Unmatchable(f"{text[:40]} is beyond a double")
    return number


def _decimal(text: str) -> tuple[bool, str, int]:
    """Sign, significant digits and exponent of a decimal: equal for equal numbers, however they are written."""
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if len(exponent) > MAX_EXPONENT_CHARS:
        raise Unmatchable(f"{text[:40]} is beyond a double")
    significant = digits.rstrip("0")
    shift = len(digits) - len(significant) - len(fraction) + int(exponent or 0)
    return text.startswith("-"), significant, shift if significant else 0


def _int(text: str) -> int:
    if len(text) > 17 or abs(number := int(text)) > MAX_EXACT_INTEGER or text == "-0":
        raise Unmatchable(f"{text[:40]} is beyond a double")
    return number


def _constant(text: str) -> float:
    raise Unmatchable(f"{text} is no JSON")


def _require_exact(value: Json) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise Unmatchable(f"{name!r} is no member's name")
            if type(item) is not str:  # most are
                _require_exact(item)
    elif isinstance(value, (str, bool)) or value is None:
        return
    elif isinstance(value, int):
        if abs(value) > MAX_EXACT_INTEGER:
            raise Unmatchable(f"{str(value)[:40]} is beyond a double")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unmatchable(f"{value} is no JSON")
    elif isinstance(value, list):  # pyright: ignore[reportUnnecessaryIsInstance]
        for item in value:
            _require_exact(item)
    else:
        raise Unmatchable(f"{str(value)[:40]} is no JSON")


# made once: making one takes as long as using it; what holds itself `_require_exact` has found
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, check_circular=False
)

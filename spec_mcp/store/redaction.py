"""Leaves out of the record what must not be kept: values under the keys that `[store] redact` names.

Keys are matched by glob without regard to case, at any depth, in arguments and results, and in JSON that lies in a
text, to any depth too. Text that is no JSON as a whole is kept as it is: a secret in prose has no key.
"""

from __future__ import annotations

import fnmatch
import json
import math
import re
from collections.abc import Iterable
from typing import cast

from spec_mcp.engine.calls import Json

REDACTED = "[redacted]"
"""Stands in the place of a value that is not kept."""

MAX_DEPTH = 100
"""What is nested deeper is not kept: no tool means it for reading, and walking it must not exhaust the stack."""


class Redactor:
    """The keys whose values are never kept."""

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = list(patterns)
        globs = [fnmatch.translate(pattern.casefold()) for pattern in patterns]
        self._matcher = re.compile("|".join(globs)) if globs else None
        self._hint = _hint(patterns)
        self._known: dict[str, bool] = {}

    def may_hide(self, text: bytes) -> bool:
        """May this JSON text hold a key that is hidden? A quick look that errs to the safe side."""
        # a key may be spelled with escapes, and then its letters do not stand in the text
        return b"\\u" in text or not text.isascii() or (self._hint is not None and bool(self._hint.search(text)))

    def hides(self, key: str) -> bool:
        """Must values under this key not be kept?"""
        if self._matcher is None:
            return False
        known = self._known.get(key)
        if known is None:
            known = self._matcher.fullmatch(key.casefold()) is not None
            if len(self._known) < 4096:  # keys may come from data, and then there is no end of them
                self._known[key] = known
        return known

    def clean(self, value: Json, depth: int = 0) -> Json:
        """The value as it may be kept, always JSON: a number beyond a double becomes null."""
        if depth > MAX_DEPTH:
            return REDACTED
        if isinstance(value, str):
            return self._clean_text(value, depth)
        if isinstance(value, dict):
            return {
                key: REDACTED if self.hides(key) else self.clean(member, depth + 1) for key, member in value.items()
            }
        if isinstance(value, list):
            return [self.clean(item, depth + 1) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    def clean_json(self, text: bytes | str) -> bytes | None:
        """JSON text as it may be kept; None where it is no JSON or cannot be looked through."""
        try:
            return dumps(self.clean(cast("Json", json.loads(text))))
        except (ValueError, RecursionError):
            return None

    def clean_text(self, text: str) -> str:
        """A text as it may be kept: as it is, unless it is JSON with something to leave out."""
        return self._clean_text(text, 0)

    def _clean_text(self, text: str, depth: int) -> str:
        """The text itself unless it is JSON with something to leave out."""
        if text.lstrip()[:1] not in ("{", "[", '"'):
            return text
        lossless = True

        def members(pairs: list[tuple[str, Json]]) -> Json:
            nonlocal lossless
            result = dict(pairs)
            # of a key that occurs twice only the last value is looked at: the text itself must not be kept then
            lossless = lossless and len(result) == len(pairs)
            return result

        try:
            value = cast("Json", json.loads(text, object_pairs_hook=members))
        except ValueError:
            return text
        except RecursionError:
            return REDACTED
        cleaned = self.clean(value, depth + 1)
        if lossless and cleaned == value:
            return text
        return json.dumps(cleaned, ensure_ascii=False)


def dumps(value: Json) -> bytes:
    """Compact JSON text in ASCII, in which a lone surrogate stays the escape that it was."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _hint(patterns: Iterable[str]) -> re.Pattern[bytes] | None:
    """What a text must contain if one of the globs is to match a key in it; None where there are no globs."""
    longest = [max(re.split(r"[*?\[\]!]+", pattern.casefold()), key=len) for pattern in patterns]
    return re.compile("|".join(map(re.escape, longest)).encode(), re.IGNORECASE) if longest else None

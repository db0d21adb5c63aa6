"""Context hints on the wire: what a client tells of the conversation is taken out of its lines, and read.

The member goes from every `_meta` of a request's params; every other byte of the line stays. Hints that cannot be read
are said once and left aside: a call never fails for them.
"""

from __future__ import annotations

import msgspec

from spec_mcp.hints import HINTS_MAX_BYTES, HINTS_META, ITEMS_MAX, TEXT_MAX_CHARS, Role, Said
from spec_mcp.relay import wire
from spec_mcp.relay.saying import say

MARKER = b"spec-mcp"
"""Lines without it hold no hints. Some codecs escape the slash that follows it."""

HOW = f'write `{HINTS_META}` as a list of {{"role": "user" or "assistant", "text": "..."}}'


class _Item(msgspec.Struct):
    role: Role
    text: str


_items = msgspec.json.Decoder(list[_Item])


def taken_out(line: bytes) -> tuple[bytes, list[bytes]]:
    """The line without hints, and these as raw JSON; the same line where it holds none."""
    if MARKER not in line:
        return line, []
    if line.lstrip()[:1] == b"[":
        return _of_batch(line)
    return _within(line, ("params", "_meta"))


def hints_in(params: bytes) -> list[bytes]:
    """The hints that a request's raw params hold."""
    return _within(params, ("_meta",))[1] if MARKER in params else []


def _of_batch(line: bytes) -> tuple[bytes, list[bytes]]:
    pairs = [_within(text, ("params", "_meta")) for text in wire.elements(line)]
    found = [raw for _, raws in pairs for raw in raws]
    if not found:
        return line, []
    end = line[len(line.rstrip()) :]
    return b"[%s]%s" % (b",".join(text for text, _ in pairs), end), found


def _within(text: bytes, path: tuple[str, ...]) -> tuple[bytes, list[bytes]]:
    """The same for the object at the end of a path of members, each of which may be there twice."""
    spans = wire.spans(text) or []
    if not path:
        return _cut(text, spans)
    found: list[bytes] = []
    for name, begin, end in reversed(spans):
        if name == path[0] and MARKER in text[begin:end]:
            inner, raws = _within(text[begin:end], path[1:])
            if raws:
                text = text[:begin] + inner + text[end:]
                found = raws + found
    return text, found


def _cut(meta: bytes, spans: list[tuple[str, int, int]]) -> tuple[bytes, list[bytes]]:
    found: list[bytes] = []
    for index in range(len(spans) - 1, -1, -1):
        name, begin, end = spans[index]
        if name != HINTS_META:
            continue
        found.insert(0, meta[begin:end])
        if index > 0:  # from the end of the value before it, with the comma
            meta = meta[: spans[index - 1][2]] + meta[end:]
        else:
            first = meta.index(b"{") + 1
            comma = meta.find(b",", end) + 1 if _has_more(meta, end) else end
            meta = meta[:first] + meta[comma:]
    return meta, found


def _has_more(meta: bytes, end: int) -> bool:
    return meta[end:].lstrip()[:1] == b","


class Reader:
    """Reads the hints of one session, and says once what is wrong with them."""

    def __init__(self) -> None:
        self._has_complained = False

    def read(self, raw: bytes) -> list[Said]:
        """What was said, at most so much; nothing where it cannot be read."""
        if len(raw) > HINTS_MAX_BYTES:
            return self._refuse(f"{len(raw)} bytes are more than {HINTS_MAX_BYTES}; send what is new")
        try:
            items = _items.decode(raw)[-ITEMS_MAX:]
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            return self._refuse(f"{error}; {HOW}")
        texts = [Said(item.role, item.text.strip()[-TEXT_MAX_CHARS:]) for item in items]
        return [one for one in texts if one.text]

    def _refuse(self, why: str) -> list[Said]:
        if not self._has_complained:
            self._has_complained = True
            say(f"a client's hints (`_meta` {HINTS_META}) are left aside: {why}")
        return []

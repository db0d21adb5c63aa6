"""Context hints: what a client may tell spec-mcp of the conversation, so that it guesses better.

A proxy sees calls and results. A client that wants better guesses puts the words of its user and its assistant into
`_meta` of a `tools/call`, under `HINTS_META`: a list of `{"role": "user" | "assistant", "text": "..."}` in the order of
the conversation, all of it or only what is new. spec-mcp takes the member out before the call goes on: no server sees
it, and it makes no call another call.

    hints = Hints()
    hints.anthropic(messages)                      # or .openai(messages), .responses(input), .say("user", "...")
    await session.call_tool(name, arguments, meta=hints.meta())

    await hints.tell(session)                      # or at once, before the model is asked

This module needs nothing but the standard library, and no SDK but to tell at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

HINTS_META = "spec-mcp/hints"
"""The member of `_meta`."""

HINTS_MAX_BYTES = 64 * 1024
"""A larger member, as JSON, is not looked into by spec-mcp: looking would hold up the call that it came with."""

TEXT_MAX_CHARS = 8 * 1024
"""Of a longer text its end counts: what was said last is what the next call is about."""

ITEMS_MAX = 64
"""The newest items are heard: predictions go by what was said lately."""

SENT_MAX_BYTES = 48 * 1024
"""What the helper sends at once: it stays below `HINTS_MAX_BYTES` however JSON writes it."""

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Said:
    """One text of the conversation."""

    role: Role
    text: str


def new_since(heard: list[Said], said: list[Said]) -> list[Said]:
    """What of a list was not heard before: it may repeat the end of what was, or all of it."""
    for repeated in range(min(len(heard), len(said)), 0, -1):
        if said[:repeated] == heard[-repeated:]:
            return said[repeated:]
    return said


class Hints:
    """What one conversation has said, and what of it has been sent. One for each MCP session."""

    def __init__(self) -> None:
        self._conversation: list[Said] = []
        self._unsent: list[Said] = []

    def say(self, role: Role, text: str) -> None:
        """Words of the user or the assistant, in the order of the conversation."""
        if text := text.strip()[-TEXT_MAX_CHARS:]:
            self._add([Said(role, text)])

    def anthropic(self, messages: Iterable[Any]) -> None:
        """The `messages` of a request to Anthropic's API, as dictionaries or objects: all of them, or the new ones."""
        self._take(messages)

    def openai(self, messages: Iterable[Any]) -> None:
        """The `messages` of a chat completion."""
        self._take(messages)

    def responses(self, items: str | Iterable[Any]) -> None:
        """The `input` of a request to the Responses API, or its output items."""
        self._take([{"role": "user", "content": items}] if isinstance(items, str) else items)

    def meta(self) -> Any:
        """`_meta` for the next call, with what has not been sent yet, as a dictionary of `HINTS_META` to the list; None
        where there is nothing new. SDKs have types of their own for it, so it has none here."""
        unsent, self._unsent = self._unsent[-ITEMS_MAX:], []
        size_bytes = 0
        items: list[dict[str, str]] = []
        for said in reversed(unsent):
            size_bytes += len(said.text.encode("utf-8", "surrogatepass")) + said.text.count("\n") + 40
            if size_bytes > SENT_MAX_BYTES:
                break
            items.append({"role": said.role, "text": said.text})
        return {HINTS_META: items[::-1]} if items else None

    async def tell(self, session: Any) -> None:
        """Tell what is new at once, between calls, over the MCP Python client's `ClientSession` or `Client`.

        It goes with a `ping`, or with `server/discover` where the protocol has no `ping` any more (2026-07-28).
        """
        import mcp_types as types

        if (meta := self.meta()) is None:
            return
        session, params = getattr(session, "session", session), types.RequestParams(_meta=meta)
        if session.protocol_version < "2026-07-28":
            await session.send_request(types.PingRequest(params=params), types.EmptyResult)
        else:
            await session.send_request(types.DiscoverRequest(params=params), types.DiscoverResult)

    def _take(self, messages: Iterable[Any]) -> None:
        found: list[Said] = []
        for message in messages:
            role = _member(message, "role")
            if role in ("user", "assistant"):
                text = "\n".join(_texts(_member(message, "content"))).strip()[-TEXT_MAX_CHARS:]
                if text:
                    found.append(Said(role, text))
        self._add(new_since(self._conversation, found[-ITEMS_MAX:]))

    def _add(self, new: list[Said]) -> None:
        self._conversation = [*self._conversation, *new][-ITEMS_MAX:]
        self._unsent = [*self._unsent, *new][-ITEMS_MAX:]


def _texts(content: Any) -> list[str]:
    """The texts of a message's content: a string, or parts of which results of tools and images are none."""
    if isinstance(content, str):
        return [content]
    if content is None or isinstance(content, Mapping):
        return []
    parts = (part for part in content if _member(part, "type") in ("text", "input_text", "output_text"))
    return [text for part in parts if isinstance(text := _member(part, "text"), str)]


def _member(thing: Any, name: str) -> Any:
    """A member of a dictionary or an attribute of an SDK's object."""
    return cast("Any", thing).get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)

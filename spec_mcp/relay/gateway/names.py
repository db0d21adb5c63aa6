"""What tools and prompts are called where several servers are served as one: `SERVER__TOOL`.

Clients refuse names, and some of them the whole list with it, that are longer than 60 characters with their own
prefix left out (Cursor), 64 with it (Claude, OpenAI, Bedrock), that hold anything but letters, digits, `_` and `-`
(the same; the protocol allows dots too), or that begin with a digit or `-` (Gemini).

A server goes by its *label*: its name with every other character written as `_`. No label holds `__` or ends with
`_`, so the first `__` of `LABEL__TOOL` always ends the label, and no two tools whose names can stay as they are get
the same. Where a name has to be altered and comes out like another's, or has to be cut, a digest of server and tool
ends it. Which one is altered never depends on the order of the servers or of their lists.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from spec_mcp.tables import bare

SEPARATOR = "__"

LONGEST_CHARS = 60
"""What Cursor takes of server and tool together."""

SHORTEST_LONGEST_CHARS = 40
"""A tighter bound would leave no word of a long name."""

LABEL_KEPT_CHARS = 20
"""How much of the label stays, at least, where a name is cut: the tool's own name says more."""

DIGEST_CHARS = 8
"""32 bits: two of a thousand tools come out alike once in ten thousand configurations, and are told apart all the
same."""

NO_NAME = "server"

_REFUSED = re.compile(r"[^A-Za-z0-9_-]")
_UNDERSCORES = re.compile(r"_{2,}")

_Key = TypeVar("_Key", str, tuple[str, str])


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Which of a server's tools are served: glob patterns on the server's own names. `deny` wins."""

    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()

    def refusal(self, server: str, tool: str) -> str:
        """Why this tool is not served, with the setting that says so; empty where it is."""
        if not self.deny and "*" in self.allow:  # as nearly always, and each call asks
            return ""
        where = f"of [servers.{bare(server)}]"
        for pattern in self.deny:
            if fnmatchcase(tool, pattern):
                return f"the tool {tool} is not served: {pattern!r} in deny {where}"
        if not any(fnmatchcase(tool, pattern) for pattern in self.allow):
            return f"the tool {tool} is not served: it is not in allow {where}"
        return ""


def labels(servers: Iterable[str]) -> dict[str, str]:
    """The label of each server; no two are the same."""
    wanted = {server: label_of(server) for server in servers}
    exact = {server for server, label in wanted.items() if server == label}
    return _told_apart(wanted, exact, lambda server, salt: f"{wanted[server]}_{_digest((server,), salt)}")


def label_of(server: str) -> str:
    """The label of a server, whatever others there are."""
    label = _UNDERSCORES.sub("_", _REFUSED.sub("_", server)).rstrip("_")
    if not label:
        return NO_NAME
    return label if label[0].isalpha() or label[0] == "_" else "_" + label


def exposed(
    server_labels: Mapping[str, str], names: Iterable[tuple[str, str]], longest_chars: int = LONGEST_CHARS
) -> dict[tuple[str, str], str]:
    """The name under which each (server, its own name) is shown; no two are the same.

    `server_labels` are those of `labels`, and hold every server of `names`.
    """
    assert longest_chars >= SHORTEST_LONGEST_CHARS, "a bound that leaves no word of a name"

    def named(key: tuple[str, str], salt: int) -> str:
        return _cut(server_labels[key[0]], _REFUSED.sub("_", key[1]), _digest(key, salt), longest_chars)

    wanted: dict[tuple[str, str], str] = {}
    exact: set[tuple[str, str]] = set()
    for key in names:
        server, name = key
        clean = _REFUSED.sub("_", name)
        whole = server_labels[server] + SEPARATOR + clean
        if len(whole) > longest_chars:
            wanted[key] = named(key, 0)
            continue
        wanted[key] = whole
        if clean == name:
            exact.add(key)
    return _told_apart(wanted, exact, named)


def _told_apart(wanted: Mapping[_Key, str], exact: set[_Key], other: Callable[[_Key, int], str]) -> dict[_Key, str]:
    """What each is called: what it wants, where it alone does or has not been altered; else `other`, salted."""
    wishes = Counter(wanted.values())
    found = {key: name for key, name in wanted.items() if wishes[name] == 1 or key in exact}
    taken = set(found.values())
    for key in sorted(key for key in wanted if key not in found):
        salt = 0
        while (name := other(key, salt)) in taken:
            salt += 1
        found[key] = name
        taken.add(name)
    return found


def _cut(label: str, name: str, digest: str, longest_chars: int) -> str:
    room = longest_chars - len(SEPARATOR) - len("_") - len(digest)
    label = label[: max(LABEL_KEPT_CHARS, room - len(name))]
    return f"{label}{SEPARATOR}{name[: room - len(label)]}_{digest}"


def _digest(parts: tuple[str, ...], salt: int) -> str:
    text = "".join(f"{len(part)}:{part}" for part in parts) + (f"#{salt}" if salt else "")
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARS]

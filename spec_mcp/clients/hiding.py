"""A client's file as it may be shown: with its structure and what was changed, and without anything secret."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spec_mcp.clients.editing import Editor
from spec_mcp.clients.entries import URL_KEYS
from spec_mcp.clients.places import Client, servers_in
from spec_mcp.clients.tree import Document, Number, Scalar, applied, leaves

HIDDEN = "…"

SHOWN_KEYS = frozenset({"command", "type", "cwd", "envFile", "bearer_token_env_var", "env_http_headers", "env_vars"})
"""Keys of an entry that hold no secrets. What is not known is hidden."""

_SECRET_NAME = re.compile(r"token|secret|passw|key|auth|credential|bearer|cookie|header|\bpat\b", re.IGNORECASE)
_LOOKS_SECRET = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[^\s/\\]{20,}")
_USER = re.compile(r"://[^/@\s]+@")
_QUERY = re.compile(r"(?<=[?&])[^=&\s]+=[^&\s]+")
_NAMED_BY_US = ("--header-env", "--url-env", "--name", "--mode", "--type", "--config")


def shown(client: Client, file: str, text: str) -> str:
    """The file with all values hidden that are not known to be harmless, and all comments."""
    document = client.syntax.scan(text, file)
    paths = [servers.path for servers in servers_in(document, client, file)]
    editor = Editor(document)
    for node in (document.root, *document.strays):
        words: dict[tuple[str | int, ...], list[str]] = {}
        for path, leaf in leaves(node):
            if node is document.root and (inner := _below(path, paths)):
                said = words.setdefault(path[:-1], [])
                text_shown = _in_entry(inner, leaf, said)
                said.append(str(leaf.value))
            else:
                text_shown = None if isinstance(leaf.value, bool | None) else HIDDEN
            if text_shown is not None:
                editor.put(leaf.span, document.syntax.value(text_shown))
    for comment in document.comments:
        editor.put(comment, _comment(document, comment.start))
    return applied(document.text, editor.edits)


def word(text: str, before: Sequence[str]) -> str:
    """A word of a command line, as it may be shown; `before` are those that it follows."""
    last = before[-1] if before else ""
    if last in _NAMED_BY_US:
        return text
    if last.startswith("-") and "=" not in last and _SECRET_NAME.search(last):
        return HIDDEN
    name, equals, _ = text.partition("=")
    if equals and "://" not in name and _SECRET_NAME.search(name):
        return f"{name}={HIDDEN}"
    return url(text) if "://" in text else HIDDEN if _LOOKS_SECRET.fullmatch(text) else text


def url(text: str) -> str:
    """An address, as it may be shown."""
    text = _QUERY.sub(HIDDEN, _USER.sub(f"://{HIDDEN}@", text))
    scheme, separator, rest = text.partition("://")
    return scheme + separator + "/".join(HIDDEN if _LOOKS_SECRET.fullmatch(part) else part for part in rest.split("/"))


def _below(path: tuple[str | int, ...], tables: Sequence[tuple[str, ...]]) -> tuple[str | int, ...]:
    """The keys inside an entry; empty: it is in none."""
    for table in tables:
        if path[: len(table)] == table and len(path) > len(table) + 1:
            return path[len(table) + 1 :]
    return ()


def _in_entry(path: tuple[str | int, ...], leaf: Scalar, before: Sequence[str]) -> str | None:
    """What a value of an entry is shown as; None: as it is."""
    key, value = path[0], leaf.value
    if isinstance(value, bool | None) or key in SHOWN_KEYS:
        return None
    if isinstance(value, Number):
        return HIDDEN if key in ("env", "args") else None
    if key == "args":
        return _if_other(word(value, before), value)
    return _if_other(url(value), value) if key in URL_KEYS else HIDDEN


def _if_other(shown: str, value: str) -> str | None:
    return None if shown == value else shown


def _comment(document: Document, at: int) -> str:
    text = document.text
    if text.startswith("/*", at):
        return f"/* {HIDDEN} */"
    return f"// {HIDDEN}" if text.startswith("//", at) else f"# {HIDDEN}"

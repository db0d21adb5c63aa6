"""What a tool's own definition suggests about it. Suggestions for a person to review: nothing here is ever believed.

Names and descriptions are words, and annotations are the word of a server that nobody has checked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


READ_VERBS = _set(
    "browse calculate check compare compute convert count describe diff fetch find get inspect list look lookup "
    "preview query read retrieve return search select show stat summarize view"
)
WRITE_VERBS = _set(
    "accept add append apply approve archive assign buy cancel change clear close commit copy create delete deploy "
    "disable drop edit enable execute insert install invite kill mark merge modify move open patch pay post publish "
    "purge push put rebase refund reject remove rename replace reset restart restore revert run save schedule send "
    "set share start stop submit subscribe sync toggle transfer unsubscribe update upload upsert write"
)
UNSTEADY_WORDS = _set(
    "clock cursor current currently dequeue elapsed login logout next now pop random session sleep subscription time "
    "today token unread uuid wait"
)
"""Words of tools whose answer changes by itself, or by being asked for."""

LOOKED_AT_CHARS = 4000
"""Of a description: no tool that changes by itself says so only later."""

RECOVERY_KEYS = ("recovery", "compensation", "compensatedBy", "compensatingTool", "undo", "x-compensation-pair")
"""Annotations that may name a tool that takes this one back: SEP-3172, which is a proposal, and what servers write
meanwhile."""

MAX_ARGUMENTS = 4
"""Suggested resources of one tool: more of them are no reading aid."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PLAIN_NAME = re.compile(r"[\w.-]+")
"""Of an argument: other names would have to be escaped in a template, and some cannot stand there at all."""
_FILE = _set("path file filename filepath")
_FILES = _FILE | {word + "s" for word in _FILE}
_FOLDERS = _set("cwd dir directories directory dirs folder folders root roots")
_OVER_FOLDERS = _FOLDERS | _set("find glob grep list ls search tree walk")
"""Words of tools whose `path` is a folder, so that they speak of files with other names."""
_REPOSITORIES = _set("repo repos repository repositories")
_ADDRESSES = _set("url urls uri uris link links")
_IDENTIFIERS = _set("id ids key keys")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something that would widen trust, and what speaks for it and against it."""

    reason: str
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hints:
    """What one tool's definition suggests."""

    read: Suggestion | None
    """Is it a read? None where nothing speaks for it."""
    unsafe: str
    """Where nothing speaks for a read: why it stays unsafe."""
    says_read: bool
    """The server states `readOnlyHint: true`."""
    says_closed: bool
    """The server states `openWorldHint: false`."""
    touches: Mapping[str, str]
    """Suggested resources, each with the argument that it was made from."""
    file: str | None
    """The argument that names the one file it seems to read."""


def hints(tool: Mapping[str, Any]) -> Hints:
    """What an element of a `tools/list` suggests."""
    annotations = _table(tool.get("annotations"))
    says_read = annotations.get("readOnlyHint") is True
    name_words = words(_text(tool.get("name")))
    description = words(_text(tool.get("description"))[:LOOKED_AT_CHARS])
    touches = _touches(name_words, arguments_of(tool))
    files = [argument for template, argument in touches.items() if template == f"file:{{{argument}}}"]
    return Hints(
        read=_read(annotations, name_words, description),
        unsafe=_unsafe(annotations, _writing_word(name_words, description)),
        says_read=says_read,
        says_closed=annotations.get("openWorldHint") is False,
        touches=touches,
        file=files[0] if files and len(touches) == 1 and words(files[0])[-1] in _FILE else None,
    )


def taken_back_by(tool: Mapping[str, Any], tools: Collection[str]) -> str | None:
    """The one of these tools that the server names as what takes this one back."""
    annotations = _table(tool.get("annotations"))
    named = (name for key in RECOVERY_KEYS for name in _names(annotations.get(key)))
    return next((name for name in named if name in tools and name != tool.get("name")), None)


def _names(value: object) -> Iterator[str]:
    """Texts at the top of a value: its own, or those of its members."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (name for name in cast("dict[str, Any]", value).values() if isinstance(name, str))


def words(text: str) -> list[str]:
    """The words of a name or a text, in lower case: `getOrder_byID` is get, order, by, id."""
    return [word.lower() for word in _WORD.findall(text)]


def arguments_of(tool: Mapping[str, Any]) -> list[str]:
    """The names of a tool's arguments, as far as its schema lists them."""
    properties = _table(_table(tool.get("inputSchema")).get("properties"))
    return [name for name in properties if name]


def _read(annotations: Mapping[str, Any], name: list[str], description: list[str]) -> Suggestion | None:
    stated = annotations.get("readOnlyHint")
    verb = next((word for word in (*description[:1], *name) if _stem(word, READ_VERBS)), None)
    writes = _writing_word(name, description)
    if stated is not True and (stated is False or annotations.get("destructiveHint") is True or not verb or writes):
        return None
    says = "the server says readOnlyHint: true" if stated is True else "the server itself says nothing about it"
    where = "its description begins with" if verb in description[:1] else "its name has the word"
    reason = f'{says}; {where} "{verb}"' if verb else says
    doubts = [f'it says "{writes}"'] if writes else []
    unsteady = next((word for word in (*name, *description) if word in UNSTEADY_WORDS), None)
    if unsteady:
        doubts.append(f'it mentions "{unsteady}", and what changes by itself is no read')
    return Suggestion(reason, tuple(doubts))


def _unsafe(annotations: Mapping[str, Any], writes: str | None) -> str:
    if annotations.get("readOnlyHint") is False:
        return "the server says readOnlyHint: false"
    if annotations.get("destructiveHint") is True:
        return "the server says destructiveHint: true"
    return f'it says "{writes}"' if writes else "nothing says that it only reads"


def _writing_word(name: list[str], description: list[str]) -> str | None:
    """A word of the name, or the first of the description, that speaks of a change."""
    said = (*(word for word in name if word in WRITE_VERBS), *description[:1])
    return next((word for word in said if _stem(word, WRITE_VERBS)), None)


def _stem(word: str, verbs: frozenset[str]) -> bool:
    """Is it one of the verbs, or its third person: gets, searches, queries?"""
    forms = (word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("ies") + "y")
    return any(form in verbs for form in forms)


def _touches(name: list[str], arguments: list[str]) -> dict[str, str]:
    """Resources by the names of arguments. What may go by several names is taken whole: wider is safer."""
    found: dict[str, str] = {}
    for argument in arguments:
        template = _template(argument, name)
        if template is not None and len(found) < MAX_ARGUMENTS:
            found.setdefault(template, argument)
    return found


def _template(argument: str, name: list[str]) -> str | None:
    parts = words(argument)
    if not parts or not _PLAIN_NAME.fullmatch(argument):
        return None
    last = parts[-1]
    if not _REPOSITORIES.isdisjoint(parts):
        return "repository:*"
    if last in _FOLDERS or (last in _FILES and not _OVER_FOLDERS.isdisjoint(name)):
        return "file:*"
    if last in _FILES:
        return f"file:{{{argument}}}"
    if last in _ADDRESSES:
        return "web:*"
    if last in _IDENTIFIERS:
        kind = "_".join(parts[:-1]) or _noun(name)
        return f"{kind}:{{{argument}}}" if kind else None
    return None


def _noun(name: list[str]) -> str:
    """What a tool's name speaks of: get_order is about an order."""
    rest = [word for word in name if word not in READ_VERBS and word not in WRITE_VERBS]
    return rest[-1].removesuffix("s") if rest else ""


def _table(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

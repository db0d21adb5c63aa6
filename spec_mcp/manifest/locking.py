"""Writing fingerprints, proofs and reviews into a manifest without touching anything else in it."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping, MutableMapping
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

Value = str | float | list[str] | None
"""Of a key that is written; None takes the key out."""

MEND = "write each tool as a table of its own, [tools.NAME]"


class CannotLock(ValueError):  # noqa: N818  what happened, in the words of the user
    """The text cannot be edited so that it says the same and what is added."""


def locked(text: str, fingerprints: Mapping[str, str]) -> str:
    """The manifest's text with the fingerprint of each of these tools, which it must list.

    Comments, order and spacing stay. What comes out is read again and compared, so that no oddity of an author's
    TOML can change what a manifest says.

    Raises:
        CannotLock: it is written so that this cannot be done.
    """
    return edited(text, {name: {"fingerprint": fingerprint} for name, fingerprint in fingerprints.items()})


def edited(text: str, keys: Mapping[str, Mapping[str, Value]], reviewed: datetime.date | None = None) -> str:
    """The manifest's text with these keys in the tables of these tools; as `locked`. A tool that it does not list gets
    a table at its end. `reviewed` is the day on which somebody read what all of its tools do.

    Raises:
        CannotLock: it is written so that this cannot be done.
    """
    # the parser knows no other line ends; a file that has them gets them back
    line_end = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    try:
        document = tomlkit.parse(text)
        tools = cast("MutableMapping[str, Any]", document["tools"])
        for name, values in keys.items():
            if name not in tools:
                tools[name] = tomlkit.table()
            for key, value in values.items():
                _set(cast("MutableMapping[str, Any]", tools[name]), key, value)
        if reviewed is not None:
            _set(cast("MutableMapping[str, Any]", document["manifest"]), "reviewed", reviewed)
        written = document.as_string()
    except (TOMLKitError, TypeError) as error:
        raise CannotLock(MEND) from error
    wanted = tomllib.loads(text)
    for name, values in keys.items():
        table = wanted["tools"].setdefault(name, {})
        table.update(values)
        for key in [key for key, value in values.items() if value is None]:
            del table[key]
    if reviewed is not None:
        wanted["manifest"]["reviewed"] = reviewed
    try:
        is_right = tomllib.loads(written) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise CannotLock(MEND)
    return written.replace("\n", line_end)


def _set(table: MutableMapping[str, Any], key: str, value: Value | datetime.date) -> None:
    if value is None:
        table.pop(key, None)
        return
    if key in table or not isinstance(table, Table):
        table[key] = value
        return
    # Comments and empty lines at the end mostly belong to the table that follows: the key goes before them. They have
    # no key, so the container's index of keys does not know them and needs no mending.
    body = table.value.body
    end = len(body)
    while end and body[end - 1][0] is None:
        end -= 1
    following = body[end:]
    del body[end:]
    table[key] = value
    body.extend(following)

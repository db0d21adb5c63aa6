"""Writing fingerprints and proofs into a manifest without touching anything else in it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, MutableMapping
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

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


def edited(text: str, keys: Mapping[str, Mapping[str, str]]) -> str:
    """The manifest's text with these keys in the tables of these tools, which it must list; as `locked`.

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
            for key, value in values.items():
                _set(cast("MutableMapping[str, Any]", tools[name]), key, value)
        written = document.as_string()
    except TOMLKitError as error:
        raise CannotLock(MEND) from error
    wanted = tomllib.loads(text)
    for name, values in keys.items():
        wanted["tools"][name].update(values)
    try:
        is_right = tomllib.loads(written) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise CannotLock(MEND)
    return written.replace("\n", line_end)


def _set(table: MutableMapping[str, Any], key: str, value: str) -> None:
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

"""Tables that a person wrote, read into frozen structs.

Manifests and configurations come from people, so every fault is one line that names the file, the key and the mend.
The forms are msgspec structs and not pydantic models: `wrap` reads a manifest before it serves its first request, and
importing pydantic alone takes 0.2 to 0.3 s where msgspec, which the relay needs in any case, takes 0.04 s.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from enum import EnumMeta
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from spec_mcp.errors import UserError

S = TypeVar("S", bound=msgspec.Struct)

MAX_FILE_BYTES = 4_000_000
"""A file that people write stays far below; anything larger was named by mistake."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LOCATED = re.compile(r"(?P<fault>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")

_SHAPES = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "a text in quotes",
    "array": 'a list, such as ["…"]',
    "object": "a table, such as { … }",
    "date": "a date, such as 2026-11-21",
}


class TableError(UserError, ValueError):
    """A fault in a file that a person wrote; its text is the one line to show."""

    def __init__(self, file: str, key: str, fault: str, mend: str) -> None:
        self.file = file
        self.key = key
        """Such as `[tools.read_file] ttl_s`; empty where the whole file is meant."""
        self.fault = fault
        self.mend = mend
        super().__init__(": ".join(part for part in (file, key, fault) if part) + (f"; {mend}" if mend else ""))


def read_text(path: Path, fault: type[TableError]) -> str:
    """The text of a file.

    Raises:
        TableError: of the class given, where the file cannot be read or is no UTF-8 text.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise fault(str(path), "", f"{size_bytes} bytes are more than such a file can hold", "name another file")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise fault(str(path), "", f"no UTF-8 text at byte {error.start}", "save the file as UTF-8") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise fault(str(path), "", f"cannot be read: {reason}", "check the name and its permissions") from error


def read_toml(path: Path, fault: type[TableError]) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        TableError: of the class given; a fault of syntax names its line.
    """
    text = read_text(path, fault)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise fault(str(path), "", f"no valid TOML: {error}", "mend the syntax there") from error


def convert(table: object, form: type[S], file: str, section: str, fault: type[TableError]) -> S:
    """A table as the struct `form`; `section` names the table in faults.

    Raises:
        TableError: of the class given: an unknown key, a missing one, a wrong type or a value out of its bounds.
    """
    try:
        return msgspec.convert(table, form)
    except msgspec.ValidationError as error:
        key, what, mend = _explain(str(error), form)
        raise fault(file, " ".join(part for part in (section, key) if part), what, mend) from error


def require_table(value: object, file: str, section: str, fault: type[TableError]) -> dict[str, Any]:
    """The value, which must be a table.

    Raises:
        TableError: of the class given, where it is none.
    """
    if not isinstance(value, dict):
        raise fault(file, section, "must be a table", f"write {section} as a table of its own")
    return cast("dict[str, Any]", value)


def known_keys(
    table: Mapping[str, object], known: Iterable[str], file: str, section: str, fault: type[TableError]
) -> None:
    """Check that the table has no other keys.

    Raises:
        TableError: of the class given, for the first key that is not known.
    """
    known = tuple(known)
    for key in table:
        if key not in known:
            where = " ".join(part for part in (section, bare(key)) if part)
            raise fault(file, where, "unknown key", did_you_mean(key, known))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to do about a word that is not among the known ones."""
    known = sorted(known)
    near = nearest(word, known)
    return f"did you mean {near}?" if near else f"remove it, or use one of: {', '.join(known)}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    from difflib import get_close_matches  # only a faulty file pays for it

    return next(iter(get_close_matches(word, tuple(known), n=1, cutoff=0.7)), None)


def bare(key: str) -> str:
    """A key as TOML writes it: in quotes only where it must be."""
    return key if _BARE_KEY.fullmatch(key) else msgspec.json.encode(key).decode()


def _explain(message: str, form: type) -> tuple[str, str, str]:
    """Key, fault and mend for a message of msgspec's."""
    match = _LOCATED.fullmatch(message)
    what, path = (match["fault"], match["path"] or "") if match else (message, "")
    steps = [name or index for name, index in _STEP.findall(path)]
    key = path.replace("[...]", "").lstrip(".")
    quoted = re.findall(r"`([^`]*)`", what)
    here = _type_at(form, steps)
    if what.startswith("Object contains unknown field"):
        return _under(key, bare(quoted[0])), "unknown key", did_you_mean(quoted[0], _field_names(here))
    if what.startswith("Object missing required field"):
        return _under(key, quoted[0]), "missing", f"add {quoted[0]} = …"
    if what.startswith("Invalid enum value"):
        value = what.removeprefix("Invalid enum value ").strip("'")
        choices = _choices(here)
        near = nearest(value, choices)
        mend = f"did you mean {near}?" if near else f"use one of: {', '.join(choices)}"
        return key, f"unknown value {value}", mend
    if bound := re.search(r"(>=|<=|>|<) (\S+)$", what):
        words = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}[bound[1]]
        limit = bound[2].removesuffix(".0")
        return key, f"must be {words} {limit}", f"write a number that is {words} {limit}"
    if what.startswith("Expected") and quoted:
        shapes = [_shape(name) for name in quoted[0].split(" | ") if name != "null"]
        got = f", not {_shape(quoted[1]).split(',')[0]}" if len(quoted) > 1 else ""
        return key, f"must be {' or '.join(shapes)}{got}", f"write {' or '.join(shapes)}"
    return key, what, "mend the value"


def _shape(name: str) -> str:
    return _SHAPES.get(name, name)


def _under(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _type_at(form: object, steps: list[str]) -> object:
    """The annotation that lies under these steps of a path."""
    here = _plain(form)
    for step in steps:
        if step == "..." or step.isdigit():
            here = _plain((get_args(here) or (object,))[-1])
        elif isinstance(here, type):
            here = _plain(get_type_hints(cast("type[object]", here), include_extras=True).get(step, object))
    return here


def _plain(form: object) -> object:
    """An annotation without `Annotated` and `| None`."""
    while get_origin(form) is Annotated:
        form = get_args(form)[0]
    if get_origin(form) in (UnionType, Union):
        members = [member for member in get_args(form) if member is not type(None)]
        return _plain(members[0]) if len(members) == 1 else form
    return form


def _field_names(form: object) -> list[str]:
    if isinstance(form, type) and issubclass(form, msgspec.Struct):
        return list(form.__struct_fields__)
    return []


def _choices(form: object) -> list[str]:
    if isinstance(form, EnumMeta):
        return [str(cast("Any", member).value) for member in cast("Iterable[object]", form)]
    return [str(choice) for choice in get_args(form)] if get_origin(form) is Literal else []

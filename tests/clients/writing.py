"""Configurations of any content in any shape, and what a user may do to them.

A text is made of parts. Some are places where a user can edit outside of what belongs to spec-mcp; the same edit can so
be made to the text as it was and to the text after an installation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tomlkit
from hypothesis import strategies as st

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029"), min_size=1, max_size=12
) | st.sampled_from(
    ["github", "with space", "ünï 😀", 'quo"te', "back\\slash", "-dash", "a.b", "wrap", "spec-mcp", "--"]
)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8) | st.sampled_from(
    ["-y", "--", "wrap", "--name", "${workspaceFolder}/x", "C:\\Users\\ada", '"', "run", "//", "/*", "#", ",", "[", "}"]
)
VARIABLES = st.sampled_from(["A", "TOKEN", "API_KEY", "PATH", "x-y", "Authorization", "X-Key"])
VALUES = st.dictionaries(VARIABLES, WORDS, max_size=3)

PROGRAMS = st.fixed_dictionaries(
    {
        "command": st.sampled_from(
            ["npx", "node", "uvx", "/usr/local/bin/server", "./server", "${X}/run", "unknown-command"]
        )
    },
    optional={
        "args": st.lists(WORDS, max_size=4),
        "env": VALUES,
        "type": st.just("stdio"),
        "cwd": WORDS,
        "disabled": st.booleans(),
        "note": WORDS,
    },
)
ADDRESSES = st.sampled_from(
    ["http://localhost:3000/mcp", "https://example.com/mcp?key=1", "https://example.com/sse", "${BASE}/mcp"]
)
REMOTES = st.fixed_dictionaries(
    {"url": ADDRESSES},
    optional={"headers": VALUES, "type": st.sampled_from(["http", "sse"]), "env": VALUES, "note": WORDS},
)
UNFIT = st.sampled_from([{}, {"note": "x"}, {"command": "a b"}, {"url": "https://e.org", "oauth": {"clientId": "x"}}])
ENTRIES = st.one_of(PROGRAMS, PROGRAMS, REMOTES, UNFIT)
SERVERS = st.dictionaries(NAMES, ENTRIES, min_size=1, max_size=5)
OTHERS = st.dictionaries(
    NAMES.filter(lambda name: name not in ("mcpServers", "servers", "mcp_servers", "projects")),
    st.recursive(st.booleans() | st.integers(-9, 9) | WORDS, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
    max_size=3,
)


@dataclass(slots=True)
class Written:
    """A text in parts, and the numbers of those that a user may replace."""

    parts: list[str] = field(default_factory=list[str])
    places: list[int] = field(default_factory=list[int])

    def put(self, *parts: str) -> None:
        """More text."""
        self.parts += parts

    def place(self, text: str) -> None:
        """More text, which a user may replace."""
        self.places.append(len(self.parts))
        self.parts.append(text)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.parts)


def edited(text: str, written: Written, replacements: Mapping[int, str]) -> str:
    """The text with other texts in some of the places that are known by what stands there."""
    for number, replacement in replacements.items():
        mark = written.parts[written.places[number]]
        assert text.count(mark) == 1, "a place is known by its text, and nobody else touches it"
        text = text.replace(mark, replacement)
    return text


@st.composite
def json_files(draw: st.DrawFn, key: str, *, comments: bool = True) -> Written:
    """A client's file of JSON with servers under `key`."""
    return _json(draw, key, draw(SERVERS), draw(OTHERS), comments)


def _json(draw: st.DrawFn, key: str, servers: Mapping[str, Any], others: Mapping[str, Any], comments: bool) -> Written:
    end = draw(st.sampled_from(["\n", "\r\n"]))
    unit = draw(st.sampled_from(["  ", "\t", "    ", " "]))
    written = Written()
    written.put(draw(st.sampled_from(["", "\ufeff"])))

    def gap(depth: int) -> str:
        blank = draw(st.sampled_from([end + unit * depth, end + unit * depth, "", " ", end]))
        if not comments:
            return blank
        return blank + draw(st.sampled_from(["", "", "", f"/* {depth} */", f"// it's{end}", f"/* a{end}b */ "]))

    def place() -> None:
        if comments:
            written.place(f"/*@{len(written.places)}@*/")

    def value(found: Any, depth: int) -> None:
        if isinstance(found, dict):
            table(found, depth)
        elif isinstance(found, list):
            written.put("[", gap(depth))
            for number, one in enumerate(found):
                value(one, depth + 1)
                written.put(gap(depth) if comments and draw(st.booleans()) else "")
                is_last = number == len(found) - 1
                written.put("," if not is_last or (comments and draw(st.booleans())) else "", gap(depth))
            written.put("]")
        else:
            written.put(json.dumps(found, ensure_ascii=draw(st.booleans())))

    def table(found: Mapping[str, Any], depth: int, *, is_open: bool = False) -> None:
        written.put("{")
        if is_open:
            place()
        written.put(gap(depth))
        for number, (name, one) in enumerate(found.items()):
            written.put(json.dumps(name, ensure_ascii=draw(st.booleans())), draw(st.sampled_from([":", ": ", " : "])))
            if name == key and depth == 1:
                table(one, depth + 1, is_open=True)
            else:
                value(one, depth + 1)
            is_last = number == len(found) - 1
            written.put("," if not is_last or (comments and draw(st.booleans())) else "")
            if is_open and not is_last:
                place()
            written.put(gap(depth))
        written.put("}")

    whole = {**others, key: servers}
    order = draw(st.permutations(list(whole)))
    table({name: whole[name] for name in order}, 1, is_open=True)
    written.put(draw(st.sampled_from(["", end])))
    place()
    return written


@st.composite
def toml_files(draw: st.DrawFn) -> Written:
    """Codex's file, with each server written in one of the ways that TOML has."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    written = Written()
    servers: dict[str, Any] = draw(SERVERS)

    def place() -> None:
        written.place(f"#@{len(written.places)}@{end}")

    def line(text: str) -> None:
        written.put(
            draw(st.sampled_from(["", "", "  ", "\t"])), text, draw(st.sampled_from(["", "", " # x", "  "])), end
        )
        written.put(draw(st.sampled_from(["", "", end, f"# [not a header]{end}"])))

    for number, (name, one) in enumerate(draw(OTHERS).items()):
        line(f"{_key(name)} = {_value(one)}" if number < 2 else f"{_key(name)}.{_key(name)} = {_value(one)}")
    place()
    apart: list[tuple[str, Mapping[str, Any]]] = []
    inline = draw(st.booleans())
    if inline:
        line("[mcp_servers]")
        for name, entry in servers.items():
            way = draw(st.sampled_from(["apart", "braces", "dotted"]))
            if way == "braces":
                line(f"{_key(name)} = {_value(_codex(entry))}")
            elif way == "dotted" and entry:
                for key, one in _codex(entry).items():
                    line(f"{_key(name)}.{_key(key)} = {_value(one)}")
            else:
                apart.append((name, entry))
    for name, entry in apart if inline else servers.items():
        line(f"[mcp_servers.{_key(name)}]")
        tables = {key: one for key, one in _codex(entry).items() if isinstance(one, dict) and draw(st.booleans())}
        for key, one in _codex(entry).items():
            if key in tables:
                continue
            if isinstance(one, dict) and one and draw(st.booleans()):
                for inner, text in one.items():
                    line(f"{key}.{_key(inner)} = {_value(text)}")
            else:
                line(f"{key} = {_value(one)}")
        place()
        for key, one in tables.items():
            line(f"[mcp_servers.{_key(name)}.{key}]")
            for inner, text in one.items():
                line(f"{_key(inner)} = {_value(text)}")
    if draw(st.booleans()):
        line("[[profiles]]")
        line("mcp_servers.x = 1")
    place()
    return written


def _codex(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = {"headers": "http_headers", "disabled": "enabled"}
    return {names.get(key, key): value for key, value in entry.items()}


def _key(name: str) -> str:
    return (
        name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else tomlkit.item(name).as_string()
    )


def _value(found: Any) -> str:
    if isinstance(found, dict):
        return f"{{ {', '.join(f'{_key(name)} = {_value(one)}' for name, one in found.items())} }}"
    if isinstance(found, list):
        return f"[{', '.join(map(_value, found))}]"
    return tomlkit.item(found).as_string()


def replacements(places: Sequence[int], choices: Sequence[str]) -> st.SearchStrategy[dict[int, str]]:
    """Edits of some of the places."""
    return (
        st.dictionaries(st.sampled_from(range(len(places))), st.sampled_from(choices), max_size=3)
        if places
        else st.just({})
    )

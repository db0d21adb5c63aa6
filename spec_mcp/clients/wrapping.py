"""An entry gets spec-mcp in front of its server, and stays what it is otherwise.

A program's entry keeps its own words, `wrap --name NAME --` comes before them. A remote server's address goes behind
`wrap --url`, and its headers into `env`: what stands on a command line, every user of the machine can read. They are
named by `--header-env`, and not as `${NAME}`, since clients put in variables of that form themselves, or warn of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from spec_mcp.clients.editing import Editor
from spec_mcp.clients.entries import Reached, Started
from spec_mcp.clients.tree import Braces, Lines, Member, Scalar, Table, span_of

URL_VARIABLE = "SPEC_MCP_URL"
HEADER_VARIABLE = "SPEC_MCP_HEADER_"

_TOKEN = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[^/]{20,}")
"""A part of a path that is as long as a key, and mixed like one."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How entries are to start spec-mcp."""

    program: tuple[str, ...]
    """Absolute, since graphical clients have no PATH."""
    which: Callable[[str], str | None]
    """The absolute path of a command, None where it is not found."""
    mode: str = ""
    """To be written into the entries; empty: the switch of the store decides alone."""
    config: str = ""
    """A configuration to be named in the entries."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that spec-mcp needs there."""

    def words(self, verb: str, **options: str) -> list[str]:
        """The command line up to the server's own."""
        given = {**options, "config": options.get("config", "") or self.config, "mode": self.mode}
        written = [*self.program, verb]
        for name, value in given.items():
            if value:
                written += [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
        return written

    def absolute(self, command: str) -> str:
        """A command by its absolute path, where it is one that is looked for on the PATH and found there."""
        if any(mark in command for mark in "/\\$%~"):
            return command
        found = self.which(command)
        return command if found is None else os.path.abspath(found)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What an entry has become."""

    words: tuple[str, ...]
    """Its command line, up to the server's command where that has arguments of its own."""
    env: Mapping[str, str]
    """The variables that were added to it, by what they stand for: a header's name, `url`, or empty."""


def wrap_program(editor: Editor, entry: Table, name: str, started: Started, wrapping: Wrapping) -> Wrapped:
    """Put spec-mcp before a program's own words."""
    value = editor.document.syntax.value
    words = [*wrapping.words("wrap", name=name), "--", wrapping.absolute(started.command)]
    command, args = entry.members["command"], entry.members.get("args")
    editor.put(span_of(command.node), value(words[0]))
    if args is None:
        editor.after(entry, command, [("args", value(words[1:]))])
    elif isinstance(args.node, Scalar):  # null
        editor.put(args.node.span, value(words[1:]))
    else:
        assert not isinstance(args.node, Braces | Lines), "it was read as a list"
        editor.lead_in(args.node, words[1:])
    _add_env(editor, entry, command if args is None else args, {key: value(one) for key, one in wrapping.env.items()})
    return Wrapped(tuple(words), dict.fromkeys(wrapping.env, ""))


def wrap_remote(editor: Editor, entry: Table, name: str, reached: Reached, wrapping: Wrapping) -> Wrapped:
    """Put spec-mcp into the place of a remote server."""
    value = editor.document.syntax.value
    url = entry.members[reached.url_key]
    added = dict.fromkeys(wrapping.env, "")
    env = {key: value(one) for key, one in wrapping.env.items()}
    words = wrapping.words("wrap", name=name)
    if is_plain(reached.url):
        words += ["--url", reached.url]
    else:
        words += ["--url-env", URL_VARIABLE]
        env[URL_VARIABLE], added[URL_VARIABLE] = editor.raw(url), "url"
    if reached.kind != "http":
        words += ["--type", reached.kind]
    variables = _header_variables(entry, reached)
    for header, variable in variables.items():
        words += ["--header-env", f"{header}={variable}"]
        added[variable] = header
    words += _of_codex(reached)
    editor.replace(entry, url, [("command", value(words[0])), ("args", value(words[1:]))])
    if (kind := entry.members.get("type")) is not None:
        editor.put(span_of(kind.node), value("stdio"))
    gone = {*_forward(editor, entry, url, reached), *_headers_to_env(editor, entry, url, reached, variables, env)}
    editor.remove(entry, gone)
    return Wrapped(tuple(words), added)


def is_plain(url: str) -> bool:
    """May this address be seen by everybody? Not where it may hold a key or stands for something else."""
    where = url.split("://", 1)[-1]
    return not any(mark in where for mark in "?#@$") and _TOKEN.search(where.partition("/")[2]) is None


def _header_variables(entry: Table, reached: Reached) -> dict[str, str]:
    """By header: the variable that is to hold it."""
    env = entry.members.get("env")
    taken = {URL_VARIABLE, *(env.node.members if env is not None and isinstance(env.node, Braces | Lines) else ())}
    found: dict[str, str] = {}
    for header in reached.headers:
        wanted = variable = HEADER_VARIABLE + re.sub(r"[^A-Z0-9]+", "_", header.upper())
        number = 1
        while variable in taken:
            number += 1
            variable = f"{wanted}_{number}"
        taken.add(variable)
        found[header] = variable
    return found


def _headers_to_env(
    editor: Editor,
    entry: Table,
    url: Member,
    reached: Reached,
    variables: Mapping[str, str],
    more: Mapping[str, str],
) -> Iterator[str]:
    """What was a header is a variable now. The values stay where they are, unless there is an `env` already: then the
    key of the headers goes, and is yielded."""
    headers, env = entry.members.get(reached.headers_key), entry.members.get("env")
    if headers is None:
        _add_env(editor, entry, url, more)
    elif env is not None:
        values = headers.node.members if isinstance(headers.node, Braces | Lines) else {}
        moved = {variable: editor.raw(values[header]) for header, variable in variables.items()}
        _add_env(editor, entry, url, {**moved, **more})
        yield headers.name
    elif isinstance(headers.node, Braces | Lines):
        editor.rename(headers, "env")
        for header, variable in variables.items():
            editor.rename(headers.node.members[header], variable)
        editor.add(headers.node, list(more.items()))
    else:  # null
        editor.replace(entry, headers, [("env", editor.table(list(more.items())))])


def _of_codex(reached: Reached) -> Iterator[str]:
    """The headers of which Codex knows the variables."""
    if reached.bearer_variable:
        yield from ("--header", f"Authorization=Bearer ${{{reached.bearer_variable}}}")
    for header, variable in reached.header_variables.items():
        yield from ("--header-env", f"{header}={variable}")


def _forward(editor: Editor, entry: Table, url: Member, reached: Reached) -> Iterator[str]:
    """Codex passes on only the variables that it is told to; yields the keys that go."""
    names = [name for name in (reached.bearer_variable, *reached.header_variables.values()) if name]
    if not names:
        return
    pairs = [("env_vars", editor.document.syntax.value(list(dict.fromkeys(names))))]
    bearer = entry.members.get("bearer_token_env_var")
    if bearer is None:
        editor.after(entry, url, pairs)
    else:
        editor.replace(entry, bearer, pairs)
    if "env_http_headers" in entry.members:
        yield "env_http_headers"


def _add_env(editor: Editor, entry: Table, behind: Member, pairs: Mapping[str, str]) -> None:
    """More variables, in a table that may have to be made; one that the user has set stays."""
    env = entry.members.get("env")
    if env is not None and isinstance(env.node, Braces | Lines):
        editor.add(env.node, [pair for pair in pairs.items() if pair[0] not in env.node.members])
    elif pairs and env is None:
        editor.after(entry, behind, [("env", editor.table(list(pairs.items())))])
    elif pairs and env is not None:  # null
        editor.put(span_of(env.node), editor.table(list(pairs.items())))

"""One `spec-mcp run` in the place of several servers, and the configuration that it reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import tomlkit

from spec_mcp.clients.editing import Editor, Pair, has_header, lines_of
from spec_mcp.clients.entries import Reached, Started, Unfit
from spec_mcp.clients.ledger import Held
from spec_mcp.clients.places import Servers
from spec_mcp.clients.tree import Braces, Member, Number
from spec_mcp.clients.wrapping import Wrapping

NAME = "spec-mcp"

OUR_VARIABLE = re.compile(r"\$\{(?:env:)?[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}")
"""What a configuration of ours puts in."""
ANY_VARIABLE = re.compile(r"\$\{[^}]*\}")
DOLLAR = re.compile(r"\$(\w+)")

ALLOW_KEYS = ("includeTools", "enabled_tools")
DENY_KEYS = ("excludeTools", "disabled_tools")
CARRIED = frozenset(
    {"command", "args", "env", "cwd", "url", "httpUrl", "serverUrl", "type", "headers", "http_headers"}
    | {"bearer_token_env_var", "env_http_headers", "env_vars", "enabled", "disabled", "description"}
    | {*ALLOW_KEYS, *DENY_KEYS}
)
"""Keys of an entry that go along, or that change nothing."""


@dataclass(frozen=True, slots=True)
class Joining:
    """A server in the configuration of a gateway."""

    form: Mapping[str, Any]
    """Its table `[servers.NAME]`."""
    forwarded: tuple[str, ...] = ()
    """Variables that Codex must pass on."""
    dropped: tuple[str, ...] = ()
    """Keys of the entry that only the client understands."""


def joining(entry: Mapping[str, Any], said: Started | Reached, variables: str, wrapping: Wrapping) -> Joining | Unfit:
    """An entry as a configuration of ours has it; `variables` is how its client puts in variables."""
    if is_off(entry):
        return Unfit("it is switched off in its client")
    if entry.get("envFile"):
        return Unfit("only its client reads its envFile")
    forwarded = [str(name) for name in cast("list[Any]", entry.get("env_vars") or [])]
    form: dict[str, Any] = {}
    if isinstance(said, Started):
        form["command"], form["args"] = wrapping.absolute(said.command), list(said.args)
        form["env"] = {
            str(name): _text(value) for name, value in cast("dict[str, Any]", entry.get("env") or {}).items()
        }
    else:
        form["url"], form["type"], form["headers"] = said.url, said.kind, dict(said.headers)
        forwarded += [name for name in (said.bearer_variable, *said.header_variables.values()) if name]
    if entry.get("cwd"):
        form["cwd"] = _text(entry["cwd"])
    try:
        form = cast("dict[str, Any]", _put_in(form, variables))
    except ValueError as error:
        return Unfit(str(error))
    if isinstance(said, Reached):
        if said.bearer_variable:
            form["headers"]["Authorization"] = f"Bearer ${{{said.bearer_variable}}}"
        form["headers"] |= {header: f"${{{variable}}}" for header, variable in said.header_variables.items()}
    for keys, ours in ((ALLOW_KEYS, "allow"), (DENY_KEYS, "deny")):
        listed = [name for key in keys for name in cast("list[Any]", entry.get(key) or []) if isinstance(name, str)]
        if listed:
            form[ours] = listed
    kept = {key: value for key, value in form.items() if value or key in ("command", "url")}
    return Joining(kept, tuple(dict.fromkeys(forwarded)), tuple(key for key in entry if key not in CARRIED))


def is_off(entry: Mapping[str, Any]) -> bool:
    """Has the user switched this server off?"""
    return entry.get("disabled") is True or entry.get("enabled") is False


def configuration(client: str, servers: Mapping[str, Joining], settings: Mapping[str, Any], source: str) -> str:
    """The text of a gateway's configuration; `settings` are sections that `source` holds."""
    document = tomlkit.document()
    document.add(tomlkit.comment(f"Servers of {client}, by `spec-mcp install`; `spec-mcp uninstall` takes them back."))
    document.add("servers", {name: dict(one.form) for name, one in servers.items()})
    if settings:
        document.add(tomlkit.nl())
        document.add(tomlkit.comment(f"as they were in {source}"))
        for name, section in settings.items():
            document.add(name, section)
    return tomlkit.dumps(document)  # pyright: ignore[reportUnknownMemberType]


def replace_all(
    editor: Editor, servers: Servers, chosen: Sequence[Member], name: str, entry: Mapping[str, object]
) -> list[Held]:
    """One entry in the place of all these, where the first of them stands; what they were."""
    document, table = editor.document, servers.node
    first, *others = chosen
    pairs = [(key, document.syntax.value(value)) for key, value in entry.items()]
    if isinstance(table, Braces):
        editor.replace(table, first, [(name, _as_tall(editor, first, pairs))])
        editor.remove(table, {one.name for one in others})
        return [Held(name=one.name, text=editor.raw(one)) for one in chosen]
    if has_header(first):
        keys = [document.syntax.key(part) for part in (*servers.path, name)]
        lines = [f"[{'.'.join(keys)}]", *(f"{key} = {text}" for key, text in pairs)]
    else:
        start = document.text.rfind("\n", 0, first.start) + 1
        before = document.text[start : first.key.start].lstrip("\ufeff")
        lines = [f"{before}{document.syntax.key(name)} = {editor.table(pairs)}"]
    editor.before_lines(first, lines)
    editor.remove(table, {one.name for one in chosen})
    return [Held(name=one.name, text=lines_of(document, one), is_block=has_header(one)) for one in chosen]


def _as_tall(editor: Editor, like: Member, pairs: Sequence[Pair]) -> str:
    """A table, over several lines where that member's is."""
    document = editor.document
    if "\n" not in editor.raw(like):
        return editor.table(pairs)
    outer = document.text[document.text.rfind("\n", 0, like.start) + 1 : like.start]
    outer = outer if outer.strip() == "" else ""
    inner = outer + "  "
    if isinstance(like.node, Braces) and like.node.rows:
        at = like.node.rows[0].start
        before = document.text[document.text.rfind("\n", 0, at) + 1 : at]
        inner = before if before.strip() == "" else inner
    end = document.line_end
    lines = [f"{inner}{document.syntax.key(key)}{document.syntax.assign}{text}" for key, text in pairs]
    return f"{{{end}{f',{end}'.join(lines)}{end}{outer}}}"


def _text(value: object) -> str:
    if isinstance(value, Number):
        return value.text
    return value if isinstance(value, str) else str(value).lower()


def _put_in(value: object, variables: str) -> object:
    """The value with its client's variables written as a configuration of ours has them.

    Raises:
        ValueError: only the client knows one of them; the text says which.
    """
    if isinstance(value, dict):
        return {name: _put_in(one, variables) for name, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_put_in(one, variables) for one in cast("list[object]", value)]
    return _variables_in(value, variables) if isinstance(value, str) else value


def _variables_in(text: str, variables: str) -> str:
    if variables == "braces":
        return text
    if variables == "dollar":
        return DOLLAR.sub(r"${\1}", text)
    for found in ANY_VARIABLE.findall(text):
        is_environment = variables == "env" and found.startswith("${env:")
        if not is_environment and (variables == "env" or OUR_VARIABLE.fullmatch(found)):
            raise ValueError(f"only its client knows what {found} is")
    # a client of this kind takes a variable that is not set for empty
    return re.sub(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", r"${\1:-}", text)

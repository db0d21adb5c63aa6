"""What an entry of a client's configuration says: a program to start, a server to reach, or something of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

URL_KEYS = ("httpUrl", "url", "serverUrl")
HEADER_KEYS = ("headers", "http_headers")
LOGIN_KEYS = ("oauth", "auth", "authentication", "authProviderType", "headersHelper", "oauth_resource", "scopes")
"""With these the client itself gets the credentials, which nothing between it and the server can do."""

KINDS = {
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamableHttp": "http",
    "sse": "sse",
}
STARTED = (None, "stdio", "local")
"""What `type` may say where there is a command."""

OUR_PROGRAM = re.compile(r"(?:.*[/\\])?spec[-_]mcp(?:\.exe|\.cmd)?(?:(?:@|==).*)?")
OUR_VERBS = ("wrap", "run")
PROGRAM_MAX_WORDS = 10
"""Such as `uvx --from WHEEL spec-mcp`: farther behind, the word is an argument of something else."""


@dataclass(frozen=True, slots=True)
class Started:
    """A server that is started by a command."""

    command: str
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that is reached over HTTP."""

    url: str
    url_key: str
    kind: str
    """http or sse."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    headers_key: str = ""
    """Where they stand; empty: there are none."""
    bearer_variable: str = ""
    """Codex: the variable that holds the bearer token."""
    header_variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Codex: the variables that hold headers."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """An entry that stays as it is."""

    why: str


@dataclass(frozen=True, slots=True)
class Ours:
    """An entry that starts spec-mcp."""

    program: tuple[str, ...]
    verb: str
    options: Mapping[str, tuple[str, ...]]
    """By name, without the dashes."""
    server: tuple[str, ...]
    """The server's own command line, behind `--`."""

    def option(self, name: str) -> str | None:
        """The last value that an option has."""
        return self.options.get(name, (None,))[-1]


def words_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The command line that an entry starts; empty where it starts none, or is broken."""
    command, args = entry.get("command"), _texts(entry.get("args"))
    return (command, *args) if isinstance(command, str) and args is not None else ()


def ours(words: Sequence[str]) -> Ours | None:
    """What a command line of spec-mcp says; None where it is another program's."""
    for at, word in enumerate(words[:PROGRAM_MAX_WORDS]):
        if word == "--":
            return None
        if OUR_PROGRAM.fullmatch(word) and at + 1 < len(words) and words[at + 1] in OUR_VERBS:
            behind = list(words[at + 2 :])
            cut = behind.index("--") if "--" in behind else len(behind)
            options: dict[str, tuple[str, ...]] = {}
            for name, value in _options(behind[:cut]):
                options[name] = (*options.get(name, ()), value)
            return Ours(tuple(words[: at + 1]), words[at + 1], options, tuple(behind[cut + 1 :]))
    return None


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        yield name, value if equals else next(rest, "")


def read(entry: Mapping[str, Any], client: str) -> Started | Reached | Unfit:
    """What an entry says; `client` is the name of whose it is."""
    urls = [key for key in URL_KEYS if entry.get(key) is not None]
    if entry.get("command") is not None:
        return Unfit("it has both a command and a url") if urls else _started(entry)
    if len(urls) != 1:
        return Unfit("it has neither a command nor a url" if not urls else "it names two addresses")
    return _reached(entry, urls[0], client)


def _started(table: Mapping[str, Any]) -> Started | Unfit:
    if table.get("type") not in STARTED:
        return Unfit(f"its type {table['type']} starts no program")
    words = words_of(table)
    if not words or not words[0]:
        return Unfit("its command or its args are no texts")
    if " " in words[0] and "/" not in words[0] and "\\" not in words[0]:
        return Unfit("its command holds blanks: write what follows the program into args")
    return Started(words[0], words[1:])


def _reached(table: Mapping[str, Any], url_key: str, client: str) -> Reached | Unfit:
    if login := next((key for key in LOGIN_KEYS if _is_used(table.get(key))), None):
        return Unfit(f"its client logs in for it ({login})")
    url, kind = table[url_key], table.get("type")
    if not isinstance(url, str):
        return Unfit(f"its {url_key} is no text")
    if not url.startswith(("http://", "https://", "$")):
        return Unfit(f"its {url_key} is no address of HTTP")
    if kind is not None and kind not in KINDS:
        return Unfit(f"its type {kind} is none that spec-mcp speaks")
    headers_key = next((key for key in HEADER_KEYS if key in table), "")
    headers, variables = _names(table.get(headers_key)), _names(table.get("env_http_headers"))
    bearer = table.get("bearer_token_env_var") or ""
    if headers is None or variables is None or not isinstance(bearer, str):
        return Unfit("its headers are no texts")
    kind = KINDS[kind] if kind else _kind(url, url_key, client)
    return Reached(url, url_key, kind, headers, headers_key, bearer, variables)


def _kind(url: str, url_key: str, client: str) -> str:
    """The transport where the entry does not say it."""
    try:
        path = urlsplit(url).path
    except ValueError:
        path = ""
    if path.rstrip("/").endswith("/sse"):
        return "sse"
    # Gemini CLI has a key of its own for the newer transport
    return "sse" if client == "gemini" and url_key == "url" else "http"


def _is_used(value: object) -> bool:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return bool(table) and table.get("enabled") is not False
    return value not in (None, False, "")


def _texts(value: object) -> list[str] | None:
    """A list of texts, which may be missing; None where it is something else."""
    if value is None:
        return []
    if not isinstance(value, list):
        return None
    found = cast("list[object]", value)
    return cast("list[str]", found) if all(isinstance(one, str) for one in found) else None


def _names(value: object) -> dict[str, str] | None:
    """A table of texts, which may be missing; None where it is something else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return None
    found = cast("dict[str, object]", value)
    return cast("dict[str, str]", found) if all(isinstance(one, str) for one in found.values()) else None

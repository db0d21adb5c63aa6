"""The configuration that a user writes: its keys, its defaults and its faults.

TOML or JSON with the same keys; a JSON file that holds a client's ordinary `mcpServers` is a configuration as it is.
Our own sections take no unknown keys. An entry of `mcpServers` may hold the keys of any client, and so may a client's
file beside it.

Environment variables are put in (`${NAME}`, `${NAME:-default}`, `${env:NAME}`) only for the server that is started,
so that `stats` works where a server's token is not set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import quote

import msgspec
from msgspec import Meta

from spec_mcp.engine.events import Mode
from spec_mcp.tables import (
    TableError,
    bare,
    convert,
    known_keys,
    nearest,
    read_text,
    read_toml,
    require_table,
)

HOME_MODE = 0o700
"""The home holds what tools answered: nobody else's business."""

DEFAULT_REDACT = ("*password*", "*secret*", "access_token", "refresh_token", "id_token", "api_key", "authorization")

_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_PASSWORD = re.compile(r"[?&]password=([^&]*)")
_SECTIONS = ("servers", "speculation", "predictors", "store", "listen")
_HTTP_TYPES = {"http": "http", "streamable-http": "http", "streamableHttp": "http", "sse": "sse"}

LONGEST_S = 31_536_000.0
"""A year, as in manifests: a larger number of seconds is one of milliseconds."""

Seconds = Annotated[float, Meta(ge=0, le=LONGEST_S)]
Share = Annotated[float, Meta(ge=0, le=1)]
Bound = Annotated[int, Meta(ge=1, le=2**40)]
Patience = Annotated[float, Meta(gt=0, le=LONGEST_S)]


class ConfigError(TableError):
    """A configuration that cannot be used as it is; its text is the one line to show."""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of which every key is known."""


class ClientCredentials(Table, frozen=True, kw_only=True):
    """What is shown to a remote server's authorization server, where no person logs in (OAuth)."""

    client_id: Annotated[str, Meta(description="who asks; `${NAME}` puts an environment variable in")]
    client_secret: Annotated[str, Meta(description="its proof; write `${NAME}`, never the secret itself")]
    issuer: Annotated[str, Meta(description="the authorization server that these are for; no other sees them")]
    scope: Annotated[str | None, Meta(description="what is asked for; without it: what the server asks for")] = None


class Server(Table, frozen=True, kw_only=True):
    """One server: how it is started or reached, and how it is wrapped."""

    command: Annotated[str | None, Meta(description="the program that is the server; this or `url`")] = None
    args: Annotated[tuple[str, ...], Meta(description="its arguments")] = ()
    env: Annotated[dict[str, str], Meta(description="its environment variables; `${NAME}` puts one of yours in")] = {}
    cwd: Annotated[str | None, Meta(description="the folder that it is started in; without it: the present one")] = None
    url: Annotated[str | None, Meta(description="the address of a remote server; this or `command`")] = None
    type: Annotated[
        Literal["http", "sse"], Meta(description="a remote server's transport: Streamable HTTP, or the older one")
    ] = "http"
    headers: Annotated[dict[str, str], Meta(description="sent to a remote server with every request")] = {}
    client_credentials: Annotated[
        ClientCredentials | None, Meta(description="a table of its own: how a program logs in at a remote server")
    ] = None
    manifest: Annotated[
        str | None,
        Meta(
            description="a shipped name, or a path relative to the configuration's folder; "
            "without it: matched by the name that the server gives itself"
        ),
    ] = None
    isolation: Annotated[
        Literal["shared", "per-session", "pool"],
        Meta(description="in the gateway: one connection for each session, one for all of a principal, or four"),
    ] = "per-session"
    trust_annotations: Annotated[
        bool, Meta(description="believe the server's own `readOnlyHint`: such tools count as reads (`ttl_s` 3)")
    ] = False
    allow: Annotated[tuple[str, ...], Meta(description="tools that the gateway serves: patterns such as `get_*`")] = (
        "*",
    )
    deny: Annotated[tuple[str, ...], Meta(description="tools that it does not, whatever `allow` says")] = ()
    forward_headers: Annotated[
        tuple[str, ...], Meta(description="headers of the gateway's client that a remote server gets too")
    ] = ()
    rate_per_minute: Annotated[float, Meta(ge=0, description="bound on its speculations; 0: none")] = 0
    message_bytes: Annotated[
        Bound,
        Meta(description="its longest message: `wrap` passes longer ones on unread, the gateway ends the server"),
    ] = 256 * 2**20
    """Five times the longest message that anybody is known to send."""
    waiting_bytes: Annotated[
        Bound, Meta(description="in the gateway: what may wait for it if it does not read, before requests are refused")
    ] = 64 * 2**20
    """Twice what is kept for lines of our own."""
    start_s: Annotated[
        Patience, Meta(description="in the gateway: how long its program may take to its first word")
    ] = 60.0
    """`npx` and `uvx` may have to fetch it, and clients wait no longer."""
    connect_s: Annotated[Patience, Meta(description="how long connecting to a remote server may take")] = 10.0
    """TCP and TLS with a server at the other end of the world take one second; ten are a server that is not there."""
    answer_s: Annotated[Patience, Meta(description="how long a remote server may take to begin its answer")] = 600.0
    """A server that streams nothing answers when it has done: clients give up after 300 s, and it is for them to say
    so."""
    values_from: Annotated[
        tuple[str, ...], Meta(description="servers of whose values it may be told by speculation; `*`: all of them")
    ] = ()


class Speculation(Table, frozen=True, kw_only=True):
    """What may be speculated, and how eagerly."""

    mode: Annotated[
        Mode,
        Meta(
            description="answer ahead of time, only compare, or pass all through; `spec-mcp on` and its like overrule"
        ),
    ] = Mode.ON
    reversible: Annotated[
        bool, Meta(description="may tools that can be taken back be called ahead of time? Not with a PostgreSQL store")
    ] = False
    accept_unproven: Annotated[
        tuple[str, ...],
        Meta(description='`"server.tool"`: reversible tools accepted without a proof by `spec-mcp manifest verify`'),
    ] = ()
    lossy: Annotated[bool, Meta(description="may last-write-wins tools be, too? Not lossless")] = False
    wasted_call_s: Annotated[
        Seconds,
        Meta(
            description="what one wasted call is worth, in seconds of waiting: larger wastes less and hides less; "
            "`spec-mcp tune` finds yours"
        ),
    ] = 0.2
    breadth: Annotated[int, Meta(ge=1, le=64, description="the most speculations for each step ahead")] = 4
    depth: Annotated[int, Meta(ge=1, le=16, description="steps ahead")] = 3
    in_flight: Annotated[int, Meta(ge=1, le=64, description="speculations at once, for each server")] = 4
    join: Annotated[bool, Meta(description="may a call wait for a speculation that is under way?")] = True
    used_share: Annotated[
        Share,
        Meta(description="above 0: `wasted_call_s` is chosen online so that this share of the speculations is used"),
    ] = 0.0
    price_per_hour_saved: Annotated[
        float,
        Meta(ge=0, description="what an hour of waiting may cost in model predictors, in the currency of their prices"),
    ] = 0.0
    attach: Annotated[bool, Meta(description="not lossless: attach likely next results to the reply, too")] = False
    check_every: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="of how many calls that were answered ahead of time one is made again in the background, to "
            "see whether its answer was right; 0: none",
        ),
    ] = 16
    """At 16 that is one read in seventeen at the most, made when the server has nothing else to do."""


Price = Annotated[float, Meta(ge=0)]


class ModelPredictor(Table, frozen=True, kw_only=True):
    """A model that predicts."""

    kind: Annotated[Literal["openai", "anthropic"], Meta(description="the interface that it speaks")]
    model: Annotated[str, Meta(description="the model's name there")]
    base_url: Annotated[str | None, Meta(description="where it is; without it: the maker's own address")] = None
    api_key_env: Annotated[
        str, Meta(description="the name of an environment variable that holds the key, never a key")
    ] = ""
    timeout_s: Annotated[float, Meta(gt=0, le=60, description="how long a guess may take")] = 1.5
    tokens_per_minute: Annotated[int, Meta(ge=0, description="bound on what is sent and received; 0: none")] = 20_000
    concurrency: Annotated[int, Meta(ge=1, le=64, description="questions at once")] = 2
    prompt_chars: Annotated[
        int, Meta(ge=500, le=1_000_000, description="how much of recent calls and results one question shows")
    ] = 8_000
    output_tokens: Annotated[
        int, Meta(ge=16, le=64_000, description="the longest answer; a model that thinks first needs more")
    ] = 600
    effort: Annotated[
        str, Meta(description="how much the model thinks, in its maker's words; empty: as it does by itself")
    ] = ""
    price_input: Annotated[
        Price | None, Meta(description="of a million tokens sent, in any currency; without it: by a dated list")
    ] = None
    price_cached: Annotated[
        Price | None, Meta(description="the same, of those read from the prompt cache; without it: `price_input`")
    ] = None
    price_output: Annotated[
        Price | None, Meta(description="the same, of tokens answered; a server in one's own network is free")
    ] = None


class Store(Table, frozen=True, kw_only=True):
    """Where sessions are recorded."""

    url: Annotated[
        str,
        Meta(
            description="`sqlite:` for the file in `SPEC_MCP_HOME`, or the path of another, for one machine; "
            "`postgresql://USER@HOST/DATABASE` for a database that many share (needs `spec-mcp[postgres]`), its "
            "password as `${NAME}`, by `PGPASSWORD` or in `~/.pgpass`"
        ),
    ] = "sqlite:"
    retention_days: Annotated[
        float, Meta(ge=0, le=36_500, description="how long the record is kept before it is deleted")
    ] = 30
    record_results: Annotated[bool, Meta(description="may results be in the record? Without them less is foretold")] = (
        True
    )
    redact: Annotated[
        tuple[str, ...], Meta(description="keys, as patterns, whose values are neither recorded nor shown to a model")
    ] = DEFAULT_REDACT
    replica: Annotated[
        str,
        Meta(description="with PostgreSQL: this process's name among those that share the store; empty: the host's"),
    ] = ""
    lease_s: Annotated[
        Patience,
        Meta(
            description="with PostgreSQL: how long the others count on a replica that says nothing; one that cannot "
            "reach the database holds requests back for twice as long at most"
        ),
    ] = 1.0
    """What a call waits at most twice where the database is out of reach, against how soon a slow one seems so."""
    bury_after_s: Annotated[
        Seconds,
        Meta(
            description="with PostgreSQL: after what silence a replica is taken for gone, with all that it was doing; "
            "0: never, until its end is certain"
        ),
    ] = 0.0


class Listen(Table, frozen=True, kw_only=True):
    """Serving over HTTP: who may come in, and how much of everything."""

    token_env: Annotated[
        str,
        Meta(
            description="the variable that holds the token to be shown; where it is not set and no issuer is named, "
            "only loopback is served"
        ),
    ] = "SPEC_MCP_TOKEN"
    issuer: Annotated[str, Meta(description="whose tokens (JWT) are taken")] = ""
    audience: Annotated[str, Meta(description="for whom they must be made out; empty: `public_url`")] = ""
    jwks_url: Annotated[str, Meta(description="where the issuer's keys are; empty: its metadata says so")] = ""
    required_scopes: Annotated[tuple[str, ...], Meta(description="scopes that a token must have")] = ()
    public_url: Annotated[str, Meta(description="the address of `/mcp` as clients know it")] = ""
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="names in `Host` besides those of loopback and of `public_url`: `name`, `name:port`, or `*` "
            "where tokens are asked for"
        ),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...], Meta(description="web pages that may ask, besides those of loopback and of `public_url`")
    ] = ()
    header_bytes: Annotated[Bound, Meta(description="the most that a request's headers may take")] = 32 * 1024
    """Several tokens and parameters in headers fit into it; nothing honest needs more."""
    body_bytes: Annotated[Bound, Meta(description="the same of its body, which is held in memory")] = 16 * 2**20
    """A request may carry a file."""
    slow_s: Annotated[
        Patience, Meta(description="how long a client may take to send one request, and not to read what it is sent")
    ] = 30.0
    connections: Annotated[Bound, Meta(description="connections at once; a descriptor each")] = 2_000
    """Twice the sessions, since most clients keep two."""
    sessions: Annotated[Bound, Meta(description="sessions at once; each may have server processes of its own")] = 1_000
    sessions_per_principal: Annotated[
        Bound, Meta(description="the same for one principal; without tokens there is but one")
    ] = 500
    requests_per_session: Annotated[Bound, Meta(description="requests of one session in flight at once")] = 512
    """Agents were seen to make 20, and stateless clients that do not name their conversation count as one."""
    idle_s: Annotated[
        Patience, Meta(description="after so long without a request or an open stream a session ends")
    ] = 1_800.0
    """Its client has left without saying so."""
    stateless_idle_s: Annotated[
        Patience,
        Meta(description="the same for a stateless client, of which only what was read ahead is lost"),
    ] = 300.0
    stream_bytes: Annotated[
        Bound, Meta(description="what may wait for a client that does not read, besides one message, before it is left")
    ] = 8 * 2**20
    replay_bytes: Annotated[
        Bound, Meta(description="what each session keeps for a client that comes back to a broken stream")
    ] = 4 * 2**20
    memory_bytes: Annotated[
        Bound,
        Meta(
            description="what all clients together may have waiting at most: requests under way, and what is not read; "
            "beyond it requests are refused (503), and beyond half of it nothing is kept for clients that come back"
        ),
    ] = 2**30
    """The other bounds are for one client each, and there may be a thousand."""
    metrics: Annotated[
        str,
        Meta(
            description="`HOST:PORT` of another address, where Prometheus fetches metrics, of anybody who reaches it "
            "(needs `spec-mcp[metrics]`); empty: nowhere"
        ),
    ] = ""
    notice_s: Annotated[
        Seconds | None,
        Meta(
            description="how long after SIGTERM requests are still taken while `/readyz` says 503, so that load "
            "balancers notice; without it: 5, and 0 at a loopback address"
        ),
    ] = None
    drain_s: Annotated[
        Patience, Meta(description="how long answers under way may take after that; then they are errors")
    ] = 10.0


@dataclass(frozen=True, slots=True)
class Predictors:
    """Who predicts."""

    history: bool
    models: Mapping[str, ModelPredictor]


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, environment variables not yet put in."""

    file: Path | None
    """None: there is no file, everything is at its default."""
    servers: Mapping[str, Server]
    speculation: Speculation
    predictors: Predictors
    store: Store
    listen: Listen

    def server(self, name: str, environ: Mapping[str, str]) -> Server:
        """A server with its environment variables put in.

        Raises:
            ConfigError: there is no such server, or a variable that it needs is not set.
        """
        if name not in self.servers:
            near = nearest(name, self.servers)
            mend = f"did you mean {near}?" if near else "add it with its command, or name another"
            raise ConfigError(self._source, f"[servers.{bare(name)}]", "missing", mend)
        server, section = self.servers[name], f"[servers.{bare(name)}]"

        def put_in(key: str, text: str) -> str:
            return expand(text, environ, self._source, f"{section} {key}")

        def put_in_all(key: str, texts: Mapping[str, str]) -> dict[str, str]:
            return {inner: put_in(f"{key}.{bare(inner)}", text) for inner, text in texts.items()}

        def credentials(given: ClientCredentials) -> ClientCredentials:
            return msgspec.structs.replace(
                given,
                client_id=put_in("client_credentials.client_id", given.client_id),
                client_secret=put_in("client_credentials.client_secret", given.client_secret),
            )

        given = server.client_credentials
        return msgspec.structs.replace(
            server,
            command=None if server.command is None else put_in("command", server.command),
            args=tuple(put_in(f"args[{index}]", text) for index, text in enumerate(server.args)),
            env=put_in_all("env", server.env),
            cwd=None if server.cwd is None else put_in("cwd", server.cwd),
            url=None if server.url is None else put_in("url", server.url),
            headers=put_in_all("headers", server.headers),
            client_credentials=None if given is None else credentials(given),
        )

    def store_url(self, environ: Mapping[str, str]) -> str:
        """The store's address with environment variables put in.

        Raises:
            ConfigError: a variable is not set, or a password is written down.
        """
        key = "[store] url"
        url = self.store.url
        if not url.startswith(("postgresql://", "postgres://")):
            return expand(url, environ, self._source, key)
        user, at, rest = url.rpartition("@")
        passwords = (user.partition("://")[2].partition(":")[2], *_PASSWORD.findall(rest))
        if any(_VARIABLE.sub("", password) for password in passwords):
            mend = "write ${NAME} in its place, or leave it to PGPASSWORD or ~/.pgpass"
            raise ConfigError(self._source, key, "holds a password", mend)
        # a password may hold any sign, also those that part an address
        quoted = {name: quote(value, safe="") for name, value in environ.items()} if at else {}
        return expand(user, quoted, self._source, key) + at + expand(rest, environ, self._source, key)

    @property
    def _source(self) -> str:
        return "the configuration" if self.file is None else str(self.file)


DEFAULTS = Config(None, {}, Speculation(), Predictors(True, {}), Store(), Listen())
"""What holds where nobody wrote a configuration."""


def home(environ: Mapping[str, str]) -> Path:
    """The folder for the store, `config.toml` and `manifests/`; it may not be there yet."""
    if given := environ.get("SPEC_MCP_HOME"):
        return Path(given).expanduser().absolute()
    from platformdirs import user_data_path  # only where the user does not say; 10 to 20 ms

    return user_data_path("spec-mcp", appauthor=False)


def make_home(environ: Mapping[str, str]) -> Path:
    """The home, created for this user alone where it is missing.

    Raises:
        OSError: it cannot be created.
    """
    folder = home(environ)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=HOME_MODE, exist_ok=True)
    return folder


def find_config(explicit: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration to read: `--config`, `SPEC_MCP_CONFIG`, or `config.toml` in the home; None: the defaults.

    Raises:
        ConfigError: a file that was named does not exist.
    """
    for origin, given in (("--config", explicit), ("SPEC_MCP_CONFIG", environ.get("SPEC_MCP_CONFIG"))):
        if given:
            path = Path(given).expanduser()
            if not path.is_file():
                raise ConfigError(str(path), "", "there is no such file", f"check {origin}")
            return path
    path = home(environ) / "config.toml"
    return path if path.is_file() else None


def load_config(path: Path | None) -> Config:
    """Read a configuration; None gives the defaults.

    Raises:
        ConfigError: its first fault.
    """
    return DEFAULTS if path is None else parse_config(_read(path), path)


def parse_config(table: Mapping[str, Any], path: Path) -> Config:
    """A configuration from its decoded TOML or JSON.

    Raises:
        ConfigError: its first fault.
    """
    file = str(path)
    if "mcpServers" in table:
        _refuse_near_misses(table, file)
    else:
        known_keys(table, (*_SECTIONS, "mcpServers"), file, "", ConfigError)

    def section(name: str) -> dict[str, Any]:
        return require_table(table.get(name, {}), file, f"[{name}]", ConfigError)

    return Config(
        file=path,
        servers=_servers(section("servers"), section("mcpServers"), file),
        speculation=convert(section("speculation"), Speculation, file, "[speculation]", ConfigError),
        predictors=_predictors(section("predictors"), file),
        store=convert(section("store"), Store, file, "[store]", ConfigError),
        listen=convert(section("listen"), Listen, file, "[listen]", ConfigError),
    )


def resolve_mode(flag: str | None, environ: Mapping[str, str], config: Config) -> Mode:
    """The mode to start in: the flag, `SPEC_MCP_MODE`, the configuration, else on.

    Raises:
        ConfigError: the flag or the variable is no mode.
    """
    for origin, given in (("--mode", flag), ("SPEC_MCP_MODE", environ.get("SPEC_MCP_MODE"))):
        if given:
            try:
                return Mode(given)
            except ValueError:
                raise ConfigError(origin, "", f"unknown mode {given!r}", "use one of: off, shadow, on") from None
    return config.speculation.mode


def expand(text: str, environ: Mapping[str, str], file: str, key: str) -> str:
    """The text with environment variables put in; a default stands for one that is not set or empty.

    Raises:
        ConfigError: a variable without a default is not set.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = environ.get(name)
        if found or (found is not None and default is None):
            return found
        if default is None:
            mend = f"set it, or write ${{{name}:-…}} with a default"
            raise ConfigError(file, key, f"the environment variable {name} is not set", mend)
        return default

    return _VARIABLE.sub(value, text)


def _read(path: Path) -> dict[str, Any]:
    if path.suffix != ".json":
        return read_toml(path, ConfigError)
    text = read_text(path, ConfigError)
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(str(path), "", f"no valid JSON: {error}", "mend the syntax there") from error
    return require_table(value, str(path), "the file", ConfigError)


def _refuse_near_misses(table: Mapping[str, Any], file: str) -> None:
    """Foreign keys beside `mcpServers` belong to the client, but one that nearly is ours was meant for us."""
    for key in table:
        if key not in _SECTIONS and key != "mcpServers" and (near := nearest(key, _SECTIONS)):
            raise ConfigError(file, bare(key), "unknown key", f"did you mean {near}?")


def _servers(ours: Mapping[str, Any], clients: Mapping[str, Any], file: str) -> dict[str, Server]:
    servers: dict[str, Server] = {}
    for tables, section, read in ((ours, "servers", _our_entry), (clients, "mcpServers", _client_entry)):
        for name, value in tables.items():
            where = f"[{section}.{bare(name)}]"
            if name in servers:
                raise ConfigError(file, where, "the server is in [servers] as well", "keep one of the two")
            entry = read(require_table(value, file, where, ConfigError), file, where)
            if entry is not None:
                servers[name] = _reachable(entry, file, where)
    for name, server in servers.items():
        _known_servers(server.values_from, servers, file, f"[servers.{bare(name)}] values_from")
    return servers


def _known_servers(names: Sequence[str], servers: Mapping[str, Server], file: str, where: str) -> None:
    for name in names:
        if name != "*" and name not in servers:
            near = nearest(name, servers)
            mend = f"did you mean {near}?" if near else 'name servers of this configuration, or "*" for all'
            raise ConfigError(file, where, f"there is no server {name!r}", mend)


def _our_entry(table: dict[str, Any], file: str, where: str) -> Server | None:
    return convert(table, Server, file, where, ConfigError)


def _client_entry(table: dict[str, Any], file: str, where: str) -> Server | None:
    """An entry as a client's own file has it; None where the user switched it off there."""
    if table.get("disabled") is True:
        return None
    kept = {key: value for key, value in table.items() if key in Server.__struct_fields__ and value is not None}
    kind = kept.pop("type", None)
    if kind in _HTTP_TYPES:
        kept["type"] = _HTTP_TYPES[cast("str", kind)]
    if "serverUrl" in table and "url" not in kept:
        kept["url"] = table["serverUrl"]
    return convert(kept, Server, file, where, ConfigError)


def _reachable(server: Server, file: str, where: str) -> Server:
    if (server.command is None) == (server.url is None):
        fault = "has neither command nor url" if server.command is None else "has both command and url"
        raise ConfigError(file, where, fault, 'write command = "…" for a program, or url = "…" for a remote server')
    return server


def _predictors(table: dict[str, Any], file: str) -> Predictors:
    table = dict(table)
    history: object = table.pop("history", True)
    if not isinstance(history, bool):
        raise ConfigError(file, "[predictors] history", "must be true or false", "write true or false")
    models: dict[str, ModelPredictor] = {}
    for name, value in table.items():
        if not isinstance(value, dict):
            near = nearest(name, ("history",))
            mend = f"did you mean {near}?" if near else f"a predictor is a table: [predictors.{bare(name)}]"
            raise ConfigError(file, f"[predictors] {bare(name)}", "unknown key", mend)
        models[name] = convert(value, ModelPredictor, file, f"[predictors.{bare(name)}]", ConfigError)  # pyright: ignore[reportUnknownArgumentType]
    return Predictors(history, models)

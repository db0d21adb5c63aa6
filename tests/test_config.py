from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from spec_mcp.config import (
    DEFAULTS,
    ClientCredentials,
    Config,
    ConfigError,
    Listen,
    ModelPredictor,
    Server,
    find_config,
    home,
    load_config,
    make_home,
    resolve_mode,
)
from spec_mcp.engine.events import Mode
from spec_mcp.relay.bounds import Bounds, bounds_of

EVERY_KEY = """
[servers.github]
command = "npx"
args = ["-y", "@modelcontextprotocol/server-github", "${HOST:-example.com}"]
env = { GITHUB_TOKEN = "${GITHUB_TOKEN}" }
cwd = "${env:HOME}/work"
manifest = "github"
isolation = "shared"
trust_annotations = true
allow = ["get_*"]
deny = ["get_secret"]
forward_headers = ["x-user"]
rate_per_minute = 60
values_from = ["search"]
[servers.search]
url = "https://${HOST}/mcp"
type = "sse"
headers = { Authorization = "Bearer ${TOKEN}" }
[servers.machine]
url = "https://m.example/mcp"
[servers.machine.client_credentials]
client_id = "me"
client_secret = "${SECRET}"
issuer = "https://login.example"
scope = "read"

[speculation]
mode = "shadow"
reversible = true
accept_unproven = ["github.create_issue"]
lossy = true
wasted_call_s = 0.4
breadth = 5
depth = 2
in_flight = 6
join = false
used_share = 0.5
price_per_hour_saved = 2
attach = true

[predictors]
history = false
[predictors.local]
kind = "openai"
model = "qwen3:4b"
base_url = "http://127.0.0.1:11434/v1"
api_key_env = "LOCAL_KEY"
timeout_s = 2
tokens_per_minute = 100

[store]
url = "postgresql://${DB_USER}@db/spec"
retention_days = 7
record_results = false
redact = ["*pin*"]

[listen]
token_env = "OUR_TOKEN"
issuer = "https://issuer.example"
audience = "https://gateway.example/mcp"
jwks_url = "https://issuer.example/keys"
required_scopes = ["mcp"]
public_url = "https://gateway.example/mcp"
allowed_hosts = ["gateway.example"]
allowed_origins = ["https://app.example"]
header_bytes = 1
body_bytes = 2
slow_s = 3
connections = 4
sessions = 5
sessions_per_principal = 6
requests_per_session = 7
idle_s = 8
stateless_idle_s = 9
stream_bytes = 10
replay_bytes = 11
drain_s = 12
"""


def write(folder: Path, text: str, name: str = "config.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, name: str = "config.toml") -> Config:
    return load_config(write(folder, text, name))


def test_every_key_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, EVERY_KEY)

    github = config.server("github", {"GITHUB_TOKEN": "t0", "HOME": "/home/me"})
    assert github == Server(
        command="npx",
        args=("-y", "@modelcontextprotocol/server-github", "example.com"),
        env={"GITHUB_TOKEN": "t0"},
        cwd="/home/me/work",
        manifest="github",
        isolation="shared",
        trust_annotations=True,
        allow=("get_*",),
        deny=("get_secret",),
        forward_headers=("x-user",),
        rate_per_minute=60,
        values_from=("search",),
    )
    search = config.server("search", {"HOST": "s.example", "TOKEN": "t1"})
    assert (search.url, search.type) == ("https://s.example/mcp", "sse")
    assert search.headers == {"Authorization": "Bearer t1"}
    assert config.server("machine", {"SECRET": "s"}).client_credentials == ClientCredentials(
        client_id="me", client_secret="s", issuer="https://login.example", scope="read"
    )
    speculation = config.speculation
    assert (speculation.mode, speculation.reversible, speculation.lossy) == (Mode.SHADOW, True, True)
    assert speculation.accept_unproven == ("github.create_issue",)
    assert (speculation.wasted_call_s, speculation.breadth, speculation.depth) == (0.4, 5, 2)
    assert (speculation.in_flight, speculation.join, speculation.used_share) == (6, False, 0.5)
    assert (speculation.price_per_hour_saved, speculation.attach) == (2.0, True)
    assert config.predictors.history is False
    assert config.predictors.models["local"] == ModelPredictor(
        kind="openai",
        model="qwen3:4b",
        base_url="http://127.0.0.1:11434/v1",
        api_key_env="LOCAL_KEY",
        timeout_s=2,
        tokens_per_minute=100,
    )
    assert config.store_url({"DB_USER": "me"}) == "postgresql://me@db/spec"
    assert (config.store.retention_days, config.store.record_results, config.store.redact) == (7, False, ("*pin*",))
    assert config.listen == Listen(
        token_env="OUR_TOKEN",
        issuer="https://issuer.example",
        audience="https://gateway.example/mcp",
        jwks_url="https://issuer.example/keys",
        required_scopes=("mcp",),
        public_url="https://gateway.example/mcp",
        allowed_hosts=("gateway.example",),
        allowed_origins=("https://app.example",),
        header_bytes=1,
        body_bytes=2,
        slow_s=3,
        connections=4,
        sessions=5,
        sessions_per_principal=6,
        requests_per_session=7,
        idle_s=8,
        stateless_idle_s=9,
        stream_bytes=10,
        replay_bytes=11,
        drain_s=12,
    )


def test_without_a_file_everything_is_at_its_documented_default() -> None:
    config = load_config(None)

    assert config is DEFAULTS
    assert (config.speculation.mode, config.speculation.reversible, config.speculation.lossy) == (Mode.ON, False, False)
    assert (config.speculation.wasted_call_s, config.speculation.breadth, config.speculation.depth) == (0.2, 4, 3)
    assert (config.speculation.in_flight, config.speculation.join, config.speculation.attach) == (4, True, False)
    assert (config.speculation.used_share, config.speculation.price_per_hour_saved) == (0.0, 0.0)
    assert (config.predictors.history, config.predictors.models) == (True, {})
    assert (config.store.url, config.store.retention_days, config.store.record_results) == ("sqlite:", 30, True)
    assert "*password*" in config.store.redact
    assert (config.listen.token_env, config.listen.issuer, config.listen.public_url) == ("SPEC_MCP_TOKEN", "", "")
    assert (config.listen.body_bytes, config.listen.sessions, config.listen.idle_s) == (16 * 2**20, 1000, 1800)


def test_json_with_the_same_keys_is_a_configuration(tmp_path: Path) -> None:
    text = json.dumps({"servers": {"a": {"command": "x"}}, "speculation": {"breadth": 2}})

    config = load(tmp_path, text, "config.json")

    assert config.servers["a"].command == "x"
    assert config.speculation.breadth == 2


def test_a_clients_own_file_is_a_configuration_as_it_is(tmp_path: Path) -> None:
    entries = {
        "files": {"type": "stdio", "command": "npx", "args": ["x"], "autoApprove": ["read"], "disabled": False},
        "remote": {"type": "streamable-http", "url": "https://a/mcp", "headers": {"A": "b"}, "timeout": 3},
        "old": {"type": "sse", "url": "https://a/sse"},
        "windsurf": {"serverUrl": "https://a/mcp"},
        "off": {"command": "y", "disabled": True},
        "ours": {"command": "z", "env": None, "manifest": "git", "trust_annotations": True},
    }
    text = json.dumps({"mcpServers": entries, "globalShortcut": "Ctrl+Space", "projects": {}})

    servers = load(tmp_path, text, "claude_desktop_config.json").servers

    assert set(servers) == {"files", "remote", "old", "windsurf", "ours"}
    assert (servers["files"].command, servers["files"].args) == ("npx", ("x",))
    assert (servers["remote"].type, servers["old"].type) == ("http", "sse")
    assert servers["windsurf"].url == "https://a/mcp"
    assert (servers["ours"].manifest, servers["ours"].trust_annotations) == ("git", True)


FAULTS = [
    ("[speculaton]\n", "speculaton: unknown key; did you mean speculation?"),
    ("[speculation]\nmod = 'on'", "[speculation] mod: unknown key; did you mean mode?"),
    ("[speculation]\nmode = 'shadwo'", "[speculation] mode: unknown value shadwo; did you mean shadow?"),
    ("[speculation]\nbreadth = 0", "[speculation] breadth: must be at least 1"),
    ("[speculation]\nbreadth = 2.5", "[speculation] breadth: must be a whole number, not a number; write a whole"),
    ("[speculation]\nused_share = 50", "[speculation] used_share: must be at most 1"),
    ("speculation = 3", "[speculation]: must be a table"),
    ("[servers.a]\n", "[servers.a]: has neither command nor url; write command"),
    ("[servers.a]\ncommand = 'x'\nurl = 'y'", "[servers.a]: has both command and url; write"),
    ("[servers.a]\ncommand = 'x'\nautoApprove = []", "[servers.a] autoApprove: unknown key; remove it, or use one of"),
    ("[servers.a]\ncommand = ['x']", "[servers.a] command: must be a text in quotes, not a list"),
    ("[servers.a]\ncommand = 'x'\nenv = { A = 1 }", "[servers.a] env: must be a text in quotes, not a whole number"),
    ("[servers.a]\ncommand = 'x'\nisolation = 'pol'", "[servers.a] isolation: unknown value pol; did you mean pool?"),
    (
        "[servers.files]\ncommand = 'x'\n[servers.b]\ncommand = 'x'\nvalues_from = ['file']",
        "[servers.b] values_from: there is no server 'file'; did you mean files?",
    ),
    ("[servers.a]\ncommand = 'x'\nvalues_from = '*'", "[servers.a] values_from: must be a list, such as"),
    ("[servers]\na = 'x'", "[servers.a]: must be a table"),
    (
        "[servers.a]\nurl = 'x'\nclient_credentials = { client_id = 'a' }",
        "[servers.a] client_credentials.client_secret: missing",
    ),
    ("[servers.a]\ncommand = 'x'\n[mcpServers.a]\ncommand = 'x'", "[mcpServers.a]: the server is in [servers] as well"),
    ("[mcpServers]\n[specualtion]", "specualtion: unknown key; did you mean speculation?"),
    ("[predictors]\nhistory = 'yes'", "[predictors] history: must be true or false"),
    ("[predictors]\nhistry = true", "[predictors] histry: unknown key; did you mean history?"),
    ("[predictors.a]\nkind = 'openai'", "[predictors.a] model: missing; add model = …"),
    ("[predictors.a]\nkind = 'opnai'\nmodel = 'm'", "[predictors.a] kind: unknown value opnai; did you mean openai?"),
    ("[predictors.a]\nkind = 'openai'\nmodel = 'm'\ntimeout_s = 0", "[predictors.a] timeout_s: must be more than 0"),
    ("[store]\nretention = 3", "[store] retention: unknown key; did you mean retention_days?"),
    ("[listen]\ntoken = 'x'", "[listen] token: unknown key; did you mean token_env?"),
    ("[listen]\nbody_bytes = 0", "[listen] body_bytes: must be at least 1"),
    ("[listen]\nslow_s = 0", "[listen] slow_s: must be more than 0"),
    ("[store\n", "no valid TOML: Expected ']' at the end of a table declaration (at line 1, column 7)"),
]


@pytest.mark.parametrize(("text", "line"), FAULTS)
def test_a_fault_is_one_line_with_its_file_key_and_mend(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load_config(path)

    assert str(caught.value).startswith(f"{path}: {line}")
    assert "\n" not in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("text", "fault"), [("{", "no valid JSON: "), ("[]", "the file: must be a table"), ("[" * 9999, "no valid JSON: ")]
)
def test_faulty_json_is_told_as_such(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, "config.json")

    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: {fault}")


def test_a_variable_that_is_not_set_matters_only_to_the_server_that_needs_it(tmp_path: Path) -> None:
    config = load(tmp_path, EVERY_KEY)

    with pytest.raises(ConfigError) as caught:
        config.server("search", {"HOST": "h"})

    assert str(caught.value) == (
        f"{tmp_path / 'config.toml'}: [servers.search] headers.Authorization: "
        "the environment variable TOKEN is not set; set it, or write ${TOKEN:-…} with a default"
    )
    with pytest.raises(ConfigError, match=r"\[servers\.serach\]: missing; did you mean search\?"):
        config.server("serach", {})
    with pytest.raises(ConfigError, match=r"\[servers\.mail\]: missing; add it with its command, or name another$"):
        config.server("mail", {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}${B}", "1"),
        ("${B:-x}${A:-y}", "x1"),
        ("${C:-}", ""),
        ("$A ${} ${1} ${A-b} ${A", "$A ${} ${1} ${A-b} ${A"),
        ("${env:A}", "1"),
    ],
)
def test_variables_are_put_in_as_clients_do(tmp_path: Path, text: str, value: str) -> None:
    config = load(tmp_path, f"[servers.a]\ncommand = 'x'\nargs = ['{text}']")

    assert config.server("a", {"A": "1", "B": ""}).args == (value,)


def test_the_configuration_is_looked_for_in_order(tmp_path: Path) -> None:
    environ = {"SPEC_MCP_HOME": str(tmp_path)}
    assert find_config(None, environ) is None

    in_home = write(tmp_path, "")
    assert find_config(None, environ) == in_home

    named = write(tmp_path, "", "named.toml")
    environ["SPEC_MCP_CONFIG"] = str(named)
    assert find_config(None, environ) == named

    given = write(tmp_path, "", "given.json")
    assert find_config(str(given), environ) == given

    with pytest.raises(ConfigError, match=r"gone\.toml: there is no such file; check --config"):
        find_config(tmp_path / "gone.toml", environ)
    environ["SPEC_MCP_CONFIG"] = str(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match=r"gone\.toml: there is no such file; check SPEC_MCP_CONFIG"):
        find_config(None, environ)


def test_the_mode_is_the_flag_then_the_variable_then_the_configuration(tmp_path: Path) -> None:
    config = load(tmp_path, "[speculation]\nmode = 'shadow'")

    assert resolve_mode("off", {"SPEC_MCP_MODE": "on"}, config) is Mode.OFF
    assert resolve_mode(None, {"SPEC_MCP_MODE": "on"}, config) is Mode.ON
    assert resolve_mode(None, {"SPEC_MCP_MODE": ""}, config) is Mode.SHADOW
    assert resolve_mode(None, {}, DEFAULTS) is Mode.ON
    with pytest.raises(ConfigError, match="SPEC_MCP_MODE: unknown mode 'of'; use one of: off, shadow, on"):
        resolve_mode(None, {"SPEC_MCP_MODE": "of"}, config)


def test_the_home_is_made_when_it_is_needed_and_for_its_user_alone(tmp_path: Path) -> None:
    environ = {"SPEC_MCP_HOME": str(tmp_path / "deep" / "home")}

    assert not home(environ).exists()
    folder = make_home(environ)

    assert folder == home(environ)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert make_home(environ) == folder


def test_without_a_home_of_their_own_users_get_the_platforms_data_folder() -> None:
    folder = home({})

    assert folder.name == "spec-mcp"
    assert folder.is_absolute()


def test_what_a_server_is_given_of_memory_and_time_is_what_its_entry_says(tmp_path: Path) -> None:
    text = (
        '[servers.s]\ncommand = "c"\nmessage_bytes = 1\nwaiting_bytes = 2\nstart_s = 3\nconnect_s = 4\nanswer_s = 5\n'
    )
    (tmp_path / "c.toml").write_text(text)
    assert bounds_of(load_config(tmp_path / "c.toml").servers["s"]) == Bounds(1, 2, 3.0, 4.0, 5.0)

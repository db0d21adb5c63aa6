"""`spec-mcp install` and `uninstall`, as a user meets them."""

from __future__ import annotations

import json
import select
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import TextContent

import spec_mcp.cli.installation as under_test
from spec_mcp.__main__ import run
from spec_mcp.clients.installing import plan_install
from spec_mcp.clients.plans import Plan
from spec_mcp.engine.events import Mode
from spec_mcp.store.mode import ModeSwitch
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.sqlite import SqliteStore
from tests.clients.samples import BROKEN, CLAUDE_DESKTOP, SAMPLES, SECRETS, WITHOUT_SERVERS
from tests.parity.worlds import NODE
from tests.store.rows import session

FIRST_OF_EACH = {
    name: SAMPLES[name] for name in {client: name for name, (client, _) in reversed(SAMPLES.items())}.values()
}
"""One sample of each client: all of them are tried where no command is in the way."""

TOLD = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
    "gemini": ".gemini/settings.json",
    "codex": ".codex/config.toml",
}
BOUND_S = 60
TELLING = Path(__file__).resolve().parents[1] / "servers" / "telling.py"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home folder, on Linux."""
    path = tmp_path / "ada"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME"):
        monkeypatch.delenv(name, raising=False)
    return path


def write(home: Path, client: str, text: str) -> Path:
    """A client's file."""
    path = home / TOLD[client]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    path.chmod(0o640)
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> str:
    """What a command prints; on standard error where it fails."""
    assert run([*map(str, arguments)]) == status
    captured = capsys.readouterr()
    assert captured.err.count("\n") == (1 if status else 0)
    assert not any(secret in captured.out + captured.err for secret in SECRETS)
    return captured.err if status else captured.out


def as_object(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    return json.loads(told(capsys, *arguments, "--json"))


def private_files(folder: Path) -> list[Path]:
    """All files below a folder; they and their folders are the user's alone."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in found)
    assert all(stat.S_IMODE(path.parent.stat().st_mode) == 0o700 for path in found if path.parent != folder)
    return found


@pytest.mark.parametrize("gateway", [(), ("--gateway",)])
@pytest.mark.parametrize(("client", "text"), FIRST_OF_EACH.values(), ids=FIRST_OF_EACH)
def test_install_and_uninstall_leave_the_file_as_it_was(
    home: Path,
    spec_mcp_home: Path,
    capsys: pytest.CaptureFixture[str],
    client: str,
    text: str,
    gateway: tuple[str, ...],
) -> None:
    path = write(home, client, text)
    said = told(capsys, "install", client, *gateway)
    assert str(path) in said
    assert "Mode shadow" in said
    installed = path.read_bytes()
    assert installed != text.encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    kept = private_files(spec_mcp_home)
    assert text.encode() in [file.read_bytes() for file in kept if file.parent.name == "backups"]
    assert any(file.parent.name == "gateways" for file in kept) is bool(gateway)

    assert "Nothing was changed" in told(capsys, "install", client, *gateway)
    assert path.read_bytes() == installed

    told(capsys, "uninstall", client)
    assert path.read_bytes() == text.encode()
    assert {file.parent.name for file in private_files(spec_mcp_home)} == {spec_mcp_home.name, "backups"}
    assert "Nothing of" in told(capsys, "uninstall", client)


@pytest.mark.parametrize(("client", "text"), FIRST_OF_EACH.values(), ids=FIRST_OF_EACH)
def test_a_dry_run_shows_the_change_and_changes_nothing(
    home: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str], client: str, text: str
) -> None:
    path = write(home, client, text)
    said = told(capsys, "install", client, "--dry-run")
    assert path.read_bytes() == text.encode()
    assert not spec_mcp_home.exists()
    assert "-m" in said
    assert any(line.startswith("+") and "wrap" in line for line in said.splitlines())
    told(capsys, "install", client)
    installed = path.read_bytes()
    said = told(capsys, "uninstall", client, "--dry-run")
    assert any(line.startswith("-") and "wrap" in line for line in said.splitlines())
    assert path.read_bytes() == installed


@pytest.mark.parametrize(("client", "text"), WITHOUT_SERVERS.values(), ids=WITHOUT_SERVERS)
def test_a_file_without_servers_is_said_to_have_none(
    home: Path, capsys: pytest.CaptureFixture[str], client: str, text: str
) -> None:
    path = write(home, client, text)
    assert f"{path} names no servers" in told(capsys, "install", client, status=1)
    assert path.read_bytes() == text.encode()


@pytest.mark.parametrize(("client", "text", "where"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_named_with_its_line_and_left(
    home: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str], client: str, text: str, where: str
) -> None:
    path = write(home, client, text)
    said = told(capsys, "install", client, status=2)
    assert f"{path}: " in said
    assert where in said
    assert path.read_bytes() == text.encode()
    assert not spec_mcp_home.exists()


def test_a_client_that_is_not_there_is_named_with_the_path_that_was_looked_at(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for client, path in TOLD.items():
        assert str(home / path) in told(capsys, "install", client, status=1)
    assert "claude-desktop?" in told(capsys, "install", "claude-desk", status=2)
    assert "one of claude-desktop" in told(capsys, "install", "emacs", status=2)


def test_a_file_of_which_nothing_fits_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(home, "cursor", '{"mcpServers": {"a": {"url": "https://e.org", "auth": {"x": "y"}}}}')
    assert run(["install", "cursor"]) == 1
    captured = capsys.readouterr()
    assert "left as it is: its client logs in for it (auth)" in captured.out
    assert f"{path}: spec-mcp could be put in front of none of its servers" in captured.err


def test_a_program_reads_what_was_done(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(home, "claude-desktop", CLAUDE_DESKTOP)
    done = as_object(capsys, "install", "claude-desktop", "--server", "time")
    assert {**done, "backup": None} == {
        "client": "claude-desktop",
        "file": str(path),
        "changed": True,
        "dry_run": False,
        "backup": None,
        "servers": [{"name": "time", "project": None, "action": "wrapped", "reason": ""}],
        "gateways": [],
        "mode": "shadow",
    }
    assert Path(done["backup"]).read_text() == CLAUDE_DESKTOP
    (gone,) = as_object(capsys, "uninstall", "claude-desktop")["files"]
    assert (gone["changed"], gone["servers"][0]["action"]) == (True, "restored")
    assert as_object(capsys, "uninstall", "claude-desktop")["files"][0]["changed"] is False


def test_entries_start_this_python_in_this_home_with_absolute_paths(
    home: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = home / "bin"
    tools.mkdir()
    for name in ("npx", "docker"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    path = write(home, "claude-desktop", CLAUDE_DESKTOP)
    told(capsys, "install", "claude-desktop")
    found = json.loads(path.read_text())["mcpServers"]
    assert {entry["command"] for entry in found.values()} == {sys.executable}
    before = ["-P", "-m", "spec_mcp", "wrap", "--name"]
    assert found["filesystem"]["args"][:7] == [*before, "filesystem", "--"]
    assert found["filesystem"]["args"][7] == str(tools / "npx")
    assert found["time"]["args"][7] == "uvx"
    assert found["github"]["env"]["SPEC_MCP_HOME"] == str(spec_mcp_home)
    assert found["plain"]["env"] == {"SPEC_MCP_HOME": str(spec_mcp_home)}


def test_without_a_home_of_ones_own_the_environment_is_left(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPEC_MCP_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    path = write(home, "claude-desktop", CLAUDE_DESKTOP)
    told(capsys, "install", "claude-desktop")
    before, after = (json.loads(text)["mcpServers"] for text in (CLAUDE_DESKTOP, path.read_text()))
    assert {name: entry.get("env") for name, entry in after.items()} == {
        name: entry.get("env") for name, entry in before.items()
    }
    told(capsys, "uninstall", "claude-desktop")
    assert path.read_text() == CLAUDE_DESKTOP


class TestTheMode:
    """What holds after an installation."""

    @pytest.fixture
    def switch(self, spec_mcp_home: Path, home: Path) -> ModeSwitch:
        write(home, "claude-desktop", CLAUDE_DESKTOP)
        return ModeSwitch(spec_mcp_home / STORE_NAME)

    def test_it_starts_in_shadow_and_says_how_to_switch_on(
        self, switch: ModeSwitch, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = told(capsys, "install", "claude-desktop")
        assert "spec-mcp on" in said
        assert switch.read() is Mode.SHADOW
        assert "--mode" not in (home / TOLD["claude-desktop"]).read_text()

    def test_a_switch_that_somebody_turned_stays(self, switch: ModeSwitch, capsys: pytest.CaptureFixture[str]) -> None:
        switch.turn(Mode.ON)
        said = told(capsys, "install", "claude-desktop")
        assert "Mode on" in said
        assert "spec-mcp on" not in said
        assert switch.read() is Mode.ON

    def test_a_store_that_is_in_use_keeps_its_mode(
        self, switch: ModeSwitch, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = SqliteStore(spec_mcp_home / STORE_NAME)
        store.write([session("abc")])
        store.close()
        assert "Mode on" in told(capsys, "install", "claude-desktop")
        assert switch.read() is None

    def test_a_mode_that_is_asked_for_is_written_into_the_entries(
        self, switch: ModeSwitch, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert "Mode on" in told(capsys, "install", "claude-desktop", "--mode", "on")
        assert switch.read() is None
        found = json.loads((home / TOLD["claude-desktop"]).read_text())["mcpServers"]
        assert all(entry["args"][6:8] == ["--mode", "on"] for entry in found.values())
        switch.turn(Mode.SHADOW)
        assert "Mode shadow" in told(capsys, "install", "claude-desktop", "--mode", "on")
        assert "Nothing was changed" in told(capsys, "install", "claude-desktop")
        assert "Mode off" in told(capsys, "install", "claude-desktop", "--mode", "off")


def test_projects_and_other_files_are_edited_where_they_are_named_and_all_come_out(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '{"mcpServers": {"a": {"command": "npx"}}}'
    project, other = home / "shop", home / "other.json"
    project.mkdir()
    own = write(home, "claude-code", text)
    (project / ".mcp.json").write_text(text)
    other.write_text(text)
    told(capsys, "install", "claude-code", "--project", project)
    told(capsys, "install", "claude-code", "--file", other)
    assert own.read_text() == text
    told(capsys, "install", "claude-code")
    told(capsys, "uninstall", "claude-code", "--file", other)
    assert other.read_text() == text
    assert own.read_text() != text
    told(capsys, "uninstall", "claude-code")
    assert own.read_text() == (project / ".mcp.json").read_text() == text
    assert "no such folder" in told(capsys, "install", "claude-code", "--project", home / "none", status=2)
    assert "no configuration for projects" in told(capsys, "install", "claude-desktop", "--project", home, status=2)
    both = ("--project", home, "--file", other)
    assert "name one of the two" in told(capsys, "install", "claude-code", *both, status=2)


def test_a_configuration_is_named_in_the_entries(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = home / "mine.toml"
    config.write_text(f'[store]\nurl = "sqlite:{home}/mine.sqlite3"\n[speculation]\nbreadth = 2\n')
    path = write(home, "cursor", '{"mcpServers": {"a": {"command": "npx"}}}')
    told(capsys, "install", "cursor", "--config", config)
    assert json.loads(path.read_text())["mcpServers"]["a"]["args"][5:8] == ["a", "--config", str(config)]
    assert ModeSwitch(home / "mine.sqlite3").read() is Mode.SHADOW
    told(capsys, "uninstall", "cursor")
    monkeypatch.setenv("SPEC_MCP_CONFIG", str(config))
    told(capsys, "install", "cursor", "--gateway")
    words = json.loads(path.read_text())["mcpServers"]["spec-mcp"]["args"]
    gateway = tomllib.loads(Path(words[words.index("--config") + 1]).read_text())
    assert gateway["speculation"] == {"breadth": 2}
    assert list(gateway["servers"]) == ["a"]


def test_a_gateways_configuration_that_was_edited_is_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, "cursor", '{"mcpServers": {"a": {"command": "npx"}}}')
    (path,) = as_object(capsys, "install", "cursor", "--gateway")["gateways"]
    with open(path, "a") as file:
        file.write("# mine\n")
    assert f"You have edited {path}" in told(capsys, "uninstall", "cursor")
    assert Path(path).exists()


def test_what_is_written_while_we_plan_is_planned_for_again(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(home, "claude-code", '{"n": 0, "mcpServers": {"a": {"command": "npx"}}}')
    calls = 0

    def disturbed(*arguments: Any) -> Plan:
        nonlocal calls
        calls += 1
        plan = plan_install(*arguments)
        if calls < 3:
            path.write_text(path.read_text().replace(f'"n": {calls - 1}', f'"n": {calls}'))
        return plan

    monkeypatch.setattr(under_test, "plan_install", disturbed)
    told(capsys, "install", "claude-code")
    assert '"n": 2' in path.read_text()
    assert "wrap" in path.read_text()
    told(capsys, "uninstall", "claude-code")
    assert path.read_text() == '{"n": 2, "mcpServers": {"a": {"command": "npx"}}}'


def test_a_client_that_never_rests_is_said_not_to(
    home: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(home, "claude-code", '{"mcpServers": {"a": {"command": "npx"}}}')

    def disturbed(*arguments: Any) -> Plan:
        plan = plan_install(*arguments)
        path.write_text(path.read_text() + " ")
        return plan

    monkeypatch.setattr(under_test, "plan_install", disturbed)
    assert "close Claude Code, then try again" in told(capsys, "install", "claude-code", status=1)
    assert "wrap" not in path.read_text()
    assert not list((spec_mcp_home / "installed").glob("*"))


def test_a_file_that_went_away_is_no_hindrance(
    home: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(home, "cursor", '{"mcpServers": {"a": {"command": "npx"}}}')
    told(capsys, "install", "cursor")
    path.unlink()
    assert "Nothing of" in told(capsys, "uninstall", "cursor")
    assert not list((spec_mcp_home / "installed").glob("*"))


def test_the_folder_that_holds_what_we_remember_must_take_it(
    home: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(home, "cursor", '{"mcpServers": {"a": {"command": "npx"}}}')
    before = path.read_bytes()
    spec_mcp_home.write_text("a file where the folder should be")
    assert f"{spec_mcp_home}: cannot be written" in told(capsys, "install", "cursor", status=1)
    assert path.read_bytes() == before


def used(entry: dict[str, Any], folder: Path, tool: str, **arguments: str) -> tuple[set[str], str]:
    """What a client that starts an entry as it is written sees: the tools, and the answer of one.

    What is said on standard error goes to a file `log` in the folder.
    """
    environment = {**entry["env"], "PATH": ""}
    parameters = StdioServerParameters(command=entry["command"], args=entry["args"], env=environment, cwd=folder)

    async def session(log: TextIO) -> tuple[set[str], str]:
        with anyio.fail_after(BOUND_S):
            async with Client(stdio_client(parameters, errlog=log)) as client:
                tools = {tool.name for tool in (await client.list_tools()).tools}
                (content,) = (await client.call_tool(tool, arguments)).content
                assert isinstance(content, TextContent)
                return tools, content.text

    with open(folder / "log", "w") as log:
        return anyio.run(session, log)


@pytest.mark.parametrize("gateway", [(), ("--gateway",)])
def test_what_is_written_serves_a_client_that_has_no_path(
    home: Path, tmp_path: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str], gateway: tuple[str, ...]
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("alpha")
    (folder / "json.py").write_text("raise ImportError('a module of the project, and not the one that is meant')")
    server = NODE / "server-filesystem" / "dist" / "index.js"
    entries = {"filesystem": {"command": "node", "args": [str(server), str(folder)]}}
    path = write(home, "claude-desktop", json.dumps({"mcpServers": entries}, indent=2))
    told(capsys, "install", "claude-desktop", *gateway)
    (entry,) = json.loads(path.read_text())["mcpServers"].values()
    tools, text = used(entry, folder, "read_text_file", path=str(folder / "a.txt"))
    assert {"read_text_file", "list_directory"} <= tools
    assert text == "alpha"
    store = SqliteStore(spec_mcp_home / STORE_NAME)
    assert store.servers() == ["filesystem"]
    store.close()


@pytest.fixture(params=["http", "sse"])
def remote(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A remote server that tells the headers that it gets: its transport and its address."""
    command = [sys.executable, "-W", "ignore", str(TELLING), f"--{request.param}", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], BOUND_S)[0], "it says its address"
        yield request.param, process.stdout.readline().decode().strip()
        process.kill()


@pytest.mark.parametrize("gateway", [(), ("--gateway",)])
def test_a_remote_server_gets_the_headers_that_its_entry_had(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    remote: tuple[str, str],
    gateway: tuple[str, ...],
) -> None:
    kind, url = remote
    headers = {"Authorization": "Bearer hunter2", "X-Odd": "${NOT_A_VARIABLE_HERE} $5"}
    if gateway:
        del headers["X-Odd"]  # which a gateway would take for a variable, and leaves to the client
    entry = {"type": kind, "url": f"{url}?key=hunter3", "headers": headers}
    path = write(home, "claude-desktop", json.dumps({"mcpServers": {"far": entry}}))
    told(capsys, "install", "claude-desktop", *gateway)
    (written,) = json.loads(path.read_text())["mcpServers"].values()
    assert "hunter" not in " ".join(written["args"])
    tools, text = used(written, tmp_path, "headers")
    assert tools == {"headers"}
    assert json.loads(text).items() >= {name.lower(): value for name, value in headers.items()}.items()
    assert "hunter" not in (tmp_path / "log").read_text()

"""The doctor finds what is wrong, says what to do, and starts nothing that it does not end."""

from __future__ import annotations

import json
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.cli.doctor import servers
from spec_mcp.manifest import fingerprint, shipped_folder
from spec_mcp.store.migrations import STEPS
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.rows import PinRow, Scope
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.cli.manifests import HOSTILE, Told, greeter, tell
from tests.manifest.test_real_servers import COMMANDS
from tests.manifest.writing import HEAD, tool, write
from tests.pipes import eventually, is_alive
from tests.relay.back.places import over_http
from tests.store.entries import entry
from tests.store.rows import session

Capsys = pytest.CaptureFixture[str]

GET = tool("get", "id")
READ = '[tools.get]\neffect = "read"\nttl_s = 5\n'


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of a test may be slow; that is nobody's fault."""
    monkeypatch.setattr(servers, "SLOW_START_S", float("inf"))


@pytest.fixture
def home(spec_mcp_home: Path) -> Path:
    spec_mcp_home.mkdir(mode=0o700)
    return spec_mcp_home


def configure(home: Path, **servers: Any) -> Path:
    """A configuration in the form that clients use; a list is a command."""
    entries = {
        name: {"command": entry[0], "args": entry[1:]} if isinstance(entry, list) else entry
        for name, entry in servers.items()
    }
    path = home / "clients.json"
    path.write_text(json.dumps({"mcpServers": entries}))
    return path


def examined(capsys: Capsys, config: Path | None = None) -> tuple[Told, list[dict[str, Any]]]:
    told = tell("doctor --json" + (f" --config {config}" if config else ""), None, capsys)
    return told, told.object["findings"]


def of(findings: list[dict[str, Any]], area: str, level: str | None = None) -> list[dict[str, Any]]:
    return [finding for finding in findings if finding["area"] == area and level in (None, finding["level"])]


def test_on_a_fresh_machine_nothing_is_wrong_and_nothing_is_made(spec_mcp_home: Path, capsys: Capsys) -> None:
    told, findings = examined(capsys)
    assert told.status == 0
    assert {finding["level"] for finding in findings} == {"ok", "note"}
    assert not spec_mcp_home.exists()
    dependencies = of(findings, "Installation")[1]["facts"]["dependencies"]
    assert {"msgspec", "typer", "sqlite-utils"} <= set(dependencies)


def test_each_server_is_met_and_held_against_its_manifest(home: Path, capsys: Capsys) -> None:
    config = configure(home, clock=COMMANDS["time"], liar=HOSTILE)
    told, findings = examined(capsys, config)
    assert told.status == 0
    met, covered = of(findings, "Server clock")
    assert met["facts"]["protocol"] == "2026-07-28"
    assert 0 < met["facts"]["handshake_s"] < 60
    assert met["facts"]["list_s"] < 60
    assert covered["facts"] == {"manifest": str(shipped_folder() / "time.toml"), "effects": {"unsafe": 2}}
    [note] = of(findings, "Server liar", "note")
    assert "no manifest speaks for 'hostile'" in note["text"]
    assert note["mend"].startswith("spec-mcp manifest draft --save -- ")


def test_what_is_wrong_is_told_to_people_with_its_mend_within_80_columns(home: Path, capsys: Capsys) -> None:
    config = configure(
        home, gone=["no-such-program"], mute=["sh", "-c", "exit 4"], remote={"url": "http://127.0.0.1:9/mcp"}
    )
    told = tell(f"doctor --config {config}", None, capsys)
    assert told.status == 1
    assert "wrong it does not start: cannot start 'no-such-program'" in told.flat
    assert "-> check its command: no-such-program" in told.flat
    assert "it ended with status 4" in told.flat
    assert "it cannot be reached: Connection refused" in told.flat
    assert "-> check its address: http://127.0.0.1:9/mcp" in told.flat
    assert "doctor: 3 things are wrong" in told.err
    without_paths = [line for line in told.out.splitlines() if str(home) not in line]
    assert max(map(len, without_paths)) <= 80


@pytest.mark.parametrize(
    ("runner", "mend"), [("npx", "install it and name its own program: npx"), ("shop", "look at what it does")]
)
def test_a_server_that_takes_long_to_come_up_is_told_of(
    runner: str, mend: str, home: Path, tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "SLOW_START_S", 0.0)
    program = tmp_path / runner
    program.write_text(f"#!/bin/sh\nexec {shlex.join(greeter(GET))}\n")
    program.chmod(0o700)
    _, findings = examined(capsys, configure(home, shop=[str(program)]))
    [note] = [each for each in of(findings, "Server shop", "note") if "until it can be called" in each["text"]]
    assert note["mend"].startswith(mend)


def test_a_model_whose_key_is_not_there_and_nobody_who_predicts_are_told_of(home: Path, capsys: Capsys) -> None:
    model = 'kind = "openai"\nmodel = "m"\napi_key_env = "NO_SUCH_KEY"\n'
    (home / "config.toml").write_text(f"[predictors.local]\n{model}")
    _, findings = examined(capsys)
    [note] = of(findings, "Predictors")
    assert "NO_SUCH_KEY" in note["text"]
    (home / "config.toml").write_text("[predictors]\nhistory = false\n")
    _, findings = examined(capsys)
    [note] = of(findings, "Predictors")
    assert "nothing predicts" in note["text"]


def test_a_secret_that_a_server_is_started_with_is_not_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    config = configure(
        home,
        one=["false", "--token", "${TOKEN}"],
        two={"url": "http://127.0.0.1:9/${TOKEN}"},
        three=[*HOSTILE, "--name", "n", "--received", "/dev/null", "--marks", "${TOKEN}"],
    )
    monkeypatch.chdir(home)
    told, findings = examined(capsys, config)
    assert "hunter2" not in told.out + told.err
    assert "${TOKEN}" in of(findings, "Server one")[0]["mend"]


def test_a_variable_that_is_not_set_is_said_before_the_server_is_started(home: Path, capsys: Capsys) -> None:
    told, findings = examined(capsys, configure(home, x=["${NOT_SET_ANYWHERE}"]))
    [wrong] = of(findings, "Server x")
    assert told.status == 1
    assert "NOT_SET_ANYWHERE is not set" in wrong["text"]
    assert wrong["mend"].startswith("set it, or write")


def test_without_starting_no_server_runs(home: Path, tmp_path: Path, capsys: Capsys) -> None:
    trace = tmp_path / "started"
    config = configure(home, x=["sh", "-c", f"touch {trace}"])
    assert tell(f"doctor --no-start --config {config}", None, capsys).status == 0
    assert not trace.exists()


def test_what_a_server_started_is_gone_afterwards(home: Path, tmp_path: Path, capsys: Capsys) -> None:
    child = tmp_path / "child"
    _, findings = examined(capsys, configure(home, x=[*HOSTILE, "--child", str(child), "--ignore-term"]))
    assert of(findings, "Server x")[0]["level"] == "ok"
    pid = int(child.read_text())
    eventually(lambda: not is_alive(pid), "the end of the server's child")


def test_a_server_that_prints_beside_the_protocol_is_told_of(home: Path, capsys: Capsys) -> None:
    _, findings = examined(capsys, configure(home, x=[*HOSTILE, "--banner"]))
    assert any("belong to no protocol" in finding["text"] for finding in of(findings, "Server x", "note"))


def test_a_server_runs_in_the_folder_and_with_the_variables_of_its_entry(home: Path, capsys: Capsys) -> None:
    script = 'test "$PWD" = "$WANTED" || exit 5; exec "$@"'
    entry = {
        "command": "sh",
        "args": ["-c", script, "sh", *greeter(GET)],
        "cwd": str(home),
        "env": {"WANTED": str(home)},
    }
    _, findings = examined(capsys, configure(home, x=entry))
    assert of(findings, "Server x")[0]["facts"]["tools"] == 1


@pytest.mark.parametrize(
    ("manifest", "level", "said"),
    [
        (READ + 'touches = ["x:{di}"]\n', "wrong", "the tool has no argument di"),
        (READ + f'fingerprint = "sha256:{"0" * 64}"\n', "behind", "changed since the review, and so unsafe: get"),
        (READ + "[tools.gone]\n", "behind", "the server has no such tool: gone"),
        ("", "note", "not listed, and so unsafe: get"),
        ("[tools.get]\nttl_s = 5\n", "wrong", "means nothing for an unsafe tool"),
    ],
)
def test_a_manifest_that_does_not_fit_is_told_of(
    manifest: str, level: str, said: str, home: Path, capsys: Capsys
) -> None:
    write(home / "manifests", HEAD + manifest)
    told, findings = examined(capsys, configure(home, x=greeter(GET)))
    assert any(said in finding["text"] for finding in of(findings, "Server x", level))
    assert told.status == (1 if level == "wrong" else 0)


def test_a_manifest_that_the_configuration_names_is_the_one_that_counts(home: Path, capsys: Capsys) -> None:
    path = write(home, HEAD + READ, "mine.toml")
    [command, *args] = greeter(GET, name="other")
    config = configure(home, x={"command": command, "args": args, "manifest": "./mine.toml"})
    _, findings = examined(capsys, config)
    assert {"manifest": str(path), "effects": {"read": 1}} in [finding.get("facts") for finding in findings]
    assert any("calls itself 'other'" in finding["text"] for finding in of(findings, "Server x", "behind"))


@pytest.mark.parametrize("known_as", ["x", "python"])
def test_a_definition_that_changed_since_it_was_first_seen_is_told_of(
    known_as: str, home: Path, capsys: Capsys
) -> None:
    from spec_mcp.relay.naming import name_of

    command = greeter(tool("get", "id", "more"))
    write(home / "manifests", HEAD + READ)
    scope = Scope.of("x" if known_as == "x" else name_of(command), command)
    store = SqliteStore(home / STORE_NAME)
    store.write([PinRow(scope, "get", fingerprint(GET), 1.0)])
    store.close()
    _, findings = examined(capsys, configure(home, x=command))
    [behind] = of(findings, "Server x", "behind")
    assert "get: its definition is not the one that was seen first" in behind["text"]
    assert "manifest lock shop" in behind["mend"]


def test_a_server_on_the_network_is_met_like_the_others(home: Path, tmp_path: Path, capsys: Capsys) -> None:
    folder = tmp_path / "busy"
    folder.mkdir()
    served = over_http(folder)
    try:
        _, findings = examined(capsys, configure(home, x={"url": served.url}))
    finally:
        served.end()
    met, note = of(findings, "Server x")
    assert met["text"].startswith("it answers and shakes hands in")
    assert note["mend"] == f"spec-mcp manifest draft --save --url {served.url}"


# --- clients, undo journal --------------------------------------------------------------------------------------------


@pytest.fixture
def cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cursor's configuration, the only one on this machine."""
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".cursor" / "mcp.json"
    path.parent.mkdir()
    return path


def behind(*options: str, program: str = "true", server: str = "true") -> dict[str, Any]:
    """An entry that starts spec-mcp, by a program that needs no installation here."""
    return {"command": program, "args": ["spec-mcp", "wrap", *options, "--", server]}


def of_clients(cursor: Path, capsys: Capsys, **servers: Any) -> tuple[Told, list[dict[str, Any]]]:
    cursor.write_text(json.dumps({"mcpServers": servers}))
    told, findings = examined(capsys)
    return told, of(findings, "Clients")


def test_clients_that_start_us_are_named_with_what_goes_past(cursor: Path, home: Path, capsys: Capsys) -> None:
    told, [found] = of_clients(cursor, capsys, a=behind(), b={"command": "npx", "args": ["b"]})
    assert told.status == 0
    assert found["text"] == "Cursor: behind spec-mcp: a; 1 goes past it"
    assert (found["level"], found["facts"]["client"]) == ("ok", "cursor")


def test_a_client_of_which_nothing_is_behind_us_is_told_how_to_begin(cursor: Path, home: Path, capsys: Capsys) -> None:
    _, found = of_clients(cursor, capsys, b={"command": "npx", "args": ["b"]})
    assert [finding["level"] for finding in found] == ["note", "note"]
    assert found[0]["mend"] == "spec-mcp install cursor"


@pytest.mark.parametrize(
    ("named", "level", "said"),
    [
        (behind(program="/gone/python"), "wrong", "Cursor: a: /gone/python is not there"),
        (behind(server="no-such-program"), "note", "its server's own command no-such-program is not found"),
        (behind("--config", "/gone/config.toml"), "wrong", "/gone/config.toml"),
        (behind("--manifest", "timme"), "wrong", "no manifest has this name"),
    ],
)
def test_what_an_entry_names_and_what_is_not_there_is_told_with_its_mend(
    named: dict[str, Any], level: str, said: str, cursor: Path, home: Path, capsys: Capsys
) -> None:
    told, found = of_clients(cursor, capsys, a=named)
    [fault] = [finding for finding in found if finding["level"] == level]
    assert said in fault["text"]
    assert fault["mend"]
    assert told.status == (1 if level == "wrong" else 0)


def test_what_a_client_puts_in_itself_is_not_looked_for(cursor: Path, home: Path, capsys: Capsys) -> None:
    _, found = of_clients(cursor, capsys, a=behind("--config", "${env:X}/c.toml", program="${env:HOME}/bin/uvx"))
    assert [finding["level"] for finding in found] == ["ok"]


def test_the_project_in_this_folder_is_looked_at_too(
    cursor: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"here": behind()}}))
    monkeypatch.chdir(project)
    [found] = of(examined(capsys)[1], "Clients")
    assert found["text"] == "Claude Code: behind spec-mcp: here"


def test_a_clients_broken_file_is_wrong(cursor: Path, home: Path, capsys: Capsys) -> None:
    cursor.write_text("{")
    told, findings = examined(capsys)
    assert told.status == 1
    assert str(cursor) in of(findings, "Clients", "wrong")[0]["text"]


def test_an_entry_that_was_put_there_and_taken_out_by_hand_is_told_of(cursor: Path, home: Path, capsys: Capsys) -> None:
    cursor.write_text(json.dumps({"mcpServers": {"a": {"command": "true"}}}))
    assert tell("install cursor", None, capsys).status == 0
    cursor.write_text("{}")
    notes = of(examined(capsys)[1], "Clients", "note")
    assert any("spec-mcp was put in front of a, and is not there any more" in note["text"] for note in notes)


def test_early_writes_that_wait_for_a_person_are_wrong_with_how_to_settle_them(home: Path, capsys: Capsys) -> None:
    SqliteStore(home / STORE_NAME).close()
    assert of(examined(capsys)[1], "Undo journal", "ok")
    journal = SqliteJournal(home / STORE_NAME)
    for number in (1, 2):
        journal.intend(entry(number))
    assert journal.claim(entry(1).id, "me", "compensating")
    assert journal.stuck(entry(1).id, "me", "foreign-state")
    journal.close()
    told, findings = examined(capsys)
    assert told.status == 1
    stuck, left = of(findings, "Undo journal", "wrong")
    assert "cannot be taken back: something else has changed there since" in stuck["text"]
    assert stuck["mend"].endswith(f"spec-mcp recover --forget {entry(1).id}")
    assert "by a process that is gone" in left["text"]
    assert left["mend"] == "spec-mcp recover takes it back"


# --- home, store, configuration, mode ---------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written_is_wrong(spec_mcp_home: Path, capsys: Capsys) -> None:
    spec_mcp_home.write_text("a file")
    told, findings = examined(capsys)
    assert told.status == 1
    [wrong] = of(findings, "Home", "wrong")
    assert str(spec_mcp_home) in wrong["text"]
    assert "SPEC_MCP_HOME" in wrong["mend"]


def test_a_home_that_others_can_read_is_a_note(home: Path, capsys: Capsys) -> None:
    home.chmod(0o755)
    [note] = of(examined(capsys)[1], "Home", "note")
    assert note["mend"] == f"chmod 700 {home}"


def test_faults_of_own_manifests_and_two_for_one_server_are_told_of(home: Path, capsys: Capsys) -> None:
    write(home / "manifests", HEAD + READ, "a.toml")
    write(home / "manifests", HEAD + '[tools.get]\neffect = "read"\n', "b.toml")
    told, findings = examined(capsys)
    assert told.status == 1
    assert "ttl_s: required" in of(findings, "Home", "wrong")[0]["text"]
    assert "b.toml and a.toml both speak for 'shop'" in of(findings, "Home", "note")[0]["text"]


def test_the_store_is_opened_and_measured(home: Path, capsys: Capsys) -> None:
    store = SqliteStore(home / STORE_NAME)
    store.write([session("s1"), session("s2")])
    store.close()
    [found] = of(examined(capsys)[1], "Store")
    assert found["level"] == "ok"
    assert found["facts"]["sessions"] == 2
    assert found["facts"]["version"] == len(STEPS)
    assert found["facts"]["size_bytes"] > 0


def test_a_store_of_a_newer_version_and_a_damaged_one_are_wrong(home: Path, capsys: Capsys) -> None:
    path = home / STORE_NAME
    SqliteStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE _sqlite_migrations SET name = '9999-future' WHERE name = ?", [STEPS[-1]])
    database.close()
    [wrong] = of(examined(capsys)[1], "Store", "wrong")
    assert "newer spec-mcp" in wrong["text"]
    path.write_bytes(b"no database " * 200)
    [wrong] = of(examined(capsys)[1], "Store", "wrong")
    assert "spec-mcp forget --all" in wrong["text"]


def test_a_configuration_that_cannot_be_read_is_wrong_and_the_rest_is_still_told(home: Path, capsys: Capsys) -> None:
    (home / "config.toml").write_text("[speculation]\nmod = 'on'\n")
    told, findings = examined(capsys)
    assert told.status == 1
    [wrong] = of(findings, "Configuration", "wrong")
    assert wrong["text"].endswith("[speculation] mod: unknown key")
    assert wrong["mend"].startswith("did you mean mode?")
    assert of(findings, "Home", "ok")


def test_a_mode_that_is_not_on_is_told_with_who_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    assert of(examined(capsys)[1], "Mode", "ok")
    tell("off", None, capsys)
    [note] = of(examined(capsys)[1], "Mode", "note")
    assert (note["facts"]["switch"], note["mend"]) == ("off", "`spec-mcp on` switches it on again")
    tell("on", None, capsys)
    monkeypatch.setenv("SPEC_MCP_MODE", "shadow")
    [note] = of(examined(capsys)[1], "Mode", "note")
    assert note["text"] == "shadow: SPEC_MCP_MODE says so"
    monkeypatch.setenv("SPEC_MCP_MODE", "loud")
    assert of(examined(capsys)[1], "Mode", "wrong")

"""`manifest verify` over a server with planted faults: each is caught and made small, and what holds is proved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.manifest import load_manifest
from tests.cli.manifests import Told, tell
from tests.needs import ROOT

Capsys = pytest.CaptureFixture[str]

HEAD = """
[manifest]
version = 1
server = "shelf"
open_world = false
[verify]
env = { SHELF_FILE = "{scratch}/shelf.json" }
"""
READS = """
[tools.list_things]
effect = "read"
touches = ["thing:*"]
ttl_s = 5
[tools.get_thing]
effect = "read"
touches = ["thing:{name}"]
ttl_s = 5
[tools.take_thing]
touches = ["thing:{names}"]
"""
PUT = """
[tools.put_thing]
effect = "reversible"
touches = ["thing:{name}"]
exclusive = true
before = { tool = "list_things" }
undo = { tool = "take_thing", arguments = { names = "result.created" }, idempotent = true }
probe.tool = "list_things"
probe.done = "overlap(keys(result.things), [arguments.name]) && !overlap(keys(before.things), [arguments.name])"
"""
PAINT = """
[tools.paint_thing]
effect = "reversible"
touches = ["thing:{name}"]
exclusive = true
before = { tool = "get_thing", arguments = { name = "arguments.name" } }
unless = "!before.colour"
undo = { tool = "paint_thing", arguments = { name = "arguments.name", colour = "before.colour" } }
"""
GOOD = HEAD + READS + PUT + PAINT


def verify(
    folder: Path, text: str, capsys: Capsys, *flags: str, options: str = "--runs 12", as_json: bool = True
) -> Told:
    path = folder / "shelf.toml"
    path.write_text(text, encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(ROOT / "tests" / "cli" / "shelf.py"), *flags]
    return tell(f"manifest verify {path} {options}{' --json' * as_json}", command, capsys)


def counterexample(told: Told, tool: str) -> dict[str, Any]:
    """What disproved a tool; nothing else is disproved."""
    assert told.status == 1
    tools = told.object["tools"]
    assert [name for name, its in tools.items() if its["state"] == "disproved"] == [tool]
    return tools[tool]["counterexample"]


def test_what_holds_is_proved_and_the_proof_is_for_this_entry_and_these_definitions(
    tmp_path: Path, capsys: Capsys
) -> None:
    told = verify(tmp_path, GOOD, capsys)

    assert told.status == 0, told.out
    assert {name: its["state"] for name, its in told.object["tools"].items()} == dict.fromkeys(
        ("list_things", "get_thing", "put_thing", "paint_thing"), "holds"
    )
    path = tmp_path / "shelf.toml"
    assert told.object["written"] == str(path)
    policy = load_manifest(path).policy
    assert {name for name, tool in policy.tools.items() if tool.proved} == {"put_thing", "paint_thing"}
    text = path.read_text()
    path.write_text(text.replace("!before.colour", "before.colour == 'red'"))
    changed = load_manifest(path).policy
    assert {name for name, tool in changed.tools.items() if tool.proved} == {"put_thing"}
    fingerprint = load_manifest(path).form.tools["take_thing"].fingerprint
    assert fingerprint is not None
    path.write_text(text.replace(fingerprint, "sha256:" + "1" * 64))
    assert not load_manifest(path).policy.tool("put_thing").proved


def test_an_undo_that_takes_what_was_there_before_is_caught(tmp_path: Path, capsys: Capsys) -> None:
    told = verify(tmp_path, GOOD.replace('"result.created"', '"[arguments.name]"'), capsys)

    found = counterexample(told, "put_thing")
    assert found["wrong"] == "residue"
    assert [call["tool"] for call in found["setup"]] == ["put_thing"], "one call before, and no more"
    assert found["setup"][0]["arguments"]["name"] == found["call"]["arguments"]["name"]
    assert found["differences"][0]["tool"] == "list_things"


@pytest.mark.parametrize(("flag", "wrong"), [("--logs-access", "changes"), ("--marks-read", "changes")])
def test_a_read_whose_access_can_be_seen_is_caught(tmp_path: Path, capsys: Capsys, flag: str, wrong: str) -> None:
    found = counterexample(verify(tmp_path, GOOD, capsys, flag), "get_thing")

    assert found["wrong"] == wrong
    assert found["call"]["tool"] == "get_thing"
    assert {difference["tool"] for difference in found["differences"]} == {"list_things"}
    assert len(found["setup"]) == (flag == "--marks-read"), "only what is there can be marked"


def test_a_read_that_answers_otherwise_each_time_is_caught(tmp_path: Path, capsys: Capsys) -> None:
    found = counterexample(verify(tmp_path, HEAD + READS, capsys, "--counts"), "get_thing")

    assert found["wrong"] in ("unsteady", "changes")
    assert found["setup"] == []


def test_an_undo_that_leaves_something_is_caught(tmp_path: Path, capsys: Capsys) -> None:
    found = counterexample(verify(tmp_path, HEAD + READS + PUT, capsys, "--keeps-count"), "put_thing")

    assert found["wrong"] == "residue"
    assert found["setup"] == []
    assert [step["role"] for step in found["steps"]].count("undo") == 1


@pytest.mark.parametrize(
    ("bound", "wrong"),
    [("[arguments.colour]", "residue"), ("result.made", "unbound"), ("before.things", "residue")],
)
def test_an_undo_with_wrongly_bound_arguments_is_caught(tmp_path: Path, capsys: Capsys, bound: str, wrong: str) -> None:
    text = HEAD + READS + PUT.replace("result.created", bound)

    assert counterexample(verify(tmp_path, text, capsys), "put_thing")["wrong"] == wrong


@pytest.mark.parametrize(
    ("old", "new", "flag", "wrong"),
    [
        ('probe.done = "overlap', 'probe.done = "!overlap', "", "probe"),
        ("idempotent = true", "idempotent = true", "--strict", "not-idempotent"),
        ('[tools.put_thing]\neffect = "reversible"\ntouches = ["thing:{name}"]', "", "", "touches"),
        ('before = { tool = "list_things" }', 'before = { tool = "get_thing", arguments.name = "\'x\'" }', "", "blind"),
    ],
)
def test_a_wrong_word_on_probe_idempotence_resources_or_before_is_caught(
    tmp_path: Path, capsys: Capsys, old: str, new: str, flag: str, wrong: str
) -> None:
    put = PUT.split("probe.tool", maxsplit=1)[0] if wrong == "blind" else PUT
    new = new or old.replace("thing:{name}", "colour:{colour}")
    assert old in put
    told = verify(tmp_path, HEAD + READS + put.replace(old, new), capsys, *([flag] if flag else []))

    assert counterexample(told, "put_thing")["wrong"] == wrong


def test_a_counter_example_is_shown_with_what_was_called_and_what_differs(tmp_path: Path, capsys: Capsys) -> None:
    told = verify(tmp_path, GOOD.replace('"result.created"', '"[arguments.name]"'), capsys, as_json=False)

    assert told.status == 1
    assert "disproved  reversible put_thing: the undo does not restore the state" in told.out
    for line in (
        "  first    put_thing {",
        "  undo     take_thing {",
        "  differs  list_things {}",
        "           things.",
    ):
        assert line in told.out
    assert "the manifest is wrong about put_thing: mend it, or say effect = 'unsafe'" in told.err


def test_what_was_proved_once_and_is_disproved_now_loses_its_proof(tmp_path: Path, capsys: Capsys) -> None:
    assert verify(tmp_path, HEAD + READS + PUT, capsys).status == 0
    proved = (tmp_path / "shelf.toml").read_text()

    told = verify(tmp_path, proved, capsys, "--keeps-count")

    assert counterexample(told, "put_thing")
    assert not load_manifest(tmp_path / "shelf.toml").policy.tool("put_thing").proved


def test_what_cannot_be_tried_is_listed_and_never_proved(tmp_path: Path, capsys: Capsys) -> None:
    paint = PAINT
    outside = READS.replace("[tools.get_thing]", "[tools.get_thing]\nopen_world = true")

    told = verify(tmp_path, HEAD + outside + PUT + paint, capsys)

    assert told.status == 0
    tools = told.object["tools"]
    assert tools["get_thing"]["state"] == tools["paint_thing"]["state"] == "untried"
    assert "reaches outside" in tools["get_thing"]["reason"]
    assert "get_thing reaches outside" in tools["paint_thing"]["reason"]
    assert not load_manifest(tmp_path / "shelf.toml").policy.tool("paint_thing").proved


def test_a_tool_that_never_changed_anything_is_not_proved(tmp_path: Path, capsys: Capsys) -> None:
    told = verify(tmp_path, HEAD + READS + PAINT, capsys)

    its = told.object["tools"]["paint_thing"]
    assert (its["state"], its["effective"]) == ("untried", 0)
    assert "0 of 12 tries changed something, 3 are needed" in its["reason"]
    assert told.object["written"] is None


def test_a_command_that_may_reach_real_data_is_not_started_unasked(tmp_path: Path, capsys: Capsys) -> None:
    bare = GOOD.replace('[verify]\nenv = { SHELF_FILE = "{scratch}/shelf.json" }\n', "")
    assert bare != GOOD

    told = verify(tmp_path, bare, capsys)
    assert told.status == 2
    assert "--scratch-is-fine" in told.err

    told = verify(tmp_path, GOOD, capsys, str(tmp_path))
    assert told.status == 2
    assert f"the command names the folder {tmp_path}, which may hold real data" in told.err


def test_recorded_arguments_are_tried_too(tmp_path: Path, capsys: Capsys) -> None:
    trace = tmp_path / "sessions.jsonl"
    call = '{"type": "call", "tool": "put_thing", "arguments": {"name": "recorded", "colour": "red"}, "kind": "write"}'
    trace.write_text('{"session": "s", "source": "t", "events": [' + call + "]}\n", encoding="utf-8")
    text = (HEAD + READS + PUT).replace('"result.created"', "\"result.created[?@ != 'recorded']\"")

    told = verify(tmp_path, text, capsys, options=f"--runs 12 --trace {trace}")

    assert counterexample(told, "put_thing")["call"]["arguments"]["name"] == "recorded"
    assert verify(tmp_path, text, capsys).status == 0, "nobody guesses that name"


def test_a_server_of_the_configuration_can_be_named(
    tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shelf.toml").write_text(HEAD + READS, encoding="utf-8")
    config = tmp_path / "config.toml"
    shelf = ROOT / "tests" / "cli" / "shelf.py"
    config.write_text(
        f'[servers.mine]\ncommand = "{sys.executable}"\nargs = ["{shelf}"]\nmanifest = "{tmp_path}/shelf.toml"\n'
        '[servers.far]\nurl = "https://example.com/mcp"\n'
    )
    monkeypatch.setenv("SPEC_MCP_CONFIG", str(config))

    assert tell("manifest verify --server mine --runs 2 --json", None, capsys).object["holds"] is True
    assert "it is not started by a command" in tell("manifest verify --server far", None, capsys).err
    assert "did you mean mine" in tell("manifest verify --server mien", None, capsys).err
    assert "say which server" in tell("manifest verify shelf", None, capsys).err


@pytest.mark.parametrize(
    ("flag", "said"),
    [("--dies", "ended with status 1 before it answered tools/call"), ("--dies", "(the shelf fell down)")],
)
def test_a_server_that_dies_is_said_with_its_last_words(tmp_path: Path, capsys: Capsys, flag: str, said: str) -> None:
    told = verify(tmp_path, GOOD, capsys, flag)

    assert told.status == 1
    assert said in told.err


def test_another_server_than_the_manifest_speaks_for_is_refused(tmp_path: Path, capsys: Capsys) -> None:
    told = verify(tmp_path, GOOD.replace('server = "shelf"', 'server = "drawer"'), capsys)

    assert told.status == 2
    assert "speaks for 'drawer', but the server calls itself 'shelf'" in told.err

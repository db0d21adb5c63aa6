"""`spec-mcp manifest …` as a person and as a program meet it, with real servers behind it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from spec_mcp.engine.effects import Effect
from spec_mcp.manifest import fingerprint, load_manifest, shipped_folder
from spec_mcp.manifest.forms import ToolForm
from tests.cli.manifests import HOSTILE, greeter, tell, tool_file
from tests.manifest.test_lists import LISTS
from tests.manifest.test_real_servers import COMMANDS
from tests.manifest.writing import HEAD, tool, write

Capsys = pytest.CaptureFixture[str]

READ = '[tools.get]\neffect = "read"\nttl_s = 5  # seconds\n'
GET = tool("get", "id")


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def own(spec_mcp_home: Path) -> Path:
    """The folder of the user's own manifests."""
    return spec_mcp_home / "manifests"


# --- list, show, schema -----------------------------------------------------------------------------------------------


def test_the_list_names_every_shipped_manifest_and_what_its_tools_are(capsys: Capsys) -> None:
    entries = {entry["name"]: entry for entry in tell("manifest list --json", None, capsys).object}
    assert set(entries) == {path.stem for path in shipped_folder().glob("*.toml")}
    assert entries["time"]["server"] == "mcp-time"
    assert entries["time"]["tools"] == {"read": 0, "reversible": 0, "unsafe": 2}
    assert all(entry["shipped"] and entry["fault"] is None for entry in entries.values())


def test_the_list_for_people_fits_80_columns_and_says_where_the_files_lie(own: Path, capsys: Capsys) -> None:
    told = tell("manifest list", None, capsys)
    assert re.search(r"^time +mcp-time +2 unsafe +shipped", told.out, re.MULTILINE)
    assert str(own) in told.out
    lines = [line for line in told.out.splitlines() if not line.startswith(("Shipped: ", "Yours: "))]
    assert max(map(len, lines)) <= 80


def test_an_own_manifest_stands_in_place_of_a_shipped_one_and_its_fault_is_shown(own: Path, capsys: Capsys) -> None:
    path = write(own, HEAD + '[tools.x]\neffect = "raed"\n', "time.toml")
    [entry] = [entry for entry in tell("manifest list --json", None, capsys).object if entry["name"] == "time"]
    assert (entry["file"], entry["shipped"], entry["server"]) == (str(path), False, "shop")
    assert "did you mean read?" in entry["fault"]
    assert "did you mean read?" in tell("manifest list", None, capsys).out


def test_showing_a_manifest_prints_it_byte_for_byte(capsys: Capsys) -> None:
    assert tell("manifest show fetch", None, capsys).out == (shipped_folder() / "fetch.toml").read_text()


def test_showing_a_manifest_to_a_program_gives_its_tables(capsys: Capsys) -> None:
    shown = tell("manifest show fetch --json", None, capsys).object
    assert (shown["name"], shown["manifest"]["server"], shown["tools"]["fetch"]["effect"]) == (
        "fetch",
        "mcp-fetch",
        "read",
    )


def test_a_manifest_that_is_not_there_is_said_with_what_was_meant(capsys: Capsys) -> None:
    told = tell("manifest show fetsh", None, capsys)
    assert (told.status, told.out) == (2, "")
    assert "did you mean fetch?" in told.err


def test_the_schema_describes_every_key_that_a_manifest_may_have(capsys: Capsys) -> None:
    schema = tell("manifest schema", None, capsys).object
    forms = schema["$defs"]
    assert set(forms["ManifestForm"]["properties"]) == {"manifest", "verify", "tools"}
    assert set(forms["ToolForm"]["properties"]) == set(ToolForm.__struct_fields__)
    assert forms["ToolForm"]["additionalProperties"] is False
    assert "how old" in forms["ToolForm"]["properties"]["ttl_s"]["description"]


def test_the_schema_that_a_draft_names_lies_beside_it_or_it_is_said_how_to_get_it(
    own: Path, tmp_path: Path, capsys: Capsys
) -> None:
    tell("manifest draft --save", greeter(GET), capsys)
    named = (own / "shop.toml").read_text().splitlines()[0].removeprefix("#:schema ")
    printed = tell("manifest schema", None, capsys).out
    assert (own / named).read_text() == printed
    told = tell(f"manifest draft --out {tmp_path / 'x.toml'}", greeter(GET), capsys)
    assert f"spec-mcp manifest schema > {tmp_path / named}" in told.out


def test_without_a_subcommand_the_help_is_shown(capsys: Capsys) -> None:
    assert "draft" in tell("manifest", None, capsys).out


# --- draft ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["filesystem", "memory", "everything", "git", "time"])
def test_a_draft_of_a_real_server_is_accepted_by_check_against_the_same_server(
    name: str, own: Path, capsys: Capsys
) -> None:
    saved = tell("manifest draft --save", COMMANDS[name], capsys)
    assert saved.status == 0
    [path] = own.glob("*.toml")
    checked = tell(f"manifest check {path.stem} --json", COMMANDS[name], capsys)
    assert checked.status == 0
    assert checked.object == {
        "file": str(path),
        "server": load_manifest(shipped_folder() / f"{name}.toml").form.manifest.server,
        "against": checked.object["server"],
        "ok": True,
        "faults": [],
        "other_server": None,
        "missing": [],
        "changed": [],
        "new": [],
    }


@pytest.mark.parametrize("options", [[], ["--legacy-only"], ["--banner"], ["--ignore-term"]])
def test_a_draft_of_a_server_that_lies_about_all_its_tools_trusts_none(options: list[str], capsys: Capsys) -> None:
    told = tell("manifest draft", [*HOSTILE, *options], capsys)
    tools = tomllib.loads(told.out)["tools"]
    assert {"read", "write", "die"} <= set(tools)
    assert all(set(table) == {"fingerprint"} for table in tools.values())
    assert told.out.count('#effect = "read"') == len(tools)


def test_the_servers_word_is_taken_only_when_asked(capsys: Capsys) -> None:
    told = tell("manifest draft --trust-annotations", HOSTILE, capsys)
    assert {table["effect"] for table in tomllib.loads(told.out)["tools"].values()} == {"read"}


def test_a_draft_is_never_written_over_a_file_unasked(tmp_path: Path, own: Path, capsys: Capsys) -> None:
    for where, path in ((f"--out {tmp_path / 'x.toml'}", tmp_path / "x.toml"), ("--save", own / "shop.toml")):
        write(path.parent, "mine", path.name)
        told = tell(f"manifest draft {where}", greeter(GET), capsys)
        assert (told.status, told.out, path.read_text()) == (2, "", "mine")
        assert f"{path}: is there already: --force" in told.err
        assert tell(f"manifest draft {where} --force", greeter(GET), capsys).status == 0
        assert load_manifest(path).policy.server == "shop"
        assert [file.name for file in path.parent.glob(".*")] == []


def test_a_draft_beside_a_manifest_that_speaks_for_the_server_says_so(own: Path, capsys: Capsys) -> None:
    told = tell("manifest draft --save", greeter(GET, name="mcp-time"), capsys)
    assert str(shipped_folder() / "time.toml") in told.err
    assert "comes before it now" in told.err


def test_a_server_without_a_name_gets_one_from_its_command_and_is_told_of(tmp_path: Path, capsys: Capsys) -> None:
    path = tool_file(tmp_path / "weather.tools.json", GET)
    told = tell(f"manifest draft --tools {path}", None, capsys)
    assert tomllib.loads(told.out)["manifest"]["server"] == "weather"
    assert "use --manifest FILE" in told.out


def test_the_name_of_a_server_cannot_lead_out_of_the_folder(own: Path, capsys: Capsys) -> None:
    assert tell("manifest draft --save", greeter(GET, name="../../etc/x"), capsys).status == 0
    assert [path.name for path in own.glob("*.toml")] == ["etc-x.toml"]
    assert not (own.parent.parent / "etc").exists()


@pytest.mark.parametrize(
    ("arguments", "command", "status", "said"),
    [
        ("manifest draft", None, 2, "say which server, after `--`"),
        ("manifest draft --out x --save", HOSTILE, 2, "give one of them"),
        ("manifest draft --force", HOSTILE, 2, "--force means nothing"),
        ("manifest draft --tools x", HOSTILE, 2, "name one of a server's command"),
        ("manifest draft --url http://h", HOSTILE, 2, "name one of a server's command"),
        ("manifest draft --header a=b", HOSTILE, 2, "give its --url"),
        ("manifest draft --url ftp://h", None, 2, "write an address such as https://example.com/mcp"),
        ("manifest draft --url http://h --header secret", None, 2, "--header secret: write it as K=V"),
        ("manifest draft --url http://h --header 'a=${NOT_SET}'", None, 2, "NOT_SET is not set"),
        ("manifest draft --url http://127.0.0.1:9", None, 1, "127.0.0.1: the server cannot be reached"),
        ("manifest draft --tools /no/such/file", None, 2, "/no/such/file: cannot be read"),
        ("manifest draft --out /proc/x.toml", HOSTILE, 2, "/proc/x.toml: cannot be written"),
        ("manifest draft", ["no-such-program"], 1, "does not start"),
        ("manifest draft", ["sh", "-c", "exit 3"], 1, "ended with status 3 before it answered"),
        ("manifest draft", ["sh", "-c", "kill -9 $$"], 1, "was ended by signal 9"),
        ("manifest draft", greeter(), 1, "lists no tools"),
        ("manifest lock time", None, 2, "say which server, after `--`"),
        ("manifest lock time", greeter(GET), 2, "speaks for 'mcp-time', but the server calls itself 'shop'"),
        ("manifest lock time --force", greeter(GET), 1, "has none of its tools"),
        ("manifest check nothing", None, 2, "no manifest has this name"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_what_to_do(
    arguments: str, command: list[str] | None, status: int, said: str, capsys: Capsys
) -> None:
    told = tell(arguments, command, capsys)
    assert (told.status, told.out) == (status, "")
    assert said in told.err.splitlines()[-1]


@pytest.mark.parametrize("name", ["github", "gmail"])
def test_a_recorded_list_is_checked_like_a_server(name: str, tmp_path: Path, capsys: Capsys) -> None:
    told = tell(f"manifest check {name} --tools {LISTS[name]} --json", None, capsys)
    assert (told.status, told.object["ok"], told.object["new"]) == (0, True, [])
    tools = json.loads(LISTS[name].read_text())["tools"]
    [first, *others] = [{**one, "inputSchema": {"type": "object"}} for one in tools]
    changed = tool_file(tmp_path / "x.json", *others, {**first, "name": "brand_new"})
    told = tell(f"manifest check {name} --tools {changed} --json", None, capsys)
    assert told.object["new"] == ["brand_new"]
    assert told.status == 2
    assert any("the tool has no argument" in fault["fault"] for fault in told.object["faults"])


def test_a_home_that_cannot_be_written_is_named_with_the_way_to_another(
    monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setenv("SPEC_MCP_HOME", "/proc/home")
    told = tell("manifest draft --save", greeter(GET), capsys)
    assert told.status == 2
    assert told.err.splitlines()[-1].endswith("put it right, or name another folder by SPEC_MCP_HOME")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no valid JSON"),
        ("5", "tools: there is no list of tools"),
        ('{"tools": 5}', "tools: there is no list of tools"),
        ('{"tools": [{"title": "x"}]}', "tools[0]: is no tool with a name"),
    ],
)
def test_a_file_that_is_no_tool_list_is_named_with_its_fault(
    text: str, said: str, tmp_path: Path, capsys: Capsys
) -> None:
    path = write(tmp_path, text, "tools.json")
    told = tell(f"manifest check time --tools {path}", None, capsys)
    assert told.status == 2
    assert f"{path}: {said}" in told.err


@pytest.mark.parametrize("wrap", ["%s", '{"tools": %s}', '{"jsonrpc": "2.0", "id": 1, "result": {"tools": %s}}'])
def test_a_tool_list_is_read_in_each_form_in_which_one_has_it(wrap: str, tmp_path: Path, capsys: Capsys) -> None:
    path = write(tmp_path, wrap % json.dumps([GET]), "tools.json")
    told = tell(f"manifest draft --tools {path}", None, capsys)
    assert list(tomllib.loads(told.out)["tools"]) == ["get"]


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_shows_all_faults_of_a_file_and_exits_with_2(tmp_path: Path, capsys: Capsys) -> None:
    path = write(tmp_path, HEAD + '[tools.a]\neffect = "read"\n[tools.b]\nttl_s = 5\ntouches = ["x:{"]\n')
    told = tell(f"manifest check {path} --json", None, capsys)
    assert told.status == 2
    assert [fault["key"] for fault in told.object["faults"]] == [
        "[tools.a] ttl_s",
        "[tools.b] ttl_s",
        "[tools.b] touches[0]",
    ]
    shown = tell(f"manifest check {path}", None, capsys)
    assert shown.flat.count("wrong") == 3
    assert "[tools.a] ttl_s: required for a read whose resources are not exclusive -> add e.g. ttl_s = 5" in shown.flat
    assert f"{path}: faults: 3" in shown.err


def test_a_template_that_names_no_argument_is_a_fault_once_the_tools_are_known(tmp_path: Path, capsys: Capsys) -> None:
    path = write(tmp_path, HEAD + READ + 'touches = ["order:{di}"]\n')
    assert tell(f"manifest check {path}", None, capsys).status == 0
    told = tell(f"manifest check {path} --json", greeter(GET), capsys)
    assert told.status == 2
    assert told.object["faults"][0]["fault"] == "the tool has no argument di"


def test_a_manifest_that_lags_behind_exits_with_1_and_says_in_what(tmp_path: Path, capsys: Capsys) -> None:
    pin = f'fingerprint = "{fingerprint(GET)}"\n'
    path = write(tmp_path, HEAD + READ + pin + '[tools.gone]\neffect = "unsafe"\n')
    changed = tool("get", "id", "more")
    told = tell(f"manifest check {path} --json", greeter(changed, tool("fresh"), name="store"), capsys)
    assert told.status == 1
    found = told.object
    assert (found["changed"], found["missing"], found["new"], found["other_server"], found["ok"]) == (
        ["get"],
        ["gone"],
        ["fresh"],
        "store",
        False,
    )
    shown = tell(f"manifest check {path}", greeter(changed, tool("fresh"), name="store"), capsys)
    assert shown.status == 1
    for said in (
        "changed since the review, and so unsafe: get",
        "the server has no such tool: gone",
        "not listed, and so unsafe: fresh",
        "speaks for 'shop', but the server calls itself 'store'",
    ):
        assert said in shown.flat


def test_a_tool_that_is_not_listed_is_shown_and_no_fault(tmp_path: Path, capsys: Capsys) -> None:
    path = write(tmp_path, HEAD + READ)
    told = tell(f"manifest check {path}", greeter(GET, tool("new_one")), capsys)
    assert told.status == 0
    assert "not listed, and so unsafe: new_one" in told.flat


@pytest.mark.parametrize("name", ["filesystem", "memory", "git"])
def test_a_shipped_manifest_fits_its_server(name: str, capsys: Capsys) -> None:
    assert "no fault, and it fits" in tell(f"manifest check {name}", COMMANDS[name], capsys).flat


# --- lock -------------------------------------------------------------------------------------------------------------


def test_locking_a_shipped_manifest_writes_a_copy_that_comes_before_it(own: Path, capsys: Capsys) -> None:
    shipped = shipped_folder() / "memory.toml"
    before = shipped.read_text()
    assert tell("manifest lock memory", COMMANDS["memory"], capsys).status == 0
    assert shipped.read_text() == before
    copy = load_manifest(own / "memory.toml")
    assert all(form.fingerprint for form in copy.form.tools.values())
    lines = (own / "memory.toml").read_text().splitlines()
    assert [line for line in lines if not line.startswith("fingerprint = ")] == before.splitlines()
    assert tell("manifest check memory", COMMANDS["memory"], capsys).status == 0
    assert "nothing to write" in tell("manifest lock memory", COMMANDS["memory"], capsys).out


def test_locking_pins_what_is_there_and_names_what_had_changed(tmp_path: Path, capsys: Capsys) -> None:
    old = f'fingerprint = "sha256:{"0" * 64}"  # by me\n'
    path = write(tmp_path, HEAD + READ + old + '\n# about put\n[tools.put]\n\n[tools.gone]\neffect = "unsafe"\n')
    path.chmod(0o640)
    told = tell(f"manifest lock {path}", greeter(GET, tool("put")), capsys)
    assert told.status == 0
    tools = load_manifest(path).form.tools
    assert (tools["get"].fingerprint, tools["put"].fingerprint) == (fingerprint(GET), fingerprint(tool("put")))
    assert tools["gone"].fingerprint is None
    assert "2 tools are locked: 1 for the first time, 1 anew" in told.out
    assert "had changed: get" in told.out
    assert "has no gone" in told.out
    assert "ttl_s = 5  # seconds\n" in path.read_text()
    assert "# by me" in path.read_text()
    assert "\n\n# about put\n[tools.put]\nfingerprint" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_manifest_that_contradicts_the_tools_is_not_locked(tmp_path: Path, capsys: Capsys) -> None:
    path = write(tmp_path, HEAD + READ + 'touches = ["order:{di}"]\n')
    before = path.read_text()
    told = tell(f"manifest lock {path}", greeter(GET), capsys)
    assert (told.status, path.read_text()) == (2, before)
    assert "the tool has no argument di; use one of: id" in told.err


def test_locking_through_a_link_keeps_the_link(tmp_path: Path, own: Path, capsys: Capsys) -> None:
    target = write(tmp_path, HEAD + READ)
    own.mkdir(parents=True)
    (own / "shop.toml").symlink_to(target)
    assert tell("manifest lock shop", greeter(GET), capsys).status == 0
    assert (own / "shop.toml").is_symlink()
    assert load_manifest(target).policy.tool("get").fingerprint == fingerprint(GET)
    assert load_manifest(target).policy.tool("get").effect is Effect.READ

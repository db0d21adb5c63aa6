from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.engine.calls import Equivalence
from spec_mcp.engine.effects import (
    UNLISTED,
    Before,
    Effect,
    FileValidator,
    FollowRule,
    Probe,
    Surrogate,
    ToolValidator,
    Undo,
)
from spec_mcp.manifest import ManifestError, load_manifest, manifest_faults
from tests.manifest.writing import HEAD, load, write

EVERY_KEY = """
[manifest]
version = 1
server = "shop"
reviewed = "2026-11-21"
stateless = true
concurrent = true
cancel = true
open_world = false

[tools.read_order]
effect = "read"
touches = ["order:{order_id}", "order:{order_id}/*"]
ttl_s = 30
fresh = { tool = "order_version", arguments = { id = "arguments.order_id" } }
exclusive = false
cost_s = 0.1
open_world = true
hosts = ["API.example.com", "*.example.org"]
open_world_per_minute = 5
adopt_errors = true
reuse_s = 1.5
fingerprint = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
equal = { path = "posix-path", note = ["trim", "casefold"], "result.items[*].at" = "ignore", "answer._meta" = "ignore" }

[[tools.read_order.followed_by]]
tool = "read_item"
arguments = { id = "result.items[*].id" }
confidence = 0.25

[tools.order_version]
effect = "read"
ttl_s = 1
fresh = { file = "/var/lib/{id}" }

[tools.add_item]
effect = "reversible"
touches = ["order:{order_id}"]
exclusive = true
settle_s = 0.5
before = { tool = "read_order", arguments = { order_id = "arguments.order_id" } }
undo = { tool = "drop_item", arguments = { id = "result.id", was = "before.items" }, idempotent = true }
unless = "contains(before.items, arguments.item)"
probe = { tool = "read_order", arguments = { order_id = "arguments.order_id" }, done = "length(result.items) > `0`" }
undo_wait_s = 4

[tools.set_knob]
effect = "reversible"
lossy = "last-write-wins"

[tools.think]
surrogate = { tool = "order_version", arguments = { id = "arguments.id" }, k = 3 }
"""


def test_every_key_of_a_manifest_reaches_the_engine(tmp_path: Path) -> None:
    path = write(tmp_path, EVERY_KEY)

    policy = load_manifest(path).policy

    assert (policy.server, policy.stateless, policy.concurrent, policy.cancel) == ("shop", True, True, True)
    assert policy.source == str(path)
    read = policy.tool("read_order")
    assert read.effect is Effect.READ
    assert read.touches == ("order:{order_id}", "order:{order_id}/*")
    assert read.fresh == ToolValidator("order_version", {"id": "arguments.order_id"})
    assert (read.ttl_s, read.cost_s, read.reuse_s) == (30.0, 0.1, 1.5)
    assert (read.open_world, read.hosts) == (True, ("api.example.com", "*.example.org"))
    assert (read.open_world_per_minute, read.adopt_errors, read.exclusive) == (5.0, True, False)
    assert read.fingerprint is not None
    assert read.equal == {"path": (Equivalence.POSIX_PATH,), "note": (Equivalence.TRIM, Equivalence.CASEFOLD)}
    assert read.equal_results == {
        ("result", "items", "[*]", "at"): (Equivalence.IGNORE,),
        ("answer", "_meta"): (Equivalence.IGNORE,),
    }
    assert read.followed_by == (FollowRule("read_item", {"id": "result.items[*].id"}, 0.25),)
    assert policy.tool("order_version").fresh == FileValidator("/var/lib/{id}")
    write_policy = policy.tool("add_item")
    assert write_policy.before == Before("read_order", {"order_id": "arguments.order_id"})
    assert write_policy.undo == Undo("drop_item", {"id": "result.id", "was": "before.items"}, idempotent=True)
    assert write_policy.unless == "contains(before.items, arguments.item)"
    done = "length(result.items) > `0`"
    assert write_policy.probe == Probe("read_order", {"order_id": "arguments.order_id"}, done)
    assert (write_policy.undo_wait_s, write_policy.settle_s, write_policy.lossy) == (4.0, 0.5, False)
    assert policy.tool("set_knob").lossy
    assert policy.tool("think").effect is Effect.UNSAFE
    assert policy.tool("think").surrogate == Surrogate("order_version", {"id": "arguments.id"}, 3)
    assert policy.tool("never heard of") is UNLISTED


def test_tools_reach_outside_unless_the_manifest_says_otherwise(tmp_path: Path) -> None:
    outside = load(tmp_path, "[tools.a]\n[tools.b]\nopen_world = false\n").policy
    inside = load(tmp_path, "open_world = false\n[tools.a]\n[tools.b]\nopen_world = true\n").policy

    assert (outside.tool("a").open_world, outside.tool("b").open_world) == (True, False)
    assert (inside.tool("a").open_world, inside.tool("b").open_world) == (False, True)


def test_a_read_of_exclusive_resources_needs_no_ttl(tmp_path: Path) -> None:
    assert load(tmp_path, '[tools.a]\neffect = "read"\nexclusive = true\n').policy.tool("a").ttl_s is None


READ = '[tools.a]\neffect = "read"\nttl_s = 5\n'
UNDO = 'undo = { tool = "b", arguments = {} }\n'
REVERSIBLE = '[tools.a]\neffect = "reversible"\nexclusive = true\ntouches = ["x"]\n'

FAULTS = [
    ("[manifest\n", "no valid TOML: Expected ']' at the end of a table declaration (at line 1, column 10); mend"),
    ("", "[manifest]: missing; add [manifest] with version = 1"),
    ("manifest = 3", "[manifest]: must be a table; write [manifest] as a table"),
    ('[manifest]\nversion = 2\nserver = "s"\nnew = 1', "[manifest] version: must be 1, not 2; write version = 1"),
    ('[manifest]\nversion = true\nserver = "s"', "[manifest] version: must be 1, not True"),
    ("[manifest]\nversion = 1", "[manifest] server: missing; add server = …"),
    ('[manifest]\nversion = 1\nserver = ""', "[manifest] server: is empty; write the serverInfo.name"),
    ('[manifest]\nversion = 1\nserver = "s"\ncancle = true', "[manifest] cancle: unknown key; did you mean cancel?"),
    (HEAD + "[tool.a]\n", "tool: unknown key; did you mean tools?"),
    (HEAD + "[tools]\na = 1\n", "[tools.a]: must be a table, such as { … }, not a whole number"),
    (HEAD + READ + "ttls = 1", "[tools.a] ttls: unknown key; did you mean ttl_s?"),
    (HEAD + '[tools."a b"]\nzzz = 1', '[tools."a b"] zzz: unknown key; remove it, or use one of: adopt_errors, before'),
    (HEAD + '[tools.a]\neffect = "reed"', "[tools.a] effect: unknown value reed; did you mean read?"),
    (HEAD + '[tools.a]\neffect = "zap"', "[tools.a] effect: unknown value zap; use one of: read, reversible, unsafe"),
    (HEAD + '[tools.a]\neffect = "read"', "[tools.a] ttl_s: required for a read whose resources are not exclusive; "),
    (HEAD + '[tools.a]\nttl_s = "5"', "[tools.a] ttl_s: must be a number, not a text in quotes; write a number"),
    (HEAD + "[tools.a]\nexclusive = 1", "[tools.a] exclusive: must be true or false, not a whole number"),
    (HEAD + "[tools.a]\ncost_s = -1", "[tools.a] cost_s: must be at least 0; write a number that is at least 0"),
    (HEAD + "[tools.a]\nsettle_s = inf", "[tools.a] settle_s: must be at most 31536000"),
    (HEAD + "[tools.a]\nsettle_s = nan", "[tools.a] settle_s: must be at least 0"),
    (HEAD + '[tools.a]\ntouches = "file:{path}"', '[tools.a] touches: must be a list, such as ["…"], not a text'),
    (HEAD + '[tools.a]\ntouches = ["ok", 3]', "[tools.a] touches[1]: must be a text in quotes, not a whole number"),
    (HEAD + '[tools.a]\ntouches = ["file:{path"]', "[tools.a] touches[0]: 'file:{path' has a brace without its other"),
    (HEAD + '[tools.a]\ntouches = ["file:{}"]', "[tools.a] touches[0]: 'file:{}' has a placeholder that names no"),
    (HEAD + '[tools.a]\ntouches = ["{path}"]', "[tools.a] touches[0]: '{path}' has no kind of resource; begin with"),
    (HEAD + '[tools.a]\ntouches = ["file:*/x"]', "[tools.a] touches[0]: 'file:*/x' has a * within; a * may stand"),
    (HEAD + '[tools.a]\ntouches = [""]', "[tools.a] touches[0]: an empty template"),
    (HEAD + READ + "fresh = {}", "[tools.a] fresh: must name a file or a tool; write"),
    (HEAD + READ + 'fresh = { file = "path" }', "[tools.a] fresh.file: 'path' names no argument; write"),
    (HEAD + READ + 'fresh = { file = "{p" }', "[tools.a] fresh.file: '{p' has a brace"),
    (HEAD + READ + 'fresh = { fil = "{p}" }', "[tools.a] fresh.fil: unknown key; did you mean file?"),
    (
        HEAD + READ + 'surrogate = { tool = "a" }',
        "[tools.a] surrogate.tool: a tool cannot guess its own answer; name another, cheaper read",
    ),
    (HEAD + READ + 'fresh = { tool = "b" }', "[tools.a] fresh.tool: b is not stated to be a read; say effect = 'read'"),
    (HEAD + READ + 'equal = { p = "posixpath" }', "[tools.a] equal.p: unknown equivalence 'posixpath'; did you mean"),
    (
        HEAD + READ + 'equal = { result.at = "ignore" }',
        '[tools.a] equal.result: is a table; write the place in quotes, such as "result.at" = "ignore"',
    ),
    (
        HEAD + READ + 'equal = { "result.a[0]" = "ignore" }',
        """[tools.a] equal."result.a[0]": 'result.a[0]' cannot be read from '[0]' on; write""",
    ),
    (
        HEAD + '[tools.a]\nequal = { "result.a" = "ignore" }',
        '[tools.a] equal."result.a": only results of reads are compared; remove it',
    ),
    (HEAD + READ + 'fingerprint = "sha256:12"', "[tools.a] fingerprint: must be sha256: and 64 hexadecimal digits"),
    (HEAD + 'hosts = ["x/y"]\n' + READ, "[manifest] hosts[0]: 'x/y' is no host; write names alone"),
    (HEAD + 'open_world = false\nhosts = ["x.com"]\n' + READ, "[manifest] hosts: means nothing where no tool reaches"),
    (HEAD + READ + 'hosts = ["https://x.com/a"]', "[tools.a] hosts[0]: 'https://x.com/a' is no host; write names"),
    (HEAD + READ + 'open_world = false\nhosts = ["x.com"]', "[tools.a] hosts: means nothing for a tool that reaches"),
    (HEAD + READ + "settle_s = 1", "[tools.a] settle_s: means nothing for a read; remove it"),
    (HEAD + READ + UNDO, "[tools.a] undo: means nothing for effect = 'read'; remove it, or say 'reversible'"),
    (HEAD + "[tools.a]\n" + UNDO, "[tools.a] undo: means nothing for effect = 'unsafe'; remove it"),
    (HEAD + "[tools.a]\nttl_s = 0", "[tools.a] ttl_s: means nothing for an unsafe tool; remove it, or say 'read'"),
    (HEAD + REVERSIBLE, "[tools.a] undo: required for a reversible tool; add undo"),
    (HEAD + REVERSIBLE.replace("exclusive = true\n", "") + UNDO, "[tools.a] exclusive: required for a reversible"),
    (HEAD + REVERSIBLE.replace('touches = ["x"]\n', "") + UNDO, "[tools.a] touches: required for a reversible tool"),
    (HEAD + REVERSIBLE + UNDO + 'lossy = "last-write-wins"', "[tools.a] lossy: a tool with an undo loses nothing"),
    (HEAD + REVERSIBLE + 'lossy = "last-wins"', "[tools.a] lossy: unknown value last-wins; did you mean last-write-"),
    (HEAD + REVERSIBLE + "undo = { arguments = {} }", "[tools.a] undo.tool: missing; add tool = …"),
    (
        HEAD + REVERSIBLE + 'undo = { tool = "b", arguments = { id = "result." } }',
        "[tools.a] undo.arguments.id: no valid JMESPath in 'result.': Expecting",
    ),
    (
        HEAD + REVERSIBLE + 'undo = { tool = "b", arguments = { id = "lenght(result)" } }',
        "[tools.a] undo.arguments.id: no valid JMESPath in 'lenght(result)': there is no function lenght",
    ),
    (
        HEAD + REVERSIBLE + 'undo = { tool = "b", arguments = { id = "shop" } }',
        "[tools.a] undo.arguments.id: nothing is named shop there; begin with one of: arguments, before, result; a lit",
    ),
    (
        HEAD + REVERSIBLE + UNDO + 'unless = "before.x"',
        "[tools.a] unless: before is read nowhere; add before = ",
    ),
    (
        HEAD + READ + '[[tools.a.followed_by]]\ntool = "b"\nconfidence = 2',
        "[tools.a] followed_by[0].confidence: must be at most 1",
    ),
]


@pytest.mark.parametrize(("text", "line"), FAULTS)
def test_a_fault_is_one_line_with_its_file_key_and_mend(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(ManifestError) as caught:
        load_manifest(path)

    assert str(caught.value).startswith(f"{path}: {line}")
    assert "\n" not in str(caught.value)
    assert caught.value.mend


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone\.toml: cannot be read: No such file"):
        load_manifest(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(ManifestError, match=r"latin\.toml: no UTF-8 text at byte 2"):
        load_manifest(tmp_path / "latin.toml")


def test_an_author_can_see_all_faults_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + '[tools.a]\neffect = "read"\n[tools.b]\nreuse_s = 1\n')

    assert [fault.key for fault in manifest_faults(path)] == ["[tools.a] ttl_s", "[tools.b] reuse_s"]
    assert manifest_faults(write(tmp_path, HEAD)) == []
    assert len(manifest_faults(write(tmp_path, "]"))) == 1


def test_a_reversible_tool_needs_a_read_that_shows_what_it_changes(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + REVERSIBLE + 'undo = { tool = "b", arguments = {} }')

    with pytest.raises(ManifestError, match=r"\[tools\.a\] before: required for a reversible tool; name a read"):
        load_manifest(path)


SCRATCH = [
    ('files = { "../x" = "" }', r'\[verify\] files."../x": does not lie in the temporary folder'),
    ('files = { "/etc/x" = "" }', r'\[verify\] files."/etc/x": does not lie in the temporary folder'),
    ("prepare = [[]]", r"\[verify\] prepare\[0\]: is empty"),
    ('writes = ["red"]', r"\[verify\] writes\[0\]: red is no listed unsafe tool"),
    ('writes = ["wirte"]', r"\[verify\] writes\[0\]: wirte is no listed unsafe tool; did you mean write\?"),
    ("argv = []", r"\[verify\] argv: unknown key; did you mean args\?"),
]


@pytest.mark.parametrize(("line", "said"), SCRATCH)
def test_a_scratch_server_is_kept_to_its_folder_and_to_listed_tools(tmp_path: Path, line: str, said: str) -> None:
    path = write(tmp_path, f"{HEAD}[verify]\n{line}\n[tools.red]\neffect = 'read'\nttl_s = 1\n[tools.write]\n")

    with pytest.raises(ManifestError, match=said):
        load_manifest(path)
    assert len(manifest_faults(path)) == 1


def test_hosts_of_the_whole_server_hold_for_the_tools_that_name_none_themselves(tmp_path: Path) -> None:
    head = HEAD + 'hosts = ["API.x.com"]\n'
    path = write(tmp_path, head + "[tools.a]\n[tools.b]\nhosts = []\n[tools.c]\nhosts = ['c.com']\n")

    tools = load_manifest(path).policy.tools

    assert [tools[name].hosts for name in "abc"] == [("api.x.com",), (), ("c.com",)]

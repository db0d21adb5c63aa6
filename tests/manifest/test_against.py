from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.manifest import check_against_tools, fingerprint, load_manifest, with_trusted_annotations
from tests.manifest.writing import HEAD, load, tool, write

READ = '[tools.read]\neffect = "read"\nttl_s = 5\n'
CHMOD: dict[str, Any] = tool("chmod", "path", "mode")
CHMOD["inputSchema"]["required"] = ["path", "mode"]
TOOLS = [tool("read", "path"), tool("stat", "path"), CHMOD]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ('touches = ["file:{pth}"]', "[tools.read] touches[0]: the tool has no argument pth; did you mean path?"),
        ('fresh = { file = "{file}" }', "[tools.read] fresh.file: the tool has no argument file; use one of: path"),
        ('equal = { name = "trim" }', "[tools.read] equal.name: the tool has no argument name; use one of: path"),
        (
            '[[tools.read.followed_by]]\ntool = "stat"\narguments = { path = "arguments.paths[0]" }',
            "[tools.read] followed_by[0].arguments.path: the tool has no argument paths; did you mean path?",
        ),
        (
            '[[tools.read.followed_by]]\ntool = "stat"\narguments = { name = "result.x" }',
            "[tools.read] followed_by[0].arguments.name: the tool has no argument name; use one of: path",
        ),
        (
            'fresh = { tool = "stats" }\n[tools.stats]\neffect = "read"\nttl_s = 1',
            "[tools.read] fresh.tool: the server has no tool stats; did you mean stat?",
        ),
        (
            '[[tools.read.followed_by]]\ntool = "stast"\narguments = { path = "result.x" }',
            "[tools.read] followed_by[0].tool: the server has no tool stast; did you mean stat?",
        ),
        (
            '[[tools.read.followed_by]]\ntool = "chmod"\narguments = { path = "result.x" }',
            "[tools.read] followed_by[0].arguments: chmod requires mode; add mode = …: without it the call fails",
        ),
    ],
)
def test_what_the_tools_contradict_is_an_error(tmp_path: Path, keys: str, line: str) -> None:
    manifest = load(tmp_path, READ + keys)

    comparison = check_against_tools(manifest, TOOLS)

    assert [str(error) for error in comparison.errors] == [f"{manifest.file}: {line}"]
    assert comparison.faulty_tools == {"read"}


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"$ref": "#/$defs/x"},
        {"anyOf": [{"properties": {"pth": {}}}]},
        {"properties": []},
    ],
)
def test_a_schema_that_does_not_name_all_arguments_accuses_nobody(tmp_path: Path, schema: object) -> None:
    manifest = load(tmp_path, READ + 'touches = ["file:{pth}"]')

    assert check_against_tools(manifest, [{"name": "read", "inputSchema": schema}]).errors == ()


def test_a_tool_that_takes_no_arguments_fills_no_template(tmp_path: Path) -> None:
    manifest = load(tmp_path, READ + 'touches = ["file:{path}"]')

    (error,) = check_against_tools(manifest, [tool("read")]).errors

    assert error.mend == "the tool takes no arguments"


@pytest.mark.parametrize("required", [None, "path", [7], {}])
def test_a_schema_of_another_kind_requires_nothing(tmp_path: Path, required: object) -> None:
    manifest = load(tmp_path, READ + '[[tools.read.followed_by]]\ntool = "stat"')
    stat = tool("stat", "path")
    stat["inputSchema"]["required"] = required

    assert check_against_tools(manifest, [TOOLS[0], stat]).errors == ()


def test_what_follows_may_be_listed_though_this_server_lacks_it(tmp_path: Path) -> None:
    manifest = load(tmp_path, READ + '[[tools.read.followed_by]]\ntool = "gone"\n[tools.gone]\n')

    comparison = check_against_tools(manifest, TOOLS)

    assert comparison.errors == ()
    assert len(comparison.warnings) == 1


def test_that_a_server_lacks_a_tool_is_no_news_where_that_depends_on_its_start(tmp_path: Path) -> None:
    text = HEAD.replace("version", "varies = true\nversion") + READ + "[tools.gone]\n"

    assert check_against_tools(load_manifest(write(tmp_path, text)), TOOLS).warnings == ()


def test_a_tool_that_the_server_lacks_is_a_warning_and_one_that_is_not_listed_a_note(tmp_path: Path) -> None:
    manifest = load(tmp_path, '[tools.raed]\neffect = "read"\nttl_s = 5\n')

    comparison = check_against_tools(manifest, TOOLS[:2])

    assert comparison.errors == ()
    assert comparison.warnings == (f"{manifest.file}: [tools.raed]: the server has no such tool; did you mean read?",)
    assert comparison.changed == ()
    assert len(comparison.notes) == 2
    assert "[tools.stat]: not listed, so the tool is unsafe" in comparison.notes[1]


def test_a_definition_that_changed_since_the_review_is_a_warning(tmp_path: Path) -> None:
    pinned = f'fingerprint = "{fingerprint(TOOLS[0])}"'
    manifest = load(tmp_path, READ + pinned)

    assert check_against_tools(manifest, TOOLS).warnings == ()
    comparison = check_against_tools(manifest, [tool("read", "path", "mode"), TOOLS[1]])
    (warning,) = comparison.warnings
    assert comparison.changed == (warning,)
    assert "changed since it was reviewed" in warning


def test_trusted_annotations_make_reads_of_unlisted_tools_alone() -> None:
    listed = ToolPolicy(effect=Effect.UNSAFE)
    policy = ServerPolicy("shop", {"listed": listed})
    tools = [
        tool("listed", annotations={"readOnlyHint": True}),
        tool("near", annotations={"readOnlyHint": True, "openWorldHint": False}),
        tool("far", annotations={"readOnlyHint": True}),
        tool("writes", annotations={"readOnlyHint": False}),
        tool("odd", annotations={"readOnlyHint": "yes"}),
        tool("silent"),
    ]

    trusted = with_trusted_annotations(policy, tools).tools

    assert set(trusted) == {"listed", "near", "far"}
    assert trusted["listed"] is listed
    assert trusted["near"] == ToolPolicy(effect=Effect.READ, ttl_s=3.0, open_world=False)
    assert trusted["far"].open_world
    assert with_trusted_annotations(policy, []) is policy


GUESSED = (
    READ
    + 'surrogate = { tool = "stat", arguments = { path = "arguments.path" } }\n'
    + '[tools.stat]\neffect = "read"\nttl_s = 5\n'
)


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"properties": {"size": {}}}, "stat answers no guesses, its output schema says"),
        (
            {"properties": {"guesses": {"items": {"properties": {"result": {}}}}}},
            "the guesses of stat have no confidence, its output schema says",
        ),
        ({"properties": {"guesses": {"items": {"properties": {"result": {}, "confidence": {}}}}}}, ""),
        ({"properties": {"guesses": {}}}, ""),
        ({"type": "object"}, ""),
        (None, ""),
    ],
)
def test_a_surrogate_whose_output_schema_bears_no_guesses_is_an_error(tmp_path: Path, schema: Any, fault: str) -> None:
    manifest = load(tmp_path, GUESSED)
    stat = tool("stat", "path") | ({} if schema is None else {"outputSchema": schema})

    errors = check_against_tools(manifest, [tool("read", "path"), stat]).errors

    mend = 'let it answer {"guesses": [{"result": …, "confidence": 0.4}]}'
    assert [str(error) for error in errors] == (
        [f"{manifest.file}: [tools.read] surrogate.tool: {fault}; {mend}"] if fault else []
    )

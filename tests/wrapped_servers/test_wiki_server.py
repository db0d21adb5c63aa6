"""The encyclopaedia as an MCP server: both protocol eras, its answers kept, and a manifest that says the truth."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters

from spec_mcp.engine.calls import Json, canonical_arguments
from spec_mcp.manifest import check_against_tools, load_manifest
from wrapped_servers.latency import Latency
from wrapped_servers.wiki.corpus import Corpus
from wrapped_servers.wiki.server import LIVE_NAME, NAME, Wiki, make_server
from wrapped_servers.wiki.tools import TOOLS
from wrapped_servers.wiki.world import Kind, make_world
from wrapped_servers.wiki.writing import write

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "wrapped_servers.wiki"]
DEADLINE_S = 30
MANIFESTS = {"wiki": NAME, "wiki-live": LIVE_NAME}


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with anyio.fail_after(DEADLINE_S):
            await body()

    anyio.run(bounded)


@pytest.mark.parametrize(("mode", "revision"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
def test_it_serves_its_tools_in_both_eras_and_keeps_answers(mode, revision, tmp_path):
    answers = tmp_path / "answers.jsonl"
    parameters = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "--answers", str(answers)], cwd=ROOT)

    async def body() -> None:
        async with Client(parameters, mode=mode) as client:
            assert client.server_info is not None
            assert (client.server_info.name, client.protocol_version) == (NAME, revision)
            assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
            found = await client.call_tool("search", {"entity": "nothing of this name"})
            assert not found.is_error, "what is not found is an answer"
            assert not (await client.call_tool("finish", {"answer": "Törburg"})).is_error

    run(body)
    assert [json.loads(line) for line in answers.read_text().splitlines()] == [{"answer": "Törburg"}]


def test_what_it_cannot_answer_is_an_error_of_the_call():
    corpus = Corpus.in_memory([])

    async def body() -> None:
        async with Client(make_server(Wiki(corpus), Latency())) as client:
            for tool, arguments, said in (
                ("lookup", {"title": "nobody", "keyword": "x"}, "no article has this title"),
                ("lookup", {"title": "nobody"}, "needs the argument 'keyword'"),
                ("search", {"entity": 3}, "must be of type str"),
                ("lookup", {"title": "a", "keyword": "b", "index": True}, "must be of type int"),
                ("finish", {"answer": "a", "why": "b"}, "takes no argument 'why'"),
            ):
                result = await client.call_tool(tool, arguments)
                assert result.is_error
                assert said in str(result.content[0])
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool("click", {})

    run(body)
    corpus.close()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--dump", "x.xml"], 2, "--dump needs --corpus"),
        (["--latency", "click=1"], 2, "no tool of this server"),
        (["--corpus", "missing.sqlite3"], 1, "make one with --dump"),
    ],
)
def test_bad_usage_is_said_in_one_line(arguments, status, said, tmp_path):
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert said in done.stderr.splitlines()[-1]


# --- the manifests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_speaks_of_each_tool_of_its_server(name):
    path = ROOT / "manifests" / f"{name}.toml"
    assert tomllib.loads(path.read_text())["manifest"]["server"] == MANIFESTS[name]
    listed = [{"name": tool.name, "inputSchema": tool.schema()} for tool in TOOLS.values()]
    comparison = check_against_tools(load_manifest(path), listed)
    assert (comparison.errors, comparison.notes, comparison.warnings) == ((), (), ())


def test_calls_that_the_manifest_calls_equal_are_answered_equally():
    policy = load_manifest(ROOT / "manifests" / "wiki.toml").policy
    world = make_world(0)
    corpus = Corpus.in_memory(write(world, 0))

    def pairs(title: str) -> list[tuple[str, dict[str, Json], dict[str, Json]]]:
        return [
            ("search", {"entity": title}, {"entity": f" {title.upper()}\n"}),
            ("search", {"entity": f"{title} x"}, {"entity": f"{title.lower()} X "}),
            ("lookup", {"title": title, "keyword": "is"}, {"title": title.lower(), "keyword": " IS "}),
        ]

    async def body() -> None:
        async with Client(make_server(Wiki(corpus), Latency())) as client:
            for thing in (*world[Kind.FILM][:5], *world[Kind.CITY][:5]):
                for tool, one, other in pairs(thing.title):
                    equal = policy.tool(tool).equal
                    assert canonical_arguments(one, equal) == canonical_arguments(other, equal)
                    answers = [await client.call_tool(tool, arguments) for arguments in (one, other)]
                    assert answers[0].content == answers[1].content

    run(body)
    corpus.close()


def test_verify_finds_nothing_against_the_manifest(tmp_path):
    command = [sys.executable, "-m", "spec_mcp", "manifest", "verify", "wiki", "--runs", "3", "--json", "--", *COMMAND]
    env = {"SPEC_MCP_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

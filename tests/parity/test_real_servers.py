"""Real servers, three clients, four arms: nobody can tell them apart, and speculation really took place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.parity.agent import Agent
from tests.parity.rig import CLIENTS, ClientKind, Rig, Run

MakeRig = Callable[[str, ClientKind], Rig]
every_client = pytest.mark.parametrize("client", CLIENTS)


def assert_speculated(run: Run, *, answered: int, spoiled: int = 0) -> None:
    """An arm in which nothing is speculated proves nothing."""
    assert run.statistics
    assert run.statistics.hits + run.statistics.joins >= answered, run.statistics
    assert run.statistics.ends.get("spoiled", 0) >= spoiled, run.statistics


def assert_lied_to(run: Run) -> None:
    """The lies were followed, and answered next to nothing."""
    assert run.statistics
    assert run.statistics.speculations >= 1, run.statistics
    assert run.statistics.wasted >= 1, run.statistics


@every_client
def test_filesystem_reads_writes_and_errors_are_the_same_in_every_arm(client: ClientKind, rig: MakeRig) -> None:
    it = rig("filesystem", client)
    root = it.world.folder

    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("list_allowed_directories")
        for tool, arguments in (
            ("list_directory", {"path": str(root)}),
            ("read_text_file", {"path": str(root / "a.txt")}),
            ("read_text_file", {"path": str(root / "a.txt"), "head": 2}),
            ("read_text_file", {"path": str(root / "b.txt")}),
            ("directory_tree", {"path": str(root)}),
            ("search_files", {"path": str(root), "pattern": "**/*.md"}),
            ("get_file_info", {"path": str(root / "a.txt")}),
            ("write_file", {"path": str(root / "a.txt"), "content": "changed\n"}),
            ("read_text_file", {"path": str(root / "a.txt")}),
            ("read_multiple_files", {"paths": [str(root / "a.txt"), str(root / "no.txt"), str(root / "b.txt")]}),
            ("read_media_file", {"path": str(root / "pixel.png")}),
            ("read_text_file", {"path": str(root / "missing.txt")}),
            ("read_text_file", {"path": "/etc/passwd"}),
            ("list_directory_with_sizes", {"path": str(root / "docs")}),
            ("edit_file", {"path": str(root / "b.txt"), "edits": [{"oldText": "b ", "newText": "B "}], "dryRun": True}),
            ("edit_file", {"path": str(root / "b.txt"), "edits": [{"oldText": "b ", "newText": "B "}]}),
            ("read_text_file", {"path": str(root / "b.txt")}),
            ("create_directory", {"path": str(root / "new")}),
            ("move_file", {"source": str(root / "b.txt"), "destination": str(root / "new" / "b.txt")}),
            ("list_directory", {"path": str(root)}),
            ("read_text_file", {"path": str(root / "b.txt")}),
            ("read_text_file", {"path": str(root / "new" / "b.txt")}),
            ("read_text_file", {}),
            ("no_such_tool", {"x": 1}),
        ):
            await agent.think()
            await agent.call(tool, arguments)
        await agent.together([("read_text_file", {"path": str(root / "docs" / "one.md")})] * 3)

    runs = it.compare_all(body)
    assert_speculated(runs["right"], answered=5, spoiled=1)
    assert_lied_to(runs["lying"])


@every_client
def test_a_file_changed_behind_our_back_is_read_anew(client: ClientKind, rig: MakeRig) -> None:
    it = rig("filesystem", client)
    root: Path = it.world.folder

    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("list_directory", {"path": str(root)})
        await agent.think()
        (root / "a.txt").write_text("edited by somebody else\n")
        await agent.call("read_text_file", {"path": str(root / "a.txt")})
        await agent.think()
        await agent.call("read_text_file", {"path": str(root / "b.txt")})

    runs = it.compare_all(body)
    assert_speculated(runs["right"], answered=1)


@every_client
def test_memory_graph_changes_spoil_what_was_read_before(client: ClientKind, rig: MakeRig) -> None:
    async def body(agent: Agent) -> None:
        await agent.list_tools()
        ann = {"name": "Ann", "entityType": "person", "observations": ["likes tea"]}
        bob = {"name": "Bob", "entityType": "person", "observations": []}
        knows = {"from": "Ann", "to": "Bob", "relationType": "knows"}
        for tool, arguments in (
            ("read_graph", {}),
            ("create_entities", {"entities": [ann, bob]}),
            ("read_graph", {}),
            ("search_nodes", {"query": "tea"}),
            ("open_nodes", {"names": ["Ann"]}),
            ("create_relations", {"relations": [knows]}),
            ("open_nodes", {"names": ["Ann"]}),
            ("add_observations", {"observations": [{"entityName": "Bob", "contents": ["is tall", "is tall"]}]}),
            ("search_nodes", {"query": "tall"}),
            ("read_graph", {}),
            ("add_observations", {"observations": [{"entityName": "Nobody", "contents": ["x"]}]}),
            ("delete_relations", {"relations": [knows]}),
            ("open_nodes", {"names": ["Ann", "Bob"]}),
            ("delete_entities", {"entityNames": ["Ann"]}),
            ("search_nodes", {"query": "Ann"}),
            ("read_graph", {}),
        ):
            await agent.think()
            await agent.call(tool, arguments)

    runs = rig("memory", client).compare_all(body)
    assert_speculated(runs["right"], answered=5, spoiled=1)
    assert_lied_to(runs["lying"])


@every_client
def test_git_commits_and_checkouts_come_out_the_same(client: ClientKind, rig: MakeRig) -> None:
    it = rig("git", client)
    repo = {"repo_path": str(it.world.folder)}

    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("git_status", repo)
        await agent.think()
        await agent.call("git_log", {**repo, "max_count": 5})
        await agent.think()
        await agent.call("git_show", {**repo, "revision": "HEAD"})
        await agent.think()
        for tool, arguments in (
            ("git_diff_unstaged", repo),
            ("git_add", {**repo, "files": ["file1.txt"]}),
            ("git_diff_staged", repo),
            ("git_status", repo),
            ("git_commit", {**repo, "message": "third"}),
            ("git_log", {**repo, "max_count": 1}),
            ("git_show", {**repo, "revision": "HEAD~1"}),
            ("git_create_branch", {**repo, "branch_name": "side"}),
            ("git_checkout", {**repo, "branch_name": "side"}),
            ("git_branch", {**repo, "branch_type": "local"}),
            ("git_diff", {**repo, "target": "main"}),
            ("git_show", {**repo, "revision": "no-such-thing"}),
            ("git_status", {"repo_path": "/nowhere"}),
        ):
            await agent.call(tool, arguments)
            await agent.think()

    runs = it.compare_all(body)
    assert_speculated(runs["right"], answered=4, spoiled=1)
    assert_lied_to(runs["lying"])


@every_client
def test_time_is_never_answered_from_before(client: ClientKind, rig: MakeRig) -> None:
    async def body(agent: Agent) -> None:
        await agent.list_tools()
        for tool, arguments in (
            ("get_current_time", {"timezone": "Europe/Berlin"}),
            ("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}),
            ("get_current_time", {"timezone": "UTC"}),
            ("convert_time", {"source_timezone": "UTC", "time": "25:00", "target_timezone": "Asia/Tokyo"}),
            ("get_current_time", {"timezone": "No/Where"}),
        ):
            await agent.think()
            await agent.call(tool, arguments)

    runs = rig("time", client).compare_all(body)
    spoken = [tool for tool, _ in runs["right"].speculated + runs["lying"].speculated]
    assert "get_current_time" not in spoken


@every_client
def test_everything_that_the_everything_server_does_passes_through(client: ClientKind, rig: MakeRig) -> None:
    async def body(agent: Agent) -> None:
        await agent.list_tools()
        for tool, arguments in (
            ("echo", {"message": "one"}),
            ("echo", {"message": "two"}),
            ("get-sum", {"a": 1, "b": 2}),
            ("get-structured-content", {"location": "Chicago"}),
            ("get-tiny-image", {}),
            ("get-annotated-message", {"messageType": "error", "includeImage": True}),
            ("get-resource-links", {"count": 3}),
            ("get-resource-reference", {"resourceType": "Text", "resourceId": 1}),
            ("trigger-sampling-request", {"prompt": "p", "maxTokens": 5}),
            ("trigger-elicitation-request", {}),
            ("get-sum", {"a": "no", "b": 2}),
            ("echo", {"message": "three"}),
        ):
            await agent.think()
            await agent.call(tool, arguments)
        await agent.call("trigger-long-running-operation", {"duration": 0.3, "steps": 3}, progress=True)
        await agent.ask("resources/list")
        await agent.ask("resources/templates/list")
        await agent.ask("resources/read", {"uri": "demo://resource/dynamic/text/1"})
        await agent.ask("prompts/list")
        await agent.ask("prompts/get", {"name": "args-prompt", "arguments": {"city": "Bern"}})
        await agent.ask("prompts/get", {"name": "no-such-prompt"})
        await agent.ask(
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": "completable-prompt"},
                "argument": {"name": "department", "value": "E"},
            },
        )

    runs = rig("everything", client).compare_all(body)
    assert_speculated(runs["right"], answered=3)
    assert_lied_to(runs["lying"])


@every_client
def test_roots_that_a_client_offers_reach_the_server(client: ClientKind, rig: MakeRig) -> None:
    it = rig("everything", client)
    it.world = replace(it.world, has_roots=True)

    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.until_asked("roots/list")
        await agent.call("echo", {"message": "one"})
        await agent.think()
        await agent.call("get-roots-list")
        await agent.think()
        await agent.call("echo", {"message": "two"})

    runs = it.compare_all(body)
    assert [method for method, _ in runs["right"].transcript.asked] == ["roots/list"]

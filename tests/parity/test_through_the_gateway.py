"""Through `spec-mcp run --http`, in both eras: nobody can tell it from the server itself, and it speculates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.agent import Agent
from tests.parity.through import Run, Through
from tests.parity.worlds import SERVERS, WORLDS

pytestmark = pytest.mark.slow


def through(world: str, mode: str, folder: Path) -> Through:
    assert (SERVERS / "npm" / ".made-from").exists(), "the servers are not installed: run `make servers`"
    return Through(WORLDS[world](folder / "world"), mode, folder / "arms")


def assert_speculated(right: Run, lying: Run, answered: int) -> None:
    """Arms in which nothing is speculated prove nothing."""
    assert right.statistics
    assert lying.statistics
    assert right.statistics.hits + right.statistics.joins >= answered, right.statistics
    assert right.statistics.ends.get("spoiled", 0) >= 1, right.statistics
    assert lying.statistics.wasted >= 1, lying.statistics


def test_the_handshake_era(tmp_path: Path) -> None:
    it = through("filesystem", "legacy", tmp_path)
    root = it.world.folder

    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("list_allowed_directories")
        for tool, arguments in (
            ("list_directory", {"path": str(root)}),
            ("read_text_file", {"path": str(root / "a.txt")}),
            ("read_text_file", {"path": str(root / "b.txt")}),
            ("write_file", {"path": str(root / "a.txt"), "content": "changed\n"}),
            ("read_text_file", {"path": str(root / "a.txt")}),
            ("read_media_file", {"path": str(root / "pixel.png")}),
            ("read_text_file", {"path": "/etc/passwd"}),
            ("move_file", {"source": str(root / "b.txt"), "destination": str(root / "docs" / "b.txt")}),
            ("read_text_file", {"path": str(root / "b.txt")}),
            ("no_such_tool", {"x": 1}),
        ):
            await agent.think()
            await agent.call(tool, arguments)
        await agent.together([("read_text_file", {"path": str(root / "docs" / "one.md")})] * 3)

    runs = it.compare_all(body)
    assert_speculated(runs["right"], runs["lying"], answered=3)


def test_the_stateless_era(tmp_path: Path) -> None:
    it = through("git", "auto", tmp_path)
    repo = {"repo_path": str(it.world.folder)}

    async def body(agent: Agent) -> None:
        await agent.list_tools()
        await agent.call("git_status", repo)
        for tool, arguments in (
            ("git_log", {**repo, "max_count": 5}),
            ("git_show", {**repo, "revision": "HEAD"}),
            ("git_add", {**repo, "files": ["file1.txt"]}),
            ("git_diff_staged", repo),
            ("git_status", repo),
            ("git_commit", {**repo, "message": "third"}),
            ("git_log", {**repo, "max_count": 1}),
            ("git_show", {**repo, "revision": "no-such-thing"}),
            ("git_status", {"repo_path": "/nowhere"}),
        ):
            await agent.think()
            await agent.call(tool, arguments)

    runs = it.compare_all(body)
    assert_speculated(runs["right"], runs["lying"], answered=3)

"""A tool that tells the time and a level that changes behind our back are caught: in shadow mode, and by checks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.__main__ import run as command
from tests.pipes import RawClient, eventually

ROOT = Path(__file__).resolve().parents[2]
SERVER = [sys.executable, str(ROOT / "tests" / "servers" / "drifting.py")]

MANIFEST = """
[manifest]
version = 1
server = "drifting"
open_world = false
concurrent = true
[tools.menu]
effect = "unsafe"
touches = ["menu"]
[tools.clock]
effect = "read"
touches = ["clock"]
exclusive = true
{equal}
[tools.level]
effect = "read"
touches = ["level"]
exclusive = true
[tools.fixed]
effect = "unsafe"
touches = ["fixed"]
[tools.other]
effect = "read"
touches = ["other"]
exclusive = true
[[tools.menu.followed_by]]
tool = "{next}"
confidence = 0.95
[[tools.menu.followed_by]]
tool = "other"
confidence = 0.95
"""


class World:
    """A home, a server and its manifest."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self._config = ""
        for name, value in (("SPEC_MCP_HOME", folder / "home"), ("DRIFTING_FOLDER", folder)):
            monkeypatch.setenv(name, str(value))
        monkeypatch.delenv("SPEC_MCP_MODE", raising=False)
        self.set_level(1)

    def set_level(self, level: int) -> None:
        """Somebody else changes it."""
        (self.folder / "level").write_text(str(level))

    def is_about(self, tool: str, equal: str = "", store: str = "") -> None:
        """The tool that is foretold after `menu`."""
        manifest = self.folder / "drifting.toml"
        manifest.write_text(MANIFEST.format(next=tool, equal=equal))
        (self.folder / "home").mkdir(exist_ok=True)
        (self.folder / "home" / "config.toml").write_text(
            "[speculation]\ncheck_every = 1\nwasted_call_s = 0.001\n"
            f"[servers.drifting]\ncommand = {json.dumps(SERVER[0])}\nargs = {json.dumps(SERVER[1:])}\n"
            f"manifest = {json.dumps(str(manifest))}\n{store}"
        )

    def called(self, tool: str) -> int:
        """How often it was, by whomever."""
        calls = self.folder / "calls"
        return calls.read_text().splitlines().count(tool) if calls.exists() else 0

    @contextmanager
    def client(self, front: str, mode: str) -> Generator[RawClient]:
        """A client in front of `wrap` or `run`, for which the next call is foretold from the first on."""
        options = ["--name", "drifting", "--", *SERVER] if front == "wrap" else []
        with RawClient([sys.executable, "-m", "spec_mcp", front, "--mode", mode, *options]) as client:
            client.initialize()
            client.list_tools()
            yield client
            client.close_input()
            client.wait_exit()

    def foretold(self, client: RawClient, tool: str, then: Callable[[], None] = lambda: None) -> Any:
        """The tool is called when it has been foretold and answered; `then` happens just before."""
        self.is_foretold(client, tool)
        eventually(lambda: client.call("fixed"), "the server has done what it was at")
        then()
        return json.loads(client.call(tool).text)

    def is_foretold(self, client: RawClient, tool: str) -> None:
        """`menu` is called until the tool is called ahead of time."""
        before = self.called(tool)

        def asked() -> bool:
            client.call("menu")
            return self.called(tool) > before

        eventually(asked, f"{tool} is foretold", seen=lambda: repr(client.stderr))

    def said(self, *arguments: str) -> str:
        """What a command prints."""
        assert command([*arguments]) == 0
        return self._capsys.readouterr().out

    def stats(self) -> dict[str, Any]:
        """What is on record by now."""
        return json.loads(self.said("stats", "--json"))

    def compared(self, tool: str) -> dict[str, Any]:
        """What comparisons of a tool have found."""
        return self.stats()["compared"].get(tool, {})

    def divergences(self) -> list[dict[str, Any]]:
        """Both results of each."""
        return json.loads(self.said("stats", "--divergences", "--json"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> World:
    return World(tmp_path, monkeypatch, capsys)


fronts = pytest.mark.parametrize("front", ["wrap", "run"])


@fronts
def test_shadow_mode_shows_a_stale_read_and_the_tool_starts_demoted(world: World, front: str) -> None:
    world.is_about("level")
    with world.client(front, "shadow") as client:
        assert world.foretold(client, "level", lambda: world.set_level(2))["level"] == 2
    found = world.compared("level")
    assert (found["different"], found["demoted"]) == (1, True)
    assert found["would_hit"] + found["would_join"] == 1
    (one,) = world.divergences()
    assert [place["place"] for place in one["differences"]] == ["result.level"]
    early, real = (json.loads(one[side]["content"][0]["text"]) for side in ("early", "real"))
    assert (early, real) == ({"level": 1, "api_key": "[redacted]"}, {"level": 2, "api_key": "[redacted]"})
    told = world.said("stats")
    assert "drifting.level: 1 of 1 differed; demoted" in told
    assert '"level"' in world.said("stats", "--divergences")
    with world.client(front, "on") as client:
        before = world.called("level")
        world.is_foretold(client, "other")
        assert world.called("level") == before
    assert world.stats()["skips"]["demoted"] > 0


@fronts
def test_a_check_shows_a_stale_read_and_demotes_the_tool_until_a_person_says_otherwise(
    world: World, front: str
) -> None:
    world.is_about("level")
    with world.client(front, "on") as client:
        assert world.foretold(client, "level", lambda: world.set_level(2))["level"] == 1
        client.wait_stderr(b"level is not called ahead of time any more")
        assert json.loads(client.call("level").text)["level"] == 2
    found = world.compared("level")
    assert (found["checks"], found["different"], found["demoted"]) == (1, 1, True)
    assert world.divergences()[0]["made_by"] == "check"
    assert "drifting.level" in world.said("forget", "--demotions", "--server", "drifting")
    assert "No tool" in world.said("forget", "--demotions")
    with world.client(front, "on") as client:
        assert world.foretold(client, "level")["level"] == 2
    assert world.compared("level")["demoted"] is False


@fronts
@pytest.mark.parametrize("mode", ["shadow", "on"])
def test_a_clock_is_named_so_and_a_manifest_may_let_it_be(world: World, front: str, mode: str) -> None:
    world.is_about("clock")

    def look() -> dict[str, Any]:
        with world.client(front, mode) as client:
            before = world.called("clock")
            world.foretold(client, "clock")
            eventually(lambda: world.called("clock") == before + 2, "the clock was read twice")
            client.call("fixed")
        return world.compared("clock")

    found = look()
    assert (found["passing"], found["different"], found["same"], found["demoted"]) == (1, 0, 0, False)
    assert found["suggestion"] == '[tools.clock] equal = { "result.now" = "ignore" }'
    assert found["suggestion"] in world.said("stats").replace("\n", " ")
    world.is_about("clock", 'equal = { "result.now" = "ignore" }')
    assert look()["same"] == 1


def test_results_that_are_not_to_be_recorded_are_not_kept_beside_each_other(world: World) -> None:
    world.is_about("level", store="[store]\nrecord_results = false\n")
    with world.client("wrap", "shadow") as client:
        world.foretold(client, "level", lambda: world.set_level(2))
    (one,) = world.divergences()
    assert (one["early"], one["real"]) == (None, None)
    assert one["real_bytes"] > 0
    assert "record_results = false" in world.said("stats", "--divergences")

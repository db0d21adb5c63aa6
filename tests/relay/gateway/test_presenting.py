"""How the gateway introduces itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp_types import DiscoverResult, InitializeResult
from mcp_types.methods import validate_server_result

from spec_mcp.relay.gateway import presenting
from spec_mcp.relay.gateway.catalogue import Catalogue
from spec_mcp.relay.gateway.directory import Directory
from tests.relay.gateway.catalogues import handshake, named, raw, stateless, view

SERVER_INFO = "io.modelcontextprotocol/serverInfo"


def initialized(**servers: Catalogue | None) -> dict[str, Any]:
    text = Directory(view(servers)).initialized("2025-11-25")
    InitializeResult.model_validate_json(text)
    return json.loads(text)


def discovered(**servers: Catalogue | None) -> dict[str, Any]:
    text = Directory(view(servers)).discovered(["2026-07-28"])
    DiscoverResult.model_validate_json(text)
    validate_server_result("server/discover", "2026-07-28", json.loads(text))
    return json.loads(text)


# --- one server -----------------------------------------------------------------------------------------------------


def test_with_one_server_we_are_that_server() -> None:
    said = initialized(only=handshake(instructions="use it", _meta={"x.y/z": 1}, later=[1]))
    assert said["serverInfo"] == {"name": "its own", "version": "7"}
    assert (said["instructions"], said["_meta"], said["later"]) == ("use it", {"x.y/z": 1}, [1])
    assert said["capabilities"]["completions"] == {}
    found = discovered(only=stateless(instructions="use it", later=[1]))
    assert found["_meta"] == {SERVER_INFO: {"name": "its own", "version": "7"}, "x.y/z": 1}
    assert (found["instructions"], found["later"]) == ("use it", [1])


def test_with_one_server_of_the_other_era_we_are_that_server_too() -> None:
    found = discovered(only=handshake(instructions="use it", later=[1]))
    assert found["_meta"][SERVER_INFO] == {"name": "its own", "version": "7"}
    assert found["instructions"] == "use it"
    assert found.keys() <= {
        "resultType",
        "ttlMs",
        "cacheScope",
        "supportedVersions",
        "capabilities",
        "instructions",
        "_meta",
    }
    said = initialized(only=stateless(instructions="use it"))
    assert said["serverInfo"] == {"name": "its own", "version": "7"}
    assert said.keys() == {"protocolVersion", "capabilities", "serverInfo", "instructions"}


def test_the_version_is_the_one_that_is_spoken_with_the_client() -> None:
    text = Directory(view({"only": handshake()})).initialized("2025-03-26")
    assert json.loads(text)["protocolVersion"] == "2025-03-26"


def test_the_words_of_the_only_server_are_passed_on_as_they_came() -> None:
    hello = (
        b'{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"\\ud800","x":1e999},'
        b'"instructions":"\\u0041"}'
    )
    text = Directory(view({"only": Catalogue("handshake", "2025-11-25", hello)})).initialized("2025-11-25")
    assert text == hello


def test_what_we_say_may_not_be_kept_for_long() -> None:
    found = discovered(only=stateless())
    assert (found["ttlMs"], found["cacheScope"], found["supportedVersions"]) == (0, "private", ["2026-07-28"])


# --- several --------------------------------------------------------------------------------------------------------


def test_with_several_servers_we_are_ourselves() -> None:
    assert initialized(git=handshake(), files=None)["serverInfo"]["name"] == "spec-mcp"
    assert discovered(git=stateless(), files=None)["_meta"][SERVER_INFO]["name"] == "spec-mcp"


def test_we_can_all_that_any_server_can() -> None:
    one = handshake(capabilities={"tools": {"listChanged": False, "x": 1}, "experimental": {"a": {"b": 1}}})
    two = handshake(capabilities={"tools": {"x": 2, "y": True}, "logging": {}, "experimental": {"a": {"b": 2, "c": 3}}})
    assert initialized(one=one, two=two)["capabilities"] == {
        "tools": {"listChanged": True, "x": 1, "y": True},
        "logging": {},
        "experimental": {"a": {"b": 1, "c": 3}},
    }


def test_a_capability_that_two_servers_write_in_two_ways_is_the_firsts() -> None:
    one, two = handshake(capabilities={"a": {"b": False}, "c": 1}), handshake(capabilities={"a": True, "c": {}, "d": 3})
    assert initialized(one=one, two=two)["capabilities"] == {"a": {"b": False}, "c": 1, "d": 3}


def test_lists_are_always_said_to_change_because_ours_are_remembered() -> None:
    said = initialized(only=handshake(named("a"), capabilities={"tools": {}, "resources": {"subscribe": True}}))
    assert said["capabilities"] == {
        "tools": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": True},
    }


def test_of_a_server_that_was_never_met_all_is_promised_but_what_binds() -> None:
    said = initialized(git=handshake(capabilities={"tools": {}}), new=None)
    assert said["capabilities"].keys() == {"tools", "prompts", "resources", "completions", "logging"}


def test_tasks_are_promised_in_their_own_era_only() -> None:
    extension = {"extensions": {"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {}}, "tools": {}}
    old, new = handshake(), stateless(capabilities=extension)
    assert "tasks" in initialized(old=old, new=new)["capabilities"]
    assert initialized(old=old, new=new)["capabilities"]["extensions"] == {"io.modelcontextprotocol/ui": {}}
    assert "tasks" not in discovered(old=old, new=new)["capabilities"]
    assert discovered(old=old, new=new)["capabilities"]["extensions"] == extension["extensions"]


def test_each_servers_instructions_stand_under_its_name() -> None:
    said = initialized(
        **{"my git": handshake(instructions="Use `log` first.")},
        files=handshake(),
        odd=handshake(instructions=3),
        empty=handshake(instructions=" "),
        notes=stateless(instructions="Höflich bleiben."),
    )
    assert said["instructions"] == (
        presenting.PREFACE + "\n\n# my git (my_git__…)\n\nUse `log` first.\n\n# notes (notes__…)\n\nHöflich bleiben."
    )
    assert "instructions" not in initialized(git=handshake(), files=handshake())


def test_instructions_are_bounded_each_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presenting, "INSTRUCTIONS_MAX_CHARS", 20)
    one, two = handshake(instructions="x" * 21), handshake(instructions="y" * 20)
    text = initialized(one=one, two=two)["instructions"]
    assert "x" * 16 + "\n[…]\n\n# two (two__…)\n\n" + "y" * 20 in text
    monkeypatch.setattr(presenting, "ALL_INSTRUCTIONS_MAX_CHARS", len(text) - 1)
    cut = initialized(one=one, two=two)["instructions"]
    assert len(cut) == len(text) - 1
    assert cut.endswith("\n[…]")


def test_what_a_server_says_that_is_no_answer_spoils_nothing() -> None:
    for hello in (b"", b"[]", raw({"capabilities": 3, "_meta": 4, "serverInfo": None, "instructions": 5})):
        odd = Catalogue("handshake", "2025-11-25", hello)
        alone = json.loads(Directory(view({"odd": odd})).initialized("2025-11-25"))
        assert (alone["serverInfo"]["name"], alone["capabilities"]) == ("spec-mcp", {})
        directory = Directory(view({"odd": odd, "git": handshake(capabilities={"tools": {}})}))
        assert json.loads(directory.initialized("2025-11-25"))["capabilities"] == {"tools": {"listChanged": True}}
        assert json.loads(directory.discovered([]))["capabilities"] == {"tools": {"listChanged": True}}

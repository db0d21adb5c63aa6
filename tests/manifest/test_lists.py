"""The shipped manifests of servers that do not run here, against what those servers were seen to list.

Each file in `lists` is a `tools/list` result with its source. Descriptions are left out: they are others' words, and no
fingerprint holds them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.engine.effects import Effect
from spec_mcp.manifest import check_against_tools, load_manifest, match_manifest, shipped_folder
from spec_mcp.manifest.hints import READ_VERBS, WRITE_VERBS, words
from spec_mcp.manifest.toollists import read_tool_list

LISTS = {path.stem: path for path in sorted((Path(__file__).parent / "lists").glob("*.json"))}

NAMED = {"gmail", "google-calendar", "google-drive"}
"""All of Google's servers give themselves one name, by which none of them can be told: a user names the manifest."""

SEARCH = "API-post-search"
"""Notion's interface takes searches by POST."""


def first_verb(tool: str) -> str | None:
    return next((word for word in words(tool) if word in READ_VERBS | WRITE_VERBS), None)


def recorded(name: str) -> Any:
    return json.loads(LISTS[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", LISTS)
def test_a_shipped_manifest_lists_the_tools_that_its_server_was_seen_to_have(name: str, tmp_path: Path) -> None:
    path = shipped_folder() / f"{name}.toml"
    manifest = load_manifest(path)

    comparison = check_against_tools(manifest, read_tool_list(LISTS[name]))

    assert comparison.errors == ()
    assert comparison.notes == (), "every tool is listed, with its reason"
    assert set(manifest.policy.tools) == {tool["name"] for tool in recorded(name)["tools"]}
    assert manifest.policy.server == recorded(name)["server"]
    assert manifest.form.manifest.named == (name in NAMED)
    assert match_manifest(recorded(name)["server"], tmp_path) == (None if name in NAMED else path)


@pytest.mark.parametrize("name", LISTS)
def test_a_recorded_list_says_where_it_is_from_and_repeats_no_ones_words(name: str) -> None:
    found = recorded(name)

    assert "looked up 2026-" in found["source"]
    for tool in found["tools"]:
        assert set(tool) <= {"name", "inputSchema", "outputSchema", "annotations"}
        assert '"description": "' not in json.dumps(tool)


@pytest.mark.parametrize("name", LISTS)
def test_no_tool_that_is_called_after_a_change_counts_as_a_read(name: str) -> None:
    policy = load_manifest(shipped_folder() / f"{name}.toml").policy

    reads = [tool for tool, its in policy.tools.items() if its.effect is Effect.READ]
    assert [tool for tool in reads if first_verb(tool) in WRITE_VERBS and tool != SEARCH] == []


@pytest.mark.parametrize("name", LISTS)
def test_what_others_can_change_is_never_held_for_long(name: str) -> None:
    for tool, its in load_manifest(shipped_folder() / f"{name}.toml").policy.tools.items():
        if its.effect is Effect.READ and its.open_world:
            assert not its.exclusive, tool
            assert its.ttl_s is not None, tool
            assert its.ttl_s <= 10, tool

"""Whatever a configuration holds and however it is written: what is put in comes out, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from spec_mcp.clients.places import CLIENTS
from spec_mcp.clients.plans import Action
from tests.clients.putting import JOIN, WISH, WRAPPING, meaning, put_in, taken_out
from tests.clients.writing import Written, edited, json_files, replacements, toml_files

WISHES = st.sampled_from(
    [
        WISH,
        JOIN,
        replace(WISH, wrapping=replace(WRAPPING, mode="shadow", config="/c.toml", env={"SPEC_MCP_HOME": "/home/x"})),
        replace(JOIN, wrapping=replace(WRAPPING, env={"SPEC_MCP_HOME": "/home/x"})),
    ]
)
TRIES = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NEW_JSON = ['"new": {"command": "npx", "args": ["new"]},', "// a note\n", '"other": 1, "more": {"url": 2},', "\n\n"]
AT_END = ["", "// the end", "\n"]
NEW_TOML = ['[mcp_servers.new]\ncommand = "npx"\n', "# a note\n", "\n", "[mcp_servers.new.env]\nA = 'b'\n"]


def files(client: str) -> st.SearchStrategy[Written]:
    return toml_files() if client == "codex" else json_files(CLIENTS[client].key)


EVERY = pytest.mark.parametrize("client", ["claude-desktop", "vscode", "codex"])
EVERY_JSON = pytest.mark.parametrize("client", ["claude-desktop", "vscode"])


@EVERY
@TRIES
@given(drawn=st.data())
def test_what_is_put_in_comes_out_byte_for_byte(client: str, drawn: st.DataObject) -> None:
    text, wish = drawn.draw(files(client)).text, drawn.draw(WISHES)
    plan = put_in(client, text, wish)
    event("changed" if plan.text != text else "nothing to do")
    assert taken_out(client, plan.text, plan.record).text == text
    again = put_in(client, plan.text, wish, plan.record)
    assert (again.text, again.record) == (plan.text, plan.record)


@EVERY
@TRIES
@given(drawn=st.data())
def test_what_a_user_edits_outside_meanwhile_stays_byte_for_byte(client: str, drawn: st.DataObject) -> None:
    written, wish = drawn.draw(files(client)), drawn.draw(WISHES)
    plan = put_in(client, written.text, wish)
    end = len(written.places) - 1
    edits = drawn.draw(replacements(written.places, NEW_TOML if client == "codex" else NEW_JSON))
    if client != "codex" and end in edits:
        edits[end] = drawn.draw(st.sampled_from(AT_END))
    within = [number for number in edits if written.parts[written.places[number]] not in plan.text]
    assert within == []
    wanted, found = edited(written.text, written, edits), edited(plan.text, written, edits)
    try:
        meaning(client, wanted)
        if wish.gateways is not None:
            meaning(client, found)
    except ValueError:  # edits that do not go together, or not with the fewer commas of a gateway
        return
    back = taken_out(client, found, plan.record)
    # a table that was put between an entry and its own `env` splits what was ours: then the meaning is all there is
    is_split = any(stretch.new not in found for stretch in plan.record.stretches.values())
    event("split" if is_split else "whole")
    if wish.gateways is None and not is_split:
        assert back.text == wanted
    assert meaning(client, back.text) == meaning(client, wanted)


@EVERY_JSON
@TRIES
@given(drawn=st.data())
def test_a_client_that_writes_its_file_anew_loses_nothing(client: str, drawn: st.DataObject) -> None:
    """Claude Code, for one, writes JSON.stringify of all that it knows whenever anything changes."""
    text, wish = drawn.draw(files(client)).text, drawn.draw(WISHES)
    plan = put_in(client, text, wish)
    rewritten = json.dumps(_plain(meaning(client, plan.text)), indent=drawn.draw(st.sampled_from([None, 2])))
    back = taken_out(client, rewritten, plan.record)
    assert _plain(meaning(client, back.text)) == _plain(meaning(client, text))


@EVERY_JSON
@TRIES
@given(drawn=st.data())
def test_entries_that_were_renamed_moved_or_edited_are_taken_apart(client: str, drawn: st.DataObject) -> None:
    text = drawn.draw(files(client)).text
    plan = put_in(client, text)
    key, found = CLIENTS[client].key, _plain(meaning(client, plan.text))
    wanted = _plain(meaning(client, text))
    changed = [step.name for step in plan.steps if step.action is Action.WRAPPED]
    for name in drawn.draw(st.lists(st.sampled_from(changed), max_size=2, unique=True)) if changed else []:
        match drawn.draw(st.sampled_from(["rename", "variable", "argument", "remove"])):
            case "rename":
                for table in (found[key], wanted[key]):
                    table["renamed " + name] = table.pop(name)
            case "variable":
                for table in (found[key], wanted[key]):
                    table[name].setdefault("env", {})["ADDED"] = "1"
            case "argument" if "command" in wanted[key][name]:
                for table in (found[key], wanted[key]):
                    table[name].setdefault("args", []).append("--more")
            case "remove":
                del found[key][name], wanted[key][name]
            case _:
                pass
    order = drawn.draw(st.permutations(list(found[key])))
    found[key] = {name: found[key][name] for name in order}
    back = taken_out(client, json.dumps(found), plan.record)
    assert _plain(meaning(client, back.text)) == wanted


def _plain(found: Any) -> Any:
    """Without our own type for numbers."""
    if isinstance(found, dict):
        return {name: _plain(one) for name, one in found.items()}
    if isinstance(found, list):
        return [_plain(one) for one in found]
    return found.text if hasattr(found, "text") else found

"""What is put into a configuration comes out again, byte for byte, in all six clients' files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spec_mcp.clients.entries import ours, words_of
from spec_mcp.clients.faults import ClientFileError
from spec_mcp.clients.installing import Wish
from spec_mcp.clients.plans import Action
from tests.clients.putting import JOIN, PROGRAM, WISH, WRAPPING, actions, meaning, put_in, servers, taken_out
from tests.clients.samples import BROKEN, SAMPLES, WITHOUT_SERVERS

WISHES = {
    "each on its own": WISH,
    "one gateway": JOIN,
    "with a mode, a configuration and a home": replace(
        WISH, wrapping=replace(WRAPPING, mode="on", config="/my/config.toml", env={"SPEC_MCP_HOME": "/my/home"})
    ),
    "one gateway with all that": replace(
        JOIN, wrapping=replace(WRAPPING, mode="on", env={"SPEC_MCP_HOME": "/my/home"})
    ),
}
EVERY = pytest.mark.parametrize(("client", "text"), SAMPLES.values(), ids=SAMPLES)
EVERY_WISH = pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)


@EVERY
@EVERY_WISH
def test_uninstall_restores_byte_for_byte(client: str, text: str, wish: Wish) -> None:
    plan = put_in(client, text, wish)
    assert plan.text != text
    back = taken_out(client, plan.text, plan.record)
    assert back.text == text
    assert back.record.pieces == ()
    assert set(actions(back).values()) == {Action.RESTORED}


@EVERY
@EVERY_WISH
def test_a_second_install_changes_nothing(client: str, text: str, wish: Wish) -> None:
    first = put_in(client, text, wish)
    second = put_in(client, first.text, wish, first.record)
    assert second.text == first.text
    assert second.record == first.record
    assert set(actions(second).values()) <= {Action.ALREADY, Action.LEFT}


@EVERY
def test_each_entry_keeps_its_name_and_all_that_is_not_about_starting_it(client: str, text: str) -> None:
    before, after = meaning(client, text), meaning(client, put_in(client, text).text)
    ours_alone = {"command", "args", "type", "url", "httpUrl", "serverUrl", "headers", "http_headers", "env_vars"}
    ours_alone |= {"bearer_token_env_var", "env_http_headers"}

    def others(found: Any) -> Any:
        if not isinstance(found, dict):
            return found
        is_entry = "command" in found or "url" in found or "httpUrl" in found
        kept = {key: others(value) for key, value in found.items() if not (is_entry and key in ours_alone)}
        if is_entry and isinstance(kept.get("env"), dict):
            kept["env"] = {name: value for name, value in kept["env"].items() if not name.startswith("SPEC_MCP_")}
        return {key: value for key, value in kept.items() if not (is_entry and key == "env" and not value)}

    assert others(after) == others(before)


@EVERY
def test_every_entry_that_is_wrapped_starts_us_with_its_name_and_its_own_words(client: str, text: str) -> None:
    plan = put_in(client, text)
    before, after = servers(client, text), servers(client, plan.text)
    for name, action in actions(plan).items():
        if action is not Action.WRAPPED or name not in after:
            continue
        found = ours(words_of(after[name]))
        assert found is not None
        assert found.program == PROGRAM
        assert found.option("name") == name
        own = words_of(before[name])
        assert found.server[1:] == own[1:]
        assert bool(own) is not (found.option("url") is not None or found.option("url-env") is not None)


@EVERY
def test_a_text_that_was_installed_into_twice_in_parts_comes_out_whole(client: str, text: str) -> None:
    names = [name for name in servers(client, text) if not isinstance(name, int)]
    plan = put_in(client, text, replace(WISH, names=(names[0],)))
    plan = put_in(client, plan.text, WISH, plan.record)
    assert taken_out(client, plan.text, plan.record).text == text


@EVERY
def test_one_server_can_be_taken_out_alone(client: str, text: str) -> None:
    plan = put_in(client, text)
    name = plan.record.pieces[0].name
    without = taken_out(client, plan.text, plan.record, [name])
    assert servers(client, without.text).get(name) == servers(client, text).get(name)
    assert {piece.name for piece in without.record.pieces} == {piece.name for piece in plan.record.pieces} - {name}
    assert taken_out(client, without.text, without.record).text == text


@pytest.mark.parametrize(("client", "text"), WITHOUT_SERVERS.values(), ids=WITHOUT_SERVERS)
def test_a_file_without_servers_is_left(client: str, text: str) -> None:
    plan = put_in(client, text)
    assert plan.text == text
    assert plan.steps == ()


@pytest.mark.parametrize(("client", "text", "where"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_and_the_fault_is_named(client: str, text: str, where: str) -> None:
    with pytest.raises(ClientFileError) as caught:
        put_in(client, text)
    assert str(caught.value).startswith("the file: ")
    assert where in str(caught.value)
    assert caught.value.mend

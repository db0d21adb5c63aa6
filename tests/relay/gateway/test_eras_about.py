"""What client and server say of themselves across eras, held against the SDK's types; and our names against its."""

from __future__ import annotations

import json
from typing import Any

import mcp_types as types
import pytest
from mcp.client._input_required import DEFAULT_INPUT_REQUIRED_MAX_ROUNDS
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import jsonrpc, methods, version

from spec_mcp.relay.gateway.eras import (
    ServerAbout,
    agreed,
    discover_result,
    initialize_params,
    initialize_result,
    stateless_meta,
    words,
)
from spec_mcp.relay.gateway.eras.text import changed, with_first
from tests.relay.gateway.eras_rig import ALL_CAPABILITIES, DISCOVERED, EVERYTHING, INITIALIZE, INITIALIZED_AS, META, raw


def loads(text: bytes) -> Any:
    return json.loads(text)


def test_a_server_is_the_same_in_both_eras() -> None:
    discovered = discover_result(raw(INITIALIZED_AS))
    methods.parse_server_result("server/discover", "2026-07-28", loads(discovered))
    assert loads(discovered) == {**DISCOVERED, "ttlMs": 0, "cacheScope": "private"}
    initialized = initialize_result(raw(DISCOVERED), "2025-11-25")
    methods.parse_server_result("initialize", "2025-11-25", loads(initialized))
    assert loads(initialized) == INITIALIZED_AS


def test_a_client_is_the_same_in_both_eras() -> None:
    assert loads(initialize_params(raw(META))) == INITIALIZE
    assert loads(stateless_meta(raw(INITIALIZE))) == META
    types.InitializeRequestParams.model_validate(loads(initialize_params(raw(META))))


@pytest.mark.parametrize("nothing", [b"{}", b"null", b"[]", b"garbage", b"", b'{"capabilities":5,"serverInfo":null}'])
def test_who_says_nothing_of_itself_is_still_somebody(nothing: bytes) -> None:
    methods.parse_server_result("initialize", "2025-11-25", loads(initialize_result(nothing, "")))
    methods.parse_server_result("server/discover", "2026-07-28", loads(discover_result(nothing)))
    types.InitializeRequestParams.model_validate(loads(initialize_params(nothing)))
    assert loads(stateless_meta(nothing))["io.modelcontextprotocol/clientCapabilities"] == {}
    assert ServerAbout("", nothing).changing == frozenset()


def test_tasks_do_not_cross() -> None:
    extensions = {"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {"a": 1}}
    told = {**INITIALIZE, "capabilities": {**ALL_CAPABILITIES, "tasks": {}, "extensions": extensions}}
    capabilities = loads(stateless_meta(raw(told)))["io.modelcontextprotocol/clientCapabilities"]
    assert capabilities == {**ALL_CAPABILITIES, "extensions": {"io.modelcontextprotocol/ui": {"a": 1}}}
    told = {**INITIALIZED_AS, "capabilities": {**EVERYTHING, "tasks": {}}}
    assert loads(discover_result(raw(told)))["capabilities"] == EVERYTHING


def test_what_the_server_has_is_known() -> None:
    about = ServerAbout("", raw({"capabilities": {"tools": {"listChanged": True}, "prompts": {"listChanged": False}}}))
    assert about.changing == {"tools"}
    assert about.says("prompts")
    assert not about.says("prompts", "listChanged")
    assert not about.says("logging")


def test_the_names_are_the_sdks() -> None:
    assert version.HANDSHAKE_PROTOCOL_VERSIONS == words.HANDSHAKE_VERSIONS
    assert version.MODERN_PROTOCOL_VERSIONS == (words.STATELESS_VERSION,)
    assert types.PROTOCOL_VERSION_META_KEY == words.VERSION_META
    assert types.CLIENT_CAPABILITIES_META_KEY == words.CAPABILITIES_META
    assert types.CLIENT_INFO_META_KEY == words.CLIENT_META
    assert types.SERVER_INFO_META_KEY == words.SERVER_META
    assert types.LOG_LEVEL_META_KEY == words.LEVEL_META
    assert SUBSCRIPTION_ID_META_KEY == words.SUBSCRIPTION_META
    assert set(words.INPUT_METHODS) == methods.INPUT_REQUIRED_METHODS
    assert words.CACHEABLE == methods.CACHEABLE_METHODS
    assert words.ROUNDS_MAX == DEFAULT_INPUT_REQUIRED_MAX_ROUNDS
    assert (words.MISSING_CAPABILITY, words.UNSUPPORTED_VERSION, words.URL_ELICITATION_REQUIRED) == (
        jsonrpc.MISSING_REQUIRED_CLIENT_CAPABILITY,
        jsonrpc.UNSUPPORTED_PROTOCOL_VERSION,
        jsonrpc.URL_ELICITATION_REQUIRED,
    )


def test_each_method_of_the_protocol_belongs_to_the_era_that_we_think() -> None:
    def of(wanted: tuple[str, ...]) -> set[str]:
        return {method for method, at in methods.CLIENT_REQUESTS if at in wanted}

    handshake, stateless = of(words.HANDSHAKE_VERSIONS), of((words.STATELESS_VERSION,))
    assert handshake - stateless == words.HANDSHAKE_ONLY
    assert stateless - handshake == words.STATELESS_ONLY
    prompts = {method for method, at in methods.SERVER_REQUESTS if at == "2025-11-25"}
    assert prompts - {"ping"} == words.PROMPTS


@pytest.mark.parametrize("requested", words.HANDSHAKE_VERSIONS)
def test_a_version_that_makes_a_handshake_is_agreed_to(requested: str) -> None:
    assert agreed(requested) == requested
    assert agreed(words.STATELESS_VERSION) == "2025-11-25"


@pytest.mark.parametrize(
    ("text", "out"),
    [
        (b'{"a":1}', b'{"n":0,"a":1}'),
        (b" { } ", b' {"n":0 } '),
        (b"{}", b'{"n":0}'),
        (b"[]", b"[]"),
        (b"", b""),
        (b'"{"', b'"{"'),
    ],
)
def test_members_that_are_new_come_first(text: bytes, out: bytes) -> None:
    assert with_first(text, {"n": b"0"}) == out


@pytest.mark.parametrize(
    ("text", "out"),
    [
        (b'{"a":1,"b":[ 2 ],"c":1e400}', b'{"n":0,"a":5,"c":1e400}'),
        (b'{"\\ud800":"\\udfff","b":1}', b'{"n":0,"\\ud800":"\\udfff"}'),
        (b'{"b":1}', b'{"n":0}'),
        (b"[]", b"[]"),
        (b"{", b"{"),
        (b"", b""),
    ],
)
def test_members_are_set_and_left_out_and_all_others_stay(text: bytes, out: bytes) -> None:
    assert changed(text, {"n": b"0", "a": b"5" if b'"a"' in text else b"", "b": b""}) == out

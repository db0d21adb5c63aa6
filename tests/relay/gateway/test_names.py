"""The names of many servers' tools: each its own, short enough, and always the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from spec_mcp.relay.gateway import names
from spec_mcp.relay.gateway.names import LONGEST_CHARS, ToolFilter, exposed, label_of, labels

ACCEPTED = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")
"""By Cursor, Claude, OpenAI and Gemini alike."""

TIGHT = st.text(alphabet="a_-.1", max_size=4)
"""Where names come out alike most easily."""
NAMES = TIGHT | st.text(max_size=90) | st.text(alphabet="ab_", min_size=50, max_size=80)
PAIRS = st.lists(st.tuples(NAMES, NAMES), max_size=12, unique=True)


def name_all(pairs: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    return exposed(labels(dict.fromkeys(server for server, _ in pairs)), pairs)


@given(PAIRS)
@example([("a__b", "c"), ("a", "b__c")])
@example([("a_", "b"), ("a", "_b")])
@example([("a", "x.y"), ("a", "x_y"), ("a", "x y")])
@example([("", ""), ("_", ""), ("server", ""), (".", "_")])
def test_every_tool_has_a_name_of_its_own_that_clients_take(pairs: list[tuple[str, str]]) -> None:
    found = name_all(pairs)
    assert list(found) != [] or not pairs
    assert set(found) == set(pairs)
    assert len(set(found.values())) == len(pairs)
    for name in found.values():
        assert ACCEPTED.fullmatch(name), name


@given(PAIRS, st.randoms())
def test_names_do_not_depend_on_the_order_of_servers_and_lists(pairs: list[tuple[str, str]], random: Random) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert name_all(shuffled) == name_all(pairs)


@given(st.permutations([("a", "x" * 80 + end) for end in "bcdef"]))
def test_two_whose_digests_are_alike_are_told_apart_in_the_same_way_every_time(pairs: list[tuple[str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "DIGEST_CHARS", 1)
        found = name_all(pairs)
        assert len(set(found.values())) == len(pairs)
        assert found == name_all(sorted(pairs))
        assert len({name_all([pair])[pair] for pair in pairs}) < len(pairs), "else there is nothing to tell apart"


@given(PAIRS, NAMES)
def test_a_tools_name_does_not_depend_on_other_servers(pairs: list[tuple[str, str]], server: str) -> None:
    others = {label_of(other) for other, _ in pairs if other != server}
    assume(label_of(server) not in others)
    mine = [(server, tool) for _, tool in dict.fromkeys(pairs)]
    both = [*pairs, *(pair for pair in mine if pair not in pairs)]
    alone = name_all([pair for pair in both if pair[0] == server])
    among = name_all(both)
    assert {pair: among[pair] for pair in alone} == alone


@given(PAIRS)
def test_a_label_ends_at_the_first_two_underscores(pairs: list[tuple[str, str]]) -> None:
    found = labels(dict.fromkeys(server for server, _ in pairs))
    assert len(set(found.values())) == len(found)
    for label in found.values():
        assert f"{label}__tool".partition("__") == (label, "__", "tool")


def test_plain_names_are_joined_and_nothing_else() -> None:
    assert name_all([("github", "search_issues")]) == {("github", "search_issues"): "github__search_issues"}
    assert name_all([("github", "x" * 52)]) == {("github", "x" * 52): "github__" + "x" * 52}


def test_a_server_with_a_name_for_people_gets_a_plain_label() -> None:
    assert labels(["Asset Price MCP", "com.apple-rag/server", "21st", "höh"]) == {
        "Asset Price MCP": "Asset_Price_MCP",
        "com.apple-rag/server": "com_apple-rag_server",
        "21st": "_21st",
        "höh": "h_h",
    }


def test_of_two_that_come_out_alike_the_one_that_needed_no_change_keeps_its_name() -> None:
    found = name_all([("a", "x.y"), ("a", "x_y")])
    assert found["a", "x_y"] == "a__x_y"
    assert re.fullmatch(r"a__x_y_[0-9a-f]{8}", found["a", "x.y"])
    assert name_all([("a", "x.y")])["a", "x.y"] == "a__x_y"
    assert labels(["my.server", "my_server"])["my_server"] == "my_server"


def test_a_long_name_is_cut_where_it_says_the_least_and_ends_with_a_digest() -> None:
    long = "get_installable_artifact_upload_and_processing_status"
    found = name_all([("a-server-with-quite-a-name", long), ("a-server-with-quite-a-nose", long)])
    assert len(set(found.values())) == 2
    for name in found.values():
        assert len(name) == LONGEST_CHARS
        assert re.fullmatch(r"a-server-with-quite-__get_installable_artifact_uplo_[0-9a-f]{8}", name)
    assert found["a-server-with-quite-a-name", long].endswith("_dd6ae9da"), "as in every other run"


def test_a_tool_called_like_the_cut_name_of_another_takes_nothing_from_it() -> None:
    long = "x" * 80
    cut = name_all([("a", long)])["a", long]
    pairs = [("a", long), ("a", cut.removeprefix("a__"))]
    found = name_all(pairs)
    assert found[pairs[1]] == cut, "it had to be neither cut nor altered"
    assert len(set(found.values())) == 2
    assert max(map(len, found.values())) == LONGEST_CHARS


def test_a_tighter_bound_holds_too() -> None:
    found = exposed(labels(["github"]), [("github", "add_pull_request_review_comment_to_pending_review")], 45)
    assert [len(name) for name in found.values()] == [45]


@pytest.mark.shared
def test_the_tools_of_recorded_sessions_are_all_told_apart(shared: Path) -> None:
    pairs = [
        (file.name.removesuffix(".tools.json"), tool["name"])
        for file in sorted((shared / "traces").glob("*.tools.json"))
        for tool in json.loads(file.read_text())["tools"]
    ]
    assert len(pairs) > 300
    found = name_all(pairs)
    assert len(set(found.values())) == len(pairs)
    assert all(ACCEPTED.fullmatch(name) for name in found.values())
    assert found["tau-retail-gpt41", "find_user_id_by_email"] == "tau-retail-gpt41__find_user_id_by_email"


# --- allow and deny -------------------------------------------------------------------------------------------------


def test_without_a_word_of_the_user_every_tool_is_served() -> None:
    assert ToolFilter().refusal("github", "delete_repo") == ""


def test_deny_wins_over_allow() -> None:
    tools = ToolFilter(allow=("*_repo", "get_*"), deny=("delete_*",))
    assert tools.refusal("github", "get_issue") == ""
    assert tools.refusal("github", "create_repo") == ""
    assert tools.refusal("github", "delete_repo") != ""
    assert tools.refusal("github", "list_issues") != ""


def test_a_refusal_names_the_setting() -> None:
    tools = ToolFilter(allow=("get_*",), deny=("get_secret",))
    assert tools.refusal("my server", "get_secret") == (
        "the tool get_secret is not served: 'get_secret' in deny of [servers.\"my server\"]"
    )
    assert tools.refusal("github", "delete") == "the tool delete is not served: it is not in allow of [servers.github]"


def test_patterns_tell_letters_of_another_case_apart() -> None:
    assert ToolFilter(deny=("Get*",)).refusal("a", "get") == ""

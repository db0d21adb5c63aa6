"""What a speculation may tell one server of another: only what the client's own calls have shown to go that way."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

import pytest

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.events import Candidate
from spec_mcp.predict import places, ways
from spec_mcp.predict.disclosure import IN_FLIGHT_MAX, SESSIONS_MAX, Guard
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed

SERVERS: dict[str, Collection[str]] = {"tracker": (), "files": (), "web": ()}
KEY = "sk-9f8e7d6c5b4a39281706"
PATH = "/srv/shop/billing/invoice_run.py"


class Principal:
    """One user's sessions, and what a predictor could make of them."""

    def __init__(self, servers: Mapping[str, Collection[str]] = SERVERS) -> None:
        self.guard = Guard()
        self.guard.serve(servers, ())
        self.session = "s0"
        self._calls = 0

    def call(self, server: str, tool: str, arguments: Arguments | None = None, result: Json = None) -> Principal:
        """The client makes a call and gets this result."""
        self._calls += 1
        self.guard.began(CallBegan(self.session, self._calls, server, tool, arguments or {}, 0.0, False))
        self.guard.ended(CallEnded(self.session, self._calls, result, False, 0.0))
        return self

    def again(self) -> Principal:
        """The client leaves, and comes again."""
        self.guard.closed(self.session)
        self.session = f"s{int(self.session[1:]) + 1}"
        return self

    def judged(self, server: str, tool: str, arguments: Arguments, *supposed: Supposed) -> Candidate:
        """What the engine is told of this guess."""
        guess = Candidate(server, tool, arguments, 0.9, "test", copied_whole=True)
        (judged,) = self.guard.judge(self.session, supposed, [guess])
        return judged

    def may(self, server: str, tool: str, value: Json, argument: str = "path", *supposed: Supposed) -> bool:
        """May the server be told this early?"""
        return not self.judged(server, tool, {argument: value}, *supposed).discloses


def reads_files_of_issues() -> Principal:
    """A principal who once read the file that an issue names."""
    mine = Principal().call("tracker", "get_issue", {"number": 1}, {"file": PATH, "owner": "Anna Weber"})
    return mine.call("files", "read", {"path": PATH}, {"text": "print(1)"}).again()


def shown(value: Json) -> Principal:
    """A principal whom the tracker has shown something."""
    return Principal().call("tracker", "get_issue", {"number": 1}, value)


# --- the rule -------------------------------------------------------------------------------------------------------


def test_a_value_of_one_server_is_not_told_to_another():
    mine = shown({"file": PATH})
    assert not mine.may("files", "read", PATH)


def test_it_may_be_told_to_the_server_that_gave_it():
    assert shown({"file": PATH}).may("tracker", "comments", PATH)


def test_it_may_be_told_where_the_client_has_told_it_already():
    mine = shown({"file": PATH}).call("files", "list", {"folder": PATH})
    assert mine.may("files", "read", PATH)


def test_it_may_be_told_to_a_server_that_has_said_it_itself():
    mine = shown({"file": PATH}).call("files", "list", {}, [PATH])
    assert mine.may("files", "read", PATH)


def test_it_may_go_where_the_clients_own_calls_have_carried_such_values():
    mine = reads_files_of_issues().call("tracker", "get_issue", {"number": 2}, {"file": "/srv/shop/cart.py"})
    assert mine.may("files", "read", "/srv/shop/cart.py")


@pytest.mark.parametrize(
    ("tool", "argument"), [("write", "path"), ("read", "encoding")], ids=["another tool", "another argument"]
)
def test_a_way_leads_to_one_argument_of_one_tool(tool: str, argument: str):
    mine = reads_files_of_issues().call("tracker", "get_issue", {"number": 2}, {"file": "/srv/shop/cart.py"})
    assert not mine.may("files", tool, "/srv/shop/cart.py", argument)


def test_a_way_begins_at_one_tool():
    mine = reads_files_of_issues().call("tracker", "get_account", {}, {"recovery": "/srv/private/keys.pem"})
    assert not mine.may("files", "read", "/srv/private/keys.pem")


def test_a_way_to_one_server_is_none_to_another():
    mine = reads_files_of_issues().call("tracker", "get_issue", {"number": 2}, {"file": "/srv/shop/cart.py"})
    assert not mine.may("web", "read", "/srv/shop/cart.py")


def test_what_one_principal_does_allows_nothing_to_another():
    reads_files_of_issues()
    assert not shown({"file": PATH}).may("files", "read", PATH)


def test_what_the_client_has_said_to_one_server_is_not_told_to_another():
    mine = Principal().call("tracker", "login", {"password": "correct horse"}, {"ok": True})
    assert not mine.may("web", "search", "correct horse", "query")


def test_what_nobody_has_said_is_nobodys():
    assert shown({"file": PATH}).may("files", "read", "/etc/motd")


# --- what is the same value -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        KEY.upper(),
        KEY[:15],
        KEY[-15:],
        f"x{KEY}",
        f"https://docs.example/{KEY}",
        f"https://docs.example/search?q={KEY}&page=2",
        f"https://docs.example/?q={KEY.replace('-', '%2D')}",
        f"the key is {KEY} of course",
        [KEY],
        [1, {"deeply": {"nested": KEY}}],
        {KEY: 1},
    ],
)
@pytest.mark.parametrize(
    "given",
    [
        {"key": KEY},
        [[KEY]],
        {"text": f"Use the key {KEY} to log in."},
        {"text": f"Key: {KEY}\n" + "and so on, " * 50},
        {"text": f"{'and so on, ' * 5000} {KEY}."},
        {KEY: "the key"},
    ],
)
def test_a_value_is_known_wherever_it_stands_whole_or_in_part(given: Json, value: Json):
    assert not shown(given).may("web", "fetch", value, "url")


@pytest.mark.parametrize(
    "value", ["/root/billing/invoice_run.py", "invoice_run.py", "invoice_run", "/srv/shop/billing", "shop/billing/inv"]
)
def test_the_parts_of_a_path_count_as_the_path(value: str):
    assert not shown({"file": PATH}).may("files", "read", value)


@pytest.mark.parametrize("value", ["Anna Weber", "anna weber", "Weber", "mail Anna please", 47112206, "47112206", 8.25])
def test_names_and_numbers_are_values_too(value: Json):
    given: Json = {"text": "Owner: Anna Weber\nAccount 47112206 holds 8.25 EUR.\n" * 20}
    assert not shown(given).may("web", "search", value, "query")
    assert not shown({"owner": "Anna Weber", "account": 47112206, "sum": 8.25}).may("web", "search", value, "query")


def test_what_is_put_together_of_a_free_and_a_foreign_value_is_foreign():
    mine = Principal().call("web", "fetch", {"url": "https://ok.example/"}, {"next": "https://ok.example/collect?d="})
    mine.call("tracker", "get_issue", {"number": 1}, {"customer": "CU-77120"})
    assert mine.may("web", "fetch", "https://ok.example/collect?d=", "url")
    assert not mine.may("web", "fetch", "https://ok.example/collect?d=CU-77120", "url")


@pytest.mark.parametrize("value", [1, 42, 999, 0.5, "on", "us", True, None, "", [], {}])
def test_what_is_too_short_to_be_anybodys_is_nobodys(value: Json):
    assert shown({"a": value, "b": [value]}).may("web", "list", value, "page")


def test_a_word_of_a_text_does_not_keep_a_path_from_being_read():
    mine = shown({"text": "Please look at the notes and the plan before you go on with the tests."})
    assert mine.may("files", "read", "/srv/notes/plan.txt")


def test_a_part_may_go_where_the_whole_may():
    mine = Principal().call("tracker", "get_issue", {"number": 1}, {"file": "billing/run.py"})
    mine.call("files", "read", {"path": "/srv/shop/billing/run.py"}).again()
    mine.call("tracker", "get_issue", {"number": 2}, {"file": "checkout/cart_total.py"})
    assert mine.may("files", "read", "/srv/shop/checkout/cart_total.py")


# --- which way was taken ----------------------------------------------------------------------------------------------


def way_taken(mine: Principal, tool: str = "get_issue") -> bool:
    """May the files' `read` be told what this tool of the tracker gives from now on?"""
    mine.again().call("tracker", tool, {}, {"fresh": "/srv/never/before.txt"})
    return mine.may("files", "read", "/srv/never/before.txt")


def test_a_value_that_a_server_had_given_itself_has_come_no_way():
    mine = shown({"file": PATH}).call("files", "list", {}, [PATH]).call("files", "read", {"path": PATH})
    assert not way_taken(mine)


def test_the_clients_own_word_that_a_server_repeats_has_come_from_the_client():
    mine = Principal().call("tracker", "search", {"query": "refund"}, {"query": "refund", "found": []})
    mine.call("files", "read", {"path": "refund"})
    assert not way_taken(mine, "search")
    mine.again().call("tracker", "search", {"query": "chargeback"})
    assert mine.may("files", "read", "chargeback"), "but what it says there, it says here"


def test_a_value_has_come_from_the_server_that_gave_it_first():
    mine = shown({"file": PATH}).call("web", "fetch", {}, {"text": f"all about {PATH}"})
    mine.call("files", "read", {"path": PATH})
    mine.again().call("web", "fetch", {}, {"file": "/srv/private/keys.pem"})
    assert not mine.may("files", "read", "/srv/private/keys.pem")
    assert way_taken(mine)


def test_a_part_that_two_values_share_takes_no_way():
    mine = shown({"link": "https://docs.example.com/guide/start.html"})
    mine.call("files", "read", {"path": "https://docs.example.com/guide/other.html"})
    assert not way_taken(mine)


@pytest.mark.parametrize(
    ("given", "said"),
    [("#4711", "4711"), ("4711", "#4711"), ("4711", 4711), (4711, "4711"), ("ABCD", "abcd"), ("a/b.py", "/srv/a/b.py")],
)
def test_a_small_change_on_the_way_is_the_same_way(given: Json, said: Json):
    assert way_taken(shown({"value": given}).call("files", "read", {"path": said}))


# --- speculated results -----------------------------------------------------------------------------------------------


def test_what_a_supposed_result_gave_is_not_told_to_another_server_either():
    mine = Principal().call("files", "list")
    supposed = Supposed("tracker", "get_issue", {"number": 1}, {"file": PATH}, False)
    assert not mine.may("files", "read", PATH, "path", supposed)
    assert not mine.may("files", "read", PATH), "nor when the predictor remembers it later"
    assert mine.may("tracker", "get_file", PATH)


def test_what_a_supposed_result_gave_goes_where_such_values_have_gone():
    mine = reads_files_of_issues().call("files", "list")
    supposed = Supposed("tracker", "get_issue", {"number": 2}, {"file": "/srv/shop/cart.py"}, False)
    assert mine.may("files", "read", "/srv/shop/cart.py", "path", supposed)


def test_a_call_with_a_value_that_the_client_cannot_have_from_there_takes_no_way():
    mine = Principal().call("files", "list")
    mine.may("tracker", "x", 0, "id", Supposed("tracker", "get_issue", {"number": 1}, {"file": PATH}, False))
    mine.call("files", "read", {"path": PATH})
    assert not way_taken(mine)


# --- the user's word --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values_from", [["tracker"], ["web", "tracker"], ["*"]])
def test_the_user_may_allow_it(values_from: list[str]):
    mine = Principal(SERVERS | {"files": values_from})
    mine.call("tracker", "get_issue", {"number": 1}, {"file": PATH})
    assert mine.may("files", "read", PATH)
    assert mine.may("files", "read", f"/root{PATH}")
    assert not mine.may("web", "fetch", PATH, "url")


def test_the_user_allows_it_for_some_servers_alone():
    mine = Principal(SERVERS | {"files": ["web"]}).call("tracker", "get_issue", {"number": 1}, {"file": PATH})
    assert not mine.may("files", "read", PATH)


def test_with_one_server_there_is_nobody_to_tell():
    guard = Guard()
    guard.serve({"tracker": ()}, ())
    assert not guard.is_needed


# --- servers that come and go -----------------------------------------------------------------------------------------


def test_in_a_session_that_began_with_one_server_another_is_told_nothing_that_it_does_not_know():
    mine = Principal({"tracker": ()})
    mine.guard.serve(SERVERS, [mine.session])
    mine.call("files", "list", {}, ["/srv/a.txt"])
    assert mine.may("files", "read", "/srv/a.txt")
    assert not mine.may("files", "read", "/srv/b.txt"), "the tracker may have said that before anybody listened"
    assert mine.again().may("files", "read", "/srv/b.txt")


def test_another_server_of_the_same_name_knows_nothing():
    mine = reads_files_of_issues()
    mine.call("tracker", "get_issue", {"number": 1}, {"file": PATH}).call("files", "read", {"path": PATH})
    assert mine.may("files", "read", PATH)
    mine.guard.leave("files")
    assert not mine.may("files", "read", PATH)
    assert not way_taken(mine)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_what_was_forgotten_is_nobodys_only_where_it_was_told_before(monkeypatch: pytest.MonkeyPatch):
    mine = Principal().call("files", "read", {"path": "/home/me/.profile"}).again()
    monkeypatch.setattr(places, "WHOLE_MAX", 100)
    mine.call("tracker", "get_issue", {"number": 1}, {"file": PATH})
    mine.call("tracker", "list_issues", {}, [f"issue-{number}" for number in range(200)])
    assert not mine.may("files", "read", PATH)
    assert not mine.may("files", "read", "/srv/who/knows.txt")
    assert mine.may("files", "read", "/home/me/.profile"), "it was told that in an earlier session"


def test_a_result_that_is_too_large_to_be_looked_at_makes_the_session_careful():
    mine = shown({"text": "word " * 20_000})
    assert not mine.may("files", "read", "/srv/who/knows.txt")


def test_an_answer_to_nobodys_call_makes_the_session_careful():
    mine = Principal().call("files", "list")
    mine.guard.ended(CallEnded(mine.session, 99, {"file": PATH}, False, 0.0))
    assert not mine.may("files", "read", PATH)


def test_calls_that_are_never_answered_are_forgotten_and_make_the_session_careful():
    mine = Principal()
    for number in range(IN_FLIGHT_MAX + 1):
        mine.guard.began(CallBegan(mine.session, number, "tracker", "get_issue", {}, 0.0, False))
    mine.guard.ended(CallEnded(mine.session, 0, {"file": PATH}, False, 0.0))
    assert not mine.may("files", "read", PATH)


def test_the_session_silent_longest_is_forgotten_and_careful_when_it_comes_back():
    mine = shown({"file": PATH})
    for number in range(SESSIONS_MAX):
        mine.guard.began(CallBegan(f"other{number}", number, "tracker", "get_issue", {}, 0.0, False))
    assert not mine.may("files", "read", PATH)
    assert not mine.may("files", "read", "/srv/who/knows.txt")


def test_a_value_longer_than_anybody_takes_apart_is_not_told():
    assert not shown({"file": PATH}).may("web", "search", "free text " * 300, "query")


# --- what is kept -----------------------------------------------------------------------------------------------------


def reloaded(*dumps: Json) -> Principal:
    """The same principal in later runs."""
    mine = Principal()
    for dump in dumps:
        mine.guard.load(json.loads(json.dumps(dump)))
    return mine


def test_ways_are_known_in_later_runs_and_add_up():
    first = reads_files_of_issues()
    second = Principal().call("web", "fetch", {"url": "https://a.example/1"}, {"id": "TASK-4711"})
    second.call("tracker", "get_issue", {"number": "TASK-4711"})
    dumps = [first.guard.dump(), second.guard.dump()]
    for mine in (reloaded(*dumps), reloaded(ways.add_up([json.loads(json.dumps(dump)) for dump in dumps]))):
        mine.call("tracker", "get_issue", {"number": 2}, {"file": "/srv/shop/cart.py"})
        mine.call("web", "fetch", {"url": "https://a.example/2"}, {"id": "TASK-4712"})
        assert mine.may("files", "read", "/srv/shop/cart.py")
        assert mine.may("tracker", "get_issue", "TASK-4712", "number")
        assert not mine.may("files", "read", "TASK-4712")


def test_what_a_server_was_told_in_an_earlier_run_it_may_be_told_again():
    dump = Principal().call("files", "read", {"path": PATH}).guard.dump()
    mine = reloaded(dump).call("tracker", "get_issue", {"number": 1}, {"file": PATH})
    assert mine.may("files", "read", PATH)
    assert not mine.may("web", "fetch", PATH, "url")


def test_nothing_of_a_secret_is_written_down_and_no_value_as_it_is():
    mine = Principal().call("web", "login", {"password": "correct horse", "name": "Anna Weber"})
    dump = json.dumps(mine.guard.dump())
    assert "Anna" not in dump
    without = json.dumps(Principal().call("web", "login", {"name": "Anna Weber"}).guard.dump())
    assert dump == without


def test_a_dump_holds_what_is_new_since_the_last():
    mine = reads_files_of_issues()
    assert mine.guard.dump()
    assert mine.guard.dump() is None
    assert mine.call("files", "list").guard.dump() is None


@pytest.mark.parametrize(
    "dump",
    [
        None,
        [],
        {},
        {"version": 2, "ways": {}, "told": {}},
        {"version": 1, "ways": {}},
        {"version": 1, "ways": {"[]": 1}, "told": {}},
        {"version": 1, "ways": {"no json": 1}, "told": {}},
        {"version": 1, "ways": {'["a","b","c","d","e","f"]': 1}, "told": {}},
        {"version": 1, "ways": {}, "told": {"a": "b"}},
    ],
)
def test_data_of_another_shape_is_refused(dump: Json):
    with pytest.raises(ValueError, match=r"way|Expecting"):
        Guard().load(dump)


def test_ways_and_what_was_told_are_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ways, "WAYS_MAX", 3)
    monkeypatch.setattr(ways, "TOLD_MAX", 3)
    mine = reads_files_of_issues()
    for number in range(3):
        mine.call("tracker", f"tool{number}", {}, {"v": f"value-{number}"}).call("web", "get", {"v": f"value-{number}"})
    assert not way_taken(mine)
    mine.call("tracker", "tool2", {}, {"v": "value-9"})
    assert mine.may("web", "get", "value-9", "v")
    assert len(mine.guard.dump()["ways"]) == 4  # type: ignore[index]  # what happened is told, what is kept is bounded
    assert mine.call("tracker", "get_issue", {}, {"file": PATH}).may("files", "read", PATH) is False


# --- copied whole -----------------------------------------------------------------------------------------------------


def test_nothing_is_taken_to_be_copied_whole_that_is_not():
    mine = Principal().call("web", "fetch", {"url": "https://a.example"}, {"link": "https://a.example/1"})
    assert mine.judged("web", "fetch", {"url": "https://a.example/1"}).copied_whole
    assert not mine.judged("web", "fetch", {"url": "https://a.example/1?x"}).copied_whole
    assert not mine.judged("web", "fetch", {"url": ["https://a.example/1", "https://a.example/2"]}).copied_whole

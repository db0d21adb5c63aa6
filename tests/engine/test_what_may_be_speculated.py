"""Rules 1 to 4: what is never speculated, and how much at once."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

import math
from dataclasses import replace

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy, ToolValidator
from spec_mcp.engine.events import Answer, Candidate, Outcome
from spec_mcp.engine.expiring import RATE_LIMIT_PAUSE_S
from spec_mcp.engine.policy import Settings
from tests.engine.playbook import (
    CLIENT,
    ERROR,
    HIT,
    JOIN,
    LOST,
    RESULT,
    SERVER,
    TOOLS,
    Playbook,
    cancel_speculation,
    ended,
    guess,
    invoke,
    launch,
    listing,
    reading,
    reply,
    skipped,
    validate,
)


def test_a_guessed_read_is_made_and_answers_the_call():
    with Playbook().begun() as play:
        play << play.predicted(guess("get", id=1)) >> launch("get", id=1)
        play << play.returned() << play.call(1, "get", id=1) >> reply(1, HIT)


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        ("put", "unsafe"),
        ("unheard-of", "unlisted"),
        ("undo_me", "unsafe"),
        ("ageless", "expired"),
        ("v", "unvalidated"),
    ],
)
def test_what_no_manifest_allows_is_never_speculated(tool, reason):
    tools = TOOLS | {
        "undo_me": ToolPolicy(Effect.REVERSIBLE, ("item:{id}",), open_world=False),
        "ageless": ToolPolicy(Effect.READ, ("item:{id}",), open_world=False),
        "v": reading(ttl_s=1.0, fresh=ToolValidator("version", {})),
    }
    with Playbook(tools).begun() as play:
        play << play.predicted(guess(tool, id=1)) >> skipped(reason)


def test_without_a_manifest_nothing_is_speculated():
    with Playbook({}).begun() as play:
        play << play.predicted(guess("get", id=1)) >> skipped("unlisted")


def test_a_server_that_only_a_predictor_has_heard_of_is_not_made_known():
    with Playbook().begun() as play:
        play << play.predicted(guess("get", server="nobody", id=1)) >> skipped("unlisted")
        assert list(play.engine.world.servers) == [SERVER]


def test_a_tool_whose_definition_changed_is_no_read_any_more():
    with Playbook().begun() as play:
        play.holds("get", id=1)
        play << listing(TOOLS, changed="get")
        play << play.predicted(guess("get", id=2)) >> skipped("changed")
        play << play.call(1, "get", id=1) >> invoke(1) >> ended("spoiled")


def test_a_fingerprint_in_the_manifest_comes_before_the_first_sight():
    tools = {"get": replace(TOOLS["get"], fingerprint="reviewed")}
    with Playbook(tools).begun() as play:
        play << play.predicted(guess("get", id=1)) >> skipped("changed")
        assert play.engine.world.servers[SERVER].pins == {}


def test_the_first_sight_of_a_definition_is_pinned_across_connections():
    with Playbook(connect=False) as play:
        play << events.Connected(SERVER, 1)
        play << listing({"get": 1}, changed="get")
        assert play.record == [do.PinFingerprint(SERVER, "get", "new")]
        play << events.Disconnected(SERVER) << events.Connected(SERVER, 2) << listing({"get": 1})
        assert play.record == []
        play.begun() << play.predicted(guess("get", id=1)) >> skipped("changed")


def test_nothing_is_speculated_between_a_changed_list_and_its_reading():
    with Playbook().begun() as play:
        play << events.ServerNotified(SERVER, "notifications/tools/list_changed")
        play << play.predicted(guess("get", id=1)) >> skipped("not-listed-yet")
        play << listing(TOOLS) << play.predicted(guess("get", id=1)) >> launch("get")


def test_a_definition_that_changes_while_a_validator_is_read_stops_the_launch():
    with Playbook().begun() as play:
        play << play.predicted(guess("cat", id=1)) >> validate()
        play << listing(TOOLS, changed="cat")
        play << play.validated("v1") >> ended("changed")


def test_a_list_that_is_no_list_makes_no_tool_a_read():
    with Playbook().begun() as play:
        play << events.ToolsListed(SERVER, {f"t{number}": "f" for number in range(5000)} | {"get": "old"})
        play << play.predicted(guess("get", id=1)) >> skipped("not-listed-yet")


def test_a_manifest_that_is_found_late_holds_from_then_on():
    with Playbook({}) as play:
        play << listing({"get": 1}) << play.call(1, "get", id=1) >> invoke(1)
        play << events.ManifestFound(SERVER, replace(play.policies[SERVER], tools=TOOLS), {})
        assert do.PinFingerprint(SERVER, "get", "old") in play.record
        play << play.predicted(guess("get", id=2)) >> skipped("conflict")
        play.wait(0.5) << events.CallReturned(1, RESULT)
        play.wait(5.0) << play.predicted(guess("get", id=2)) >> launch("get")


def test_a_write_answered_before_its_manifest_was_found_may_still_take_effect():
    with Playbook({}) as play:
        play << listing(TOOLS) << play.call(1, "put_late", id=1) >> invoke(1)
        play.wait(0.5) << events.CallReturned(1, RESULT)
        play << events.ManifestFound(SERVER, replace(play.policies[SERVER], tools=TOOLS), {})
        play.wait(4.9) << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play.wait(0.1) << play.predicted(guess("get", id=1)) >> launch("get")


# --- rule 2 -----------------------------------------------------------------------------------------------------------


def test_a_rate_limit_stops_speculation_on_its_server_for_a_while():
    with Playbook().begun() as play:
        play.launches("get", id=1) << play.returned(Outcome(Answer.ERROR, rate_limited=True))
        play << play.predicted(guess("get", id=2)) >> skipped("rate-limited")
        play.wait(RATE_LIMIT_PAUSE_S) << play.predicted(guess("get", id=2)) >> launch("get")


def test_a_rate_limit_that_a_call_ran_into_counts_as_well():
    with Playbook().begun() as play:
        play << play.call(1, "get", id=1) >> invoke(1) << events.CallReturned(1, Outcome(Answer.ERROR, 1, True))
        play << play.predicted(guess("get", id=2)) >> skipped("rate-limited")


def test_a_rate_limit_is_no_answer_even_where_errors_are():
    with Playbook({"get": reading(adopt_errors=True)}).begun() as play:
        play.launches("get", id=1) << play.call(1, "get", id=1)
        play << play.returned(Outcome(Answer.TOOL_ERROR, 10, rate_limited=True)) >> invoke(1)


# --- rule 3 -----------------------------------------------------------------------------------------------------------

OUTSIDE = {"fetch": reading(("web:{url}",), ttl_s=60.0, open_world=True, hosts=("ok.com",), open_world_per_minute=2.0)}


def test_the_outside_world_is_told_only_what_was_copied_whole():
    with Playbook(OUTSIDE).begun() as play:
        play << play.predicted(guess("fetch", whole=False, url="https://ok.com/a")) >> skipped("open-world")
        play << play.predicted(guess("fetch", url="https://evil.com/a")) >> skipped("open-world")
        play << play.predicted(guess("fetch", url="https://ok.com/a")) >> launch("fetch")


def test_the_outside_world_is_reached_within_a_budget():
    with Playbook(OUTSIDE).begun() as play:
        for number in range(2):
            play.launches("fetch", url=f"https://ok.com/{number}") << play.returned()
        play << play.predicted(guess("fetch", url="https://ok.com/3")) >> skipped("open-world")
        play.wait(60.0) << play.predicted(guess("fetch", url="https://ok.com/3")) >> launch("fetch")


def test_what_would_tell_a_server_of_another_is_not_speculated():
    with Playbook().begun() as play:
        telling = replace(guess("get", id=1), discloses=True)
        play << play.predicted(telling, guess("get", id=2)) >> skipped("discloses") >> launch("get", id=2)
        play << play.call(1, "get", id=1) >> invoke(1)


# --- before the first call to a server --------------------------------------------------------------------------------

OTHER = "t"
TWO = {name: ServerPolicy(name, TOOLS, concurrent=True) for name in (SERVER, OTHER)}
STATELESS_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def _two_servers(protocol: str) -> Playbook:
    """One session in front of two servers, of which it has called neither."""
    play = Playbook(servers=TWO, connect=False)
    for server in TWO:
        play << events.Attached(CLIENT, server, server, "me") << events.Connected(server, 1, protocol)
        play << listing(TOOLS, server=server)
    return play


def test_a_server_that_the_client_has_not_called_yet_is_speculated_on():
    with _two_servers("p") as play:
        play << play.call(1, "unheard-of", id=1) >> invoke(1) << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", server=OTHER, id=1)) >> launch("get", id=1) << play.returned()
        play << play.call(2, "get", CLIENT, OTHER, id=1) >> reply(2, HIT)


def test_it_is_even_where_no_call_to_another_server_could_ever_match():
    with _two_servers("p") as play:
        play << events.CallArrived(1, CLIENT, SERVER, "unheard-of", None, None) >> invoke(1)
        play << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", server=OTHER, id=1)) >> launch("get", id=1)


def test_without_a_handshake_it_is_asked_as_the_other_servers_are():
    with _two_servers("") as play:
        play << play.call_as(1, "unheard-of", {}, meta=STATELESS_META, protocol="2026-07-28") >> invoke(1)
        play << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", server=OTHER, id=1)) >> launch("get", id=1) << play.returned()
        key = play.key("get", {"id": 1}, server=OTHER, meta=STATELESS_META, protocol="2026-07-28")
        play << events.CallArrived(2, CLIENT, OTHER, "get", {"id": 1}, key) >> reply(2, HIT)


def test_without_a_handshake_nothing_is_asked_before_the_client_has_said_who_it_is():
    with _two_servers("") as play:
        play << events.CallArrived(1, CLIENT, SERVER, "unheard-of", None, None) >> invoke(1)
        play << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", server=OTHER, id=1)) >> skipped("unmatchable")


@pytest.mark.parametrize("protocol", ["p", ""])
def test_what_a_client_tells_one_server_beside_its_calls_is_not_told_to_another(protocol: str):
    with _two_servers(protocol) as play:
        meta = STATELESS_META | {"example.com/customer": "Anna"}
        play << play.call_as(1, "unheard-of", {}, meta=meta) >> invoke(1) << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", server=OTHER, id=1)) >> skipped("unmatchable")


# --- the user's bound -------------------------------------------------------------------------------------------------


def test_the_user_bounds_what_a_server_gets_in_a_minute_whatever_the_tool():
    with Playbook(rate_per_minute=2.0).begun() as play:
        play.launches("get", id=1) << play.returned()
        play.launches("look", id=2) << play.returned()
        play << play.predicted(guess("get", id=3)) >> skipped("rate")
        play.wait(60.0) << play.predicted(guess("get", id=3)) >> launch("get", id=3)


def test_what_is_validated_first_counts_when_it_is_launched():
    with Playbook(rate_per_minute=1.0).begun() as play:
        play << play.predicted(guess("cat", id=1), guess("cat", id=2)) >> validate() >> validate()
        first, second = play.validating
        play << events.Validated(first.speculation, None, "v") >> launch("cat", id=1)
        play << events.Validated(second.speculation, None, "v") >> ended("rate")


# --- rule 4 -----------------------------------------------------------------------------------------------------------


def test_a_serial_server_gets_one_speculation_at_a_time():
    with Playbook(concurrent=False).begun() as play:
        play << play.predicted(guess("get", id=1), guess("get", id=2)) >> launch("get", id=1)
        play << play.returned() >> launch("get", id=2)


def test_a_serial_server_gets_none_while_it_works_on_a_call():
    with Playbook(concurrent=False).begun() as play:
        play << play.call(1, "get", id=1) >> invoke(1)
        play << play.predicted(guess("get", id=2))
        play << events.CallReturned(1, RESULT) >> launch("get", id=2)


def test_a_serial_server_gets_none_after_a_call_came_while_a_validator_was_read():
    with Playbook(concurrent=False).begun() as play:
        play << play.predicted(guess("cat", id=1)) >> validate()
        play << play.call(1, "get", id=2) >> invoke(1)
        play << play.validated("v1") >> ended("busy")


def test_a_serial_server_gets_nothing_that_outlasts_the_thinking_time():
    play = Playbook(concurrent=False).begun()
    play.takes("get", 3.0)
    with play:
        play << play.predicted(guess("get", id=1)) >> skipped("too-slow")


def test_a_concurrent_server_gets_as_many_as_the_user_allows():
    settings = Settings(wasted_call_s=0.01, in_flight=2)
    with Playbook(settings=settings).begun() as play:
        play << play.predicted(*(guess("get", id=number) for number in range(4)))
        play >> launch("get", id=0) >> launch("get", id=1)
        play << play.returned() >> launch("get", id=2)


def test_a_server_that_speculations_slow_down_counts_as_serial():
    play = Playbook().begun()
    for _ in range(8):
        play.engine.world.timing.compared(SERVER, "get", 1.0, beside=False)
        play.engine.world.timing.compared(SERVER, "get", 3.0, beside=True)
    with play:
        play << play.predicted(guess("get", id=1), guess("get", id=2)) >> launch("get", id=1)


@pytest.mark.parametrize("bears_it", [True, False])
def test_a_speculation_is_cancelled_only_where_the_server_bears_it(bears_it):
    with Playbook(cancel=bears_it).begun() as play:
        play.launches("get", id=1) << play.call(1, "put", id=1)
        if bears_it:
            play >> cancel_speculation()
        play >> invoke(1)


def test_a_speculation_never_starts_a_server():
    with Playbook().begun() as play:
        play << events.Disconnected(SERVER)
        play << play.predicted(guess("get", id=1)) >> skipped("not-listed-yet")
        play << listing(TOOLS) << play.predicted(guess("get", id=1)) >> skipped("busy")


def test_a_tool_under_whose_speculation_the_server_died_is_not_speculated_again():
    with Playbook().begun() as play:
        play.launches("get", id=1) << events.Disconnected(SERVER) << events.Connected(SERVER, 2) << listing(TOOLS)
        play << play.call(1, "look", id=1) >> invoke(1) << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", id=1), guess("look", id=2)) >> skipped("demoted") >> launch("look")


def test_a_lost_answer_demotes_the_tool_even_if_the_death_is_reported_later():
    with Playbook().begun() as play:
        play.launches("get", id=1) << play.returned(LOST)
        play << play.predicted(guess("get", id=1)) >> skipped("demoted")


def test_a_lost_connection_to_a_server_that_lives_on_demotes_nothing():
    with Playbook().begun() as play:
        play.launches("get", id=1) << events.Disconnected(SERVER, ended=False)
        play << events.Connected(SERVER, 2) << listing(TOOLS)
        play << play.call(1, "look", id=1) >> invoke(1) << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", id=1)) >> launch("get")


# --- what is worth a call ---------------------------------------------------------------------------------------------


def test_an_unlikely_candidate_is_not_worth_a_call():
    with Playbook(settings=Settings(wasted_call_s=1.0)).begun() as play:
        play << play.predicted(guess("get", q=0.5, id=1)) >> skipped("not-worth-it")


@pytest.mark.parametrize("said", [math.nan, -1.0, 0.0, -math.inf])
def test_what_is_no_probability_counts_as_none(said):
    with Playbook().begun() as play:
        play << play.predicted(guess("get", q=said, id=1)) >> skipped("not-worth-it")


def test_no_confidence_is_larger_than_certainty():
    with Playbook().begun() as play:
        play.launches("get", id=1)
        play << play.predicted(Candidate(SERVER, "look", {"id": 1}, 1e9, "liar")) >> launch("look")
        assert max(held.q for held in play.engine.world.ledger.live) <= 1.0


def test_no_more_candidates_of_a_step_are_admitted_than_the_breadth():
    settings = Settings(wasted_call_s=0.01, breadth=1)
    with Playbook(settings=settings).begun() as play:
        play << play.predicted(guess("get", id=1), guess("get", id=2)) >> skipped("breadth") >> launch("get", id=1)


def test_what_is_held_or_asked_already_is_not_asked_again():
    with Playbook().begun() as play:
        play.holds("get", id=1) << play.predicted(guess("get", id=1)) >> skipped("known")
        play << play.call(1, "get", id=2) >> invoke(1) << play.predicted(guess("get", id=2)) >> skipped("known")


def test_a_guess_about_a_step_that_has_passed_is_dropped():
    with Playbook().begun() as play:
        late = play.predicted(guess("get", id=1))
        play << play.call(1, "look", id=5) >> invoke(1) << late >> skipped("step-passed")


def test_what_waits_for_a_place_is_dropped_when_the_client_goes_on():
    with Playbook(concurrent=False).begun() as play:
        play << play.predicted(guess("get", id=1), guess("get", id=2)) >> launch("get", id=1)
        play << play.call(1, "get", id=1)
        play << play.returned() >> reply(1, JOIN)


def test_a_ready_speculation_is_predicted_upon_once_a_step_and_to_the_depth_limit():
    with Playbook(settings=Settings(wasted_call_s=0.01, depth=2)).begun() as play:
        play.holds("get", id=1)
        first = play.launched[-1]
        assert [command.lineage for command in play.record if isinstance(command, do.Predict)] == [(first,)]
        play << play.predicted(guess("get", id=2), lineage=(first,)) >> launch("get", id=2) << play.returned()
        assert not any(isinstance(command, do.Predict) for command in play.record)


def test_a_chained_candidate_is_as_likely_as_its_whole_chain():
    with Playbook().begun() as play:
        play.launches("get", id=1) << play.returned()
        parent = play.launched[-1]
        play << play.predicted(guess("get", q=0.5, id=2), lineage=(parent,)) >> launch("get", id=2)
        (_, held) = play.engine.world.ledger.live
        assert held.q == pytest.approx(0.45)


def test_what_was_predicted_upon_a_spoiled_result_is_not_launched():
    with Playbook().begun() as play:
        play.launches("get", id=1) << play.returned()
        late = play.predicted(guess("get", id=2), lineage=(play.launched[-1],))
        play << events.ServerNotified(SERVER, "notifications/resources/updated") << late


def test_a_mode_that_is_switched_off_ends_everything():
    with Playbook().begun() as play:
        play.launches("get", id=1) << play.call(1, "get", id=1)
        play << events.ModeSet(events.Mode.OFF) >> invoke(1) >> ended("switched-off")
        play << events.CallReturned(1, RESULT)
        assert not any(isinstance(command, do.Predict) for command in play.record)
        play << play.predicted(guess("get", id=2))


def test_an_error_of_a_speculation_frees_its_place():
    with Playbook(concurrent=False).begun() as play:
        play << play.predicted(guess("get", id=1), guess("get", id=2)) >> launch("get", id=1)
        play << play.returned(ERROR) >> launch("get", id=2)


def test_a_guess_for_a_client_that_left_makes_no_client():
    with Playbook().begun() as play:
        late = play.predicted(guess("get", id=1))
        play << events.SessionClosed(CLIENT) << late
        assert not play.engine.world.sessions

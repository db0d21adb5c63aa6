"""A sample of what was adopted is made again when nobody is there, and a tool whose results differ is demoted."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.checking import CHECKS_PER_MINUTE, DELAY_S
from spec_mcp.engine.effects import ServerPolicy, ToolPolicy, ToolValidator, entry_of
from spec_mcp.engine.events import Known, Mode
from spec_mcp.engine.evidence import REMEMBERED
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.results import Verdict
from tests.engine.playbook import (
    CLIENT,
    ERROR,
    HIT,
    RESULT,
    SERVER,
    TOOLS,
    Playbook,
    Wanted,
    ended,
    guess,
    invoke,
    launch,
    reading,
    reply,
    skipped,
    validate,
)

RECALL, COMPARE, DEMOTE = Wanted(do.Recall), Wanted(do.Compare, {"is_check": True}), Wanted(do.Demote)
KEEP = Wanted(do.Keep)


def checking(every: int = 1, tools: dict[str, ToolPolicy] = TOOLS, **policy: Any) -> Playbook:
    """A client of which every hit, or every so many, is checked."""
    return Playbook(tools, settings=Settings(wasted_call_s=0.01, check_every=every), **policy).begun()


def hit(play: Playbook, number: int, tool: str = "get") -> Playbook:
    """A call that is answered from what is held."""
    return play.holds(tool, id=number) << play.call(number, tool, id=number) >> reply(number, HIT)


def checked(tool: str = "get", **policy: Any) -> Playbook:
    """A hit, and its check under way."""
    play = hit(checking(**policy), 1, tool) >> RECALL
    return play.wait(2 * DELAY_S) >> launch(tool, id=1)


def verdict(found: Verdict, tool: str = "get") -> events.Compared:
    """What a comparison found."""
    return events.Compared(SERVER, tool, entry_of(TOOLS[tool]), found)


DIFFERS, EQUAL, PASSES = (verdict(found) for found in (Verdict.DIFFERENT, Verdict.SAME, Verdict.PASSING))


# --- when something is checked ----------------------------------------------------------------------------------------


def test_a_hit_is_made_again_and_compared_a_little_later():
    with checked() as play:
        play << play.returned() >> COMPARE
        assert play.held == 0


def test_nothing_is_checked_where_the_user_wants_no_checks():
    with hit(checking(every=0), 1) as play:
        play.wait(10.0)


def test_one_hit_of_so_many_is_checked_the_fourth_first():
    play = checking(every=16)
    recalled = []
    for number in range(1, 40):
        play.wait(30.0)
        play.takes("get", 0.5)
        play = hit(play, number)
        if play.pending:
            recalled.append(number)
            play >> RECALL
            play.wait(2 * DELAY_S) >> launch("get") << play.returned() >> COMPARE
    assert recalled == [4, 20, 36]


def test_checks_of_a_server_are_bounded_by_the_minute():
    play = checking()
    checks = 0
    for number in range(1, 20):
        play = hit(play, number)
        if play.pending:
            checks += 1
            play >> RECALL
            play.wait(2 * DELAY_S) >> launch("get") << play.returned() >> COMPARE
        play.wait(0.1)
    assert checks == CHECKS_PER_MINUTE


def test_what_is_predicted_after_the_hit_goes_first():
    with hit(checking(concurrent=False), 1) as play:
        play >> RECALL << play.predicted(guess("get", id=2)) >> launch("get", id=2)
        play.wait(1.0) << play.returned() >> launch("get", id=1) << play.returned() >> COMPARE


def test_a_call_that_arrives_when_a_check_is_due_goes_first():
    with hit(checking(concurrent=False), 1) as play:
        play >> RECALL
        play.now_s += 2 * DELAY_S
        play << play.call(2, "look", id=9) >> invoke(2)
        play << events.CallReturned(2, RESULT) >> launch("get", id=1) << play.returned() >> COMPARE


def test_a_check_waits_while_a_call_is_under_way_and_is_given_up_when_it_waits_too_long():
    with hit(checking(), 1) as play:
        play >> RECALL << play.call(2, "look", id=9) >> invoke(2)
        play.wait(2.0)
        assert play.held == 1
        play << events.CallReturned(2, RESULT) >> launch("get", id=1) << play.returned() >> COMPARE
    with hit(checking(), 1) as play:
        play >> RECALL << play.call(2, "look", id=9) >> invoke(2)
        play.wait(10.0)
        assert play.held == 0
        play << events.CallReturned(2, RESULT)


def test_a_call_that_asks_the_same_while_it_is_checked_is_made_for_real():
    with checked() as play:
        play << play.call(2, "get", id=1) >> invoke(2) << events.CallReturned(2, RESULT)
        play << play.returned() >> COMPARE


def test_a_check_is_neither_a_used_nor_a_wasted_speculation():
    with checked() as play:
        play << play.returned() >> COMPARE
        assert not [command for command in play.record if isinstance(command, do.SpeculationEnded)]


@pytest.mark.parametrize("under_way", [True, False])
def test_a_write_in_between_ends_the_check(under_way):
    with hit(checking(), 1) as play:
        play >> RECALL
        if under_way:
            play.wait(2 * DELAY_S) >> launch("get", id=1)
        play << play.call(2, "put", id=1) >> invoke(2)
        assert play.held == 0
        play << events.CallReturned(2, RESULT)
        play.wait(10.0)


def test_a_write_elsewhere_does_not():
    with checked() as play:
        play << play.call(2, "put", id=7) >> invoke(2) << play.returned() >> COMPARE


def test_an_answer_that_is_no_result_proves_nothing():
    with checked() as play:
        play << play.returned(ERROR)
        assert play.held == 0


def test_what_has_a_validator_is_compared_only_if_that_still_holds():
    for value, counts in (("v1", True), ("v2", False), (None, False)):
        with checking() as play:
            play << play.predicted(guess("cat", id=1)) >> validate() << play.validated("v1") >> launch("cat")
            play << play.returned() << play.call(1, "cat", id=1) >> validate(1) << play.validated("v1")
            play >> reply(1, HIT) >> RECALL
            play.wait(2 * DELAY_S) >> launch("cat") << play.returned() >> validate(1) << play.validated(value)
            if counts:
                play >> COMPARE
            assert play.held == 0


def test_a_server_that_asks_back_while_its_version_is_read_for_a_comparison_is_refused():
    tools = TOOLS | {"versioned": reading(ttl_s=10.0, fresh=ToolValidator("look", {}))}
    play = Playbook(tools, mode=Mode.SHADOW).begun()
    play << play.predicted(guess("versioned", id=1)) >> validate() << play.validated("v1") >> launch("versioned")
    play << play.returned() << play.call(1, "versioned", id=1) >> invoke(1) >> KEEP
    play << events.CallReturned(1, RESULT) >> validate(1)
    with play:
        play << events.ServerAsked(SERVER, 7, "sampling/createMessage") >> Wanted(do.Refuse)


def test_what_may_be_otherwise_by_now_is_not_checked():
    with checking().holds("look", id=1) as play:
        play.wait(9.95) << play.call(1, "look", id=1) >> reply(1, HIT) >> RECALL
        play.wait(10.0)


def test_the_outside_world_is_told_no_more_than_its_budget():
    tools = {"fetch": reading((), open_world=True, hosts=("ok.com",), open_world_per_minute=1.0)}
    with checking(tools=tools) as play:
        play << play.predicted(guess("fetch", url="https://ok.com/a")) >> launch("fetch") << play.returned()
        play << play.call(1, "fetch", url="https://ok.com/a") >> reply(1, HIT) >> RECALL
        play.wait(10.0)


def test_a_tool_that_takes_longer_than_the_client_thinks_is_not_checked_on_a_serial_server():
    with hit(checking(concurrent=False), 1) as play:
        play.takes("get", 9.0)
        play >> RECALL
        play.wait(10.0)


def test_nothing_is_checked_when_the_server_is_lost_or_the_client_leaves_or_the_mode_is_another():
    for event in (events.Disconnected(SERVER), events.SessionClosed(CLIENT), events.ModeSet(Mode.SHADOW)):
        with hit(checking(), 1) as play:
            play >> RECALL << event
            play.wait(10.0)
            assert play.held == 0


def test_a_comparison_says_how_far_apart_the_answers_are_and_what_was_saved():
    play = checked()
    play.wait(1.0)
    play << play.returned()
    (compare,) = play.pending
    assert isinstance(compare, do.Compare)
    assert (compare.how, compare.entry) == (HIT, entry_of(TOOLS["get"]))
    assert compare.apart.least_s <= compare.apart.most_s


# --- what is made of it -----------------------------------------------------------------------------------------------


def test_a_tool_that_changes_through_us_alone_is_demoted_by_one_difference():
    with checking().holds("get", id=1) as play:
        play << DIFFERS >> DEMOTE >> ended("demoted")
        play << play.predicted(guess("get", id=2)) >> skipped("demoted")
        play << play.call(1, "get", id=1) >> invoke(1)


def test_what_goes_with_the_time_demotes_nothing():
    with checking() as play:
        play << PASSES << EQUAL << PASSES


def test_a_world_that_changes_within_its_ttl_is_borne_once():
    with checking() as play:
        differs, same = verdict(Verdict.DIFFERENT, "look"), verdict(Verdict.SAME, "look")
        play << differs
        for _ in range(REMEMBERED):
            play << same
        play << differs << same << differs >> DEMOTE << differs
        play << play.predicted(guess("look", id=2)) >> skipped("demoted")


def test_what_was_compared_under_another_entry_of_the_manifest_says_nothing():
    with checking() as play:
        play << events.Compared(SERVER, "get", "another", Verdict.DIFFERENT)
        play << events.Compared(SERVER, "put", entry_of(TOOLS["put"]), Verdict.DIFFERENT)


def test_in_shadow_mode_a_tool_that_differs_is_looked_at_further_and_starts_demoted_when_switched_on():
    with Playbook(mode=Mode.SHADOW).begun() as play:
        play << DIFFERS >> DEMOTE << DIFFERS
        play.holds("get", id=1) << play.call(1, "get", id=1) >> invoke(1) >> KEEP
        play << events.CallReturned(1, RESULT) >> Wanted(do.Compare, {"is_check": False})
        play << events.ModeSet(Mode.ON) << play.predicted(guess("get", id=2)) >> skipped("demoted")


def known(demoted: dict[str, str], **compared: tuple[str, tuple[bool, ...]]) -> Known:
    return Known(demoted, compared)


def test_what_an_earlier_process_found_holds_while_the_manifest_says_the_same():
    policy = ServerPolicy(SERVER, dict(TOOLS), concurrent=True)
    with checking() as play:
        earlier = known({"get": entry_of(TOOLS["get"])}, look=(entry_of(TOOLS["look"]), (True, False)))
        play << events.ManifestFound(SERVER, policy, {}, earlier)
        play << play.predicted(guess("get", id=1)) >> skipped("demoted")
        play << verdict(Verdict.DIFFERENT, "look") >> DEMOTE


def test_another_entry_in_the_manifest_ends_a_demotion():
    with checking() as play:
        play << events.ManifestFound(
            SERVER, ServerPolicy(SERVER, dict(TOOLS), concurrent=True), {}, known({"get": "old"})
        )
        play >> Wanted(do.Demote, {"tool": "get", "entry": ""})
        play << DIFFERS >> DEMOTE
        other = {**TOOLS, "get": reading(cost_s=0.001)}
        play << events.ManifestFound(SERVER, ServerPolicy(SERVER, other, concurrent=True), {})
        play >> Wanted(do.Demote, {"tool": "get", "entry": ""})
        play.wait(60.0) << play.call(1, "unheard-of") >> invoke(1) << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", id=3)) >> launch("get", id=3)


def test_the_digest_of_an_entry_tells_every_change_of_it():
    entries = [
        reading(),
        reading(cost_s=1.0),
        reading(ttl_s=1.0),
        reading(("item:*",)),
        reading(equal_results={("result", "at"): ()}),
        reading(fingerprint="sha256:0"),
    ]
    assert len({entry_of(entry) for entry in entries}) == len(entries)
    assert entry_of(reading()) == entry_of(reading())

"""The timeline."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from spec_mcp.cli.demo.agent import Answer, Call
from spec_mcp.cli.demo.cases import draw_cases
from spec_mcp.cli.demo.report import Outcome
from spec_mcp.cli.demo.runner import LATENCY_S, Executed, Made
from spec_mcp.cli.demo.view import GLYPHS, Kind, Lane, Timeline
from spec_mcp.engine.commands import How
from wrapped_servers.retail.generator import generate

READ = "get_order_details"
NEEDED_S = LATENCY_S[READ]
CASES = draw_cases(generate(0), 0, 9)


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def call(view, case, sent_s, wait_s, order_id="#W1"):
    arguments = {"order_id": order_id}
    view.calling(Call(READ, arguments), sent_s)
    view.answered(Made(case.number, READ, arguments, Answer("", is_error=False), sent_s, sent_s + wait_s))


def shown(view, width=80, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, color_system=None)
    with console.capture() as capture:
        console.print(view)
    return capture.get().splitlines()


def play_case(view, case, lane, wait_s, clock):
    view.begin(lane)
    view.case_began(case, clock.now_s)
    view.thinking(clock.now_s)
    call(view, case, clock.now_s + 1.0, wait_s)
    clock.now_s += 3.0
    view.case_ended(clock.now_s)


def test_both_runs_of_a_case_stand_under_its_title(clock):
    view = Timeline(clock, 1.0, None)
    play_case(view, CASES[0], Lane.OFF, NEEDED_S, clock)
    play_case(view, CASES[0], Lane.ON, 0.0, clock)
    _, title, off, on, _ = shown(view)
    assert CASES[0].title in title
    assert off.startswith(" off ")
    assert GLYPHS[Kind.MISS] in off
    assert on.startswith("  on ")
    assert GLYPHS[Kind.HIT] in on
    assert off.endswith("3.0 s")


def test_a_call_that_runs_grows_with_the_clock(clock):
    view = Timeline(clock, 1.0, None)
    view.case_began(CASES[0], 0.0)
    view.calling(Call(READ, {}), 0.0)
    clock.now_s = 1.0
    before = shown(view)[2].count(GLYPHS[Kind.WAITING])
    clock.now_s = 2.0
    assert shown(view)[2].count(GLYPHS[Kind.WAITING]) == pytest.approx(2 * before, abs=1)


def test_what_the_server_did_before_it_was_asked_is_a_speculation_used_once_a_call_is_answered_by_it(clock):
    view = Timeline(clock, 1.0, None)
    view.begin(Lane.ON)
    view.case_began(CASES[0], 0.0)
    entry = Executed(READ, {"order_id": "#W1"}, 0.5, 1.0, writes=False)
    view.executed([entry])
    assert GLYPHS[Kind.UNUSED] in shown(view)[3]
    call(view, CASES[0], 2.0, 0.0)
    clock.now_s = 3.0
    assert GLYPHS[Kind.USED] in shown(view)[3]
    assert GLYPHS[Kind.UNUSED] not in shown(view)[3]


def test_what_the_server_did_for_a_call_is_no_speculation(clock):
    view = Timeline(clock, 1.0, None)
    view.begin(Lane.ON)
    view.case_began(CASES[0], 0.0)
    call(view, CASES[0], 1.0, NEEDED_S)
    view.executed([Executed(READ, {"order_id": "#W1"}, 1.01, 1.3, writes=False)])
    clock.now_s = 3.0
    assert shown(view)[3].strip() == ""


def test_what_was_measured_takes_the_place_of_what_was_guessed(clock):
    view = Timeline(clock, 1.0, None)
    play_case(view, CASES[0], Lane.OFF, NEEDED_S, clock)
    play_case(view, CASES[0], Lane.ON, NEEDED_S * 2, clock)
    view.finish(Outcome((How.JOIN,), 1, 0, measured=True))
    assert GLYPHS[Kind.JOIN] in shown(view)[3]


def test_the_newest_cases_fit_the_screen_and_the_end_shows_all(clock):
    view = Timeline(clock, 1.0, height=20)
    for case in CASES:
        play_case(view, case, Lane.OFF, NEEDED_S, clock)
    lines = shown(view)
    assert len(lines) <= 20
    assert any(CASES[-1].title in line for line in lines)
    for case in CASES:
        play_case(view, case, Lane.ON, NEEDED_S, clock)
    view.finish(Outcome((How.MISS,) * len(CASES), 0, 0, measured=True))
    assert all(any(case.title in line for line in shown(view)) for case in CASES)


@pytest.mark.parametrize("width", [1, 20, 60, 200])
def test_any_width_can_be_painted(clock, width):
    view = Timeline(clock, 1.0, None)
    play_case(view, CASES[0], Lane.OFF, NEEDED_S, clock)
    play_case(view, CASES[0], Lane.ON, 0.0, clock)
    assert shown(view, width)


def test_a_terminal_without_unicode_gets_plain_signs(clock):
    view = Timeline(clock, 1.0, None)
    play_case(view, CASES[0], Lane.OFF, NEEDED_S, clock)
    play_case(view, CASES[0], Lane.ON, 0.0, clock)
    assert "".join(shown(view, encoding="ascii")).isascii()

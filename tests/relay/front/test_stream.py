"""What one stream holds, for whom, and for how long."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from spec_mcp.relay.front.load import Load, Part
from spec_mcp.relay.front.stream import Stream

LIMIT_BYTES = 10_000


def stream(name: str = "1", awaited: int = 1) -> Stream:
    return Stream(name, LIMIT_BYTES, Part(Load()), awaited)


def said(frames: bytes) -> list[tuple[bytes, bytes]]:
    """Ids and data."""
    return re.findall(rb"(?:id: (\S+)\n)?event: message\ndata: ([^\n]*)\n\n", frames)


def test_only_an_answer_can_go_out_as_plain_json() -> None:
    one = stream()
    one.answer(b'{"id":1}\n', 400)
    assert (one.ended, one.begun, one.plain(), one.status) == (True, False, b'{"id":1}', 400)


def test_once_something_was_said_the_answer_is_an_event() -> None:
    one = stream()
    one.say(b"{1}\n")
    one.answer(b"{2}\n")
    assert said(one.take()) == [(b"1-1", b"{1}"), (b"1-2", b"{2}")]
    assert one.take() == b""


def test_line_ends_between_tokens_do_not_end_an_event() -> None:
    one = stream("")
    one.say(b'{"a":\r1}\n')
    assert one.take() == b'event: message\ndata: {"a": 1}\n\n'


def test_after_the_end_nothing_is_said() -> None:
    one = stream()
    one.answer(b"{1}\n")
    one.answer(b"{2}\n")
    one.say(b"{3}\n")
    assert one.plain() == b"{1}"


def test_a_stream_without_a_name_keeps_nothing() -> None:
    kept = Part(Load())
    one = Stream("", LIMIT_BYTES, kept)
    one.say(b"{1}\n")
    assert kept.held_bytes > 0
    assert said(one.take()) == [(b"", b"{1}")]
    assert kept.held_bytes == 0


def test_a_new_reader_ends_the_one_before_and_reads_on() -> None:
    one = stream()
    first = one.attach()
    second = one.attach()
    assert (first.is_over, second.is_over) == (True, False)
    one.detach(first)
    assert one.reader is second


def test_who_left_before_anything_was_said_cannot_come_back() -> None:
    one = stream()
    reader = one.attach()
    one.detach(reader)
    assert one.lost
    one.say(b"{1}\n")
    assert one.take() == b""
    assert not one.resume(0)


def test_what_a_reader_has_not_taken_yet_is_not_forgotten() -> None:
    one = stream()
    reader = one.attach()
    one.say(b"{1}\n")
    assert not one.forget_oldest()
    one.detach(reader)
    assert one.forget_oldest()
    assert not one.forget_oldest()


steps = st.lists(st.sampled_from(["say", "take", "forget", "resume"]) | st.integers(0, 12), max_size=30)


@settings(max_examples=300)
@given(steps)
def test_events_come_in_order_each_once_from_where_the_reader_stands(steps: list[str | int]) -> None:
    kept = Part(Load())
    one = Stream("1", LIMIT_BYTES, kept, awaited=0)
    last = position = forgotten = 0
    for step in steps:
        if step == "say":
            last += 1
            one.say(b"{%d}\n" % last)
        elif step == "take":
            numbers = [int(data[1:-1]) for _, data in said(one.take())]
            assert numbers == list(range(max(position, forgotten) + 1, last + 1))
            position = last
        elif step == "forget":
            forgotten += one.forget_oldest()
            assert forgotten <= last
        elif isinstance(step, int):
            can_resume = one.resume(step)
            assert can_resume == (step <= last)
            position = step if can_resume else position
    one.forget()
    assert kept.held_bytes == 0

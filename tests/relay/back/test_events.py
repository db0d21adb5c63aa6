"""Server-sent events: what is read does not depend on the parts in which it comes."""

from __future__ import annotations

import json
from itertools import pairwise

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.relay.back.events import ID_MAX_BYTES, EventReader, ServerEvent, TooLong

MAX_BYTES = 1 << 20

FIELDS = st.sampled_from(["data", "event", "id", "retry", "", "other", "data ", " data"])
VALUES = st.text(alphabet=st.sampled_from('ab0 :{}"\u00e4\u2028\x0b\x0c\x85\0'), max_size=8)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])
LINES = st.one_of(
    st.tuples(FIELDS, st.sampled_from([":", ": ", ""]), VALUES).map("".join),
    st.just(""),
    st.just(""),
    VALUES.map(lambda text: ":" + text),
)
STREAMS = st.tuples(
    st.sampled_from(["", "\ufeff"]), st.lists(st.tuples(LINES, ENDS).map("".join), max_size=20), VALUES
).map(lambda parts: (parts[0] + "".join(parts[1]) + parts[2]).encode())
CUTS = st.lists(st.integers(0, 400), max_size=12)


def read(*parts: bytes, max_bytes: int = MAX_BYTES) -> tuple[list[ServerEvent], bytes, int | None]:
    """All that is read of a stream which comes in these parts."""
    reader = EventReader(max_bytes)
    events = [event for part in parts for event in reader.feed(part)]
    return events, reader.last_id, reader.retry_ms


def message(data: bytes) -> ServerEvent:
    return ServerEvent(b"message", data)


@given(STREAMS, CUTS)
def test_any_parts_give_the_same_as_the_whole(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    assert read(*(stream[begin:end] for begin, end in pairwise(places))) == read(stream)


@given(STREAMS)
def test_single_bytes_give_the_same_as_the_whole(stream: bytes) -> None:
    assert read(*(bytes([byte]) for byte in stream)) == read(stream)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers()), max_size=6), ENDS)
def test_the_sdk_s_own_reader_finds_the_same_messages(sent: list[dict[str, str | int]], end: str) -> None:
    stream = "".join(
        f"id: {number}{end}event: message{end}data: {json.dumps(body)}{end}{end}" for number, body in enumerate(sent)
    ).encode()
    request = httpx2.Request("GET", "http://server/")
    response = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream, request=request)
    theirs = [event.data.encode() for event in httpx2.EventSource(response)]
    assert [event.data for event in read(stream)[0]] == theirs
    assert [json.loads(data) for data in theirs] == sent


def test_bytes_that_are_no_text_are_passed_on_as_they_came() -> None:
    assert read(b'data: {"a":"\xff\xfe\xed\xa0\x80"}\n\n')[0] == [message(b'{"a":"\xff\xfe\xed\xa0\x80"}')]


def test_lines_of_data_are_joined_and_a_single_space_is_taken_off() -> None:
    assert read(b"data:a\ndata:  b\ndata\n\n")[0] == [message(b"a\n b\n")]


def test_an_event_without_its_end_is_none() -> None:
    assert read(b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n') == ([], b"", None)


def test_an_id_counts_once_its_event_is_complete_even_where_that_carries_nothing() -> None:
    reader = EventReader(MAX_BYTES)
    assert reader.feed(b"id: 7\n") == []
    assert reader.last_id == b""
    assert reader.feed(b"\n") == []
    assert reader.last_id == b"7"
    assert reader.feed(b"id: 8\ndata:\n\n") == [message(b"")]
    assert reader.last_id == b"8"


def test_other_kinds_keep_their_name_and_the_next_event_is_a_message_again() -> None:
    kinds = [event.kind for event in read(b"event: endpoint\ndata: /x\n\ndata: y\n\n")[0]]
    assert kinds == [b"endpoint", b"message"]


def test_what_is_no_number_of_milliseconds_is_no_time_to_wait() -> None:
    assert read(b"retry: 250\nretry: soon\nretry: 99999999999\n\n") == ([], b"", 250)


def test_an_event_that_does_not_end_is_too_long_in_one_line_and_in_many() -> None:
    with pytest.raises(TooLong):
        read(b"data: ", *[b"x" * 1000] * 20, max_bytes=10_000)
    with pytest.raises(TooLong):
        read(*[b"data:\n"] * 10_000, max_bytes=10_000)


def test_comments_and_unknown_fields_weigh_nothing_however_many() -> None:
    reader = EventReader(1000)
    for _ in range(1000):
        assert reader.feed(b": " + b"x" * 900) == []
        assert reader.feed(b"x" * 900 + b"\nping: 1\nevent: e\n") == []
    assert reader.feed(b"data: y\n\n") == [ServerEvent(b"e", b"y")]


def test_an_event_of_a_hundred_mebibytes_comes_whole() -> None:
    data = b"x" * (100 << 20)
    reader = EventReader(len(data) + 100)
    stream = b"data: " + data + b"\n\n"
    events = [event for at in range(0, len(stream), 1 << 16) for event in reader.feed(stream[at : at + (1 << 16)])]
    assert [len(event.data) for event in events] == [len(data)]


def test_an_id_that_no_header_could_carry_is_not_kept() -> None:
    assert read(b"id: a\n\nid: " + b"x" * (ID_MAX_BYTES + 1) + b"\ndata: y\n\n")[1] == b""
    assert read(b"id: a\n\nid: b\0\ndata: y\n\n")[1] == b"a"

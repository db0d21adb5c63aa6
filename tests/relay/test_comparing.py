"""A check of an adopted result, line by line; and what is kept of results that are compared."""

from __future__ import annotations

import json

import pytest

from spec_mcp.engine.passing import Apart
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.results import compare_results
from spec_mcp.relay.comparing import COMPARED_MAX_BYTES, FAST, Kept, side
from tests.relay.rig import Rig, answer, call, own_id

OLD, NEW = b'{"content":[{"type":"text","text":"1"}]}', b'{"content":[{"type":"text","text":"2"}]}'


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(monkeypatch, settings=Settings(wasted_call_s=0.01, check_every=1))


def checked(rig: Rig, early: bytes) -> bytes:
    """A hit is made again, unseen by its client; the id of that."""
    own = rig.held(result=early)
    assert rig.client(call(1, "get")).to_client == [answer(1, early)]
    assert rig.to_server == []
    rig.predictor.says = []
    (line,) = rig.quiet().waits(0.2).to_server
    assert json.loads(line)["params"]["name"] == "get"
    assert own_id(line) != own
    return own_id(line)


@pytest.mark.parametrize(("real", "verdict"), [(OLD, "same"), (NEW, "different")])
def test_a_hit_is_made_again_and_the_client_sees_nothing_of_it(rig: Rig, real: bytes, verdict: str) -> None:
    rig.server(answer(checked(rig, OLD), real))
    assert rig.recorder.comparisons == []
    (row,) = rig.quiet().recorder.comparisons
    assert (row.tool, row.verdict, row.is_check, row.how) == ("get", verdict, True, "hit")
    assert (row.early, row.real) == ((OLD, NEW) if verdict == "different" else (None, None))
    assert [row.tool for row in rig.recorder.demotions] == (["get"] if verdict == "different" else [])
    assert (rig.to_client, rig.to_server) == ([], [])
    assert rig.is_empty()


def test_a_demoted_tool_is_made_for_real(rig: Rig) -> None:
    rig.server(answer(checked(rig, OLD), NEW)).quiet()
    rig.predicts("get", id=2)
    rig.client(call(5, "unheard-of", '{"id":5}')).server(answer(5)).quiet()
    assert [line for line in rig.to_server if b'"get"' in line] == []
    assert ("get", "demoted") in rig.recorder.skips
    assert rig.client(call(6, "get", '{"id":2}')).to_server == [call(6, "get", '{"id":2}')]


def test_a_write_in_between_ends_the_check_and_frees_what_was_kept_for_it(rig: Rig) -> None:
    own = checked(rig, OLD)
    rig.client(call(2, "put")).server(answer(2))
    rig.server(answer(own, NEW)).quiet()
    assert rig.recorder.comparisons == []
    assert rig.is_empty()


def test_results_that_are_large_are_kept_as_a_digest() -> None:
    kept = Kept()
    kept.keep(1, b"x" * (COMPARED_MAX_BYTES + 1))
    held = kept.take(1)
    assert held is not None
    assert (len(held.text), held.size_bytes) == (32, COMPARED_MAX_BYTES + 1)
    assert side(b"{}") == (b"{}", 2)
    assert kept.take(1) is None


@pytest.mark.parametrize(
    ("early", "real"),
    [
        (b'{"a":1}', b'{"a":1.0}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":{"x":1,"y":[1,2]}}', b'{"a":{"y":[1,2],"x":1}}'),
        (b'{"a":"\\ud800"}', b'{"a":"\\ud800", "b":1}'),
        (b'{"a":"\\ud800"}', b'{ "a":"\\ud800"}'),
        (b'{"a":123456789012345678901234567890}', b'{"a":123456789012345678901234567891}'),
        (b'{"a":1}', b"no json"),
        (b"[" * 3000 + b"]" * 3000, b"[" * 3001 + b"]" * 3001),
        (b'{"content":[{"type":"text","text":"[1,2"}]}', b'{"content":[{"type":"text","text":"[1,2]"}]}'),
    ],
)
def test_the_fast_codec_tells_results_apart_as_the_engine_does(early: bytes, real: bytes) -> None:
    apart = Apart(0.0, 1.0)
    assert compare_results(early, real, {}, apart, FAST).verdict is compare_results(early, real, {}, apart).verdict

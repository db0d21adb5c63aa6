"""Exchanges are recorded without the key, and replayed without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spec_mcp.errors import UserError
from spec_mcp.predict.guessing import Ending
from spec_mcp.predict.prompts import Scene
from spec_mcp.speculators.exchanges import Recorded, RecordingApi, ReplayingApi, Tape
from spec_mcp.speculators.taping import Taping
from tests.servers.models import Fails, Says
from tests.speculators.asking import KEY, KINDS, NEXT, SCENE, Fixture, Kind

A = Says.guesses(("get", {"path": "a.txt"}, 0.7))


@pytest.mark.parametrize("kind", KINDS)
def test_a_replay_answers_as_it_was_without_a_network_and_says_what_it_does_not_hold(
    make: Callable[..., Fixture], kind: Kind, tmp_path: Path
) -> None:
    recording = make(kind)
    path = tmp_path / "tape.jsonl"
    tape = Tape(path)
    recording.speculator.api = RecordingApi("small", recording.settings, recording.speculator.api, tape.write)
    recording.server.then(Fails(500, "wrong key {key}"), A)
    before = [recording.ask(), recording.ask()]
    tape.close()
    assert [answered.ending for answered in before] == [Ending.FAILED, Ending.ANSWERED]
    assert KEY not in path.read_text()
    assert recording.server.url.removesuffix("/v1") in path.read_text()

    replay = make(kind)
    replay.speculator.api = ReplayingApi("small", replay.settings, Recorded(path))
    assert [replay.ask(), replay.ask(), replay.ask()] == [*before, before[1]]
    unknown = replay.ask(scene=Scene(SCENE.tools, ()))
    assert unknown.ending is Ending.FAILED
    assert "does not hold" in replay.said[-1]
    assert len(replay.server.asked) == 2, "nothing was sent"


def test_what_is_no_recording_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    path.write_text("\n{}\n")
    with pytest.raises(UserError, match=r"--replay .*tape\.jsonl:2: no exchange"):
        Recorded(path)
    with pytest.raises(UserError, match="there is no such file"):
        Taping.of(None, str(tmp_path / "none"))


def test_tokens_questions_at_once_and_failures_are_bounded(make: Callable[..., Fixture]) -> None:
    tokens = make("chat", tokens_per_minute=3_000)
    tokens.server.then(Says(A.text, input_tokens=2_500))
    assert [tokens.ask().ending for _ in range(2)] == [Ending.ANSWERED, Ending.HELD_BACK]
    tokens.now_s = 61.0
    tokens.server.then(A)
    assert tokens.ask().ending is Ending.ANSWERED

    failing = make("chat")
    failing.server.then(*[Fails(500)] * 3)
    assert [failing.ask().ending for _ in range(4)] == [*[Ending.FAILED] * 3, Ending.HELD_BACK]
    failing.now_s = 6.0
    failing.server.then(Fails(429, headers={"retry-after": "40"}), A)
    assert failing.ask().ending is Ending.FAILED, "half-open: one is let through"
    failing.now_s = 45.0
    assert failing.ask().ending is Ending.HELD_BACK, "as long as the server asks for"
    failing.now_s = 47.0
    assert failing.ask().ending is Ending.ANSWERED

    one = make("chat", concurrency=1)
    one.server.then(A)

    async def two() -> list[Ending]:
        asked = [one.speculator.ask(replace(NEXT, k=k), SCENE, 10.0) for k in (4, 3)]
        return [answered.ending for answered in await asyncio.gather(*asked)]

    assert one.run(two()) == [Ending.ANSWERED, Ending.HELD_BACK]

"""`spec-mcp wrap` in front of a server that thinks slowly and guesses fast what it will say."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

from tests.pipes import RawClient

SERVERS = Path(__file__).resolve().parents[1] / "servers"
PAUSE_S = 0.5
MOVES = 5


def play(command: list[str], home: Path) -> list[bytes]:
    """Each answer makes the next question."""
    answers: list[bytes] = []
    with RawClient(command, env={"SPEC_MCP_HOME": str(home)}) as client:
        client.initialize()
        client.list_tools()
        moves: list[str] = []
        for _ in range(MOVES):
            answer = client.call("think", {"moves": moves})
            answers.append(answer.member("result") or b"")
            moves = [*moves, answer.message["result"]["structuredContent"]["move"]]
        client.close_input()
        assert client.wait_exit() == 0
    return answers


def test_the_next_thought_begins_on_a_right_guess_while_the_one_before_it_goes_on(
    tmp_path: Path, spec_mcp_home: Path
) -> None:
    server = [sys.executable, str(SERVERS / "musing.py"), str(PAUSE_S)]
    settings = tmp_path / "config.toml"
    settings.write_text("[speculation]\nwasted_call_s = 0.02\n")  # the thoughts are as short as tests must be
    given = ["--manifest", str(SERVERS / "musing.toml"), "--config", str(settings)]
    with_us, without = tmp_path / "with", tmp_path / "without"
    wrapped = [sys.executable, "-m", "spec_mcp", "wrap", *given, "--", *server, str(with_us)]
    assert play(wrapped, spec_mcp_home) == play([*server, str(without)], spec_mcp_home)
    log = with_us.read_text().splitlines()
    thoughts = [" ".join(f"m{number}" for number in range(count)) for count in range(MOVES)]
    early = [
        log.index(f"begins {following}") < log.index(f"ends {thought}") for thought, following in pairwise(thoughts)
    ]
    assert any(early), log
    assert any(line.startswith("begins") and "x" in line for line in log), "the likelier guess, which was wrong"
    assert all(log.count(f"begins {thought}") == 1 for thought in thoughts), "no thought was made twice"

"""Chess as an MCP server: the rules, the engine, and that the same look always finds the same."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Literal

import anyio
import chess
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from tests.needs import ROOT
from tests.wrapped_servers.uci import LATE_S
from wrapped_servers.chess.__main__ import GLANCE_NODES
from wrapped_servers.chess.engines import PATIENCE_S, Engines, NoEngine, find_engine
from wrapped_servers.chess.games import MAX_HALF_MOVES, Games, Refused, legal, outcome, position
from wrapped_servers.chess.server import make_server

UCI = shlex.join([sys.executable, str(Path(__file__).with_name("uci.py"))])
MATE_IN_ONE = ["e2e4", "e7e5", "d1h5", "b8c6", "f1c4", "g8f6"]
DEADLINE_S = 60


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def served(engine: str | None = None, most: int = 0) -> Client:
    """A client of a server in this process."""
    return Client(make_server(Engines(find_engine({}, engine), most), GLANCE_NODES))


async def ask(client: Client, tool: str, **arguments: object):
    """The structured result; it must not be an error."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: object) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.content
    return str(result.content[0])


# --- the rules --------------------------------------------------------------------------------------------------------


def test_a_position_is_what_its_moves_lead_to() -> None:
    assert len(legal(position([]))) == 20
    assert position(["e2e4", "e7e5"]).fen().startswith("rnbqkbnr/pppp1ppp/8/4p3/4P3/8/PPPP1PPP/RNBQKBNR w")
    assert outcome(position([*MATE_IN_ONE, "h5f7"])) == "1-0 checkmate"
    assert outcome(position(MATE_IN_ONE)) is None


@pytest.mark.parametrize(
    ("moves", "complaint"),
    [
        (["e2e5"], "half-move 1: e2e5 is not legal in rnbq"),
        (["e2e4", "pawn"], "half-move 2: 'pawn' is no move; write it like 'e2e4'"),
        (["g1f3", "g8f6", "f3g1", "f6g8"] * MAX_HALF_MOVES, "2400 half-moves are more than the 600"),
    ],
)
def test_what_is_no_game_is_refused_with_the_reason(moves: list[str], complaint: str) -> None:
    with pytest.raises(Refused, match=complaint.split("'", maxsplit=1)[0].replace("(", r"\(")):
        position(moves)


def test_games_go_on_beside_each_other() -> None:
    games = Games()
    one, other = games.begin([]), games.begin(["e2e4"])
    games.play(one, "d2d4")
    games.play(other, "c7c5")
    assert [move.uci() for move in games.board(one).move_stack] == ["d2d4"]
    assert [move.uci() for move in games.board(other).move_stack] == ["e2e4", "c7c5"]
    with pytest.raises(Refused, match="there is no 'game-3': begin one with new_game"):
        games.board("game-3")
    won = games.begin([*MATE_IN_ONE, "h5f7"])
    with pytest.raises(Refused, match="has ended: 1-0 checkmate"):
        games.play(won, "e8f7")


# --- the engine -------------------------------------------------------------------------------------------------------


def test_the_engine_that_is_named_comes_first() -> None:
    assert find_engine({"SPEC_MCP_UCI": UCI}) == shlex.split(UCI)
    assert find_engine({"SPEC_MCP_UCI": "nothing-like-it"}, UCI) == shlex.split(UCI)


def test_without_an_engine_the_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wrapped_servers.chess.engines.STOCKFISH", ("no-such-stockfish",))
    with pytest.raises(NoEngine, match="install Debian's or Homebrew's stockfish, or name a UCI engine"):
        find_engine({})
    server = [sys.executable, "-m", "wrapped_servers.chess", "--engine", "no-such-engine"]
    ended = subprocess.run(server, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "chess: 'no-such-engine' starts no program: name a UCI engine by --engine or SPEC_MCP_UCI\n"
    )


@pytest.mark.anyio
async def test_any_uci_engine_will_do_and_one_that_is_none_is_said() -> None:
    with anyio.fail_after(DEADLINE_S):
        async with served(UCI) as client:
            assert await ask(client, "think", moves=[], nodes=10) == {"move": "a2a3"}
            guesses = await ask(client, "glance", moves=[], k=3)
            assert guesses == {"guesses": [{"result": {"move": "a2a3"}, "confidence": 1.0}]}
        async with served(f"{sys.executable} -c pass") as client:
            assert "does not speak UCI" in await refused(client, "think", moves=[], nodes=10)


@pytest.mark.anyio
async def test_an_engine_that_dies_or_is_cancelled_costs_that_look_alone() -> None:
    with anyio.fail_after(DEADLINE_S):
        async with served(f"{UCI} --die --hang", 1) as client:
            assert "died" in await refused(client, "think", moves=["e2e4", "e7e5"], nodes=10)
            with anyio.move_on_after(0.5) as scope:
                await client.call_tool("think", {"moves": ["e2e4"], "nodes": 10})
            assert scope.cancelled_caught
            assert await ask(client, "think", moves=[], nodes=10) == {"move": "a2a3"}, "its one place is free again"


@pytest.mark.anyio
async def test_a_look_that_is_cancelled_before_the_engine_begins_with_it_is_stopped_too() -> None:
    engines = Engines(find_engine({}, f"{UCI} --late --hang"), 1)
    board = chess.Board()
    board.push_uci("e2e4")
    with anyio.fail_after(PATIENCE_S / 2):
        assert await engines.think(chess.Board(), 10) == "a2a3"
        with anyio.move_on_after(LATE_S / 5) as scope:
            await engines.think(board, 10)
        assert scope.cancelled_caught
        assert await engines.think(chess.Board(), 10) == "a2a3"
        await engines.close()


@pytest.mark.chess
@pytest.mark.anyio
async def test_looks_that_are_cancelled_at_any_moment_cost_no_other_look() -> None:
    engines, random, board = Engines(find_engine({})), Random(1), chess.Board()

    async def look(is_cancelled: bool) -> None:
        if is_cancelled:
            with anyio.move_on_after(random.uniform(0.001, 0.1)):
                await engines.think(board, 5_000_000)
        else:
            assert await engines.think(board, 1_000)

    with anyio.fail_after(DEADLINE_S):
        for _ in range(10):
            async with anyio.create_task_group() as tasks:
                for number in range(9):
                    tasks.start_soon(look, number % 3 > 0)
        await engines.close()


@pytest.mark.chess
@pytest.mark.anyio
async def test_a_look_depends_on_the_position_and_the_nodes_alone() -> None:
    moves = ["d2d4", "g8f6", "c2c4", "e7e6"]
    with anyio.fail_after(DEADLINE_S):
        async with served() as client:
            alone = await ask(client, "think", moves=moves, nodes=20_000)
            found: list[object] = []

            async def look(then: list[str], mine: bool) -> None:
                chosen = await ask(client, "think", moves=then, nodes=20_000)
                if mine:
                    found.append(chosen)

            async with anyio.create_task_group() as tasks:  # side by side, and on engines that have looked before
                for _ in range(3):
                    tasks.start_soon(look, moves, True)
                    tasks.start_soon(look, ["e2e4"], False)
            assert found == [alone] * 3


@pytest.mark.chess
@pytest.mark.anyio
async def test_a_glance_guesses_legal_moves_likeliest_first() -> None:
    with anyio.fail_after(DEADLINE_S):
        async with served() as client:
            assert await ask(client, "think", moves=MATE_IN_ONE, nodes=5_000) == {"move": "h5f7"}
            guesses = (await ask(client, "glance", moves=MATE_IN_ONE, k=3))["guesses"]
            assert guesses[0]["result"] == {"move": "h5f7"}
            assert guesses[0]["confidence"] > 0.9, "there is nothing like a mate"
            guesses = (await ask(client, "glance", moves=["e2e4", "c7c5"], k=10))["guesses"]
            assert len(guesses) == 10
            confidences = [guess["confidence"] for guess in guesses]
            assert confidences == sorted(confidences, reverse=True)
            assert 0 < sum(confidences) <= 1.001
            board = chess.Board()
            for move in ("e2e4", "c7c5"):
                board.push_uci(move)
            assert all(chess.Move.from_uci(guess["result"]["move"]) in board.legal_moves for guess in guesses)
            (only,) = (await ask(client, "glance", moves=["e2e4", "c7c5"], k=1))["guesses"]
            assert only["confidence"] < 0.6, "that only one was asked for makes it no surer"
            ended = [*MATE_IN_ONE, "h5f7"]
            assert await ask(client, "glance", moves=ended, k=3) == {"guesses": []}
            assert "has ended: 1-0 checkmate" in await refused(client, "think", moves=ended, nodes=10)


@pytest.mark.anyio
async def test_an_answer_comes_no_sooner_than_it_is_asked_for() -> None:
    with anyio.fail_after(DEADLINE_S):
        async with served(UCI) as client:
            began = anyio.current_time()
            await ask(client, "think", moves=[], nodes=10, min_seconds=0.3)
            assert anyio.current_time() - began >= 0.3


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "revision"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_it_serves_its_tools_in_both_eras_over_stdio(mode: Literal["legacy", "auto"], revision: str) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "wrapped_servers.chess", "--engine", UCI], cwd=ROOT
    )
    with anyio.fail_after(DEADLINE_S):
        async with Client(command, mode=mode) as client:
            assert client.protocol_version == revision
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert tools == {"new_game", "play", "board", "legal_moves", "think", "glance"}
            begun = await ask(client, "new_game", moves=["e2e4"])
            played = await ask(client, "play", game=begun["game"], move="e7e5")
            assert await ask(client, "board", game=begun["game"]) == played
            assert await ask(client, "think", moves=played["moves"], nodes=1) == {"move": "a2a3"}

"""Replays whose right figures are known by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.policy import Settings
from spec_mcp.predict.default import DefaultPredictor
from spec_mcp.predict.predictor import Supposed
from spec_mcp.records import CallEvent, Session
from spec_mcp.replay import oracle
from spec_mcp.replay.evaluate import Evaluation, Options
from spec_mcp.replay.script import Timings, own_names, set_stage, write_script
from spec_mcp.replay.tally import calibration_error
from tests.replay.recorded import Guess, play, read, session, write

NAMES = [
    "source", "sessions", "calls", "reads", "reachable", "answered", "answered_share", "answered_reads_share",
    "speculations", "used_share", "next_tool_top1", "next_call_top1", "next_call_top3", "wait_s", "wait_hidden_s",
    "wait_hidden_share", "oracle_hidden_s", "decide_ms_p50", "decide_ms_p99",
]  # fmt: skip


def test_a_right_guess_hides_a_whole_call() -> None:
    tally, _ = play(
        [session(read("a", {}), read("b", {"x": 1}))], lambda answered, _: [("b", {"x": 1}, 0.9)] if answered else []
    )
    assert (tally.calls, tally.reads, tally.answered, tally.speculations, tally.used) == (2, 2, 1, 1, 1)
    assert (tally.wait_s, tally.wait_hidden_s) == (2.0, 1.0)
    assert tally.next_call_top1 == 1


def test_a_wrong_guess_is_waste_and_hides_nothing() -> None:
    tally, _ = play([session(read("a", {}), read("b", {}))], lambda *_: [("b", {"x": "wrong"}, 0.9)])
    assert (tally.answered, tally.speculations, tally.used, tally.wait_hidden_s) == (0, 1, 0, 0.0)


def test_a_short_gap_hides_as_much_as_it_is_long() -> None:
    tally, _ = play(
        [session(read("a", {}), read("b", {}))],
        lambda answered, _: [("b", {}, 0.9)] if answered else [],
        latency_s=2.0,
        think_s=0.5,
    )
    assert (tally.answered, tally.wait_hidden_s) == (1, 0.5)


def test_a_write_spoils_what_is_held() -> None:
    tally, _ = play(
        [session(read("a", {}), write("w", {}), read("b", {}))],
        lambda answered, _: [("b", {}, 0.9)] if answered == 1 else [],
    )
    assert (tally.answered, tally.speculations, tally.used) == (0, 1, 0)


def test_a_manifest_decides_what_a_write_spoils() -> None:
    def tool(effect: Effect) -> ToolPolicy:
        return ToolPolicy(effect, touches=("file:{path}",), exclusive=True, open_world=False)

    policy = ServerPolicy(
        "x", {"a": tool(Effect.READ), "b": tool(Effect.READ), "w": tool(Effect.UNSAFE)}, concurrent=True
    )
    from tests.replay.recorded import Foretelling

    predictor = Foretelling(lambda answered, _: [("b", {"path": "/b"}, 0.9)] if answered == 1 else [])
    options = Options(
        settings=Settings(wasted_call_s=0.01),
        timings=Timings(1.0, 3.0),
        manifest=policy,
        make=lambda policies, seed: predictor,
    )
    events = (read("a", {"path": "/a"}), write("w", {"path": "/c"}), read("b", {"path": "/b"}))
    assert Evaluation(options).play([session(*events)], ()).answered == 1


def test_one_result_answers_one_call() -> None:
    tally, _ = play(
        [session(read("a", {}), read("b", {}), read("b", {}))],
        lambda answered, _: [("b", {}, 0.9)] if answered == 1 else [],
    )
    assert (tally.answered, tally.speculations) == (1, 1)


def test_calls_of_one_turn_do_not_help_each_other() -> None:
    tally, predictor = play(
        [session(read("a", {}), read("b", {}, batch=5), read("c", {}, batch=5), read("d", {}))],
        lambda answered, _: [("c", {}, 0.9)] if answered >= 1 else [],
    )
    assert tally.answered == 1, "c was foretold after a, before the turn"
    assert all(made != 2 for made, _, _ in predictor.asked), "nothing is asked between the calls of a turn"
    late, _ = play([session(read("b", {}, batch=5), read("c", {}, batch=5))], lambda answered, _: [("c", {}, 0.9)])
    assert late.answered == 0


def test_an_error_answers_nothing() -> None:
    tally, _ = play(
        [session(read("a", {}), read("b", {}, is_error=True))], lambda answered, _: [("b", {}, 0.9)] if answered else []
    )
    assert (tally.answered, tally.used) == (0, 0)


def test_a_chain_stands_only_on_results_that_the_record_tells() -> None:
    def guesses(answered: int, supposed: object) -> list[Guess]:
        chain = len(supposed) if isinstance(supposed, tuple | list) else 0
        if answered != 1:
            return []
        return [("b", {}, 0.9), ("never", {}, 0.9)] if chain == 0 else [("c", {}, 0.9)]

    tally, predictor = play([session(read("a", {}), read("b", {}), read("c", {}), read("never", {"x": 1}))], guesses)
    assert tally.answered == 2
    assert {supposed for _, _, supposed in predictor.asked} >= {(), ("b",)}
    assert not any("never" in supposed for _, _, supposed in predictor.asked)


def test_a_call_that_a_speculation_answered_does_not_repeat_its_turn() -> None:
    events = [read("a", {"n": number}) for number in range(6)]
    tally, _ = play([session(*events)], lambda answered, _: [("a", {"n": answered}, 0.9)] if answered else [])
    assert (tally.calls, tally.answered) == (6, 5)


def test_guesses_are_made_while_a_slow_call_is_running() -> None:
    tally, predictor = play(
        [session(read("a", {}), read("slow", {}), read("b", {}))],
        lambda answered, _: [("b", {}, 0.9)] if answered == 1 else [],
        latency_s=5.0,
        think_s=0.0,
    )
    assert (2, 1, ()) in predictor.asked
    assert tally.answered == 1


def test_strict_scores_count_every_call_and_take_abstaining_for_a_miss() -> None:
    guesses: list[Guess] = [("x", {}, 0.9), ("y", {}, 0.8), ("b", {}, 0.7), ("c", {}, 0.6)]
    tally, _ = play([session(read("a", {}), read("b", {}))], lambda answered, _: guesses if answered else [])
    assert (tally.calls, tally.next_call_top1, tally.next_call_top3, tally.next_tool_top1) == (2, 0, 1, 0)


def test_the_perfect_guesser_needs_to_see_the_values() -> None:
    events = (
        read("find", {"email": "who@example.com"}, "user_1"),
        read("get", {"id": "user_1"}, '{"orders": ["W1", "W2"]}'),
        read("order", {"id": "W1"}),
        write("cancel", {"id": "W1"}),
        read("order", {"id": "W2"}),
    )
    stage = set_stage([session(*events)], (), None)
    bound = oracle.bound(write_script(session(*events), stage, Timings(1.0, 3.0)), oracle.Constants())
    assert (bound.reachable, bound.hidden_s) == ({1, 2, 4}, 3.0)


def test_the_output_has_exactly_the_names_that_are_fixed() -> None:
    tally, _ = play([session(read("a", {}))], lambda *_: [])
    assert list(tally.report("x")) == NAMES


def test_calibration_is_measured_over_bins_of_equal_mass() -> None:
    assert calibration_error([(0.5, True), (0.5, False)] * 30) == 0.0
    assert calibration_error([(0.9, False)] * 30) == pytest.approx(0.9)
    assert calibration_error([(0.05, True)] * 30) == 0.0, "what is told with less than 0.1 does not count"


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["mcp__shop__get", "mcp__shop__put"], ["get", "put"]),
        (["mcp__a__get", "mcp__b__get", "mcp__b__put"], ["mcp__a__get", "mcp__b__get", "put"]),
        (["get", "srv__get"], ["get", "srv__get"]),
    ],
)
def test_a_clients_prefix_is_taken_off_where_the_rest_is_unique(names: list[str], own: list[str]) -> None:
    assert [own_names(names)[name] for name in names] == own


# --- no look-ahead ----------------------------------------------------------------------------------------------------


def shop(number: int, seed: int, tail: bool = True) -> Session:
    """A session whose second half is drawn by lot."""
    draw = random.Random(seed)
    orders: list[Json] = [f"W{number}{index}" for index in range(4)]
    events: list[CallEvent] = [
        read("find", {"email": f"c{number}@example.com"}, f"user_{number}"),
        read("get", {"id": f"user_{number}"}, json.dumps({"orders": orders})),
        read("order", {"id": orders[0]}, json.dumps({"status": "pending"})),
    ]
    if tail:
        rest = [read("order", {"id": order}, "{}") for order in orders[1:]]
        rest += [write("cancel", {"id": orders[0]}), read("order", {"id": orders[0]}, "{}")]
        draw.shuffle(rest)
        events += rest
    return session(*events, name=f"s{number}")


class Overheard(DefaultPredictor):
    """The predictor that learns, keeping all that it told."""

    def __init__(self) -> None:
        super().__init__({}, 0)
        self.told: list[Json] = []

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        found = super().predict(session, supposed, limit, now_s)
        if not supposed:
            self.told.append([[c.tool, c.arguments, c.q] for c in found])
        return found


@pytest.mark.parametrize("seed", range(5))
def test_another_future_leaves_what_was_predicted_before_it_unchanged(seed: int) -> None:
    def told(last: Session) -> list[Json]:
        predictor = Overheard()
        options = Options(timings=Timings(1.0, 3.0), make=lambda policies, seed: predictor)
        evaluation = Evaluation(options)
        evaluation.train([shop(number, number) for number in range(8)], ())
        predictor.told.clear()
        evaluation.play([last], ())
        return predictor.told

    one, other = told(shop(50, seed)), told(shop(50, seed + 100))
    alone = told(shop(50, 0, tail=False))
    assert len(alone) >= 4
    assert one[: len(alone) - 1] == other[: len(alone) - 1] == alone[:-1]
    assert one != other


def test_a_replay_is_the_same_each_time() -> None:
    def figures() -> dict[str, object]:
        evaluation = Evaluation(Options(seed=3))
        report = evaluation.play([shop(number, number) for number in range(20)], ()).report("x")
        return {name: value for name, value in report.items() if not name.startswith("decide")}

    assert figures() == figures()


def test_what_is_not_learned_online_leaves_each_session_as_the_training_did() -> None:
    options = Options(online=False, timings=Timings(1.0, 3.0))
    evaluation = Evaluation(options)
    evaluation.train([shop(number, number) for number in range(8)], ())
    alone = Evaluation(options)
    alone.train([shop(number, number) for number in range(8)], ())
    together = evaluation.play([shop(20, 1), shop(21, 2)], ())
    apart = alone.play([shop(20, 1)], ())
    apart.add(alone.play([shop(21, 2)], ()))
    assert (together.answered, together.speculations) == (apart.answered, apart.speculations)


def test_the_share_that_the_user_wants_is_kept(tmp_path: Path) -> None:
    def used(target: float) -> float:
        evaluation = Evaluation(Options(used_share=target, timings=Timings(1.0, 3.0)))
        return evaluation.play([shop(number, number) for number in range(80)], ()).used_share

    assert used(0.85) > used(0.3)

"""What every kind of speculator promises, by the vendor's own library against a server that speaks its protocol."""

from __future__ import annotations

import gzip
import importlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter, with_config

from spec_mcp.predict.guessing import Ending, Guess
from spec_mcp.predict.prompts import Scene
from spec_mcp.speculators.bounded import ANSWER_MAX_BYTES
from tests.servers.models import Cuts, Drips, Fails, ModelServer, Raw, RefusesTheForm, Says
from tests.speculators.asking import KEY, KINDS, NEXT, RUNNING, SCENE, Fixture, Kind

PATHS = {"responses": "/v1/responses", "chat": "/v1/chat/completions", "messages": "/v1/messages"}
FORMS = {
    "responses": ("openai.types.responses.response_create_params", "ResponseCreateParamsNonStreaming"),
    "chat": ("openai.types.chat.completion_create_params", "CompletionCreateParamsNonStreaming"),
    "messages": ("anthropic.types.message_create_params", "MessageCreateParamsNonStreaming"),
}

A = Says.guesses(("get", {"path": "a.txt"}, 0.7), ("get", {"path": "b.txt"}, 0.2))
GUESSES = (Guess("files", "get", {"path": "a.txt"}, 0.7), Guess("files", "get", {"path": "b.txt"}, 0.2))


def test_guesses_come_back_with_what_they_cost(any_kind: Fixture) -> None:
    any_kind.server.then(A)
    answered = any_kind.ask()
    assert (answered.ending, answered.guesses) == (Ending.ANSWERED, GUESSES)
    spent = answered.spent
    assert (spent.input_tokens, spent.cached_tokens, spent.output_tokens) == (1000, 400, 50)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("effort", ["", "low"])
def test_a_request_is_one_of_the_librarys_own_type(make: Callable[..., Fixture], kind: Kind, effort: str) -> None:
    speculator = make(kind, effort=effort)
    for question in (NEXT, RUNNING):
        speculator.server.then(Says(A.text))
        speculator.ask(question)
        speculator.server.then(RefusesTheForm(A))
    for asked in speculator.server.asked:
        assert asked.path == PATHS[kind]
        module, name = FORMS[kind]
        form: Any = getattr(importlib.import_module(module), name)  # here: what only collects tests is spared seconds
        strict = with_config(ConfigDict(extra="forbid"))(form)
        TypeAdapter(strict).validate_python(asked.body)


def test_the_beginning_of_a_prompt_stays_the_same_while_the_session_goes_on(any_kind: Fixture) -> None:
    any_kind.ask()
    any_kind.ask(scene=Scene(SCENE.tools, (*SCENE.events, *SCENE.events)))
    first, second = any_kind.server.asked
    assert first.prefix == second.prefix
    assert first.suffix != second.suffix
    assert "a.txt" not in first.prefix


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, {}),
        (401, {}),
        (404, {}),
        (429, {"retry-after": "7"}),
        (500, {}),
        (529, {}),
        (503, {"retry-after-ms": "5"}),
    ],
)
def test_an_error_costs_one_question_and_is_told_without_the_key(
    any_kind: Fixture, status: int, headers: dict[str, str]
) -> None:
    any_kind.server.then(Fails(status, "wrong key {key}", headers))
    answered = any_kind.ask()
    assert (answered.ending, answered.guesses) == (Ending.FAILED, ())
    assert len(any_kind.server.asked) == 1, "it is not tried again"
    assert len(any_kind.said) == 1
    assert str(status) in any_kind.said[0]
    assert KEY not in any_kind.said[0]
    assert any_kind.server.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "behaviour",
    [Cuts(), Cuts(after=10), Raw(b"<html>", "text/html"), Raw(b"{broken"), Raw(b"[]"), Raw(b"{}"), Raw(b"null")],
    ids=str,
)
def test_an_answer_that_is_none_of_the_api_fails_the_question(any_kind: Fixture, behaviour: Any) -> None:
    any_kind.server.then(behaviour)
    assert any_kind.ask().ending is Ending.FAILED
    any_kind.server.then(A)
    assert any_kind.ask().guesses == GUESSES, "and the next one is asked as before"


def test_an_answer_without_end_or_packed_is_not_read_to_its_end(any_kind: Fixture) -> None:
    packed = gzip.compress(b'{"x":"' + b"x" * 2**20 + b'"}')
    endless = b'{"x":"' + b"x" * (ANSWER_MAX_BYTES + 2**20) + b'"}'
    for behaviour in (Raw(endless), Raw(packed, headers={"content-encoding": "gzip"})):
        any_kind.server.then(behaviour)
        assert any_kind.ask().ending is Ending.FAILED
    any_kind.server.then(A)
    assert any_kind.ask().guesses == GUESSES


def test_what_is_asked_goes_nowhere_else_when_a_server_says_so(any_kind: Fixture) -> None:
    with ModelServer() as other:
        any_kind.server.then(Fails(307, headers={"location": f"{other.url}/v1/chat/completions"}))
        assert any_kind.ask().ending is Ending.FAILED
        assert other.asked == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would guess that the agent reads a.txt",
        "{}",
        '{"guesses": 3}',
        '{"guesses": [3]}',
        json.dumps({"guesses": [{"tool": "delete_all", "arguments": "{}", "confidence": 1.0}]}),
        json.dumps({"guesses": [{"tool": "get", "arguments": "{}", "confidence": 1.0}]}),
        json.dumps({"guesses": [{"tool": "get", "arguments": '{"path": 3}', "confidence": 1.0}]}),
        json.dumps({"guesses": [{"tool": "get", "arguments": "[]", "confidence": 1.0}]}),
        json.dumps({"guesses": [{"tool": "get", "arguments": '{"path": "a"', "confidence": 1.0}]}),
        '{"guesses": [{"tool": "get", "arguments": "{\\"path\\": \\"a\\"}", "confidence": NaN}]}',
    ],
)
def test_an_answer_without_a_call_that_could_be_made_is_invalid_and_paid_for(
    make: Callable[..., Fixture], text: str
) -> None:
    speculator = make("chat", price_input=1.0)
    speculator.server.then(Says(text))
    answered = speculator.ask()
    assert (answered.ending, answered.guesses) == (Ending.INVALID, ())
    assert answered.spent.price > 0


def test_a_server_that_takes_no_form_is_asked_in_words_from_then_on(any_kind: Fixture) -> None:
    fenced = Says(f"<think>{{</think>Here you are:\n```json\n{A.text}\n```")
    any_kind.server.then(RefusesTheForm(fenced), RefusesTheForm(fenced), RefusesTheForm(fenced))
    assert any_kind.ask().guesses == GUESSES
    assert any_kind.ask().guesses == GUESSES
    assert [asked.is_structured for asked in any_kind.server.asked] == [True, False, False]
    assert '"guesses"' in any_kind.server.asked[-1].prefix


def test_slow_bytes_are_no_answer_in_time(any_kind: Fixture) -> None:
    any_kind.server.then(Drips())
    began = time.monotonic()
    answered = any_kind.ask(within_s=0.2)
    assert answered.ending is Ending.TIMED_OUT
    assert answered.spent.input_tokens > 0, "what was sent is taken to be paid for"
    assert time.monotonic() - began < 30, "it drips for longer"


def test_prices_are_those_of_a_million_tokens(make: Callable[..., Fixture]) -> None:
    speculator = make("chat", price_input=10.0, price_cached=1.0, price_output=100.0)
    speculator.server.then(A)
    assert speculator.ask().spent.price == pytest.approx((600 * 10 + 400 * 1 + 50 * 100) / 1e6)


def test_where_a_server_counts_nothing_the_tokens_are_estimated(
    make: Callable[..., Fixture], server: ModelServer
) -> None:
    server.then(Says(A.text, with_usage=False))
    assert make("chat").ask().spent.input_tokens > 100


def test_a_guess_of_a_running_call_comes_with_what_it_may_answer(any_kind: Fixture) -> None:
    any_kind.server.then(Says.guesses(("get", {"path": "a.txt"}, 0.7), answer='{"files": ["a.txt"]}'))
    assert any_kind.ask(RUNNING).guesses == GUESSES[:1]

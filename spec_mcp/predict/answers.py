"""Reads a speculator's answer: text from a model, which may hold anything."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import cast

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.predict.guessing import Guess
from spec_mcp.predict.prompts import ToolShown

ANSWER_MAX_CHARS = 200_000
"""No list of guesses is so long."""

TRIES_MAX = 64
"""Places in a text at which the answer may begin."""

Takes = Callable[[ToolShown, Arguments], bool]
"""Does the tool's schema take these arguments?"""


class NoAnswer(ValueError):  # noqa: N818  it says what was found, as a state
    """The text holds no guesses that could be read: why."""


def read_guesses(text: str, k: int, labels: Mapping[str, ToolShown], takes: Takes) -> tuple[Guess, ...]:
    """At most `k` guesses of an answer, likeliest first, each of a tool that may be guessed and valid by its schema.

    Raises:
        NoAnswer: the text is no answer, or none of its guesses is valid.
    """
    answer = _object_in(text)
    listed = answer.get("guesses")
    if not isinstance(listed, list):
        raise NoAnswer("it holds no list of guesses")
    found = [guess for item in listed if (guess := _guess(item, labels, takes)) is not None]
    if listed and not found:
        raise NoAnswer("none of its guesses is a call that could be made")
    found.sort(key=lambda guess: -guess.confidence)
    return tuple(found[:k])


def _guess(item: Json, labels: Mapping[str, ToolShown], takes: Takes) -> Guess | None:
    if not isinstance(item, dict):
        return None
    label, confidence = item.get("tool"), item.get("confidence")
    tool = labels.get(label) if isinstance(label, str) else None
    arguments = _arguments(item.get("arguments"))
    if tool is None or arguments is None or isinstance(confidence, bool) or not isinstance(confidence, int | float):
        return None
    if not math.isfinite(confidence) or not takes(tool, arguments):
        return None
    return Guess(tool.server, tool.name, arguments, min(1.0, max(0.0, float(confidence))))


def _arguments(value: Json) -> Arguments | None:
    """An object, or the text of one."""
    if isinstance(value, str):
        try:
            value = cast("Json", json.loads(value, parse_constant=_no_constant) if value.strip() else {})
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _object_in(text: str) -> dict[str, Json]:
    """The first JSON object in a text: models without a strict mode write before it, and fence it."""
    if len(text) > ANSWER_MAX_CHARS:
        raise NoAnswer(f"it is {len(text)} characters long")
    text = text.rpartition("</think>")[2]
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    start = text.find("{")
    for _ in range(TRIES_MAX):
        if start < 0:
            break
        try:
            value, _ = cast("tuple[Json, int]", decoder.raw_decode(text, start))
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and "guesses" in value:
            return value
        start = text.find("{", start + 1)
    raise NoAnswer("it holds no JSON object with guesses")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")

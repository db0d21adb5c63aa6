"""One question to a configured model about the tools of a draft."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import typer

from spec_mcp.cli import models
from spec_mcp.cli.speculators import price
from spec_mcp.cli.text import count, seconds
from spec_mcp.config import ModelPredictor
from spec_mcp.errors import Failed, UserError
from spec_mcp.manifest.advised import ASKED_MAX, Advised, NoAdvice, advice_prompt, read_advice
from spec_mcp.speculators.api import ApiError
from spec_mcp.speculators.exchanges import source_of
from spec_mcp.speculators.once import Once, ask_once
from spec_mcp.speculators.opening import NotUsable

PATIENCE_S = 180.0
"""A model on one's own machine writes a few words a second, and here it writes some about each tool."""

ANSWER_TOKENS, TOOL_TOKENS = 400, 120
"""Of an answer, and for each tool in it: what is set for guesses is far less."""


def advice(name: str, model: ModelPredictor, tools: Sequence[Mapping[str, Any]]) -> Mapping[str, Advised]:
    """What the model says, by tool; nothing where its answer cannot be read, which a person is told.

    Raises:
        UserError: it cannot be asked as it is configured.
        Failed: there is no answer.
    """
    asked = tools[:ASKED_MAX]
    room = ANSWER_TOKENS + TOOL_TOKENS * len(asked)
    model = msgspec.structs.replace(model, output_tokens=max(model.output_tokens, room))
    try:
        once = ask_once(model, os.environ, advice_prompt(asked), PATIENCE_S)
    except NotUsable as error:
        raise UserError(f"[predictors.{name}]: {error}") from error
    except ApiError as error:
        raise Failed(f"--model {name}: {source_of(model)}: {error}: {models.mend(model, error)}") from error
    found: Mapping[str, Advised] = {}
    try:
        found = read_advice(once.text, model.model, asked)
        told = f"said something of {len(found)} of {count(len(tools), 'tool')}"
    except NoAdvice as error:
        told = f"gave an answer that cannot be used ({error}): the draft is made without it"
    typer.echo(f"spec-mcp: {model.model} {told}, in {seconds(once.took_s)}: {_cost(once)}", err=True)
    return found


def _cost(once: Once) -> str:
    return f"{once.tokens.input:,} tokens sent, {once.tokens.output:,} answered, {price(once.price)}"

"""The models that are to predict: each is asked one short question, which says what it costs and how long it takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spec_mcp.cli.findings import Finding, Level
from spec_mcp.cli.models import SLOW_MEND, mend
from spec_mcp.config import Config, ModelPredictor
from spec_mcp.errors import UserError

if TYPE_CHECKING:
    from spec_mcp.engine.calls import Json
    from spec_mcp.speculators.once import Once

PREDICTORS = "Predictors"

PATIENCE_S = 30.0
"""A server of models may have to load the one that is asked for first."""


def predictors(config: Config, *, ask: bool) -> Iterator[Finding]:
    """Each model in the order of the configuration."""
    asked = ask and not _is_off(config)
    for name, model in config.predictors.models.items():
        if model.api_key_env and not os.environ.get(model.api_key_env):
            text = f"{name}: the environment variable {model.api_key_env}, which holds its key, is not set here"
            yield Finding(
                PREDICTORS, Level.NOTE, text, "set it where your client is started; until then it is not asked"
            )
        elif asked:
            yield from _asked(name, model)
            yield from _worth_asking(config, name, model)
        else:
            why = "the mode is off" if ask else "--no-start was given"
            yield Finding(PREDICTORS, Level.NOTE, f"{name}: not asked: {why}")
    if not config.predictors.history and not config.predictors.models:
        text = "nothing predicts: [predictors] history is off, and no model is named"
        yield Finding(PREDICTORS, Level.NOTE, text, "remove `history = false`, or name a model in [predictors.NAME]")


def _is_off(config: Config) -> bool:
    """Is nothing to be sent to models?"""
    from spec_mcp.config import resolve_mode
    from spec_mcp.engine.events import Mode
    from spec_mcp.store.mode import switched
    from spec_mcp.store.settings import StoreSettings

    try:
        said = switched(StoreSettings.of(config, os.environ).place)
        return Mode.OFF in (said, resolve_mode(None, os.environ, config))
    except UserError:  # which has a finding of its own
        return True


def _asked(name: str, model: ModelPredictor) -> Iterator[Finding]:
    from spec_mcp.predict.answers import NoAnswer, read_guesses
    from spec_mcp.predict.guessing import About
    from spec_mcp.predict.prompts import Scene, ToolShown, build_prompt
    from spec_mcp.predict.recent import Step
    from spec_mcp.speculators.api import ApiError
    from spec_mcp.speculators.exchanges import source_of
    from spec_mcp.speculators.once import ask_once
    from spec_mcp.speculators.opening import NotUsable

    schema: dict[str, Json] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = (ToolShown("example", "get_weather", "The weather of a city.", schema, may_be_guessed=True),)
    scene = Scene(tools, (Step(1, "example", "find_city", '{"of": "user"}', '{"city": "Paris"}'),))
    try:
        once = ask_once(model, os.environ, build_prompt(About.NEXT_CALL, 1, scene, model.prompt_chars), PATIENCE_S)
    except NotUsable as error:
        text, _, to_do = str(error).rpartition(": ")
        yield Finding(PREDICTORS, Level.WRONG, f"{name}: {text}", to_do)
        return
    except ApiError as error:
        yield Finding(PREDICTORS, Level.WRONG, f"{name}: {source_of(model)}: {error}", mend(model, error))
        return
    yield _answered(name, model, once)
    try:
        read_guesses(once.text, 1, scene.labels, lambda tool, arguments: True)
    except NoAnswer as error:
        text = f"{name}: what it answers is no guess in the form that was asked for: {error}"
        yield Finding(PREDICTORS, Level.NOTE, text, "take a model that writes JSON, or raise output_tokens")
    if once.took_s > model.timeout_s:
        from spec_mcp.cli.text import seconds

        text = (
            f"{name}: {seconds(once.took_s)} is longer than its timeout_s, {model.timeout_s:g}: such guesses are lost"
        )
        yield Finding(PREDICTORS, Level.NOTE, text, SLOW_MEND)


def _answered(name: str, model: ModelPredictor, once: Once) -> Finding:
    from spec_mcp.cli.speculators import price
    from spec_mcp.cli.text import seconds

    text = (
        f"{name}: {model.model} answers in {seconds(once.took_s)}; the question was {once.tokens.input:,} tokens, the "
        f"answer {once.tokens.output:,}: {price(once.price)}"
    )
    facts = {
        "speculator": name,
        "model": model.model,
        "took_s": round(once.took_s, 4),
        "input_tokens": once.tokens.input,
        "cached_tokens": once.tokens.cached,
        "output_tokens": once.tokens.output,
        "price": round(once.price, 9),
    }
    return Finding(PREDICTORS, Level.OK, text, "", facts)


def _worth_asking(config: Config, name: str, model: ModelPredictor) -> Iterator[Finding]:
    """Is it ever asked at its price?"""
    from spec_mcp.speculators.pricing import known_prices, prices_of

    if known_prices(model) is None:
        text = f"{name}: nobody knows what {model.model} costs, so it counts as dear and is hardly asked"
        yield Finding(PREDICTORS, Level.NOTE, text, "set price_input and price_output, per million tokens")
    elif not prices_of(model).is_free and config.speculation.price_per_hour_saved <= 0:
        text = f"{name}: {model.model} costs money and is not asked"
        to_do = "set [speculation] price_per_hour_saved to what an hour of waiting may cost"
        yield Finding(PREDICTORS, Level.NOTE, text, to_do)

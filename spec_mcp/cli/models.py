"""Models that are asked outside of any session: which, and what to do where there is no answer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spec_mcp.config import ModelPredictor
from spec_mcp.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from spec_mcp.speculators.api import ApiError

NO_KEY = frozenset({401, 403})
NO_MODEL = frozenset({404})
LIMITED = frozenset({402, 429})

SLOW_MEND = (
    'take a smaller model or one nearer by, set effort = "none" where it thinks first, or raise timeout_s; ask again: '
    "the first question may have had to load it"
)


def configured(name: str, config: Path | None) -> ModelPredictor:
    """The model of the table `[predictors.NAME]`, in that configuration or the usual one.

    Raises:
        UserError: there is none.
    """
    from spec_mcp.config import find_config, home, load_config

    path = find_config(config, os.environ)
    models = load_config(path).predictors.models
    if name not in models:
        there = f"there are {', '.join(models)}" if models else "docs/speculators.md shows how to write one"
        where = path or home(os.environ) / "config.toml"
        raise UserError(f"--model {name}: there is no [predictors.{name}] in {where}; {there}")
    return models[name]


def mend(model: ModelPredictor, error: ApiError) -> str:
    """What to do about it."""
    from spec_mcp.speculators.api import Refused, TimedOut

    if isinstance(error, TimedOut):
        return "see whether its server has the model loaded; " + SLOW_MEND
    if not isinstance(error, Refused):
        return "start its server, or check base_url" if model.base_url else "check that this machine reaches it"
    if error.status in NO_KEY:
        if not model.api_key_env:
            return "it wants a key: set api_key_env, the name of a variable that holds it"
        return f"check the key in {model.api_key_env}, and that it may use this model"
    if error.status in NO_MODEL or "model" in error.said.lower():
        return f"check `model`, {model.model!r}, and base_url, which for Chat Completions ends in /v1 as a rule"
    if error.status in LIMITED:
        return "wait, or see what your account may use: until then it is left alone"
    if error.status >= 500:
        return "try it again later: its server has a fault"
    return "see what it says; `model`, `effort` and `output_tokens` are sent as you have set them"

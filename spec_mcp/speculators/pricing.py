"""The prices of a speculator: the user's own, else those of its vendor's list."""

from __future__ import annotations

from spec_mcp.config import ModelPredictor
from spec_mcp.predict.prices import CAUTIOUS, Prices, default_prices, price_of
from spec_mcp.speculators.api import Tokens


def known_prices(settings: ModelPredictor) -> Prices | None:
    """Its prices; None where neither the user nor the list has them."""
    listed = default_prices(settings.model, settings.base_url or "")
    own = (settings.price_input, settings.price_cached, settings.price_output)
    if own == (None, None, None):
        return listed
    given = settings.price_input if settings.price_input is not None else listed.input if listed else 0.0
    cached = settings.price_cached
    if cached is None:  # a part of a price is none of another currency's
        cached = given if settings.price_input is not None or listed is None else listed.cached
    output = settings.price_output if settings.price_output is not None else listed.output if listed else 0.0
    return Prices(given, cached, output)


def prices_of(settings: ModelPredictor) -> Prices:
    """Its prices; cautious ones where they are not known."""
    return known_prices(settings) or CAUTIOUS


def price_of_tokens(tokens: Tokens, settings: ModelPredictor) -> float:
    """What a request costs, in the currency of its prices."""
    return price_of(prices_of(settings), tokens.input, tokens.cached, tokens.output, tokens.written)

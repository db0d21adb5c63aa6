"""What a model's answer costs: prices per million tokens, and from them the price of one request.

The defaults are the list prices of `AS_OF`, in US dollars, for the standard tier and short prompts, as the vendors'
pages gave them; whoever pays otherwise sets prices of their own, in any currency. A model that is not listed has no
default: until its prices are set it counts as dear as `CAUTIOUS`, and the user is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import urlsplit

AS_OF = "2026-11-22"
"""When the defaults were looked up: developers.openai.com/api/docs/pricing, platform.claude.com/docs/…/pricing."""

TOKENS = 1_000_000
"""Prices are for so many."""

WRITING = 1.25
"""What a token costs that is written to a prompt cache, in proportion to one that is not, where that is charged."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Per million tokens, in one currency."""

    input: float
    cached: float
    """For input that was read from the prompt cache."""
    output: float

    @property
    def is_free(self) -> bool:
        """Does nothing cost anything?"""
        return not (self.input or self.cached or self.output)


FREE = Prices(0.0, 0.0, 0.0)
"""A model on a machine of one's own."""

CAUTIOUS = Prices(15.0, 15.0, 75.0)
"""What a model of unknown price is taken to cost: as much as the dearest that anybody would let guess."""

DEFAULTS: Sequence[tuple[str, Prices]] = (
    ("gpt-6-astra*", Prices(10.0, 1.0, 50.0)),
    ("gpt-6-sol*", Prices(2.0, 0.2, 10.0)),
    ("gpt-6-luna*", Prices(0.1, 0.01, 0.5)),
    ("gpt-5.6-sol*", Prices(4.0, 0.4, 20.0)),
    ("gpt-5.6-terra*", Prices(2.0, 0.2, 12.0)),
    ("gpt-5.6-luna*", Prices(0.2, 0.02, 1.2)),
    ("gpt-5.4-mini*", Prices(0.75, 0.075, 4.5)),
    ("gpt-5.4-nano*", Prices(0.2, 0.02, 1.25)),
    ("gpt-5-mini*", Prices(0.25, 0.025, 2.0)),
    ("gpt-5-nano*", Prices(0.05, 0.005, 0.4)),
    ("gpt-4.1-mini*", Prices(0.4, 0.1, 1.6)),
    ("gpt-4.1-nano*", Prices(0.1, 0.025, 0.4)),
    ("gpt-4o-mini*", Prices(0.15, 0.075, 0.6)),
    ("claude-haiku-5-5*", Prices(0.1, 0.01, 0.5)),
    ("claude-haiku-4-5*", Prices(1.0, 0.1, 5.0)),
    ("claude-sonnet-5-5*", Prices(2.0, 0.1, 10.0)),
    ("claude-sonnet-4*", Prices(3.0, 0.3, 15.0)),
    ("claude-opus-5-5*", Prices(4.0, 0.2, 20.0)),
)
"""By model name, the first that fits: models that are quick enough to guess, and their larger sisters."""

_LIST_PRICED = frozenset({"api.openai.com", "api.anthropic.com"})


def default_prices(model: str, base_url: str = "") -> Prices | None:
    """The prices of a model where the user has set none; None: they are not known.

    A server on this machine or in a private network is free. Any other that is not the vendor's own has prices of its
    own, which nobody here knows.
    """
    host = (urlsplit(base_url).hostname or "") if base_url else ""
    if host and _is_near(host):
        return FREE
    if host and host not in _LIST_PRICED:
        return None
    return next((prices for pattern, prices in DEFAULTS if fnmatchcase(model, pattern)), None)


def price_of(
    prices: Prices, input_tokens: float, cached_tokens: float, output_tokens: float, written_tokens: float = 0
) -> float:
    """The price of one request. `input_tokens` counts those that were read from or written to the cache too;
    `written_tokens` are those that the service says were written to it, and charges for."""
    plain = max(0.0, input_tokens - cached_tokens - written_tokens)
    reading = plain * prices.input + cached_tokens * prices.cached + written_tokens * WRITING * prices.input
    return (reading + output_tokens * prices.output) / TOKENS


def _is_near(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return False

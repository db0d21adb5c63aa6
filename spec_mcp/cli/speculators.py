"""What speculators were asked and what that cost, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spec_mcp.cli.text import count, safe, seconds, share

if TYPE_CHECKING:
    from spec_mcp.store.store import Consulted


def as_object(consulted: Mapping[str, Consulted]) -> dict[str, object]:
    """The form that programs read, by speculator."""
    return {
        name: {
            "asked": one.asked,
            "answered": one.answered,
            "guesses": one.guesses,
            "held_back": one.held_back,
            "endings": dict(one.endings),
            "input_tokens": one.input_tokens,
            "cached_tokens": one.cached_tokens,
            "output_tokens": one.output_tokens,
            "price": round(one.price, 9),
            "took_s": round(one.took_s, 6),
        }
        for name, one in consulted.items()
    }


def lines(consulted: Mapping[str, Consulted]) -> list[str]:
    """One for each speculator."""
    return [
        f"speculator {safe(name)}: {count(one.asked, 'question')}, {share(one.answered, one.asked)} answered, after "
        f"{seconds(one.took_s / one.answered if one.answered else 0.0)} each; {one.input_tokens:,} tokens sent "
        f"({one.cached_tokens:,} cached), {one.output_tokens:,} answered: {price(one.price)}"
        for name, one in consulted.items()
    ]


def price(amount: float) -> str:
    """Of whichever currency the prices are in."""
    return "free" if amount == 0 else f"{amount:.4f}" if amount < 1 else f"{amount:,.2f}"

"""What a model's answer costs."""

from __future__ import annotations

import pytest

from spec_mcp.predict.prices import FREE, Prices, default_prices, price_of


def test_a_price_is_that_of_the_tokens_read_afresh_read_from_the_cache_and_said() -> None:
    prices = Prices(input=2.0, cached=0.2, output=10.0)
    assert price_of(prices, 1_000_000, 400_000, 100_000) == pytest.approx(0.6 * 2.0 + 0.4 * 0.2 + 0.1 * 10.0)


def test_what_is_written_to_a_cache_costs_a_quarter_more() -> None:
    assert price_of(Prices(4.0, 0.4, 20.0), 1_000_000, 0, 0, 1_000_000) == pytest.approx(5.0)


@pytest.mark.parametrize("url", ["http://127.0.0.1:11434/v1", "http://localhost:8000", "http://192.168.1.4/v1"])
def test_a_model_of_ones_own_is_free(url: str) -> None:
    assert default_prices("qwen3:4b", url) == FREE


@pytest.mark.parametrize(
    ("model", "url"),
    [("a-model-of-tomorrow", ""), ("gpt-5-nano", "https://models.example.com/v1"), ("gpt-6.1-sol", "")],
)
def test_a_price_that_nobody_knows_is_not_made_up(model: str, url: str) -> None:
    assert default_prices(model, url) is None


def test_dated_names_have_the_price_of_their_model_and_not_of_its_larger_sister() -> None:
    nano, mini = default_prices("gpt-5-nano-2025-08-07"), default_prices("gpt-5-mini")
    assert nano is not None
    assert mini is not None
    assert nano.output < mini.output
    assert default_prices("gpt-5-nano", "https://api.openai.com/v1") == nano

"""One question to a model outside of any session: no bounds, no scores, and every fault told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from spec_mcp.config import ModelPredictor
from spec_mcp.predict.prompts import Prompt
from spec_mcp.speculators.api import Api, Refused, Reply, TimedOut, Tokens
from spec_mcp.speculators.bodies import body_of
from spec_mcp.speculators.opening import open_api
from spec_mcp.speculators.pricing import price_of_tokens


@dataclass(frozen=True, slots=True)
class Once:
    """An answer, and what it cost."""

    text: str
    tokens: Tokens
    price: float
    """In the currency of the prices that are set."""
    took_s: float


def ask_once(settings: ModelPredictor, environ: Mapping[str, str], prompt: Prompt, within_s: float) -> Once:
    """Ask by the client that speculators have. Imports the vendor's library, which takes a second or two.

    Raises:
        NotUsable: it cannot be asked as it is configured.
        ApiError: there is no answer.
    """
    return asyncio.run(_ask_once(settings, environ, prompt, within_s))


async def _ask_once(settings: ModelPredictor, environ: Mapping[str, str], prompt: Prompt, within_s: float) -> Once:
    api = open_api(settings, environ)
    try:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                reply = await _sent(api, settings, prompt, within_s)
        except (TimeoutError, TimedOut):
            raise TimedOut(f"no answer in {within_s:.3g} s") from None
        took_s = time.monotonic() - began_s
    finally:
        await api.close()
    return Once(reply.text, reply.tokens, price_of_tokens(reply.tokens, settings), took_s)


async def _sent(api: Api, settings: ModelPredictor, prompt: Prompt, within_s: float) -> Reply:
    try:
        return await api.send(body_of(settings, prompt, structured=True), within_s)
    except Refused as error:
        if not error.is_of_the_form:
            raise
    return await api.send(body_of(settings, prompt, structured=False), within_s)

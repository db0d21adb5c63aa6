"""OpenAI's Responses API: how its hosted models are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from spec_mcp.speculators.api import NO_TOKENS, Body, Reply, Tokens, looked_into
from spec_mcp.speculators.openai_client import Client

if TYPE_CHECKING:
    from openai.types.responses import Response
    from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

    from spec_mcp.config import ModelPredictor


class ResponsesApi:
    """See `Api`, whose promises it keeps."""

    def __init__(self, settings: ModelPredictor, key: str) -> None:
        self._client = Client(settings.base_url, key)

    async def send(self, body: Body, within_s: float) -> Reply:
        create = self._client.sdk.responses.create
        sent = create(**cast("ResponseCreateParamsNonStreaming", body), timeout=within_s)
        return looked_into(await self._client.say(sent), _reply)

    async def close(self) -> None:
        await self._client.close()


def _reply(response: Response) -> Reply:
    usage = response.usage
    if usage is None:
        return Reply(response.output_text, NO_TOKENS)
    details = usage.input_tokens_details
    tokens = Tokens(usage.input_tokens, details.cached_tokens, details.cache_write_tokens or 0, usage.output_tokens)
    return Reply(response.output_text, tokens)

"""OpenAI's Chat Completions API, which most servers of models speak: Ollama, vLLM, llama.cpp, LM Studio."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from spec_mcp.speculators.api import NO_TOKENS, Body, Reply, Tokens, looked_into
from spec_mcp.speculators.openai_client import Client

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

    from spec_mcp.config import ModelPredictor


class ChatApi:
    """See `Api`, whose promises it keeps."""

    def __init__(self, settings: ModelPredictor, key: str) -> None:
        self._client = Client(settings.base_url, key)

    async def send(self, body: Body, within_s: float) -> Reply:
        create = self._client.sdk.chat.completions.create
        sent = create(**cast("CompletionCreateParamsNonStreaming", body), timeout=within_s)
        return looked_into(await self._client.say(sent), _reply)

    async def close(self) -> None:
        await self._client.close()


def _reply(response: ChatCompletion) -> Reply:
    text = response.choices[0].message.content or ""
    usage = response.usage
    if usage is None:
        return Reply(text, NO_TOKENS)
    details = usage.prompt_tokens_details
    cached, written = (details.cached_tokens or 0, details.cache_write_tokens or 0) if details else (0, 0)
    return Reply(text, Tokens(usage.prompt_tokens, cached, written, usage.completion_tokens))

"""Anthropic's Messages API, by its vendor's library. Imported only when a speculator of this kind is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import anthropic

from spec_mcp.speculators.api import (
    Body,
    Refused,
    Reply,
    TimedOut,
    Tokens,
    looked_into,
    retry_after_s,
    scrubbed,
    unreachable,
)
from spec_mcp.speculators.bounded import bounded

if TYPE_CHECKING:
    from anthropic.types import Message
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

    from spec_mcp.config import ModelPredictor

HOSTED_URL = "https://api.anthropic.com"
NO_KEY = "none"


class MessagesApi:
    """See `Api`, whose promises it keeps."""

    def __init__(self, settings: ModelPredictor, key: str) -> None:
        self._key = key
        # all is given, so that the library looks for no credentials of its own, in the environment or in files
        self._sdk = anthropic.AsyncAnthropic(
            api_key=key or NO_KEY,
            base_url=settings.base_url or HOSTED_URL,
            max_retries=0,
            http_client=bounded(anthropic.DefaultAsyncHttpxClient),
        )

    async def send(self, body: Body, within_s: float) -> Reply:
        try:
            response = await self._sdk.messages.create(
                **cast("MessageCreateParamsNonStreaming", body), timeout=within_s
            )
        except anthropic.APITimeoutError:
            raise TimedOut("no answer in time") from None
        except anthropic.APIStatusError as error:
            said = scrubbed(error.message, self._key)
            raise Refused(error.status_code, said, retry_after_s(error.response.headers)) from None
        except (anthropic.AnthropicError, ValueError) as error:  # ValueError: a body that is no JSON
            raise unreachable(error, self._key) from None
        return looked_into(response, _reply)

    async def close(self) -> None:
        await self._sdk.close()


def _reply(response: Message) -> Reply:
    text = "".join(block.text for block in response.content if block.type == "text")
    usage = response.usage
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    # this API counts what concerns the cache apart
    return Reply(text, Tokens(usage.input_tokens + cached + written, cached, written, usage.output_tokens))

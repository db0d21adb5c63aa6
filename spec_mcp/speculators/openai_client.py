"""OpenAI's library, and what both of its APIs share. Imported only when a speculator of this kind is configured."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import openai

from spec_mcp.speculators.api import Refused, TimedOut, retry_after_s, scrubbed, unreachable
from spec_mcp.speculators.bounded import bounded

HOSTED_URL = "https://api.openai.com/v1"

NO_KEY = "none"
"""What is shown to a server that asks for no key: the library does not go without."""


T = TypeVar("T")


class Client:
    """The vendor's client for one address, with nothing taken from the environment but the key that is named."""

    def __init__(self, base_url: str | None, key: str) -> None:
        self._key = key
        self.sdk = openai.AsyncOpenAI(
            api_key=key or NO_KEY,
            base_url=base_url or HOSTED_URL,
            max_retries=0,
            http_client=bounded(openai.DefaultAsyncHttpxClient),
        )

    async def say(self, answer: Awaitable[T]) -> T:
        """What the server answers.

        Raises:
            ApiError: nothing, or no answer of this API.
        """
        try:
            return await answer
        except openai.APITimeoutError:
            raise TimedOut("no answer in time") from None
        except openai.APIStatusError as error:
            said = scrubbed(error.message, self._key)
            raise Refused(error.status_code, said, retry_after_s(error.response.headers)) from None
        except (openai.OpenAIError, ValueError) as error:  # ValueError: a body that is no JSON
            raise unreachable(error, self._key) from None

    async def close(self) -> None:
        """Let go of its connections."""
        await self.sdk.close()

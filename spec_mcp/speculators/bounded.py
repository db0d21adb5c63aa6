"""The HTTP of vendors' libraries: no more of an answer than a model's may be, and only from where the user said."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

ANSWER_MAX_BYTES = 4 * 2**20
"""Several times the longest that `output_tokens` may ask for."""


class _Bounded(httpx2.AsyncByteStream):
    """A body that breaks off beyond that."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left_bytes = ANSWER_MAX_BYTES
        async for part in self._stream:
            left_bytes -= len(part)
            if left_bytes < 0:
                raise httpx2.ReadError(f"the answer is longer than {ANSWER_MAX_BYTES >> 20} MiB")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def bounded(kind: type[httpx2.AsyncClient]) -> httpx2.AsyncClient:
    """A client of a library's own kind.

    It follows no redirect: what is asked holds what tools said, and goes to the address that the user named alone.
    What is packed could unpack to anything, so it asks for plain text and takes nothing else.
    """
    return kind(follow_redirects=False, event_hooks={"response": [_bound]}, headers={"accept-encoding": "identity"})


async def _bound(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("the answer is packed, though it was not to be")
    assert isinstance(response.stream, httpx2.AsyncByteStream), "it came from an asynchronous transport"
    response.stream = _Bounded(response.stream)

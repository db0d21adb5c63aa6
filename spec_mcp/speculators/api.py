"""What every API promises, whoever made the library behind it."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from spec_mcp.engine.calls import Json

Body = dict[str, Json]
"""A request as it is sent, without credentials."""

BAD_REQUEST = frozenset({400, 422})

_OF_THE_FORM = re.compile(r"response_format|json_schema|output_config|text\.format|structured|schema|grammar", re.I)
"""What servers name that do not take a form for the answer."""

SAID_MAX_CHARS = 200
"""Of a server's own words in a fault: they are for a person's eye."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a server counted."""

    input: int
    """All that were sent, with those below."""
    cached: int
    """Of these, read from the prompt cache."""
    written: int
    """Of these, written to the prompt cache."""
    output: int


NO_TOKENS = Tokens(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came, not yet looked into."""

    text: str
    tokens: Tokens


class ApiError(Exception):
    """No answer, and why: the text is for a person, and names no key."""


class TimedOut(ApiError):  # noqa: N818
    """No answer in time."""


class Unreachable(ApiError):  # noqa: N818
    """The server cannot be reached, or broke off, or speaks another protocol."""


class Refused(ApiError):  # noqa: N818
    """The server answered with an error."""

    def __init__(self, status: int, said: str, retry_after_s: float | None) -> None:
        self.status = status
        self.said = said
        self.retry_after_s = retry_after_s
        """How long it wants to be left alone."""
        super().__init__(f"status {status}: {said}" if said else f"status {status}")

    @property
    def is_of_the_form(self) -> bool:
        """Does the server seem not to hold answers to a form?"""
        return self.status in BAD_REQUEST and _OF_THE_FORM.search(self.said) is not None


class Unrecorded(ApiError):  # noqa: N818
    """What is replayed does not hold the request."""


class Api(Protocol):
    """One model behind one address."""

    async def send(self, body: Body, within_s: float) -> Reply:
        """Send it, once.

        Raises:
            ApiError: there is no answer.
        """
        ...

    async def close(self) -> None:
        """Let go of its connections."""
        ...


R = TypeVar("R")


def looked_into(response: R, look: Callable[[R], Reply]) -> Reply:
    """What an answer says; the libraries do not check its shape.

    Raises:
        Unreachable: it is no answer of this API.
    """
    try:
        return look(response)
    except (AttributeError, TypeError, IndexError) as error:
        raise Unreachable("the answer is none of this API") from error


def unreachable(error: Exception, key: str) -> Unreachable:
    """For an error of a library's own: what lies at the bottom of it says more than the library does."""
    found: BaseException = error
    while found.__cause__ is not None or found.__context__ is not None:
        found = found.__cause__ or found.__context__ or found
    if isinstance(found, ConnectionRefusedError):
        return Unreachable("connection refused")
    return Unreachable(scrubbed(f"{type(error).__name__}: {error or found}", key))


def scrubbed(text: str, key: str) -> str:
    """A server's words without the key, in case it repeats it."""
    said = " ".join(text.split())
    return (said.replace(key, "[key]") if key else said)[:SAID_MAX_CHARS]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long a server wants to be left alone, by its headers: seconds, milliseconds, or a date (RFC 9110)."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        given = headers.get("retry-after")
        if not given:
            return None
        if given.strip()[:1].isdigit():
            return max(0.0, float(given))
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None

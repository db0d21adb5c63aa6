"""What can go wrong with a request over HTTP, told apart by what the server may have done.

The texts are for the person in front of the client: none holds a header, a query or anything that a server was sent.
"""

from __future__ import annotations

import os

import httpx2

from spec_mcp.relay.answering import CONNECTION_CLOSED

METHOD_NOT_FOUND = -32601


class Failure(Exception):  # noqa: N818  what happened
    """The message says what, as a sentence about the server."""


class NotSent(Failure):
    """The server has not got it."""

    def __init__(self, why: str, is_unreachable: bool = False, may_pass: bool = False) -> None:
        super().__init__(why)
        self.is_unreachable = is_unreachable
        """Nobody is there."""
        self.may_pass = may_pass
        """That was told at once, and somebody may be there soon."""


class Cut(Failure):
    """The server may have got it, and may have done it; there will be no answer."""

    def __init__(self, why: str, is_silent: bool = False) -> None:
        super().__init__(why)
        self.is_silent = is_silent
        """Not a byte came back."""


class Refused(Failure):
    """The server has not done it, and says so."""

    def __init__(self, why: str, again_s: float | None = None, code: int = CONNECTION_CLOSED) -> None:
        super().__init__(why)
        self.again_s = again_s
        """When it wants to be asked again, where it says so."""
        self.code = code
        """Of the error that whoever asked gets."""


class Barred(Failure):
    """The server wants other credentials than it gets."""


class Forbidden(Failure):
    """The server does not do this for us, whatever we show."""


class SessionGone(Failure):
    """The server does not know the session any more; it has not done what it was asked."""


class HeadersWanted(Failure):
    """The server wants arguments of the call in headers where they were not; it has not made it."""

    def __init__(self, line: bytes) -> None:
        super().__init__("the server wants other headers")
        self.line = line
        """What it answered."""


def failure_of(error: Exception, begun: bool, answering: bool) -> Failure:
    """What an error of the HTTP library means; `begun`: the server may have part of the request; `answering`: it has
    begun to answer.

    The library's own words are shown only where they cannot hold what was sent.
    """
    if answering:
        return Cut("the connection to the server broke before its answer was complete")
    if begun:
        silent = isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError)
        if isinstance(error, httpx2.WriteTimeout):
            return Cut("the server does not read what it is sent")
        return Cut("the server closed the connection without an answer", is_silent=silent)
    if isinstance(error, httpx2.ConnectTimeout):
        return NotSent("the server cannot be reached: nothing answers there", is_unreachable=True)
    if isinstance(error, httpx2.ConnectError):
        return NotSent(f"the server cannot be reached: {_plain(error)}", is_unreachable=True, may_pass=True)
    if isinstance(error, httpx2.PoolTimeout):
        return NotSent("too many requests to the server are under way")
    if isinstance(error, httpx2.ProxyError):
        return NotSent("the server cannot be reached: the proxy refuses", is_unreachable=True)
    if isinstance(error, httpx2.LocalProtocolError | UnicodeError):
        return NotSent("the request holds what cannot stand in a header")
    return NotSent("the server cannot be reached: the connection broke", is_unreachable=True, may_pass=True)


def _plain(error: Exception) -> str:
    """The system's reason, where there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or "no such name"
        cause = cause.__cause__ or cause.__context__
    return str(error) or "no connection"

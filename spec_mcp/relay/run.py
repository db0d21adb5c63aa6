"""`spec-mcp run`: all servers of a configuration as one, over stdio or HTTP."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.abc

from spec_mcp.config import Config
from spec_mcp.errors import Failed, UserError
from spec_mcp.relay.front.stdio import serve_stdio
from spec_mcp.relay.gateway.gateway import GatewayOptions
from spec_mcp.relay.gateway.serving import serving
from spec_mcp.relay.interpreter import prefer_lines
from spec_mcp.relay.lines import LineReader
from spec_mcp.relay.saying import STDERR, say
from spec_mcp.relay.shared import SharedWriter
from spec_mcp.relay.stopping import SIGNALS

if TYPE_CHECKING:
    from spec_mcp.relay.front.app import Page

    class AddressedPage(Page, Protocol):
        """A page for people, and its path, which is a secret."""

        @property
        def address(self) -> str: ...

        @property
        def entrance(self) -> str:
            """The path where the gateway's own token is asked for."""
            ...


STDIN, STDOUT = 0, 1

DESCRIPTORS_WANTED = 65_536
"""A thousand sessions with a few servers each; the usual limit of 1,024 is for a program with a handful of files."""


def run(
    config: Config,
    options: GatewayOptions,
    http: tuple[str, int] | None,
    environ: Mapping[str, str],
    page: AddressedPage | None = None,
) -> int:
    """Serve until the client leaves or a signal comes; over HTTP a page for people too. Returns the exit status.

    Raises:
        UserError: the configuration cannot be used.
        Failed: the address cannot be served.
    """
    try:
        return anyio.run(_run, config, options, http, environ, page)
    except BaseExceptionGroup as group:  # the tasks among which it was raised are nothing to the user
        if (told := group.subgroup((UserError, Failed))) is None:
            raise
        raise _first_of(told) from None


def _first_of(error: BaseException) -> BaseException:
    within: Sequence[BaseException] = getattr(error, "exceptions", ())
    return _first_of(within[0]) if within else error


async def _run(
    config: Config,
    options: GatewayOptions,
    http: tuple[str, int] | None,
    environ: Mapping[str, str],
    page: AddressedPage | None,
) -> int:
    stopping = _Stop()
    async with anyio.create_task_group() as tasks:
        await tasks.start(stopping.listen)
        if http is None:
            await _over_stdio(config, options, environ, stopping)
        else:
            await _over_http(config, options, environ, stopping, page, *http)
        tasks.cancel_scope.cancel()
    if stopping.number is None or (http is not None and stopping.was_orderly):
        return 0
    return 128 + stopping.number


class _Stop:
    """Being told to stop."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.told = anyio.Event()
        self.hurried = anyio.Event()
        """Told so once more."""

    @property
    def was_orderly(self) -> bool:
        """Were we told as a supervisor tells, and given the time that it takes?"""
        return self.number == signal.SIGTERM and not self.hurried.is_set()

    async def listen(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Note the first of the signals, and that there is another. What our parent had us ignore (`nohup`, say) stays
        ignored."""
        heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        with anyio.open_signal_receiver(*heeded) as signals:
            task_status.started()
            async for number in signals:
                if self.number is None:
                    self.number = number
                    self.told.set()
                else:
                    self.hurried.set()


async def _over_stdio(config: Config, options: GatewayOptions, environ: Mapping[str, str], stopping: _Stop) -> None:
    client_out = SharedWriter(STDOUT)
    message_bytes = max(config.servers[name].message_bytes for name in options.names(config))
    try:
        async with serving(config, options, environ) as gateway, anyio.create_task_group() as tasks:

            async def until_told() -> None:
                await stopping.told.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_told)
            prefer_lines()
            await serve_stdio(gateway, LineReader(STDIN, message_bytes), client_out)
            tasks.cancel_scope.cancel()
    finally:
        client_out.restore()


async def _over_http(
    config: Config,
    options: GatewayOptions,
    environ: Mapping[str, str],
    stopping: _Stop,
    page: AddressedPage | None,
    host: str,
    port: int,
) -> None:
    from spec_mcp.relay.front.app import HttpFront, Readiness  # only where it is needed: a quarter of a second
    from spec_mcp.relay.front.serve import Ending, listening, port_of, serve
    from spec_mcp.relay.front.settings import address_of, http_settings, notice_s_of, require_safe_place

    settings = http_settings(config, environ)
    require_safe_place(settings, host)
    if metrics := settings.listen.metrics:
        options = replace(options, metrics=address_of(metrics, f"[listen] metrics = {metrics}", 9464))
    _have_many_descriptors()
    with listening(host, port) as bound:
        async with serving(config, options, environ) as gateway, anyio.create_task_group() as tasks:

            def readiness() -> Readiness:
                return Readiness(not stopping.told.is_set(), gateway.statuses())

            front = HttpFront(
                settings,
                gateway,
                host=host,
                port=port_of(bound),
                ready=readiness,
                schema_of=gateway.schema_of,
                page=page,
            )

            def notice_s() -> float:  # nobody balances load over what a person ends with a key
                return notice_s_of(settings, host) if stopping.number == signal.SIGTERM else 0.0

            await tasks.start(serve, front, bound, Ending(stopping.told, notice_s, stopping.hurried))
            prefer_lines()
            if page is not None:
                _tell_page(page, f"http://{host}:{port_of(bound)}", settings.token is not None)
            say(f"serving {', '.join(gateway.names)} at http://{host}:{port_of(bound)}/mcp")
            await stopping.told.wait()
            gateway.stop_speculating()


def _tell_page(page: AddressedPage, root: str, has_token: bool) -> None:
    """Its address is a secret: a person who looks on may see it, a log that others keep may not."""
    if os.isatty(STDERR):
        say(f"the dashboard is at {root}{page.address}")
    elif has_token:
        say(f"the dashboard is at {root}{page.entrance}: it asks for the gateway's own token")
    else:
        say("the dashboard's address is a secret and not for a log: `spec-mcp dashboard` shows the same")


def _have_many_descriptors() -> None:
    """Each session takes several: of the client's connection, and of each server's pipes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # fewer clients are served then
            pass


def have_standard_streams() -> None:
    """Where we were started without one, its number must not become a pipe's to a server."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free

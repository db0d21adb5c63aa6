"""What takes a processor for a while, or starts servers: a process of its own, so that no call waits for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

import anyio

from spec_mcp.dashboard.place import Place
from spec_mcp.errors import Failed

TUNE_S = 600.0
"""Five thousand calls at nine settings take half a minute on a quiet machine."""

RECOVER_S = 300.0
"""Several servers, each of which a launcher may have to download."""


class Programs:
    """Runs commands of spec-mcp, one of a kind at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._tuning = anyio.Lock()
        self._recovering = anyio.Lock()
        self.curve: dict[str, Any] | None = None
        """What `tune` said last."""

    @property
    def is_tuning(self) -> bool:
        """Is the curve being drawn?"""
        return self._tuning.locked()

    async def tune(self) -> dict[str, Any]:
        """The cost-latency curve of the user's own history.

        Raises:
            Failed: there is nothing to draw it from, or it is being drawn.
        """
        if self.is_tuning:
            raise Failed("the curve is being drawn already")
        async with self._tuning:
            _, told = await self._run(TUNE_S, "tune", "--json")
            self.curve = told
            return told

    async def recover(self, server: str) -> list[dict[str, Any]]:
        """Have what is open at a server taken back; what came of each entry.

        Raises:
            Failed: it cannot be tried, or is being tried.
        """
        if self._recovering.locked():
            raise Failed("it is being tried already")
        async with self._recovering:
            _, told = await self._run(RECOVER_S, "recover", "--json", "--server", server)
            return told

    async def _run(self, bound_s: float, *arguments: str) -> tuple[int, Any]:
        """The exit status and the JSON that it prints; `recover` prints some with either status."""
        file = self._place.config.file
        command = [*_gently(), *self._place.program, *arguments, *(() if file is None else ("--config", str(file)))]
        try:
            with anyio.fail_after(bound_s):
                done = await anyio.run_process(command, check=False)
        except TimeoutError:
            raise Failed(f"spec-mcp {arguments[0]} did not end within {bound_s:g} s: try it on a terminal") from None
        except OSError as error:
            raise Failed(f"spec-mcp {arguments[0]} cannot be started: {error.strerror or error}") from error
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it says nothing"]
            raise Failed(said[0].removeprefix("spec-mcp: ")) from None


def _gently() -> Sequence[str]:
    nice = shutil.which("nice")
    return (nice, "-n", "10") if nice else ()

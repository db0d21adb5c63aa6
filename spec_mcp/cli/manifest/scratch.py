"""A server on a state of its own: a temporary folder that is made anew for every start, always at the same path."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spec_mcp.errors import Failed, UserError
from spec_mcp.manifest.verifying import Answer, ServerLost
from spec_mcp.relay.meeting import CannotMeet, Visit, visit

if TYPE_CHECKING:
    from spec_mcp.engine.calls import Arguments
    from spec_mcp.manifest.forms import Verify

CALL_S = 20.0
"""For one call: what a scratch state holds is small. A tool that waits longer is not to be called here."""

PREPARE_S = 60.0
"""For one command of `prepare`."""

SCRATCH = "{scratch}"

_QUIET = ("sh", "-c", 'log=$1; shift; exec "$@" 2>>"$log"', "sh")
"""Servers greet on standard error, and this one is started many times: what they say goes to a file."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How the server is started, as its user said."""

    command: tuple[str, ...]
    env: Mapping[str, str]


class Visited:
    """A visit as the verifier sees it."""

    def __init__(self, visited: Visit) -> None:
        self._visited = visited

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The server's tools."""
        return self._visited.introduction.tools

    @property
    def name(self) -> str:
        """What the server calls itself."""
        return self._visited.introduction.name

    def call(self, tool: str, arguments: Arguments) -> Answer:
        """Call a tool, as `Server` says."""
        try:
            answered, decoded = self._visited.call(tool, arguments, CALL_S)
        except CannotMeet as error:
            raise ServerLost(f"{error} (at {tool})") from error
        result = cast("Any", decoded)
        if not answered:
            return Answer({"error": result}, is_error=True)
        if not isinstance(result, dict):
            return Answer(result, is_error=False)
        members = cast("dict[str, Any]", result)
        shown = {key: value for key, value in members.items() if key != "_meta"}
        return Answer(shown, is_error=members.get("isError") is True)


class ScratchServer:
    """Starts a server on its scratch state, as often as it is asked to. `folder` is there for it alone."""

    def __init__(self, launch: Launch, verify: Verify | None, folder: Path) -> None:
        self._folder = folder / "scratch"
        self._log = folder / "stderr"
        self._verify = verify
        self._prepare = [self.filled(command) for command in (verify.prepare if verify else ())]
        self._env = {**launch.env, **{key: self._fill(text) for key, text in (verify.env if verify else {}).items()}}
        given = [*launch.command, *(verify.args if verify else ())]
        self._command = [_whole(part) for part in self.filled(given)]

    def filled(self, texts: Sequence[str]) -> list[str]:
        """Texts with the temporary folder put in."""
        return [self._fill(text) for text in texts]

    @contextmanager
    def start(self) -> Generator[Visited]:
        """The server on a fresh state; it is ended with the block.

        Raises:
            Failed: the state cannot be made, or the server cannot be met on it.
        """
        self._make()
        try:
            with visit([*_QUIET, str(self._log), *self._command], self._env, str(self._folder)) as visited:
                yield Visited(visited)
        except CannotMeet as error:
            raise Failed(f"the scratch server {error}{self.last_words()}: check the command after `--`") from error

    def last_words(self) -> str:
        """The last line that it wrote to standard error, as the end of a sentence."""
        from spec_mcp.cli.text import shorten

        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        said = next((line for line in reversed(lines) if line.strip()), "")
        return f" ({shorten(said, 200)})" if said else ""

    def _fill(self, text: str) -> str:
        return text.replace(SCRATCH, str(self._folder))

    def _make(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        for name, text in (self._verify.files if self._verify else {}).items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for command in self._prepare:
            try:
                done = subprocess.run(
                    command,
                    cwd=self._folder,
                    env={**os.environ, **self._env},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=PREPARE_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Failed(f"[verify] prepare: {command[0]} cannot be run: {error}") from error
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it says nothing"]
                raise Failed(f"[verify] prepare: {' '.join(command)} ended with status {done.returncode}: {said[0]}")


def refuse_real_data(launch: Launch, verify: Verify | None, accepted: bool) -> None:
    """A server that may work on real data is not tried unasked.

    Raises:
        UserError: with what to do.
    """
    if accepted:
        return
    if verify is None:
        raise UserError(
            "verify: it calls tools that write, and the manifest has no [verify] table that says how the server is "
            "started on a state made for it: add one, or --scratch-is-fine if all that the command reaches may change"
        )
    for part in launch.command[1:]:
        if SCRATCH not in part and Path(part).expanduser().is_dir():
            raise UserError(
                f"verify: the command names the folder {part}, which may hold real data: leave it out, since [verify] "
                "adds what the server needs, or add --scratch-is-fine"
            )


def _whole(part: str) -> str:
    """A relative path to something that is there, made absolute: the server is started in the temporary folder."""
    return str(Path(part).absolute()) if "/" in part and not part.startswith("-") and Path(part).exists() else part

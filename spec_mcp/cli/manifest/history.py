"""Recorded sessions for a draft: files, and what is recorded on this machine of the very server that is drafted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spec_mcp.cli.export import as_record
from spec_mcp.cli.opening import open_store, store_place
from spec_mcp.engine.calls import Json
from spec_mcp.manifest.flows import Step
from spec_mcp.predict.results import seen_result as answered
from spec_mcp.records import Session, read_sessions, seen_result

if TYPE_CHECKING:
    from spec_mcp.store.store import SessionTrace


def steps(
    files: Sequence[Path], launched_by: str | Sequence[str] | None, tools: Iterable[str], config: Path | None = None
) -> list[list[Step]]:
    """The calls of these tools, session by session: from the files, and from the store of the configuration where
    `launched_by` names the server's command line or address.

    Raises:
        UserError: a file, or the store, cannot be read.
    """
    known = frozenset(tools)
    found = [session for file in files for session in read_sessions(file)]
    if launched_by is not None:
        found += _recorded(launched_by, config)
    return [[step for step in _steps(session, known) if step.tool in known] for session in found]


def _recorded(launched_by: str | Sequence[str], config: Path | None) -> list[Session]:
    from spec_mcp.store.rows import Scope

    store = open_store(store_place(config))
    if store is None:
        return []
    launch = Scope.of("", launched_by).launch
    try:
        return [_session(trace) for trace in store.traces() if trace.session.scope.launch == launch]
    finally:
        store.close()


def _session(trace: SessionTrace) -> Session:
    own = tuple(call for call in trace.calls if call.server == trace.session.scope.server)
    return as_record(replace(trace, calls=own))


def _steps(session: Session, known: frozenset[str]) -> Iterable[Step]:
    for call in session.calls():
        tool = call.tool if call.tool in known else call.tool.rpartition("__")[2]
        yield Step(tool, call.arguments, None if call.is_error or call.result is None else _seen(call.result))


def _seen(result: Json) -> Json:
    """What expressions see: our own records keep a tool's whole answer, those of others what it holds."""
    is_whole = isinstance(result, dict) and ("structuredContent" in result or isinstance(result.get("content"), list))
    return answered(result) if is_whole else seen_result(result)

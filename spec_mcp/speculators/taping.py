"""Whether exchanges with speculators are written to a file, or answered from one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spec_mcp.errors import UserError


@dataclass(frozen=True, slots=True)
class Taping:
    """Where exchanges are written to, and where answers come from in the place of models."""

    record: Path | None = None
    replay: Path | None = None

    @classmethod
    def of(cls, record: str | None, replay: str | None) -> Taping:
        """As a command line says.

        Raises:
            UserError: both are said, or there is nothing to replay.
        """
        if record and replay:
            raise UserError("--record and --replay: what is replayed is recorded already; name one of them")
        if replay and not Path(replay).is_file():
            raise UserError(f"--replay {replay}: there is no such file; name one that --record has written")
        if record and not Path(record).absolute().parent.is_dir():
            raise UserError(f"--record {record}: there is no such folder; make it first")
        return cls(Path(record).absolute() if record else None, Path(replay).absolute() if replay else None)


NOTHING_TAPED = Taping()

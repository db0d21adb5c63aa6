"""What some tests need that a user's machine may lack. Our own CI has all of it, so that nothing is left out there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests import postgres

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SPEC_MCP_SHARED") or ROOT.parent / "shared")
CHROMIUM = Path(os.environ.get("SPEC_MCP_CHROMIUM") or "/usr/bin/chromium")
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


@dataclass(frozen=True, slots=True)
class Need:
    """Tests with the mark of its name are left out, in one line, where it is not there."""

    mark: str
    is_there: Callable[[], bool]
    missing: str
    """What is not there."""
    mend: str


def _has_engine() -> bool:
    return any(shutil.which(name) for name in ("stockfish", "/usr/games/stockfish"))


NEEDS = (
    Need(
        "shared",
        lambda: (SHARED / "traces").is_dir(),
        f"recorded sessions in {SHARED}",
        "name their folder by SPEC_MCP_SHARED",
    ),
    Need(
        "browser",
        CHROMIUM.exists,
        f"browser at {CHROMIUM}",
        "install Debian's package chromium, or name a Chromium by SPEC_MCP_CHROMIUM",
    ),
    Need(
        "postgres",
        postgres.is_there,
        "PostgreSQL server",
        "run `make servers`, or name one that may be filled by SPEC_MCP_TEST_POSTGRES",
    ),
    Need("chess", _has_engine, "chess engine", "install Debian's or Homebrew's stockfish"),
)

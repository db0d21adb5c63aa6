"""How the interpreter is to treat a process that serves: lines come first."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0005
"""How long another thread, such as the store's, may go on when a line has come: by default it is ten times that."""


def prefer_lines() -> None:
    """Call it once all stands that stays: the collector need not look through that at every turn."""
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)

"""Being told to stop: SIGTERM, SIGINT and SIGHUP, from before the server is started until it has been ended.

This module is on the path of `wrap`'s start: it imports little.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopping:
    """Notes the first of the signals; whoever waits meanwhile is woken."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came."""
        self.wake: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Take note from now on. What our parent had us ignore (`nohup`, say) stays ignored."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.stop)

    def stop(self, number: int, frame: FrameType | None = None) -> None:
        """A signal handler."""
        if self.number is None:
            self.number = number
        self.wake()

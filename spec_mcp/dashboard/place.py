"""What a dashboard looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spec_mcp.config import Config
from spec_mcp.store.mode import ModeSwitch
from spec_mcp.store.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Place:
    """A store, and the settings of who uses it."""

    store: Path
    home: Path
    config: Config
    program: tuple[str, ...]
    """The command line of spec-mcp itself."""

    @property
    def mode(self) -> str:
        """The mode that holds for what is started without one of its own."""
        return str(ModeSwitch(self.store).read() or self.config.speculation.mode)

    @property
    def redactor(self) -> Redactor:
        """What must not be shown, as it must not be kept."""
        return Redactor(self.config.store.redact)

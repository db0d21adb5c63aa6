"""What a dashboard looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spec_mcp.config import Config
from spec_mcp.engine.events import Mode
from spec_mcp.store.place import Remote
from spec_mcp.store.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Place:
    """A store, and the settings of who uses it."""

    store: Path
    """Its file; that of the undo journal alone, where there is a database."""
    home: Path
    config: Config
    program: tuple[str, ...]
    """The command line of spec-mcp itself."""
    remote: Remote | None = None
    """The database that is the store."""

    def mode(self, switched: Mode | None) -> str:
        """The mode that holds for what is started without one of its own."""
        return str(switched or self.config.speculation.mode)

    @property
    def shown(self) -> str:
        """Where the store is, for a person."""
        return str(self.store if self.remote is None else self.remote)

    @property
    def redactor(self) -> Redactor:
        """What must not be shown, as it must not be kept."""
        return Redactor(self.config.store.redact)

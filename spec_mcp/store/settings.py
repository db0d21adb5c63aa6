"""What of the configuration concerns the store, in the form that the recorder works by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spec_mcp.store.store import Merge


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where to record, what of it, and for how long."""

    path: Path
    retention_days: float
    record_results: bool
    redact: tuple[str, ...]
    """Globs over keys whose values are not kept."""
    merges: Mapping[str, Merge] = field(default_factory=dict[str, Merge])
    """How learned rows of a kind add up; those of a kind that is not named here are never made one."""

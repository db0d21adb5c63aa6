"""What of the configuration concerns the store, in the form that the recorder works by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spec_mcp.config import Config, home
from spec_mcp.store.place import Place, locate
from spec_mcp.store.store import Merge


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where to record, what of it, and for how long."""

    place: Place
    retention_days: float
    record_results: bool
    redact: tuple[str, ...]
    """Globs over keys whose values are not kept."""
    merges: Mapping[str, Merge] = field(default_factory=dict[str, Merge])
    """How learned rows of a kind add up; those of a kind that is not named here are never made one."""

    @classmethod
    def of(cls, config: Config, environ: Mapping[str, str], merges: Mapping[str, Merge] | None = None) -> StoreSettings:
        """What a configuration says.

        Raises:
            UserError: its address is no store that can be used, or names a variable that is not set.
        """
        return cls(
            place=locate(config.store_url(environ), folder=home(environ)),
            retention_days=config.store.retention_days,
            record_results=config.store.record_results,
            redact=tuple(config.store.redact),
            merges=merges or {},
        )

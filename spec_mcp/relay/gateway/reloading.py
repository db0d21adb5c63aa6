"""Has the user edited the configuration or a manifest? Looked at by their times, as no system tells of it alike."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spec_mcp.config import Config
from spec_mcp.errors import UserError
from spec_mcp.manifest import find_manifest

LOOK_S = 1.0
"""How often: a dozen `stat`s."""

Signature = tuple[tuple[str, int, int, int], ...]


class Watch:
    """Over the files of one gateway."""

    def __init__(self, config: Config, home: Path) -> None:
        self._home = home
        self.watch(config)

    def watch(self, config: Config) -> None:
        """Look at the files of this configuration from now on, as they are now."""
        self._config = config
        self._known = self._last = self._look()

    def looked(self) -> tuple[bool, bool]:
        """Has the configuration changed, and has any manifest? Said once, when the change is as old as the last look:
        an editor may be in the middle of it."""
        seen = self._look()
        is_still, self._last = seen == self._last, seen
        if not is_still or seen == self._known:
            return False, False
        before, self._known = self._known, seen
        return seen[0] != before[0], seen[1] != before[1]

    def _look(self) -> tuple[Signature, Signature]:
        file = self._config.file
        return signature_of([] if file is None else [file]), signature_of(self._manifests())

    def _manifests(self) -> list[Path]:
        base = None if self._config.file is None else self._config.file.parent
        found: list[Path] = []
        for server in self._config.servers.values():
            if server.manifest is None:
                continue
            try:
                found.append(find_manifest(server.manifest, self._home, base))
            except UserError:  # it may come
                found.append(Path(server.manifest))
        try:
            found += sorted((self._home / "manifests").glob("*.toml"))
        except OSError:
            pass
        return found


def signature_of(files: Iterable[Path]) -> Signature:
    """What changes when one of the files does; a file that is not there has none."""
    found: list[tuple[str, int, int, int]] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        found.append((str(file), status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)

"""Catalogues on disk: what servers said of themselves, for the first client after a start."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from spec_mcp.relay.gateway.catalogue import Catalogue, stem
from spec_mcp.relay.gateway.ports import Principal
from spec_mcp.relay.saying import say

FOLDER = "catalogues"


class Shelf:
    """The catalogues of one home. A disk that fails costs a client the wait for its servers, no more."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._has_complained = False

    def read(self, server: str, launch: str, principal: Principal) -> Catalogue | None:
        """What this server last said to this principal."""
        try:
            return Catalogue.from_json(self._path(server, launch, principal).read_bytes())
        except OSError:
            return None

    def write(self, server: str, launch: str, principal: Principal, catalogue: Catalogue) -> None:
        """Keep what it says now."""
        text = catalogue.to_json()
        if text is None:
            return
        path = self._path(server, launch, principal)
        draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")  # several sessions may write at once
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
            os.replace(draft, path)
        except OSError as error:
            if not self._has_complained:
                self._has_complained = True
                say(f"{path}: {error.strerror}: what servers list is not kept, so clients wait for their starts")

    def _path(self, server: str, launch: str, principal: Principal) -> Path:
        return self._folder / f"{stem(server, launch, principal)}.json"

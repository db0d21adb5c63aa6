"""Where tokens of authorization servers are kept: in the system's keyring, or in a file of the user's own.

One entry holds all that is known for one server: the tokens, until when they hold, and as whom we are registered.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from anyio import to_thread
from mcp.client.auth import TokenStorage
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import BaseModel, ValidationError

from spec_mcp.relay.saying import say

SERVICE = "spec-mcp"
FOLDER = "tokens"
FOLDER_MODE = 0o700

T = TypeVar("T", bound=BaseModel)


class Keeping(Protocol):
    """A place for secrets, by name."""

    def get(self, name: str) -> str | None:
        """What is kept under a name."""
        ...

    def set(self, name: str, secret: str) -> None:
        """Keep this under it."""
        ...


class FileKeeping:
    """A file for each, which nobody else can read."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def get(self, name: str) -> str | None:
        """What is kept under a name."""
        try:
            return self._path(name).read_text()
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def set(self, name: str, secret: str) -> None:
        """Keep this under it; whoever reads meanwhile gets what was there before."""
        self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        handle, written = tempfile.mkstemp(dir=self._folder)  # which is 0600 from its beginning
        try:
            with os.fdopen(handle, "w") as file:
                file.write(secret)
            os.replace(written, self._path(name))
        except BaseException:
            os.unlink(written)
            raise

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


class KeyringKeeping:
    """The system's keyring; where that fails, another place."""

    def __init__(self, keyring: Any, otherwise: Keeping) -> None:
        self._keyring = keyring
        self._otherwise = otherwise

    def get(self, name: str) -> str | None:
        """What is kept under a name."""
        try:
            found = self._keyring.get_password(SERVICE, name)
        except self._keyring.errors.KeyringError:
            found = None
        return found if isinstance(found, str) else self._otherwise.get(name)

    def set(self, name: str, secret: str) -> None:
        """Keep this under it."""
        try:
            self._keyring.set_password(SERVICE, name, secret)
        except self._keyring.errors.KeyringError:
            self._otherwise.set(name, secret)


@cache
def keeping_in(home: Path) -> Keeping:
    """The keyring where one is installed and works (`pip install spec-mcp[keyring]`), else files below `home`."""
    files = FileKeeping(home)
    try:
        keyring = import_module("keyring")
        import_module("keyring.errors")
        if keyring.get_keyring().priority < 1:  # there is none behind it
            return files
    except Exception:  # noqa: BLE001  backends are found by looking at the whole system, and fail in their own ways
        return files
    return KeyringKeeping(keyring, files)


class Tokens(TokenStorage):
    """What is kept for one server, as the SDK's client wants it."""

    def __init__(self, name: str, keeping: Keeping, clock: Callable[[], float] = time.time) -> None:
        self._name = name
        self._keeping = keeping
        self._clock = clock

    async def get_tokens(self) -> OAuthToken | None:
        """The tokens, however old."""
        return _read(OAuthToken, (await self._load()).get("tokens"))

    async def expires_at_s(self) -> float | None:
        """Until when the access token holds, on the wall clock; None where nobody said."""
        expires_at_s = (await self._load()).get("expires_at")
        return float(expires_at_s) if isinstance(expires_at_s, int | float) else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep these."""
        expires_at_s = None if tokens.expires_in is None else self._clock() + tokens.expires_in
        await self._keep({"tokens": _dump(tokens), "expires_at": expires_at_s})

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """As whom we are registered."""
        return _read(OAuthClientInformationFull, (await self._load()).get("client"))

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep that."""
        await self._keep({"client": _dump(client_info)})

    async def forget_client_info(self) -> None:
        """We are to be registered anew."""
        await self._keep({"client": None})

    async def _load(self) -> dict[str, Any]:
        try:
            text = await to_thread.run_sync(self._keeping.get, self._name)
            found = json.loads(text or "{}")
        except ValueError:
            return {}
        except OSError as error:
            say(f"the tokens for {self._name} cannot be read: {error.strerror}")
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    async def _keep(self, parts: Mapping[str, Any]) -> None:
        text = json.dumps({**await self._load(), "server": self._name, **parts})
        try:
            await to_thread.run_sync(partial(self._keeping.set, self._name, text))
        except OSError as error:  # they hold for this process all the same
            say(f"the tokens for {self._name} cannot be kept: {error.strerror}")


def _dump(model: BaseModel) -> Any:
    return model.model_dump(mode="json", exclude_none=True)


def _read(model: type[T], found: Any) -> T | None:
    try:
        return None if found is None else model.model_validate(found)
    except ValidationError:
        return None

"""Does a tool's schema take these arguments? By jsonschema, which never looks anything up on the network here."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry

from spec_mcp.engine.calls import Arguments
from spec_mcp.predict.prompts import ToolShown

KEPT_MAX = 512

_NOWHERE: Registry[Any] = Registry()
"""Holds no schema but the tool's own: a `$ref` to anywhere else is a schema that takes nothing."""


class Schemas:
    """Validators of tools, each made once."""

    def __init__(self) -> None:
        self._validators: dict[int, tuple[ToolShown, Validator]] = {}
        """By identity; kept with the tool, so that no other gets the same."""

    def take(self, tool: ToolShown, arguments: Arguments) -> bool:
        """Are the arguments valid? Where that cannot be said, no."""
        try:
            return self._validator(tool).is_valid(arguments)
        except Exception:  # noqa: BLE001  a server's schema may be wrong in any way, and then nothing is guessed
            return False

    def _validator(self, tool: ToolShown) -> Validator:
        if (known := self._validators.get(id(tool))) is not None:
            return known[1]
        if len(self._validators) >= KEPT_MAX:
            self._validators.clear()
        form = validator_for(tool.schema, default=Draft202012Validator)
        made = form(tool.schema, registry=_NOWHERE)
        self._validators[id(tool)] = (tool, made)
        return made

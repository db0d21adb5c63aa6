"""Does a tool's schema take these arguments? By jsonschema, which never looks anything up on the network here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, cast

from jsonschema import Draft202012Validator, validators
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry

from spec_mcp.engine.calls import Arguments
from spec_mcp.predict.prompts import ToolShown

KEPT_MAX = 512

_NOWHERE: Registry[Any] = Registry()
"""Holds no schema but the tool's own: a `$ref` to anywhere else is a schema that takes nothing."""


REFERENCES_MAX = 1000
"""`$ref`s that one question follows: a schema of some lines may refer to itself as often as there are atoms."""


class _TooMuch(Exception):  # noqa: N818  what happened
    """More references than are followed."""


@cache
def _bounded(form: type[Validator]) -> type[Validator]:
    """Validators that give up where a schema has no end."""

    def following(keyword: str) -> Callable[..., Iterator[object]]:
        follow = form.VALIDATORS[keyword]

        def count_and_follow(validator: Any, to: object, instance: object, schema: object) -> Iterator[object]:
            _followed.count += 1
            if _followed.count > REFERENCES_MAX:
                raise _TooMuch
            yield from follow(validator, to, instance, schema) or ()

        return count_and_follow

    referring = [name for name in ("$ref", "$dynamicRef", "$recursiveRef") if name in form.VALIDATORS]
    counted: Any = {name: following(name) for name in referring}
    return cast("type[Validator]", validators.extend(form, counted))  # pyright: ignore[reportUnknownMemberType]


class _Followed(threading.local):
    count = 0


_followed = _Followed()


def _without_patterns(schema: Any) -> Any:
    """A server's regular expression may take for ever; a call that one forbids is an error that nobody sees."""
    if isinstance(schema, list):
        return [_without_patterns(one) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    members = cast("dict[str, Any]", schema)
    return {
        name: _without_patterns(value)
        for name, value in members.items()
        if not (name == "pattern" and isinstance(value, str)) and name != "patternProperties"
    }


class Schemas:
    """Validators of tools, each made once."""

    def __init__(self) -> None:
        self._validators: dict[int, tuple[ToolShown, Validator]] = {}
        """By identity; kept with the tool, so that no other gets the same."""

    def take(self, tool: ToolShown, arguments: Arguments) -> bool:
        """Are the arguments valid? Where that cannot be said, no."""
        _followed.count = 0
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
        made = _bounded(form)(_without_patterns(tool.schema), registry=_NOWHERE)
        self._validators[id(tool)] = (tool, made)
        return made

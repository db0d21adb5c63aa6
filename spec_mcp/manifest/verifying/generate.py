"""Arguments for tools: from the JSON schema, with values that the server itself has shown.

A value that nobody has ever seen finds nothing and changes nothing, so most values come from what was seen under a
like name (`order_id` from `orders`), the others from a small set, so that two calls often speak of the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, cast

from spec_mcp.engine.calls import Arguments, Json

VALUES_PER_NAME = 64
"""Remembered; the newest push out the oldest."""

LEARNED_DEPTH = 8
"""Deeper values are rarely arguments of anything."""

GENERATED_DEPTH = 6
"""Of nested arguments: a schema that refers to itself ends here."""

NEWEST = 6
"""What was seen last is likely to be there still, so half of the seen values are among the newest."""

WORDS = ("a", "b", "ab", "Alpha", "beta gamma", "é", "x-1", "0")
"""Few, so that calls meet; with a space, an accent and what could be taken for a number."""

NUMBERS = (0, 1, 2, 3, 10)

_SEEN_SHARE, _ANY_SHARE, _NEW_SHARE = 0.55, 0.1, 0.2
"""How often a value is one seen under a like name, one seen anywhere, one that is new; else it is one of `WORDS`."""

_ABOUT_SHARE = 0.7
"""How often a value of a read is one of the call that it is to show."""

_RECORDED_SHARE = 0.3
"""How often a whole call is a recorded one, where there are any."""

_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_TAILS = frozenset({"id", "ids", "name", "names", "key", "keys"})

Schema = Mapping[str, Any]


class Pool:
    """Values that were seen, by what they are called."""

    def __init__(self, fixed: Mapping[str, Sequence[Json]]) -> None:
        self.fixed = fixed
        """By an argument's name, all values that it may have."""
        self._named: dict[str, list[Json]] = {}

    def learn(self, value: Json, name: str = "", depth: int = 0) -> None:
        """Remember the scalars of a value."""
        if depth > LEARNED_DEPTH:
            return
        if isinstance(value, dict):
            for key, inner in value.items():
                # a table by id or by name: its keys are such
                if name and (isinstance(inner, dict) or name.endswith("s")):
                    self._keep(name, key)
                self.learn(inner, key if stem(key) else name, depth + 1)
        elif isinstance(value, list):
            for inner in value:
                self.learn(inner, name, depth + 1)
        elif value is not None and value != "":
            self._keep(name, value)

    def like(self, name: str) -> list[Json]:
        """Values that were seen under a like name, oldest first."""
        return self._named.get(stem(name), [])

    def any(self) -> list[Json]:
        """All values."""
        return [value for values in self._named.values() for value in values]

    def _keep(self, name: str, value: Json) -> None:
        values = self._named.setdefault(stem(name), [])
        if value in values:
            values.remove(value)
        values.append(value)
        del values[:-VALUES_PER_NAME]


def stem(name: str) -> str:
    """What a name speaks of: `order_id`, `orderIds` and `orders` are about an order; `id` alone about nothing."""
    words = [word.lower() for word in _WORD.findall(name)]
    while words and words[-1] in _TAILS:
        words.pop()
    if words:
        last = words[-1]
        words[-1] = last.removesuffix("ies") + "y" if last.endswith("ies") else last.removesuffix("s")
    return " ".join(words)


def noun(tool: str) -> str:
    """What a tool's name speaks of: the `name` of `get_thing` is a thing's."""
    words = _WORD.findall(tool)
    return words[-1] if words else ""


class Generator:
    """Makes arguments; the same seed and the same values seen make the same ones."""

    def __init__(
        self,
        tools: Sequence[Mapping[str, Any]],
        pool: Pool,
        recorded: Mapping[str, Sequence[Arguments]],
        random: Random,
    ) -> None:
        self.pool = pool
        self.random = random
        self._schemas = {tool["name"]: cast("Schema", tool.get("inputSchema") or {}) for tool in tools}
        self._recorded = recorded
        self._about: Pool | None = None

    def needs_arguments(self, tool: str) -> bool:
        """Does the tool have required arguments?"""
        return bool(self._schemas[tool].get("required"))

    def learn(self, tool: str, arguments: Arguments) -> None:
        """Remember the arguments of a call that was made for good."""
        self.pool.learn(dict(arguments), noun(tool))

    def arguments(self, tool: str, about: Pool | None = None) -> Arguments:
        """Arguments for a call; mostly with the values of `about`, where it has any of a like name."""
        self._about = about
        recorded = self._recorded.get(tool)
        if recorded and self.random.random() < _RECORDED_SHARE:
            # a name with fixed values has no others: a recorded path may lead to real data
            return {
                name: self.random.choice(self.pool.fixed[name]) if name in self.pool.fixed else value
                for name, value in self.random.choice(recorded).items()
            }
        schema = self._schemas[tool]
        return cast("Arguments", self._object(schema, schema, noun(tool), 0))

    def overlapping(self, tool: str, arguments: Arguments) -> Arguments:
        """Arguments that share some of their values with these."""
        made = self.arguments(tool)
        for name, value in arguments.items():
            other = made.get(name)
            if isinstance(value, list) and isinstance(other, list):
                kept = [item for item in value if self.random.random() < 0.7]
                made[name] = [*kept, *other] if self.random.random() < 0.5 else [*other, *kept]
            elif self.random.random() < 0.6:
                made[name] = value
        return made

    def _value(self, schema: Schema, root: Schema, name: str, depth: int) -> Json:
        schema = _plain(schema, root, self.random)
        # of a list, the elements are fixed
        if name in self.pool.fixed and schema.get("type") != "array":
            return self.random.choice(self.pool.fixed[name])
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.random.choice(schema["enum"])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = self.random.choice(cast("list[str]", kind))
        if kind == "object" or "properties" in schema:
            return self._object(schema, root, name, depth)
        if kind == "array":
            return self._array(schema, root, name, depth)
        if kind == "boolean":
            return self.random.random() < 0.5
        if kind in ("integer", "number"):
            return self._number(schema, name)
        if kind == "null":
            return None
        return self._text(schema, name)

    def _object(self, schema: Schema, root: Schema, name: str, depth: int) -> Json:
        required = schema.get("required", ())
        made: dict[str, Json] = {}
        for key, inner in schema.get("properties", {}).items():
            if key in required or (depth < GENERATED_DEPTH and self.random.random() < 0.4):
                made[key] = self._value(inner, root, key if stem(key) or key in self.pool.fixed else name, depth + 1)
        return made

    def _array(self, schema: Schema, root: Schema, name: str, depth: int) -> Json:
        least = int(schema.get("minItems", 0))
        count = least if depth >= GENERATED_DEPTH else max(least, self.random.choice((0, 1, 1, 2, 3)))
        count = min(count, int(schema.get("maxItems", count)))
        items: Any = schema.get("items")
        inner: Schema = cast("Schema", items) if isinstance(items, dict) else {}
        return [self._value(inner, root, name, depth + 1) for _ in range(count)]

    def _number(self, schema: Schema, name: str) -> Json:
        seen = [value for value in self.pool.like(name) if isinstance(value, int) and not isinstance(value, bool)]
        number = self.random.choice(seen if seen and self.random.random() < _SEEN_SHARE else NUMBERS)
        low, high = schema.get("minimum", number), schema.get("maximum", number)
        return max(low, min(high, number))

    def _text(self, schema: Schema, name: str) -> str:
        chance = self.random.random()
        near = [value for value in self._about.like(name) if isinstance(value, str)] if self._about else []
        if near and chance < _ABOUT_SHARE:
            return self.random.choice(near)
        like = [value for value in self.pool.like(name) if isinstance(value, str)]
        if like and chance < _SEEN_SHARE:
            return self.random.choice(like if chance < _SEEN_SHARE / 2 else like[-NEWEST:])
        anything = [value for value in self.pool.any() if isinstance(value, str)]
        if anything and chance < _SEEN_SHARE + _ANY_SHARE:
            return self.random.choice(anything)
        text = self.random.choice([*map(str, schema.get("examples") or ()), *WORDS])
        if chance > 1 - _NEW_SHARE:
            text += str(self.random.randrange(1000))
        return text.ljust(int(schema.get("minLength", 0)), "x")[: schema.get("maxLength", len(text) + 99)]


def _plain(schema: Schema, root: Schema, random: Random) -> Schema:
    """A schema without references and alternatives: one of these is taken."""
    for _ in range(GENERATED_DEPTH):
        if isinstance(reference := schema.get("$ref"), str):
            found: Any = root
            for step in reference.removeprefix("#/").split("/"):
                found = cast("dict[str, Any]", found).get(step, {}) if isinstance(found, dict) else {}
            schema = cast("Schema", found)
        elif parts := schema.get("allOf"):
            schema = {key: value for part in parts for key, value in _plain(part, root, random).items()}
        elif choices := schema.get("anyOf") or schema.get("oneOf"):
            schema = random.choice(choices)
        else:
            return schema
    return {}

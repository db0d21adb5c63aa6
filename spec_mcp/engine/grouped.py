"""Things in groups that have names: those of a connection, of a session, of a server. An empty group is none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Thing = TypeVar("Thing")

EMPTY: Mapping[Any, Any] = MappingProxyType({})


class Grouped(Generic[Key, Thing]):
    """Each thing is in one group under a key, in the order in which it came."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[str, dict[Key, Thing]] = {}

    def add(self, name: str, key: Key, thing: Thing) -> None:
        """Put it into the group of this name."""
        if (group := self._groups.get(name)) is None:
            group = self._groups[name] = {}
        group[key] = thing

    def drop(self, name: str, key: Key) -> None:
        """Take it out of the group of this name, in which it is."""
        group = self._groups[name]
        del group[key]
        if not group:
            del self._groups[name]

    def pop(self, name: str) -> Mapping[Key, Thing]:
        """Take a whole group out."""
        return self._groups.pop(name, EMPTY)

    def of(self, name: str) -> Mapping[Key, Thing]:
        """A group as it is now; who changes it meanwhile must take a copy first."""
        return self._groups.get(name, EMPTY)

    def things(self, name: str) -> Collection[Thing]:
        """The things of a group, likewise."""
        return self._groups.get(name, EMPTY).values()

    def __contains__(self, name: str) -> bool:
        return name in self._groups

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

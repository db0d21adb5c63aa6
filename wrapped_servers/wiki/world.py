"""A made-up world by seed: what there is, and what it has to do with each other.

Every relation is a fact that exactly one article states, so that a question can lead from one article to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from wrapped_servers.wiki import names


class Kind(StrEnum):
    """What a thing is."""

    COUNTRY = "country"
    CITY = "city"
    RIVER = "river"
    UNIVERSITY = "university"
    PERSON = "person"
    BAND = "band"
    ALBUM = "album"
    FILM = "film"
    COMPANY = "company"


class Relation(StrEnum):
    """What a thing has to do with another, which its article names."""

    CAPITAL = "capital"
    IN_COUNTRY = "country"
    ON_RIVER = "river"
    IN_CITY = "city"
    BORN_IN = "birthplace"
    STUDIED_AT = "alma mater"
    SPOUSE = "spouse"
    FORMED_IN = "origin"
    SINGER = "singer"
    BY_BAND = "artist"
    DIRECTOR = "director"
    STAR = "star"
    FOUNDER = "founder"
    BASED_IN = "headquarters"


@dataclass(slots=True)
class Thing:
    """One thing, of which there is an article."""

    kind: Kind
    name: str
    title: str
    """The name, with what it is in brackets where other things have the same name."""
    facts: dict[Relation, Thing] = field(default_factory=dict[Relation, "Thing"])
    figures: dict[str, int] = field(default_factory=dict[str, int])
    """Years and numbers that its article holds further down: `born`, `founded`, `population` and so on."""


World = Mapping[Kind, list[Thing]]

COUNTS: Mapping[Kind, int] = {
    Kind.COUNTRY: 12,
    Kind.CITY: 60,
    Kind.RIVER: 24,
    Kind.UNIVERSITY: 30,
    Kind.PERSON: 220,
    Kind.BAND: 40,
    Kind.ALBUM: 80,
    Kind.FILM: 80,
    Kind.COMPANY: 50,
}

SAME_NAME_SHARE = 0.15
"""Albums, films and bands that are called as something else is."""
SEVERAL_MEANINGS = (Kind.ALBUM, Kind.FILM, Kind.BAND)


def make_world(seed: int) -> World:
    """The world of this seed."""
    random = Random(f"world {seed}")
    world: dict[Kind, list[Thing]] = {kind: [] for kind in Kind}
    taken: dict[str, list[Thing]] = {}
    for kind, count in COUNTS.items():
        for _ in range(count):
            name = _name(random, kind, taken)
            thing = Thing(kind, name, name)
            taken.setdefault(name, []).append(thing)
            world[kind].append(thing)
    for same in taken.values():
        if len(same) > 1:
            for thing in same:
                thing.title = f"{thing.name} ({thing.kind})"
    _relate(random, world)
    return world


def _name(random: Random, kind: Kind, taken: Mapping[str, list[Thing]]) -> str:
    if kind in SEVERAL_MEANINGS and random.random() < SAME_NAME_SHARE:
        others = [
            name for name, things in taken.items() if len(things) == 1 and things[0].kind in SEVERAL_MEANINGS
            and things[0].kind is not kind
        ]  # fmt: skip
        if others:
            return random.choice(others)
    while (name := _MAKE[kind](random)) in taken:
        pass
    return name


_MAKE: Mapping[Kind, Callable[[Random], str]] = {
    Kind.COUNTRY: names.country,
    Kind.CITY: names.city,
    Kind.RIVER: names.river,
    Kind.UNIVERSITY: names.university,
    Kind.PERSON: names.person,
    Kind.BAND: names.band,
    Kind.ALBUM: names.work,
    Kind.FILM: names.work,
    Kind.COMPANY: names.company,
}


def _relate(random: Random, world: World) -> None:
    pick = {kind: lambda kind=kind: random.choice(world[kind]) for kind in Kind}
    for city in world[Kind.CITY]:
        city.facts = {Relation.IN_COUNTRY: pick[Kind.COUNTRY](), Relation.ON_RIVER: pick[Kind.RIVER]()}
        city.figures = {"population": random.randrange(20, 3000) * 1000, "founded": random.randrange(900, 1850)}
    for country in world[Kind.COUNTRY]:
        own = [city for city in world[Kind.CITY] if city.facts[Relation.IN_COUNTRY] is country]
        country.facts = {Relation.CAPITAL: random.choice(own or world[Kind.CITY])}
        country.figures = {"area": random.randrange(20, 900) * 1000, "independent": random.randrange(1700, 1990)}
    for river in world[Kind.RIVER]:
        river.figures = {"length": random.randrange(60, 2400)}
    for university in world[Kind.UNIVERSITY]:
        university.facts = {Relation.IN_CITY: pick[Kind.CITY]()}
        university.figures = {"established": random.randrange(1400, 1970), "students": random.randrange(20, 600) * 100}
    for person in world[Kind.PERSON]:
        born = random.randrange(1900, 1990)
        spouse = random.choice([other for other in world[Kind.PERSON] if other is not person])
        person.facts = {
            Relation.BORN_IN: pick[Kind.CITY](),
            Relation.STUDIED_AT: pick[Kind.UNIVERSITY](),
            Relation.SPOUSE: spouse,
        }
        person.figures = {"born": born, "award": born + random.randrange(25, 60)}
    for band in world[Kind.BAND]:
        band.facts = {Relation.FORMED_IN: pick[Kind.CITY](), Relation.SINGER: pick[Kind.PERSON]()}
        band.figures = {"formed": random.randrange(1960, 2010)}
    for album in world[Kind.ALBUM]:
        album.facts = {Relation.BY_BAND: pick[Kind.BAND]()}
        album.figures = {"released": random.randrange(1965, 2020), "tracks": random.randrange(8, 19)}
    for film in world[Kind.FILM]:
        film.facts = {Relation.DIRECTOR: pick[Kind.PERSON](), Relation.STAR: pick[Kind.PERSON]()}
        film.figures = {"released": random.randrange(1930, 2020), "minutes": random.randrange(75, 190)}
    for company in world[Kind.COMPANY]:
        company.facts = {Relation.FOUNDER: pick[Kind.PERSON](), Relation.BASED_IN: pick[Kind.CITY]()}
        company.figures = {"founded": random.randrange(1850, 2010), "staff": random.randrange(2, 900) * 50}

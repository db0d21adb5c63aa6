"""Names for the things of a made-up world."""

from __future__ import annotations

from random import Random

_FIRST = (
    "Ada", "Alma", "Anselm", "Beatriz", "Bruno", "Carla", "Cyrus", "Dara", "Dmitri", "Edith", "Elias", "Farid", "Felix",
    "Greta", "Hana", "Hugo", "Ines", "Ivo", "Jonas", "June", "Kai", "Kira", "Lars", "Lena", "Malik", "Maren", "Nadia",
    "Nils", "Omar", "Opal", "Pablo", "Petra", "Quentin", "Rosa", "Rufus", "Selma", "Tariq", "Thea", "Uma", "Viktor",
)  # fmt: skip
_LAST = (
    "Abernathy", "Aydin", "Barros", "Birchall", "Castell", "Dornach", "Eklund", "Farrow", "Giordano", "Holt", "Hoshino",
    "Ibarra", "Jansen", "Keller", "Lindqvist", "Mosley", "Nakata", "Okafor", "Pereira", "Quist", "Rasmussen", "Sorel",
    "Tanaka", "Ulrich", "Varga", "Whitlock", "Yilmaz", "Zeller",
)  # fmt: skip
_START = ("Al", "Bre", "Cal", "Dor", "El", "Fen", "Gar", "Hal", "Ist", "Jor", "Kel", "Lor", "Mar", "Nor", "Os", "Pel",
          "Quar", "Ros", "Sel", "Tor", "Ul", "Ver", "Wes", "Yar", "Zel")  # fmt: skip
_MIDDLE = (
    "an",
    "ba",
    "den",
    "do",
    "er",
    "go",
    "han",
    "il",
    "ka",
    "la",
    "men",
    "na",
    "or",
    "pe",
    "ra",
    "si",
    "ta",
    "vi",
)
_TOWN = ("burg", "by", "dale", "ford", "haven", "holm", "mouth", "port", "stad", "ton", "wick", "ville")
_LAND = ("ia", "land", "mark", "onia", "stan", "ea")
_WATER = ("ach", "e", "en", "ina", "ow", "une")
_ADJECTIVE = (
    "Amber", "Broken", "Crimson", "Distant", "Electric", "Falling", "Gentle", "Hollow", "Iron", "Jagged", "Last",
    "Midnight", "Narrow", "Open", "Paper", "Quiet", "Restless", "Silent", "Thirteenth", "Velvet", "Wandering", "Yellow",
)  # fmt: skip
_NOUN = (
    "Anchor", "Bridge", "Candle", "Door", "Empire", "Field", "Garden", "Harbour", "Island", "Journey", "Kingdom",
    "Lantern", "Mirror", "Needle", "Orchard", "Parade", "River", "Season", "Tide", "Umbrella", "Voyage", "Window",
)  # fmt: skip
_TRADE = ("Foundry", "Instruments", "Lines", "Mills", "Motors", "Optics", "Press", "Shipyards", "Textiles", "Works")


def person(random: Random) -> str:
    return f"{random.choice(_FIRST)} {random.choice(_LAST)}"


def _stem(random: Random) -> str:
    return random.choice(_START) + random.choice(_MIDDLE)


def city(random: Random) -> str:
    return _stem(random) + random.choice(_TOWN)


def country(random: Random) -> str:
    return _stem(random) + random.choice(_LAND)


def river(random: Random) -> str:
    return f"River {_stem(random)}{random.choice(_WATER)}"


def university(random: Random) -> str:
    stem = _stem(random) + random.choice(_TOWN)
    return random.choice((f"University of {stem}", f"{stem} Institute of Technology", f"{stem} College"))


def work(random: Random) -> str:
    adjective, noun = random.choice(_ADJECTIVE), random.choice(_NOUN)
    return random.choice((f"The {adjective} {noun}", f"{adjective} {noun}", f"A {noun} for {random.choice(_FIRST)}"))


def band(random: Random) -> str:
    return random.choice((f"The {random.choice(_ADJECTIVE)} {random.choice(_NOUN)}s", work(random)))


def company(random: Random) -> str:
    return f"{random.choice((*_LAST, *_ADJECTIVE))} {random.choice(_TRADE)}"

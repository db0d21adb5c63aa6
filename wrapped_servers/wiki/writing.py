"""The articles of a made-up world, in plain prose: what it is about first, figures and gossip further down."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from wrapped_servers.wiki.article import Article, links_in
from wrapped_servers.wiki.world import Kind, Relation, Thing, World

_AN = ("a", "e", "i", "o", "u")

_STATED: dict[Relation, tuple[str, ...]] = {
    Relation.CAPITAL: ("Its capital is {it}.", "The seat of its government is {it}."),
    Relation.IN_COUNTRY: ("It lies in {it}.", "It is one of the older towns of {it}."),
    Relation.ON_RIVER: ("The {it} runs through it.", "It grew around a crossing of the {it}."),
    Relation.IN_CITY: ("Its campus is in {it}.", "It stands near the centre of {it}."),
    Relation.BORN_IN: ("{name} was born in {it}.", "{name} comes from {it}."),
    Relation.STUDIED_AT: ("{name} graduated from {it}.", "Before that came years of study at {it}."),
    Relation.SPOUSE: ("{name} is married to {it}.", "Since a meeting at sea, {name} has been the spouse of {it}."),
    Relation.FORMED_IN: ("The group was formed in {it}.", "Its members met in {it}."),
    Relation.SINGER: ("Its singer is {it}.", "{it} has sung with it from the beginning."),
    Relation.BY_BAND: ("It was recorded by {it}.", "It is the work of {it}."),
    Relation.DIRECTOR: ("It was directed by {it}.", "{it} directed it in one summer."),
    Relation.STAR: ("{it} plays the leading part.", "It stars {it}."),
    Relation.FOUNDER: ("It was founded by {it}.", "{it} began it in a rented shed."),
    Relation.BASED_IN: ("It has its headquarters in {it}.", "It is run from {it}."),
}

_LATE = (Relation.SPOUSE, Relation.ON_RIVER, Relation.BASED_IN)
"""What stands further down, where only a lookup finds it."""

_FIGURES: dict[str, str] = {
    "population": "At the last census it had a population of {n} people.",
    "founded": "It was founded in the year {n}.",
    "area": "Its area is {n} square kilometres.",
    "independent": "It has been independent since {n}.",
    "length": "Its length is {n} kilometres.",
    "established": "It was established in {n} by charter.",
    "students": "About {n} students are enrolled.",
    "born": "The parish register gives {n} as the year of birth, when {name} was born.",
    "award": "A lifetime award followed in {n}.",
    "formed": "Most sources agree that it was formed in {n}.",
    "released": "It was released in {n}.",
    "tracks": "It has {n} tracks.",
    "minutes": "It runs for {n} minutes.",
    "staff": "It employs a staff of {n}.",
}

_FILLER = (
    "Little is known of the years before.",
    "Critics have compared it with {other}.",
    "A popular account, often repeated in {other}, is wrong.",
    "It is mentioned together with {other} in most guidebooks.",
    "The archive was lost in a fire.",
    "A festival is held every autumn.",
    "Letters to {other} have survived.",
    "The story has been told in several ways since.",
)

_ABOUT_PEOPLE = (
    "Little is known of the childhood.",
    "Letters to {other} have survived.",
    "Critics have compared the early work with that of {other}.",
    "A portrait hangs in {other}.",
    "The memoirs appeared late.",
    "A long journey through {other} left its mark.",
)


def write(world: World, seed: int) -> Iterator[Article]:
    """An article of each thing, and one for each name that several things have, which says which they are."""
    random = Random(f"writing {seed}")
    things = [thing for kind in Kind for thing in world[kind]]
    for thing in things:
        yield _article(random, thing, things)
    by_name: dict[str, list[Thing]] = {}
    for thing in things:
        by_name.setdefault(thing.name, []).append(thing)
    for name, same in by_name.items():
        if len(same) > 1:
            titles = tuple(thing.title for thing in same)
            yield Article(name, f"{name} may mean: {'; '.join(titles)}.", titles)


def _article(random: Random, thing: Thing, things: list[Thing]) -> Article:
    others = random.sample(things, 6)
    filler = [
        text.format(other=other.title)
        for text, other in zip(
            random.sample(_ABOUT_PEOPLE if thing.kind is Kind.PERSON else _FILLER, 5), others, strict=False
        )
    ]
    early = [_stated(random, thing, relation) for relation in thing.facts if relation not in _LATE]
    late = [_stated(random, thing, relation) for relation in thing.facts if relation in _LATE]
    random.shuffle(early)
    article = "an" if thing.kind.value.startswith(_AN) else "a"
    lead = [f"{thing.name} is {article} {thing.kind}.", *early, *filler[: 4 - len(early)]]
    figures = [_FIGURES[name].format(n=f"{number}", name=thing.name) for name, number in thing.figures.items()]
    rest = [*filler[4 - len(early) :], *late, *figures]
    random.shuffle(rest)
    text = f"{' '.join(lead)}\n{' '.join(rest)}"
    linked = [fact.title for fact in thing.facts.values()] + [other.title for other in others]
    return Article(thing.title, text, tuple(links_in(text, [title for title in linked if title != thing.title])))


def _stated(random: Random, thing: Thing, relation: Relation) -> str:
    return random.choice(_STATED[relation]).format(name=thing.name, it=thing.facts[relation].title)

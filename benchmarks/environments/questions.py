"""Questions over several hops about a made-up world, and a ReAct agent that answers them by script.

The script stands in for the model's reasoning: it knows which facts a question leads through, but goes on only by what
it has read. As models do it spells titles in several ways, takes wrong turns, searches for phrases that are no titles
and looks words up that are not there. It draws from the question's own seed: where the tools answer the same, it does
the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from spec_mcp.cli.demo.agent import Answer
from wrapped_servers.wiki.world import Kind, Relation, Thing, World

MEDIAN_THINK_S = 1.5
THINK_SPREAD = 0.5
"""Of the logarithm."""
MIN_THINK_S, MAX_THINK_S = 0.4, 6.0

COMPARES_SHARE = 0.25
WRONG_TURN_SHARE = 0.15
OTHER_CASE_SHARE = 0.12
SURPLUS_SPACE_SHARE = 0.05
PHRASE_SHARE = 0.08
"""Searches for what is no title, such as 'Ada Holt person'."""
LOOKS_AGAIN_SHARE = 0.08
"""Articles that are searched for once more."""

MAX_LOOKUPS = 3
"""In one article, by one word."""

KEYWORDS: Mapping[Relation | str, tuple[str, ...]] = {
    Relation.SPOUSE: ("married", "spouse"),
    Relation.ON_RIVER: ("river",),
    Relation.BASED_IN: ("headquarters", "run from"),
    "minutes": ("minutes", "runs"),
    "staff": ("employees", "staff"),
}
"""What is looked up; for others it is the fact's own name."""

WAYS: Sequence[tuple[Kind, tuple[Relation, ...], str | None]] = (
    (Kind.FILM, (Relation.DIRECTOR, Relation.BORN_IN), None),
    (Kind.FILM, (Relation.DIRECTOR, Relation.STUDIED_AT), "established"),
    (Kind.FILM, (Relation.STAR, Relation.SPOUSE), "born"),
    (Kind.FILM, (Relation.STAR, Relation.BORN_IN, Relation.IN_COUNTRY), None),
    (Kind.ALBUM, (Relation.BY_BAND, Relation.FORMED_IN, Relation.IN_COUNTRY), None),
    (Kind.ALBUM, (Relation.BY_BAND, Relation.SINGER), "born"),
    (Kind.ALBUM, (Relation.BY_BAND,), "formed"),
    (Kind.COMPANY, (Relation.FOUNDER, Relation.STUDIED_AT, Relation.IN_CITY), "population"),
    (Kind.COMPANY, (Relation.BASED_IN, Relation.ON_RIVER), "length"),
    (Kind.COMPANY, (Relation.FOUNDER, Relation.SPOUSE), None),
    (Kind.PERSON, (Relation.BORN_IN, Relation.IN_COUNTRY, Relation.CAPITAL), None),
    (Kind.PERSON, (Relation.STUDIED_AT, Relation.IN_CITY), "founded"),
    (Kind.BAND, (Relation.SINGER, Relation.BORN_IN), "population"),
)
"""Where questions begin, through which facts they lead, and the figure that is asked for in the end."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question."""

    seed: str
    starts: tuple[Thing, ...]
    """One, or two that are compared."""
    way: tuple[Relation, ...]
    figure: str | None
    """None: the last thing of the way is the answer."""

    @property
    def answer(self) -> str:
        ends = [_end(start, self.way) for start in self.starts]
        if self.figure is None:
            return ends[0].title
        if len(ends) == 1:
            return str(ends[0].figures[self.figure])
        return max(zip(ends, self.starts, strict=True), key=lambda pair: pair[0].figures[self.figure or ""])[1].title


class Desk(Protocol):
    """Where an agent works."""

    async def call(self, tool: str, **arguments: Any) -> Answer: ...
    async def think(self, duration_s: float) -> None: ...


def draw(world: World, seed: str, count: int) -> list[Question]:
    """So many questions."""
    random = Random(f"questions {seed}")
    return [_question(random, world, f"{seed} {number}") for number in range(count)]


def _question(random: Random, world: World, seed: str) -> Question:
    kind, way, figure = random.choice(WAYS)
    if random.random() < COMPARES_SHARE:
        kind = random.choice((Kind.FILM, Kind.CITY, Kind.UNIVERSITY, Kind.BAND))
        figure = random.choice(sorted(world[kind][0].figures))
        return Question(seed, tuple(random.sample(world[kind], 2)), (), figure)
    return Question(seed, (random.choice(world[kind]),), way, figure)


def _end(thing: Thing, way: Sequence[Relation]) -> Thing:
    for relation in way:
        thing = thing.facts[relation]
    return thing


async def answer(question: Question, desk: Desk, pace: float) -> None:
    """Answer one question at a desk; `pace` scales all thinking."""
    await _Reader(question, desk, pace).work()


class _Reader:
    """One question, from the first search to the answer."""

    def __init__(self, question: Question, desk: Desk, pace: float) -> None:
        self._question = question
        self._desk = desk
        self._pace = pace
        self._random = Random(f"reader {question.seed}")
        self._links: list[str] = []
        """Of what was read last."""

    async def work(self) -> None:
        for start in self._question.starts:
            thing, read = start, await self._open(start, start.name)
            for relation in self._question.way:
                following = thing.facts[relation]
                if following.title not in read:
                    await self._look_up(thing, relation, following.title)
                thing = following
                last = relation is self._question.way[-1] and self._question.figure is None
                if not last:
                    read = await self._open(thing, thing.title)
            if self._question.figure is not None:
                await self._look_up(thing, self._question.figure, str(thing.figures[self._question.figure]))
        await self._call("finish", answer=self._question.answer)

    async def _open(self, thing: Thing, called: str) -> str:
        """Find the article of a thing, by what it is called so far; what its beginning says."""
        if self._links and self._chance(WRONG_TURN_SHARE):
            await self._search(self._random.choice(self._links))
        found = await self._search(self._spelled(thing, called))
        if found["title"] != thing.title:
            found = await self._search(thing.title)  # what it may mean, or what came near, shows the title
        if self._chance(LOOKS_AGAIN_SHARE):
            found = await self._search(thing.title)
        self._links = found["links"]
        return found["text"]

    async def _look_up(self, thing: Thing, what: Relation | str, wanted: str) -> None:
        """Look for what is wanted, word by word, until a sentence says it."""
        for keyword in KEYWORDS.get(what, (str(what),)):
            for index in range(1, MAX_LOOKUPS + 1):
                more = {} if index == 1 else {"index": index}
                said = await self._call("lookup", title=thing.title, keyword=keyword, **more)
                if wanted in said["text"]:
                    return
                if said["next"] is None:
                    break

    async def _search(self, entity: str) -> Any:
        return await self._call("search", entity=entity)

    def _spelled(self, thing: Thing, called: str) -> str:
        if self._chance(PHRASE_SHARE):
            return f"{called} {thing.kind}"
        if self._chance(OTHER_CASE_SHARE):
            return called.lower()
        return f"{called} " if self._chance(SURPLUS_SPACE_SHARE) else called

    async def _call(self, tool: str, **arguments: Any) -> Any:
        thinking_s = self._random.lognormvariate(math.log(MEDIAN_THINK_S), THINK_SPREAD)
        await self._desk.think(min(MAX_THINK_S, max(MIN_THINK_S, thinking_s)) * self._pace)
        return (await self._desk.call(tool, **arguments)).data

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

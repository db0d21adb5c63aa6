"""All that outlives a session: rates, weights, recipes and remembered calls."""

from __future__ import annotations

from typing import cast

from spec_mcp.engine.calls import Json
from spec_mcp.predict.cells import Cells
from spec_mcp.predict.features import BY_KIND, prior_weights
from spec_mcp.predict.memory import Memory
from spec_mcp.predict.mixer import Correction, Mixer
from spec_mcp.predict.recipes import Recipe

VERSION = 1
"""Of what is dumped; another version is not loaded."""

MAX_RECIPES_PER_TOOL = 32
"""Ways to make a call of one tool; the ones that pay least give way."""

MAX_RECIPES = 2_000
RECIPE = 0
"""The kind of the context that is a recipe by itself; its cells tell which recipes there are."""


class Model:
    """What a predictor has learned."""

    def __init__(self) -> None:
        self.cells = Cells()
        self.used = Mixer(prior_weights("used"), BY_KIND)
        self.next_ = Mixer(prior_weights("next"), BY_KIND)
        self.correction = Correction()
        self.memory = Memory()
        self.writes: dict[str, bool] = {}
        self._remembered: dict[str, Recipe] = {}
        self._by_tool: dict[str, dict[str, Recipe]] = {}
        self._by_path: dict[str, dict[str, Recipe]] = {}
        self._by_text: dict[str, Recipe] = {}

    def recipes_from(self, paths: list[str]) -> list[Recipe]:
        """The recipes that draw on any of these paths."""
        found: dict[str, Recipe] = {}
        for path in paths:
            recipes = self._by_path.get(path)
            if recipes:
                found.update(recipes)
        return list(found.values())

    def recipes_of(self, token: str) -> list[Recipe]:
        """The recipes by which calls of a tool are made."""
        return list(self._by_tool.get(token, {}).values())

    def constant_recipes(self) -> list[Recipe]:
        """The recipes that draw on nothing."""
        return list(self._by_path.get("", {}).values())

    def recipe(self, recipe: Recipe) -> tuple[Recipe, bool]:
        """The one recipe of this text, and whether it is new."""
        known = self._by_text.get(recipe.text)
        if known is not None:
            return known, False
        of_tool = self._by_tool.setdefault(recipe.token, {})
        if len(of_tool) >= MAX_RECIPES_PER_TOOL or len(self._by_text) >= MAX_RECIPES:
            self._drop(min((of_tool or self._by_text).values(), key=self.worth))
        of_tool[recipe.text] = self._by_text[recipe.text] = recipe
        for path in recipe.paths or ("",):
            self._by_path.setdefault(path, {})[recipe.text] = recipe
        return recipe, True

    def pseudo(self, token: str) -> Recipe:
        """What stands for a recipe where calls of a tool are remembered whole."""
        recipe = self._remembered.get(token)
        if recipe is None:
            recipe = self._remembered[token] = Recipe(token, ())
            recipe.text, recipe.remembered = f"m:{token}", True
        return recipe

    def worth(self, recipe: Recipe) -> float:
        """How well a recipe does by itself; what was hardly tried is given a chance."""
        table = self.cells.table
        fresh, stale = table.get((RECIPE, recipe.text, 0)), table.get((RECIPE, recipe.text, 1))
        cell = fresh or stale
        return 0.2 if cell is None else (cell.used * cell.seen + 0.6) / (cell.seen + 3.0)

    def dump(self) -> Json:
        """What was learned since the last dump, as numbers that add up."""
        return {
            "version": VERSION,
            "cells": self.cells.dump(),
            "memory": self.memory.dump(),
            "writes": {token: int(writes) for token, writes in self.writes.items()},
            "used": cast("Json", self.used.dump()),
            "next": cast("Json", self.next_.dump()),
        }

    def load(self, learned: dict[str, Json]) -> None:
        """Add what was dumped.

        Raises:
            ValueError: the data has another shape or version.
        """
        if learned.get("version") != VERSION:
            raise ValueError(f"learned data of version {learned.get('version')}, this program reads {VERSION}")
        cells, memory, writes = (_object(learned, name) for name in ("cells", "memory", "writes"))
        self.used.load(_numbers(learned, "used"))
        self.next_.load(_numbers(learned, "next"))
        self.cells.load(cells)
        self.memory.load(memory)
        self.writes.update({token: bool(value) for token, value in writes.items()})
        for key in list(self.cells.table):
            if key[0] == RECIPE and len(key) == 3 and (recipe := Recipe.parse(str(key[1]))) is not None:
                self.recipe(recipe)

    def _drop(self, recipe: Recipe) -> None:
        self._by_text.pop(recipe.text, None)
        self._by_tool.get(recipe.token, {}).pop(recipe.text, None)
        for path in recipe.paths or ("",):
            self._by_path.get(path, {}).pop(recipe.text, None)


def _object(learned: dict[str, Json], name: str) -> dict[str, Json]:
    value = learned.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"learned data: {name} is no object")
    return value


def _numbers(learned: dict[str, Json], name: str) -> list[float]:
    value = learned.get(name, [])
    if not isinstance(value, list):
        raise ValueError(f"learned data: {name} is no list")
    numbers: list[float] = []
    for item in value:
        if not isinstance(item, int | float) or isinstance(item, bool):
            raise ValueError(f"learned data: {name} holds {str(item)[:40]}")
        numbers.append(float(item))
    return numbers

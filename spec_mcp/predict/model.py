"""All that outlives a session: rates, weights, recipes and remembered calls."""

from __future__ import annotations

from typing import cast

from spec_mcp.engine.calls import Json
from spec_mcp.predict.cells import Cells, counts_of
from spec_mcp.predict.features import shipped_correction, shipped_weights
from spec_mcp.predict.memory import Memory
from spec_mcp.predict.mixer import Correction, Mixer
from spec_mcp.predict.recipes import Recipe

VERSION = 1
"""Of what is dumped; another version is not loaded."""

MAX_RECIPES_PER_TOOL = 16
"""Ways to make a call of one tool; the ones that pay least give way."""

MAX_RECIPES = 2_000


class Model:
    """What a predictor has learned."""

    def __init__(self) -> None:
        self.cells = Cells()
        self.used = Mixer(shipped_weights("used"))
        self.next_ = Mixer(shipped_weights("next"))
        self.correction = Correction(shipped_correction())
        self.memory = Memory()
        self.writes: dict[str, bool] = {}
        self._remembered: dict[str, Recipe] = {}
        self._by_tool: dict[str, dict[str, Recipe]] = {}
        self._by_path: dict[str, dict[str, Recipe]] = {}
        self._by_text: dict[str, Recipe] = {}
        self._written_down: set[str] = set()
        """The recipes that a dump holds, so that one found but not yet tried is not forgotten with its session."""

    def recipes_from(self, paths: list[str]) -> list[Recipe]:
        """The recipes that draw on any of these paths."""
        by_path = self._by_path
        found: dict[str, Recipe] = {}
        for path in paths:
            if path in by_path:
                found.update(by_path[path])
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
            self._drop(min((of_tool or self._by_text).values(), key=lambda other: other.worth))
        of_tool[recipe.text] = self._by_text[recipe.text] = recipe
        if not recipe.remembered:
            for path in recipe.paths or ("",):
                self._by_path.setdefault(path, {})[recipe.text] = recipe
        return recipe, True

    def remembered(self, token: str) -> Recipe:
        """What stands for a recipe where calls of a tool are remembered whole."""
        recipe = self._remembered.get(token)
        if recipe is None:
            recipe = self._remembered[token] = self.recipe(Recipe(token, (), remembered=True))[0]
        return recipe

    def dump(self) -> Json:
        """What was learned since the last dump, as numbers that add up."""
        recipes: dict[str, Json] = {}
        for recipe in self._by_text.values():
            fresh, stale = (cell.take_new() for cell in recipe.cells)
            if fresh[0] or stale[0] or recipe.text not in self._written_down:
                recipes[recipe.text] = [*fresh, *stale]
                self._written_down.add(recipe.text)
        return {
            "version": VERSION,
            "recipes": recipes,
            "cells": self.cells.dump(),
            "memory": self.memory.dump(),
            "writes": {token: int(writes) for token, writes in self.writes.items()},
            "used": cast("Json", self.used.dump()),
            "next": cast("Json", self.next_.dump()),
            "correction": cast("Json", self.correction.dump()),
        }

    def load(self, learned: dict[str, Json]) -> None:
        """Add what was dumped.

        Raises:
            ValueError: the data has another shape or version.
        """
        if learned.get("version") != VERSION:
            raise ValueError(f"learned data of version {learned.get('version')}, this program reads {VERSION}")
        recipes, cells, memory, writes = (_object(learned, name) for name in ("recipes", "cells", "memory", "writes"))
        for text, counts in recipes.items():
            recipe, _ = self.recipe(Recipe.parse(text))
            self._written_down.add(recipe.text)
            told = counts_of(counts, 6)
            for cell, (seen, used, next_) in zip(recipe.cells, (told[:3], told[3:]), strict=True):
                if seen > 0:
                    cell.add(seen, min(used, seen), min(next_, seen))
            recipe.appraise()
            if recipe.remembered:
                self._remembered[recipe.token] = recipe
        self.cells.load(cells)
        self.memory.load(memory)
        self.writes.update({token: bool(value) for token, value in writes.items()})
        self.used.load(_numbers(learned, "used"))
        self.next_.load(_numbers(learned, "next"))
        self.correction.load(_numbers(learned, "correction"))

    def _drop(self, recipe: Recipe) -> None:
        self._by_text.pop(recipe.text, None)
        self._written_down.discard(recipe.text)
        if recipe.remembered:
            self._remembered.pop(recipe.token, None)
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

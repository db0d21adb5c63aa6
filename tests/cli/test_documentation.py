"""Every command is in the documentation, and the help says what the parsers take."""

from __future__ import annotations

import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from spec_mcp.cli.app import app
from spec_mcp.relay.wrap import parse

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


GROUPS = ("manifest", "bench")


@cache
def commands() -> dict[str, Any]:
    """All commands by their full name, those of groups included."""
    found: dict[str, Any] = {}

    def walk(prefix: str, group: Any) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(f"{prefix}{name} ", command)
            else:
                found[prefix + name] = command

    walk("", typer.main.get_command(app))
    return found


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_a_paragraph_in_the_documentation(name: str) -> None:
    headings = re.findall(r"^## (.*)$", DOCUMENTATION.read_text(), re.MULTILINE)
    named = [command for heading in headings for command in heading.split(", ")]
    assert f"spec-mcp {name}" in named


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_and_option_explains_itself(name: str) -> None:
    command = commands()[name]
    assert len(inspect.cleandoc(command.help)) > 20
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_the_documentation_names_no_command_that_is_not_there() -> None:
    headings = re.findall(r"^## (.*)$", DOCUMENTATION.read_text(), re.MULTILINE)
    named = {command.removeprefix("spec-mcp ") for heading in headings for command in heading.split(", ")}
    assert named - set(commands()) == set()


def test_the_help_of_wrap_names_exactly_the_options_that_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    taken = set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", capsys.readouterr().out)) - {"--help"}
    shown = {option for parameter in commands()["wrap"].params for option in parameter.opts if option.startswith("--")}
    assert shown - {"--help"} == taken


PAGES = [*sorted(DOCUMENTATION.parent.glob("*.md")), DOCUMENTATION.parent.parent / "README.md"]


def named_commands(text: str) -> list[str]:
    """Command lines of ours in code: between backticks, and in console blocks."""
    return re.findall(r"(?:`|^\$ )(spec-mcp [a-z][^`\n#]*)", text, re.MULTILINE)


def unknown_parts(line: str) -> list[str]:
    """What a command line names and what is not there."""
    words = line.partition(" -- ")[0].split(" | ")[0].replace("…", "").rstrip("- ").split()[1:]
    name = words.pop(0)
    if name in GROUPS:
        name += f" {words.pop(0)}" if words else ""
    if name in GROUPS:
        return []
    if name not in commands():
        return [name]
    taken = {option for parameter in commands()[name].params for option in [*parameter.opts, *parameter.secondary_opts]}
    return [word for word in (word.partition("=")[0] for word in words) if word.startswith("--") and word not in taken]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_a_page_names_is_there_with_its_options(page: Path) -> None:
    lines = named_commands(page.read_text())
    wrong = {line: unknown for line in lines if (unknown := unknown_parts(line))}
    assert wrong == {}


def test_a_command_or_an_option_that_is_not_there_is_seen() -> None:
    text = "`spec-mcp stat`, `spec-mcp stats --jason`, `spec-mcp manifest drift -- X`\n$ spec-mcp trace last --json  # "
    assert [unknown_parts(line) for line in named_commands(text)] == [["stat"], ["--jason"], ["manifest drift"], []]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    broken: list[str] = []
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, place = target.partition("#")
        led = (page.parent / path) if path else page
        if not led.exists() or (place and place not in places(led.read_text())):
            broken.append(target)
    assert broken == []


def places(text: str) -> set[str]:
    """The anchors of a page's headings, as they are made from them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_leads_to_every_page() -> None:
    index = (DOCUMENTATION.parent / "README.md").read_text()
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index] == []

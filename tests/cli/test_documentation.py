"""Every command is in the documentation, and the help says what the parsers take."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from spec_mcp.cli.app import app
from spec_mcp.relay.wrap import parse

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


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

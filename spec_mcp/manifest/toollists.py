"""A recorded tool list: what a server answered to `tools/list`, or the catalogue beside a recorded session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from spec_mcp.manifest.faults import ManifestError
from spec_mcp.tables import read_text


def read_tool_list(path: Path) -> list[Mapping[str, Any]]:
    """The tools of a JSON file: a list of them, or an object that holds them under `tools`, as a whole answer does.

    Raises:
        ManifestError: the file cannot be read, or holds no tool list.
    """
    text = read_text(path, ManifestError)
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ManifestError(str(path), "", f"no valid JSON: {error}", "record the tool list anew") from error
    for key in ("result", "tools"):
        if isinstance(value, dict) and key in value:
            value = cast("dict[str, object]", value)[key]
    if not isinstance(value, list):
        mend = 'write {"tools": […]}, as a server answers tools/list'
        raise ManifestError(str(path), "tools", "there is no list of tools", mend)
    tools = cast("list[Any]", value)
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(cast("dict[str, Any]", tool).get("name"), str):
            raise ManifestError(str(path), f"tools[{index}]", "is no tool with a name", "record the tool list anew")
    return cast("list[Mapping[str, Any]]", tools)

"""Writes docs/settings.md from the code: `make docs`. What it says of a key stands beside that key in the code."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from spec_mcp import __main__ as program
from spec_mcp.config import ClientCredentials, Listen, ModelPredictor, Server, Speculation, Store
from spec_mcp.dashboard.words import ENDS, SKIPS
from spec_mcp.manifest.forms import ManifestForm

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

PREDICTORS = """\
## [predictors]

| key | type | default | meaning |
| --- | --- | --- | --- |
| `history` | true or false | `true` | predict from your own recorded sessions, without a model |

Every other key is the name of a table of its own:
"""

MANIFESTS = """\
## Manifests

A manifest is a TOML file of its own; [writing one](manifests.md) explains the keys.
"""

REASONS = """\
## Reasons

`spec-mcp stats`, `spec-mcp trace` and the dashboard say for each prediction that came to nothing why.
"""

ENVIRONMENT = {
    "SPEC_MCP_HOME": "the folder of the store, `config.toml` and your own manifests; default: your platform's for a "
    "user's data (`~/.local/share/spec-mcp` on Linux, `~/Library/Application Support/spec-mcp` on macOS)",
    "SPEC_MCP_CONFIG": "the configuration to read, where no `--config` is given; default: `config.toml` in the home",
    "SPEC_MCP_MODE": "`off`, `shadow` or `on` for one process; the switch (`spec-mcp off`) can only make it safer",
    "SPEC_MCP_TOKEN": "the token that clients of `run --http` show; `[listen] token_env` names another variable",
    "SPEC_MCP_URL": "written by `install` into an entry: the address of its remote server, which may hold a key",
    "SPEC_MCP_HEADER_…": "written by `install` into an entry: the headers of its remote server",
    "CLAUDE_CONFIG_DIR": "where Claude Code keeps its configuration, as for Claude Code itself",
    "GEMINI_CLI_HOME": "the same of Gemini CLI",
    "CODEX_HOME": "the same of Codex",
    "XDG_CONFIG_HOME": "where clients keep their configuration on Linux",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "where `run` exports spans and metrics to (needs `spec-mcp[otel]`); the variables "
    "`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` and `OTEL_SERVICE_NAME` hold too",
}

EXIT_STATUSES = {
    program.DONE: "done",
    program.FAILED: "what you asked for could not be done, or `doctor` and `manifest check` found something",
    program.BAD_USAGE: "the command line or a file is wrong: one line on standard error names it, the key and the mend",
}

HEAD = """\
# Every setting

This page is made from the code by `make docs`. Commands and their options are in [commands](commands.md).

The configuration is `config.toml` in `SPEC_MCP_HOME`, or the file that `--config` or `SPEC_MCP_CONFIG` names: TOML, or
JSON with the same keys. A client's own file with `mcpServers` is a configuration as it is. Nothing has to be set. An
unknown key, a wrong type or a value out of its bounds is said in one line with its mend, and nothing starts with it.
In values of `[servers.NAME]` and in `[store] url`, `${NAME}` stands for an environment variable and `${NAME:-default}`
for one that may be missing.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    parts += _tables("servers.NAME", Server)
    parts += _tables("servers.NAME.client_credentials", ClientCredentials)
    parts += _tables("speculation", Speculation)
    parts += [PREDICTORS, *_tables("predictors.NAME", ModelPredictor, 3)]
    parts += _tables("store", Store)
    parts += _tables("listen", Listen)
    parts += [MANIFESTS, *_manifest()]
    parts += [REASONS, "### Not acted on\n", _rows(("reason", "meaning"), SKIPS.items())]
    parts += ["### Made, and not used\n", _rows(("reason", "meaning"), ENDS.items())]
    parts += ["## Environment variables\n", _rows(("variable", "meaning"), ENVIRONMENT.items())]
    parts += ["## Exit statuses\n", _rows(("status", "meaning"), EXIT_STATUSES.items())]
    parts += [
        "A serving process that is told to stop by a signal ends with 128 and the signal's number; `run --http` that\n"
        "had the time to leave in good order on SIGTERM ends with 0.\n"
    ]
    return "\n".join(parts)


def missing() -> list[str]:
    """Keys that do not say what they mean."""
    found: list[str] = []
    for form in (ClientCredentials, Server, Speculation, ModelPredictor, Store, Listen, ManifestForm):
        for name, definition in msgspec.json.schema(form)["$defs"].items():
            keys = definition.get("properties", {})
            found += [f"{name}.{key}" for key, described in keys.items() if not described.get("description")]
    return sorted(set(found))


def _tables(section: str, form: type[msgspec.Struct], level: int = 2) -> Iterator[str]:
    schema = msgspec.json.schema(form)
    definition = schema["$defs"][form.__name__]
    yield f"{'#' * level} [{section}]\n"
    yield inspect.cleandoc(definition["description"]) + "\n"
    yield _keys(definition, schema["$defs"])


def _manifest() -> Iterator[str]:
    definitions = msgspec.json.schema(ManifestForm)["$defs"]
    titles = {
        "Head": "[manifest]",
        "ToolForm": "[tools.NAME]",
        "Fresh": "fresh",
        "Call": "before",
        "UndoForm": "undo",
        "ProbeForm": "probe",
        "FollowForm": "[[tools.NAME.followed_by]]",
        "SurrogateForm": "surrogate",
        "Verify": "[verify]",
    }
    left_out = set(definitions) - set(titles) - {"ManifestForm"}
    assert all("properties" not in definitions[name] for name in left_out), left_out
    for name, title in titles.items():
        yield f"### {title}\n"
        yield inspect.cleandoc(definitions[name]["description"]).replace("\n\n", " ") + "\n"
        yield _keys(definitions[name], definitions)


def _keys(definition: dict[str, Any], definitions: dict[str, Any]) -> str:
    required = definition.get("required", ())
    rows = [
        (
            f"`{key}`",
            _type(described, definitions),
            "required" if key in required else _default(described["default"]),
            described.get("description", ""),
        )
        for key, described in definition["properties"].items()
    ]
    return _rows(("key", "type", "default", "meaning"), rows, code=False)


def _rows(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]], *, code: bool = True) -> str:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for first, *others in rows:
        cells = [f"`{first}`" if code else str(first), *map(str, others)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(described: dict[str, Any], definitions: dict[str, Any]) -> str:
    """In words, with its bounds."""
    if "anyOf" in described:
        kinds = [_type(each, definitions) for each in described["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in described:
        return _type(definitions[described["$ref"].rpartition("/")[2]], definitions)
    if "enum" in described:
        return " or ".join(f"`{json.dumps(value)}`" for value in described["enum"])
    match described["type"]:
        case "array":
            return f"list of: {_type(described['items'], definitions)}"
        case "object":
            inner = described.get("additionalProperties")
            return f"table of: {_type(inner, definitions)}" if inner else "table"
        case "string":
            return "date" if described.get("format") == "date" else "text"
        case "boolean":
            return "true or false"
        case kind:
            return ("whole number" if kind == "integer" else "number") + _bounds(described)


def _bounds(described: dict[str, Any]) -> str:
    low, above, high = (described.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    said = [f"from {low:,.10g}"] if low is not None else [f"above {above:,.10g}"] if above is not None else []
    said += [f"to {high:,.15g}"] if high is not None else []
    return (", " if said else "") + " ".join(said)


def main() -> int:
    """Write it."""
    if without := missing():
        sys.stderr.write(f"these keys do not say what they mean: {', '.join(without)}\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

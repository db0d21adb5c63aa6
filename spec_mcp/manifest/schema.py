"""The JSON Schema of manifests, for editors that complete and check TOML.

A file names its schema in its first line, as Taplo and what builds on it read it. The schema lies beside the manifests,
the shipped ones and the user's own, so that the same line holds in both folders and a copy needs no change.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

SCHEMA_NAME = "manifest.schema.json"
SCHEMA_LINE = f"#:schema {SCHEMA_NAME}"


def schema() -> dict[str, Any]:
    """What a manifest may hold."""
    import msgspec

    from spec_mcp.manifest.forms import ManifestForm

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spec-mcp manifest",
        **msgspec.json.schema(ManifestForm),
    }


def schema_text(indent: int | None = 2) -> str:
    """The same as it stands in a file."""
    return json.dumps(schema(), indent=indent, ensure_ascii=False) + "\n"


def keep_schema(folder: Path) -> None:
    """Have this version's schema lie in a folder. Where it cannot be written, editors do without."""
    path = folder / SCHEMA_NAME
    text = schema_text()
    with suppress(OSError):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

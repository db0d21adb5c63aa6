"""Manifests: what an author says of a server's tools, and how it reaches the engine.

    match        which file speaks for a server
    load         reading it: `forms` are its keys, `check` its faults, `build` the engine's values
    against      holding it against the tools that the server really has
    fingerprint  what of a tool's definition must be reviewed again when it changes
    draft        a manifest to begin with: `hints` is what a server says of itself, `flows` what sessions show
    schema       what editors complete by

A manifest is on the way to a server's first answer, so nothing here imports pydantic, and jmespath only where a
manifest holds expressions.
"""

from spec_mcp.manifest.against import Comparison, check_against_tools
from spec_mcp.manifest.annotations import with_trusted_annotations
from spec_mcp.manifest.faults import ManifestError
from spec_mcp.manifest.fingerprint import fingerprint, fingerprints
from spec_mcp.manifest.load import Manifest, load_manifest, manifest_faults, parse_manifest
from spec_mcp.manifest.match import find_manifest, manifest_files, match_manifest, server_of, shipped_folder

__all__ = [
    "Comparison",
    "Manifest",
    "ManifestError",
    "check_against_tools",
    "find_manifest",
    "fingerprint",
    "fingerprints",
    "load_manifest",
    "manifest_faults",
    "manifest_files",
    "match_manifest",
    "parse_manifest",
    "server_of",
    "shipped_folder",
    "with_trusted_annotations",
]

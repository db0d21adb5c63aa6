"""The shipped manifests, held against the tools that the servers listed when they were read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spec_mcp.engine.effects import Effect
from spec_mcp.manifest import load_manifest, match_manifest, shipped_folder
from spec_mcp.manifest.schema import SCHEMA_LINE, SCHEMA_NAME, schema, schema_text

REVIEWED = {
    "everything": (
        "mcp-servers/everything",
        {
            "echo",
            "get-annotated-message",
            "get-env",
            "get-resource-links",
            "get-structured-content",
            "get-sum",
            "get-tiny-image",
        },
    ),
    "fetch": ("mcp-fetch", {"fetch"}),
    "filesystem": (
        "secure-filesystem-server",
        {
            "directory_tree",
            "list_allowed_directories",
            "list_directory",
            "list_directory_with_sizes",
            "read_file",
            "read_media_file",
            "read_multiple_files",
            "read_text_file",
            "search_files",
        },
    ),
    "git": (
        "mcp-git",
        {"git_branch", "git_diff", "git_diff_staged", "git_diff_unstaged", "git_log", "git_show", "git_status"},
    ),
    "memory": ("memory-server", {"open_nodes", "read_graph", "search_nodes"}),
    "sequential-thinking": ("sequential-thinking-server", set[str]()),
    "time": ("mcp-time", set[str]()),
}
TAKEN_BACK = {"memory": {"add_observations", "create_entities", "create_relations"}}
"""Server name and the tools that were found to read. A change here wants the servers' sources read again."""

SHIPPED = sorted(shipped_folder().glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_manifest_is_good_and_found_by_its_server(path: Path, tmp_path: Path) -> None:
    manifest = load_manifest(path)

    assert match_manifest(manifest.policy.server, tmp_path) == (None if manifest.form.manifest.named else path)
    assert manifest.form.manifest.reviewed is not None
    for name, tool in manifest.form.tools.items():
        assert tool.touches is not None, f"{name} names its resources"


@pytest.mark.parametrize("name", sorted(REVIEWED))
def test_only_what_was_found_to_read_is_speculated(name: str) -> None:
    server, reads = REVIEWED[name]

    policy = load_manifest(shipped_folder() / f"{name}.toml").policy

    assert policy.server == server
    assert {tool for tool, its in policy.tools.items() if its.effect is Effect.READ} == reads
    reversible = {tool for tool, its in policy.tools.items() if its.effect is Effect.REVERSIBLE}
    assert reversible == TAKEN_BACK.get(name, set())


HOSTS = {
    "atlassian": {"atlassian.net", "*.atlassian.net"},
    "aws-docs": {"docs.aws.amazon.com"},
    "context7": {"context7.com"},
    "github": {"api.github.com", "raw.githubusercontent.com"},
    "gitlab": {"gitlab.com"},
    "gmail": {"gmailmcp.googleapis.com"},
    "google-calendar": {"calendarmcp.googleapis.com"},
    "google-drive": {"drivemcp.googleapis.com"},
    "linear": {"linear.app"},
    "notion": {"api.notion.com"},
    "sentry": {"sentry.io", "*.sentry.io"},
    "slack": {"slack.com"},
    "stripe": {"api.stripe.com"},
}
"""Those that a server asks whatever its arguments are: whoever uses it talks to them already. Where arguments decide
who is asked, or each call is paid for, only the user names hosts."""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_manifest_names_no_host_but_the_one_service_that_its_server_is_for(path: Path) -> None:
    named = {host for tool in load_manifest(path).policy.tools.values() for host in tool.hosts}

    assert named == HOSTS.get(path.stem, set())


def test_reading_a_manifest_loads_neither_pydantic_nor_mcp_nor_jmespath() -> None:
    script = (
        "import sys; from pathlib import Path; import spec_mcp.manifest as m; import spec_mcp.config as c;"
        "m.load_manifest(m.find_manifest('filesystem', Path('/nowhere')));"
        "c.load_config(None);"
        "print(sorted({'pydantic', 'mcp', 'jmespath', 'numpy', 'platformdirs'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[]"


def test_the_shipped_schema_is_the_present_one_and_every_shipped_manifest_names_it() -> None:
    assert (shipped_folder() / SCHEMA_NAME).read_text(encoding="utf-8") == schema_text()
    for path in SHIPPED:
        assert path.read_text(encoding="utf-8").splitlines()[0] == SCHEMA_LINE


def test_the_schema_explains_every_key() -> None:
    forms = schema()["$defs"]

    unexplained = {
        (form, key)
        for form, described in forms.items()
        for key, its in described.get("properties", {}).items()
        if "description" not in its
    }
    assert unexplained == set()

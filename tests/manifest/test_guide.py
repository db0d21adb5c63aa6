"""The author's guide says what is so."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from spec_mcp.engine.calls import Equivalence
from spec_mcp.engine.effects import Effect
from spec_mcp.manifest import ManifestError, load_manifest, shipped_folder
from spec_mcp.manifest.forms import Head, ToolForm
from tests.manifest.writing import write
from tests.needs import ROOT

FILE = ROOT / "docs" / "manifests.md"
GUIDE = FILE.read_text(encoding="utf-8")


def test_every_key_and_every_shipped_manifest_is_explained() -> None:
    words = set(re.findall(r"`([^`\n]+)`", GUIDE))
    wanted = {*Head.__struct_fields__, *ToolForm.__struct_fields__, *Equivalence}

    assert wanted - words == set()
    assert {path.stem for path in shipped_folder().glob("*.toml")} - words == set()


TABLE = re.compile(r"(<!-- made by [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)


def table_of_shipped_manifests() -> str:
    """As it stands in the guide: who wrote the server, by what the first line of a manifest says."""
    rows = ["| manifest | server | reads | reversible | unsafe |", "| --- | --- | --- | --- | --- |"]
    for path in sorted(shipped_folder().glob("*.toml")):
        about = re.search(r"^# (.*?)(?:, (?:read|archived)\b|: |\.?$)", path.read_text(), re.MULTILINE)
        assert about is not None, path
        server = about[1]
        count = Counter(tool.effect for tool in load_manifest(path).policy.tools.values())
        rows.append(f"| `{path.stem}` | {server} | {' | '.join(str(count[effect]) for effect in Effect)} |")
    return "\n".join(rows)


def test_the_table_of_shipped_manifests_says_what_stands_in_them() -> None:
    """`python -m tests.manifest.test_guide` writes it anew."""
    assert written_anew(GUIDE) == GUIDE


def written_anew(guide: str) -> str:
    return TABLE.sub(lambda match: f"{match[1]}{table_of_shipped_manifests()}\n{match[2]}", guide)


def test_its_first_example_is_a_manifest_and_its_fault_is_what_one_sees(tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)[0]
    assert load_manifest(write(tmp_path, example)).policy.tool("get_station").ttl_s == 60

    path = write(tmp_path, re.sub(r"ttl_s = .*", "", example), "weather.toml")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert str(caught.value).removeprefix(f"{tmp_path}/") in GUIDE


def test_each_whole_manifest_in_the_guide_is_without_fault(tmp_path: Path) -> None:
    whole = [text for text in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL) if "[manifest]" in text]

    assert len(whole) == 2
    for text in whole:
        assert load_manifest(write(tmp_path, text)).policy.tools


if __name__ == "__main__":
    FILE.write_text(written_anew(GUIDE), encoding="utf-8")

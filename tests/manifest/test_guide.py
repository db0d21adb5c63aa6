"""The author's guide says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spec_mcp.engine.calls import Equivalence
from spec_mcp.manifest import ManifestError, load_manifest, shipped_folder
from spec_mcp.manifest.forms import Head, ToolForm
from tests.conftest import ROOT
from tests.manifest.writing import write

GUIDE = (ROOT / "docs" / "manifests.md").read_text(encoding="utf-8")


def test_every_key_and_every_shipped_manifest_is_explained() -> None:
    words = set(re.findall(r"`([^`\n]+)`", GUIDE))
    wanted = {*Head.__struct_fields__, *ToolForm.__struct_fields__, *Equivalence}

    assert wanted - words == set()
    assert {path.stem for path in shipped_folder().glob("*.toml")} - words == set()


def test_its_first_example_is_a_manifest_and_its_fault_is_what_one_sees(tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)[0]
    assert load_manifest(write(tmp_path, example)).policy.tool("get_station").ttl_s == 60

    path = write(tmp_path, re.sub(r"ttl_s = .*", "", example), "weather.toml")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert str(caught.value).removeprefix(f"{tmp_path}/") in GUIDE

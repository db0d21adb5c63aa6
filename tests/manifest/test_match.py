from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.manifest import ManifestError, find_manifest, manifest_files, match_manifest, server_of, shipped_folder
from tests.manifest.writing import HEAD, write


def test_a_users_own_manifest_speaks_before_a_shipped_one(tmp_path: Path) -> None:
    shipped = match_manifest("mcp-git", tmp_path)
    own = write(tmp_path, '[manifest]\nversion = 1\nserver = "mcp-git"\n', "manifests/git.toml")

    assert shipped == shipped_folder() / "git.toml"
    assert match_manifest("mcp-git", tmp_path) == own
    assert find_manifest("git", tmp_path) == own
    assert manifest_files(tmp_path)["git"] == own


def test_a_server_of_which_no_manifest_speaks_has_none(tmp_path: Path) -> None:
    assert match_manifest("nobody's server", tmp_path) is None


def test_another_manifests_faults_do_not_stop_the_search(tmp_path: Path) -> None:
    write(tmp_path, "]]] no TOML", "manifests/a.toml")
    (tmp_path / "manifests" / "b.toml").mkdir()
    own = write(tmp_path, HEAD, "manifests/c.toml")

    assert match_manifest("shop", tmp_path) == own


def test_a_faulty_manifest_is_still_found_so_that_its_fault_is_told(tmp_path: Path) -> None:
    own = write(tmp_path, HEAD + "oops", "manifests/a.toml")

    assert match_manifest("shop", tmp_path) == own


@pytest.mark.parametrize(
    "text",
    [
        '[manifest]\nserver="shop"',
        "[manifest]\n  server = 'shop'   # ours",
        'manifest = { version = 1, server = "shop" }',
        '[manifest]\nserver = "sh\\u006fp"',
        "# a long word of greeting\n" * 400 + '[manifest]\nserver = "shop"',
    ],
)
def test_the_server_is_found_however_it_is_written(tmp_path: Path, text: str) -> None:
    assert server_of(write(tmp_path, text)) == "shop"


def test_a_name_is_looked_up_and_a_path_is_opened(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD, "here.toml")

    assert find_manifest("filesystem", tmp_path) == shipped_folder() / "filesystem.toml"
    assert find_manifest(str(path), tmp_path) == path
    assert find_manifest("here.toml", tmp_path, base=tmp_path) == path
    with pytest.raises(ManifestError, match=r"filesytem: no manifest has this name; did you mean filesystem\?"):
        find_manifest("filesytem", tmp_path)
    with pytest.raises(ManifestError, match=r"gone\.toml: there is no such manifest"):
        find_manifest("./gone.toml", tmp_path)


def test_a_manifest_that_is_to_be_named_is_found_by_its_own_name_alone(tmp_path: Path) -> None:
    text = HEAD.replace("version", "named = true\nversion")
    path = write(tmp_path / "manifests", text, "mail.toml")

    assert match_manifest("shop", tmp_path) is None
    assert find_manifest("mail", tmp_path) == path

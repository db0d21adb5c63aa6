"""What is done on a click: closing entries, and writing a reviewed manifest."""

from __future__ import annotations

import datetime
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.manifest import load_manifest, shipped_folder
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.dashboard.filled import Page, dashboard, write
from tests.store.entries import entry
from tests.store.rows import call, pin, session

FINGERPRINT = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
MANIFEST = f"""# what I know of it
[manifest]
version = 1
server = "files"

[tools.read]
effect = "read"     # I have looked
ttl_s = 5
touches = ["file:{{path}}"]
fingerprint = "{OTHER}"

[tools.write]
effect = "unsafe"
touches = ["file:*"]
"""


@pytest.fixture
def home(spec_mcp_home: Path) -> Path:
    write(spec_mcp_home, session(), call(), call(2, tool="extra"), pin("read", FINGERPRINT), pin("extra", FINGERPRINT))
    (spec_mcp_home / "manifests").mkdir()
    (spec_mcp_home / "manifests" / "files.toml").write_text(MANIFEST)
    return spec_mcp_home


@pytest.fixture
def page(home: Path) -> Page:
    return Page(dashboard(home))


def asked(manifest: str = "files", /, **tools: Any) -> dict[str, Any]:
    return {"manifest": manifest, "server": "files", "tools": tools}


def own(home: Path, name: str = "files") -> str:
    return (home / "manifests" / f"{name}.toml").read_text()


# --- coverage -------------------------------------------------------------------------------------------------------


def test_each_server_is_told_with_the_manifest_that_speaks_for_it(page: Page) -> None:
    (server,) = page.get("manifests")["servers"]
    assert (server["server"], server["manifest"], server["how"]) == ("files", "files", "of the same name")
    assert {tool["tool"]: (tool["effect"], tool["definition"]) for tool in server["tools"]} == {
        "read": ("read", "changed"),
        "extra": ("unlisted", ""),
    }
    assert server["calls"] == {"read": 1, "unlisted": 1}


def test_a_manifest_is_known_by_its_tools_where_nothing_names_it(spec_mcp_home: Path) -> None:
    write(spec_mcp_home, session(), call(tool="get_order_details"), call(2, tool="get_user_details"))
    (server,) = Page(dashboard(spec_mcp_home)).get("manifests")["servers"]
    assert (server["manifest"], server["how"]) == ("retail", "lists its tools")


def test_a_manifest_with_a_fault_is_told_with_it(page: Page, home: Path) -> None:
    (home / "manifests" / "broken.toml").write_text("[manifest]\nversion = 1\n")
    (broken,) = [one for one in page.get("manifests")["manifests"] if one["name"] == "broken"]
    assert "server" in broken["fault"]
    assert page.post("review", asked("broken"), 409)["error"].endswith("mend the file first")


# --- reviewing ------------------------------------------------------------------------------------------------------


def test_a_review_is_shown_before_it_is_written(page: Page, home: Path) -> None:
    told = page.post("review", asked(write={"effect": "read", "ttl_s": 3}))
    assert '+effect = "read"' in told["difference"]
    assert told["widened"] == ["write: calls of it may be made early (unsafe → read)"]
    assert told["written"] is False
    assert own(home) == MANIFEST


def test_it_is_written_with_a_yes_to_each_line_and_keeps_all_else(page: Page, home: Path) -> None:
    review = asked(write={"effect": "read", "ttl_s": 3})
    told = page.post("review", review)
    refused = page.post("review", {**review, "digest": told["digest"]}, 409)
    assert refused["error"].startswith("not confirmed: write")
    assert own(home) == MANIFEST
    assert page.post("review", {**review, "digest": told["digest"], "widen": told["widened"]})["written"]
    assert own(home) == MANIFEST.replace('effect = "unsafe"\n', 'effect = "read"\n').replace(
        'touches = ["file:*"]\n', 'touches = ["file:*"]\nttl_s = 3\n'
    )


def test_only_what_was_shown_is_written(page: Page, home: Path) -> None:
    review = asked(write={"effect": "read", "ttl_s": 3})
    told = page.post("review", review)
    (home / "manifests" / "files.toml").write_text(MANIFEST + "# edited meanwhile\n")
    refused = page.post("review", {**review, "digest": told["digest"], "widen": told["widened"]}, 409)
    assert "changed since" in refused["error"]
    other = asked(write={"effect": "read", "ttl_s": 9_999})
    assert (
        "changed since"
        in page.post("review", {**other, "digest": told["digest"], "widen": told["widened"]}, 409)["error"]
    )


@pytest.mark.parametrize(
    ("tool", "decision", "line"),
    [
        ("read", {"ttl_s": 60}, "read: its answers may be older (5 s → 60 s)"),
        ("read", {"touches": ["file:/one"]}, "read: it touches only file:/one (before: file:{path})"),
        ("read", {"lock": True}, "read: its definition has changed, and is taken as reviewed"),
        ("write", {"touches": ["file:{path}"]}, "write: it touches only file:{path} (before: file:*)"),
        ("extra", {"effect": "read", "ttl_s": 1}, "extra: calls of it may be made early (unsafe → read)"),
    ],
)
def test_whatever_trusts_more_is_a_line_to_say_yes_to(
    page: Page, tool: str, decision: dict[str, Any], line: str
) -> None:
    assert page.post("review", asked(**{tool: decision}))["widened"] == [line]


@pytest.mark.parametrize(
    ("tool", "decision"),
    [
        ("read", {"effect": "unsafe"}),
        ("read", {"ttl_s": 1}),
        ("read", {"touches": ["file:{path}", "other"]}),
        ("read", {"touches": []}),
        ("extra", {"effect": "unsafe", "lock": True}),
    ],
)
def test_what_trusts_less_needs_none(page: Page, home: Path, tool: str, decision: dict[str, Any]) -> None:
    review = asked(**{tool: decision})
    told = page.post("review", review)
    assert told["widened"] == []
    assert told["difference"]
    page.post("review", {**review, "digest": told["digest"]})
    assert own(home) != MANIFEST
    load_manifest(home / "manifests" / "files.toml")


def test_a_definition_is_locked_as_it_was_seen(page: Page, home: Path) -> None:
    review = asked(read={"lock": True})
    told = page.post("review", review)
    page.post("review", {**review, "digest": told["digest"], "widen": told["widened"]})
    assert tomllib.loads(own(home))["tools"]["read"]["fingerprint"] == FINGERPRINT
    assert "not seen yet" in page.post("review", asked(write={"lock": True}), 409)["error"]


def test_what_a_manifest_cannot_say_is_not_written(page: Page, home: Path) -> None:
    assert "ttl_s" in page.post("review", asked(write={"effect": "read"}), 409)["error"]
    assert page.post("review", asked(write={"effect": "harmless"}), 409)["error"].startswith("no review")
    assert page.post("review", asked(write={"effect": "reversible"}), 409)["error"]
    assert page.post("review", asked("none"), 404)["error"]
    assert own(home) == MANIFEST


def test_nothing_is_written_where_nothing_changes(page: Page) -> None:
    assert page.post("review", asked(read={"effect": "read", "ttl_s": 5}))["difference"] == []


def test_a_shipped_manifest_is_copied_and_not_changed(page: Page, home: Path) -> None:
    before = (shipped_folder() / "retail.toml").read_text()
    review = {**asked("retail", transfer_to_human_agents={"effect": "read", "ttl_s": 2}), "reviewed": True}
    told = page.post("review", review)
    page.post("review", {**review, "digest": told["digest"], "widen": told["widened"]})
    assert (shipped_folder() / "retail.toml").read_text() == before
    written = tomllib.loads(own(home, "retail"))
    assert written["manifest"]["reviewed"] == datetime.date.today()
    assert written["tools"]["transfer_to_human_agents"]["effect"] == "read"
    (line,) = [one for one in page.get("manifests")["manifests"] if one["name"] == "retail"]
    assert line["shipped"] is False


def test_a_folder_that_cannot_be_written_is_said(page: Page, home: Path) -> None:
    shutil.rmtree(home / "manifests")
    (home / "manifests").write_text("in the way")
    review = asked("retail", transfer_to_human_agents={"touches": ["x"]})
    told = page.post("review", review)
    assert page.post("review", {**review, "digest": told["digest"], "widen": told["widened"]}, 409)["error"]


# --- the undo journal -----------------------------------------------------------------------------------------------


def gone(home: Path) -> str:
    """A stuck entry whose owner is no more."""
    journal = SqliteJournal(home / STORE_NAME)
    kept = entry()
    journal.intend(kept)
    assert journal.claim(kept.id, kept.owner, "compensating")
    assert journal.stuck(kept.id, kept.owner, "foreign-state")
    journal.close()
    return kept.id


def test_a_stuck_entry_is_told_without_what_must_not_be_shown(page: Page, home: Path) -> None:
    gone(home)
    (told,) = page.get("undos")["entries"]
    assert (told["state"], told["undo"], told["running"]) == ("stuck", "delete_entities", False)
    assert told["words"] == "something else has changed there since"
    assert '"name": "a"' in told["arguments"]
    assert "kept" not in told["arguments"]


def test_what_a_person_has_settled_is_closed(page: Page, home: Path) -> None:
    assert page.post("close-undo", {"id": gone(home)}) == {"closed": "memory create_entities"}
    assert page.get("undos")["entries"] == []
    assert "not open any more" in page.post("close-undo", {"id": "me-1"}, 409)["error"]


def test_what_a_running_process_has_is_not_closed(page: Page, home: Path) -> None:
    journal = SqliteJournal(home / STORE_NAME)
    journal.intend(entry())
    (told,) = page.get("undos")["entries"]
    assert told["running"]
    assert "end the client that uses memory" in page.post("close-undo", {"id": told["id"]}, 409)["error"]
    assert len(journal.open_entries()) == 1
    journal.close()


def test_taking_back_is_tried_by_recover_which_says_why_it_cannot(page: Page, home: Path) -> None:
    gone(home)
    (told,) = page.post("recover", {"server": "memory"})["entries"]
    assert (told["end"], "MEMORY_FILE_PATH" in told["why"]) == ("open", True)
    assert len(page.get("undos")["entries"]) == 1


def test_the_curve_is_drawn_by_tune(page: Page) -> None:
    told = page.post("draw-curve", {})["curve"]
    assert (told["calls"], told["now"]) == (2, 0.2)
    assert page.get("curve")["curve"] == told


def test_where_nothing_is_recorded_there_is_no_curve(spec_mcp_home: Path) -> None:
    assert "no recorded session" in Page(dashboard(spec_mcp_home)).post("draw-curve", {}, 409)["error"]

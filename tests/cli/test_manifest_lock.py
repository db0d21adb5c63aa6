"""Locking changes nothing in a file but fingerprints, however its author writes TOML."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from spec_mcp.manifest.locking import CannotLock, locked

PIN = "sha256:" + "a" * 64

PARTS = (
    '[tools.{}]\neffect = "read"   # why\nttl_s = 3\n',
    "[tools.{}]\n",
    "[tools.{}] # nothing yet\n# but words\n",
    '[tools.{}]\nfingerprint = "sha256:old"   # keep\neffect = "unsafe"\n',
    '[tools.{}]\ntouches = [\n  "a",  # one\n  "b",\n]\n',
    '[tools.{}]\nunless = """\n[tools.not_a_table]\n"""\n',
    '[tools.{0}]\nttl_s = 1\n# a rule\n[[tools.{0}.followed_by]]\ntool = "x"\n[[tools.{0}.followed_by]]\n',
    '[tools.{0}]\n[tools.{0}.equal]\npath = "trim"\n',
    '[tools.{0}.fresh]\nfile = "x"\n',
    '[tools]\n{} = {{ effect = "read", ttl_s = 3 }}  # in one line\n',
    'tools.{0}.effect = "read"\ntools.{0}.ttl_s = 3\n',
)
TRIVIA = ("", "\n", "# words\n", "\n\n# about the next\n")
NAMES = ("plain", '"with space"', '"a.b"', "'é'", '"q\\"uote"')


@st.composite
def manifests(draw: st.DrawFn) -> str:
    """The text of a manifest with any of these tables, in any order."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    text = draw(st.sampled_from(TRIVIA))
    for name in names:
        text += draw(st.sampled_from(PARTS)).format(name) + draw(st.sampled_from(TRIVIA))
    text += "[manifest]\nversion = 1\n" + draw(st.sampled_from(TRIVIA))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@given(text=manifests(), every=st.booleans())
@example(text="[tools.a]\n# last words", every=True)
def test_locking_adds_fingerprints_and_nothing_else(text: str, every: bool) -> None:
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # parts that cannot stand in one file
        reject()
    pins = dict.fromkeys(list(before["tools"])[: None if every else 1], PIN)

    after = locked(text, pins)

    wanted = tomllib.loads(text)
    for tool, pin in pins.items():
        wanted["tools"][tool]["fingerprint"] = pin
    assert tomllib.loads(after) == wanted
    kept = [line for line in after.splitlines() if not line.startswith("fingerprint")]
    assert [line for line in text.splitlines() if line.startswith("#") and line not in kept] == []
    assert ("\r\n" in after) is ("\r\n" in text)
    assert after.count("#") == text.count("#")
    assert locked(after, pins) == after


def test_a_fingerprint_stands_in_its_table_and_not_under_the_words_about_the_next_one() -> None:
    text = "[tools.a]\nttl_s = 3\n# the last of a\n\n# about b\n[tools.b]\nttl_s = 4\n"
    assert locked(text, {"a": PIN, "b": PIN}) == (
        f'[tools.a]\nttl_s = 3\nfingerprint = "{PIN}"\n# the last of a\n\n# about b\n[tools.b]\nttl_s = 4\n'
        f'fingerprint = "{PIN}"\n'
    )


def test_a_text_that_cannot_be_edited_is_refused_with_what_to_do() -> None:
    with pytest.raises(CannotLock, match=r"write each tool as a table of its own"):
        locked("tools.a = {}\n[tools]\n", {"a": PIN})

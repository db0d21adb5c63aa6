"""Footprints that overlap are found by each other's words."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spec_mcp.engine.resources import Footprint, Pattern, everything
from spec_mcp.engine.tokens import EVERYWHERE, MAX_CUTS, MAX_WORDS, of_text, probes, to_text, tokens

TEXTS = st.text("ab:/", max_size=12) | st.text(max_size=3)
PATTERNS = st.builds(Pattern, TEXTS, st.just(True)) | st.builds(lambda text: Pattern(text.rstrip("/"), False), TEXTS)
MANY = st.lists(PATTERNS, max_size=4).map(tuple)
FOOTPRINTS = st.builds(Footprint, st.sampled_from("st"), MANY) | st.builds(
    Footprint, st.sampled_from("st"), st.none(), MANY
)


def found(stored: Footprint, looked_for: Footprint) -> bool:
    return not set(tokens(stored)).isdisjoint(probes(looked_for))


def files(*paths: str, prefix: bool = False) -> Footprint:
    return Footprint("s", tuple(Pattern(f"file:{path}", prefix) for path in paths))


DEEP = "/a" * 2 * MAX_CUTS


@given(FOOTPRINTS, FOOTPRINTS)
@example(files("/a"), files("/a/", prefix=True))
@example(files(DEEP + "/b/", prefix=True), files(DEEP + "/b/c"))
@example(files(DEEP + "/", prefix=True), files(DEEP + "/b/", prefix=True))
@example(files(*(f"/{number}" for number in range(MAX_WORDS))), files("/1"))
@example(files(*(f"/{number}" for number in range(MAX_WORDS))), everything("t", ["f*"]))
def test_what_overlaps_is_found(one, other):
    if one.overlaps(other):
        assert found(one, other)
        assert found(other, one)


@given(FOOTPRINTS)
def test_what_may_touch_anything_of_every_server_is_always_found(looked_for):
    assert not set(EVERYWHERE).isdisjoint(probes(looked_for))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (files("/a"), files("/b")),
        (files("/a/b/c"), files("/a/b/d")),
        (files("/a/b/", prefix=True), files("/a/c/d")),
        (files("/a/b/", prefix=True), files("/a/c/", prefix=True)),
        (files("/a"), Footprint("s", (Pattern("order:1", False),))),
        (files("/a"), everything("t")),
        (everything("s"), everything("t")),
        (everything("s", ["file:*"]), Footprint("t", (Pattern("order:1", False),))),
    ],
)
def test_what_lies_apart_is_not_found(one, other):
    assert not found(one, other)
    assert not found(other, one)


@given(FOOTPRINTS)
def test_words_are_few_and_short_whatever_the_names_are(footprint):
    for words in (tokens(footprint), probes(footprint)):
        assert len(words) <= MAX_WORDS
        assert all(word.isascii() and word.isprintable() and len(word) <= 17 for word in words)


def test_a_call_of_many_names_has_few_words():
    assert len(tokens(files(*(f"/{number}" for number in range(MAX_WORDS))))) < MAX_WORDS


@given(FOOTPRINTS)
@example(files("\x00\ud800é"))
def test_the_text_says_all_of_a_footprint(footprint):
    text = to_text(footprint)
    assert of_text(text) == footprint
    assert text.isascii()
    assert "\x00" not in text


@pytest.mark.parametrize("text", ["", "{}", "[]", '["s"]', '["s",1,[]]', '["s",[1],[]]', '["s",null,null]'])
def test_another_text_is_no_footprint(text):
    with pytest.raises(ValueError, match="no footprint"):
        of_text(text)

"""Footprints as a database knows them: by tokens that an index finds, and as text.

Theory: a database can compare sets of words, not prefixes. So a footprint stands under words (`tokens`) and is looked
for by words (`probes`), made so that two footprints that overlap always have one in common: a token of the one is a
probe of the other. The reverse does not hold: what is found must be compared by `Footprint.overlaps`.

A name is cut behind each `:` and `/`. A prefix lies at its last cut: it overlaps what has that cut among its own, or
lies at one of its cuts. Only so many cuts are looked at, so a deep prefix lies at the last of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b

from spec_mcp.engine.resources import Footprint, Pattern

MAX_CUTS = 6
"""Enough to tell projects in a user's folder apart; each costs an entry in an index."""

MAX_WORDS = 128
"""A footprint with more tokens or probes overlaps, as far as these tell, whatever has a name."""

ANYTHING = Pattern("", prefix=True)

EVERYWHERE = ("*",)
"""The tokens of what may touch anything of every server: each footprint has this among its probes."""

AT, UNDER, NAMED, SERVER, WHOLE = "@", "<", "=", "s", "e"


def tokens(footprint: Footprint) -> tuple[str, ...]:
    """The words under which it is found."""
    whole = (_word(WHOLE, footprint.server),) if footprint.patterns is None else ()
    return _words(footprint, (_word(SERVER, footprint.server), *whole), lies=AT, has=UNDER)


def probes(footprint: Footprint) -> tuple[str, ...]:
    """The words by which what overlaps it is found."""
    whole = SERVER if footprint.patterns is None else WHOLE
    return _words(footprint, (*EVERYWHERE, _word(whole, footprint.server)), lies=UNDER, has=AT)


def to_text(footprint: Footprint) -> str:
    """ASCII text that says all of it."""
    patterns = None if footprint.patterns is None else _plain(footprint.patterns)
    return json.dumps([footprint.server, patterns, _plain(footprint.shared)], separators=(",", ":"))


def of_text(text: str) -> Footprint:
    """What `to_text` made.

    Raises:
        ValueError: it is something else.
    """
    try:
        server, patterns, shared = json.loads(text)
        return Footprint(server, None if patterns is None else _patterns(patterns), _patterns(shared))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text[:40]!r} is no footprint") from error


def _words(footprint: Footprint, first: tuple[str, ...], *, lies: str, has: str) -> tuple[str, ...]:
    words = dict.fromkeys(first)
    for pattern in footprint.names:
        words.update(dict.fromkeys(_words_of(pattern, lies, has)))
        if len(words) > MAX_WORDS:
            return (*first, *_words_of(ANYTHING, lies, has))
    return tuple(words)


def _words_of(pattern: Pattern, lies: str, has: str) -> Iterator[str]:
    cuts = _cuts(pattern.text if pattern.prefix else pattern.text + "/")
    yield from (_word(has, cut) for cut in cuts)
    yield _word(lies, cuts[-1]) if pattern.prefix else _word(NAMED, pattern.text)


def _cuts(text: str) -> list[str]:
    ends = [position + 1 for position, char in enumerate(text) if char in ":/"]
    return ["", *(text[:end] for end in ends[:MAX_CUTS])]


def _word(kind: str, text: str) -> str:
    """Short whatever the text is, and free of what a database refuses in one."""
    return kind + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _plain(patterns: tuple[Pattern, ...]) -> list[tuple[str, bool]]:
    return [(pattern.text, pattern.prefix) for pattern in patterns]


def _patterns(plain: list[tuple[str, bool]]) -> tuple[Pattern, ...]:
    return tuple(Pattern(text, prefix) for text, prefix in plain)

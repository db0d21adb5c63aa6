"""What is found to touch something is what a look at each thing would find."""

from __future__ import annotations

from random import Random

import pytest

from spec_mcp.engine.resources import Footprint, Pattern, everything, footprint
from spec_mcp.engine.touching import Touching

TEXTS = ["", "a", "a/", "a/b", "a/b/", "a/b/c", "ab", "b", "b:1", "b:", "b:10", "c" * 40]


def drawn(random: Random) -> Footprint:
    server = random.choice("stu")
    if random.random() < 0.2:
        return everything(server, random.choice([(), ("a/{x}",), ("b:{x}", "a/b")]))
    patterns = tuple(
        Pattern(text if prefix else text.rstrip("/"), prefix)
        for text in random.choices(TEXTS, k=random.randint(0, 3))
        for prefix in [random.random() < 0.4]
    )
    return Footprint(server, tuple(dict.fromkeys(patterns)))


@pytest.mark.parametrize("seed", range(30))
def test_it_finds_what_a_look_at_each_would_find(seed):
    random = Random(seed)
    touching: Touching[int] = Touching()
    known: dict[int, Footprint] = {}
    for _ in range(300):
        thing = random.randrange(40)
        if random.random() < 0.4:
            touching.remove(thing)
            known.pop(thing, None)
        else:
            known[thing] = drawn(random)
            touching.add(thing, known[thing])
        asked = drawn(random)
        expected = {thing for thing, touched in known.items() if asked.overlaps(touched)}
        assert set(touching.overlapping(asked)) == expected, asked
        assert touching.any_overlapping(asked) == bool(expected)
        assert len(touching) == len(known)


def test_what_is_removed_leaves_nothing_behind():
    touching: Touching[int] = Touching()
    for number in range(100):
        touching.add(number, footprint("s", ("item:{id}", "list:{id}/*"), {"id": number}, {}))
        touching.add(-number - 1, everything("s", ("item:{id}",)))
    for number in range(-100, 100):
        touching.remove(number)
    assert not touching.any_overlapping(everything("s", ("item:{id}", "list:{id}/*")))
    kept = [touching._of_server, touching._everything_of, touching._names.things, touching._prefixes.things]
    assert not any(kept)
    assert not touching._names.in_order
    assert not touching._lengths

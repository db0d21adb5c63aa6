"""Any number of seeds of a simulation by hand."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext

from tests.sim.mutations import Rule


def main(
    name: str,
    doc: str | None,
    themes: Iterable[str],
    rules: Mapping[str, Rule],
    simulate: Callable[[int, str], Counter[str]],
) -> int:
    """Run the seeds; 0 if all hold, 1 with the failing seed on standard error."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=doc)
    parser.add_argument("--seeds", default="0-999", help="one seed, or the first and the last: 0-9999")
    parser.add_argument("--rule-off", choices=sorted(rules), help="switch one rule off")
    parser.add_argument("--theme", default="", choices=["", *themes], help="worlds about one thing only")
    parser.add_argument("--keep-going", action="store_true", help="report every failing seed, not the first alone")
    given = parser.parse_args()
    first, _, last = str(given.seeds).partition("-")
    stats: Counter[str] = Counter()
    failed = 0
    begun_s = time.perf_counter()
    with rules[given.rule_off].off() if given.rule_off else nullcontext():
        for seed in range(int(first), int(last or first) + 1):
            try:
                stats += simulate(seed, given.theme)
            except Exception as error:  # noqa: BLE001  whatever it is, the seed is to be named
                failed += 1
                sys.stderr.write(f"seed {seed}: {type(error).__name__}: {error}\n")
                if not given.keep_going:
                    return 1
            if seed % 500 == 499:
                rate = (seed - int(first) + 1) / (time.perf_counter() - begun_s)
                sys.stdout.write(f"seed {seed}, {rate:.0f} a second, {dict(stats)}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{int(last or first) - int(first) + 1} seeds, {failed} failed, {dict(stats)}\n")
    return 1 if failed else 0

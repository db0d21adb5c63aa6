"""`python -m tests.sim.undo --seeds 0-9999 [--theme THEME] [--rule-off NAME]`: any number of seeds by hand."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from contextlib import nullcontext

from tests.sim.undo.mutations import RULES
from tests.sim.undo.plan import THEMES
from tests.sim.undo.simulation import simulate


def main() -> int:
    """Run the seeds; 0 if all hold, 1 with the failing seed on standard error."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.undo", description=__doc__)
    parser.add_argument("--seeds", default="0-999", help="one seed, or the first and the last: 0-9999")
    parser.add_argument("--theme", default="", choices=["", *THEMES], help="worlds about one thing only")
    parser.add_argument("--rule-off", choices=sorted(RULES), help="switch one rule of the engine off")
    parser.add_argument("--keep-going", action="store_true", help="report every failing seed, not the first alone")
    given = parser.parse_args()
    first, _, last = str(given.seeds).partition("-")
    stats: Counter[str] = Counter()
    failed = 0
    with RULES[given.rule_off].off() if given.rule_off else nullcontext():
        for seed in range(int(first), int(last or first) + 1):
            try:
                stats += simulate(seed, given.theme)
            except Exception as error:  # noqa: BLE001  whatever it is, the seed is to be named
                failed += 1
                sys.stderr.write(f"seed {seed}: {type(error).__name__}: {error}\n")
                if not given.keep_going:
                    return 1
    sys.stdout.write(f"{int(last or first) - int(first) + 1} seeds, {failed} failed, {dict(stats)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

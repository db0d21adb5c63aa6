"""`python -m tests.sim --seeds 0-9999 [--theme THEME] [--rule-off NAME]`: any number of seeds by hand."""

from __future__ import annotations

import sys

from tests.sim.byhand import main
from tests.sim.mutations import RULES
from tests.sim.plan import THEMES
from tests.sim.simulation import simulate

if __name__ == "__main__":
    sys.exit(main("tests.sim", __doc__, THEMES, RULES, simulate))

"""`python -m tests.sim.undo --seeds 0-9999 [--theme THEME] [--rule-off NAME]`: any number of seeds by hand."""

from __future__ import annotations

import sys

from tests.sim.byhand import main
from tests.sim.undo.mutations import RULES
from tests.sim.undo.plan import THEMES
from tests.sim.undo.simulation import simulate

if __name__ == "__main__":
    sys.exit(main("tests.sim.undo", __doc__, THEMES, RULES, simulate))

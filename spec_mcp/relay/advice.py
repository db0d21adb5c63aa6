"""The speculators of a process, put together from what the user has set. Imported only where some are configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spec_mcp.config import Config
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.predict.bandit import Costs
from spec_mcp.predict.guessing import Answered, Merging, Terms
from spec_mcp.predict.merged import MergedPredictor
from spec_mcp.predict.predictor import Predictor
from spec_mcp.predict.recent import Recent
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.consulting import Consulting, Shown
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.saying import say
from spec_mcp.speculators.panel import Panel
from spec_mcp.speculators.pricing import known_prices, prices_of
from spec_mcp.speculators.taping import Taping
from spec_mcp.store.redaction import Redactor

Task = Callable[[], None]


class Advice:
    """Who gives it, and to whom: each principal has a predictor that merges, and is consulted for apart."""

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        taping: Taping,
        deciding: Deciding,
        policies: Mapping[str, ServerPolicy],
    ) -> None:
        self._models = config.predictors.models
        self._deciding = deciding
        self._policies = policies
        self._timing = deciding.timing
        self._redactor = Redactor(config.store.redact)
        chosen = config.speculation
        self._costs = Costs(chosen.price_per_hour_saved, lambda: deciding.settings)
        self._panel = Panel(self._models, environ, say, taping)
        self._panel.on_ready = self._ready
        self._early: list[Consulting] = []
        """Who may have wanted to ask before anybody could be asked."""
        for name, settings in self._models.items():
            if known_prices(settings) is None:
                say(
                    f"[predictors.{name}]: nobody knows what {settings.model} costs, so it counts as dear: set "
                    "price_input and price_output, per million tokens"
                )
            elif not prices_of(settings).is_free and chosen.price_per_hour_saved <= 0:
                say(
                    f"[predictors.{name}]: {settings.model} costs money and is not asked: set "
                    "[speculation] price_per_hour_saved to what an hour of waiting may cost"
                )

    def merging(self, history: Predictor) -> Merging:
        """A predictor that merges this one's guesses with the speculators'."""
        terms = {name: Terms(prices_of(settings)) for name, settings in self._models.items()}
        return MergedPredictor(history, terms, self._policies, self._timing, self._costs)

    def consult(
        self,
        learner: Learner,
        predictor: Merging,
        soon: Callable[[Task], None],
        on_answered: Callable[[Answered], None],
    ) -> Shown:
        """Have the learner consult them; `soon` brings a task from any thread to the learner's. Returns what is to
        hear of the tools that servers list."""
        shown = Shown(self._policies, lambda: self._deciding.settings.reversible)
        consulting = learner.consulting = Consulting(
            self._panel,
            predictor,
            Recent(self._redactor.clean),
            shown,
            lambda task: soon(lambda: learner.later(task)),
            lambda: self._deciding.is_off,
            self._timing.gap_s,
            now_s,
        )
        consulting.on_answered = on_answered
        if not self._panel.is_ready:
            self._early.append(consulting)
        return shown

    def served(self) -> None:
        """The client has been served: now there is time to load what asks them."""
        if not self._deciding.is_off:
            self._panel.start()

    def _ready(self) -> None:
        early, self._early = self._early, []
        for consulting in early:
            consulting.ready()

    def close(self) -> None:
        """Ask nobody any more."""
        self._panel.close()

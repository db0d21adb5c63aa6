"""A file of recorded sessions through engine and predictor, and the figures that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.default import make_predictor
from spec_mcp.predict.keeper import ShareKeeper
from spec_mcp.predict.predictor import CallBegan, CallEnded, Predictor
from spec_mcp.records import Session, Tool
from spec_mcp.replay import oracle
from spec_mcp.replay.script import SERVER, Script, Stage, Timings, join, set_stage, write_script
from spec_mcp.replay.tally import Tally
from spec_mcp.replay.world import Play, Speculators

MakePredictor = Callable[[Mapping[str, ServerPolicy], int], Predictor]

PREDICTORS: dict[str, MakePredictor] = {"history": make_predictor}
"""The predictors that `--predictor` names."""

GAP_BETWEEN_SESSIONS_S = 600.0


@dataclass(frozen=True, slots=True)
class Options:
    """How sessions are played."""

    settings: Settings = field(default_factory=Settings)
    timings: Timings = field(default_factory=Timings)
    used_share: float = 0.0
    online: bool = True
    context: bool = False
    seed: int = 0
    manifest: ServerPolicy | None = None
    pause_s: float | None = None
    """Play all sessions of a file as one, as of a client that keeps its connection, with such a pause between them."""
    make: MakePredictor = make_predictor
    speculators: Speculators | None = None
    """Whom a predictor asks that merges guesses."""


@dataclass(slots=True)
class Evaluation:
    """Plays files one after the other with one predictor."""

    options: Options
    predictor: Predictor = field(init=False)
    timing: Timing = field(default_factory=Timing)
    constants: oracle.Constants = field(default_factory=oracle.Constants)
    keeper: ShareKeeper | None = None
    _policies: dict[str, ServerPolicy] = field(default_factory=dict[str, ServerPolicy])
    _now_s: float = 0.0
    _learned: Json = None
    """What the training taught, where sessions are to teach nothing."""

    def __post_init__(self) -> None:
        self.predictor = self.options.make(self._policies, self.options.seed)
        if self.options.used_share > 0.0:
            self.keeper = ShareKeeper(self.options.used_share, self.options.settings.wasted_call_s)

    def train(
        self, sessions: Sequence[Session], tools: Iterable[Tool], progress: Callable[[], None] | None = None
    ) -> None:
        """Learn from sessions before anything is measured."""
        assert self._learned is None, "training comes before playing"
        stage = set_stage(sessions, tools, self.options.manifest)
        self._policies[SERVER] = stage.policy
        for session in sessions:
            script = write_script(session, stage, self.options.timings)
            learn(self.predictor, script, self.options.context)
            self.constants.learn(script)
            for call in script.calls:
                self.timing.took(SERVER, call.tool, call.latency_s)
            for turn in script.turns[1:]:
                self.timing.thought(turn.think_s)
            if progress is not None:
                progress()

    def play(
        self, sessions: Sequence[Session], tools: Iterable[Tool], progress: Callable[[], None] | None = None
    ) -> Tally:
        """Play sessions and count."""
        stage = set_stage(sessions, tools, self.options.manifest)
        self._policies[SERVER] = stage.policy
        tally = Tally()
        if not self.options.online and self._learned is None:
            self._learned = self.predictor.dump()
        scripts = (write_script(session, stage, self.options.timings) for session in sessions)
        if self.options.pause_s is not None:
            scripts = iter((join(list(scripts), self.options.pause_s),))
        for script in scripts:
            self._play(script, stage, tally)
            if progress is not None:
                progress()
        return tally

    def _play(self, script: Script, stage: Stage, tally: Tally) -> None:
        options = self.options
        predictor = self.predictor
        if self._learned is not None:  # each session starts from what the training taught, and teaches nothing
            predictor = options.make(self._policies, options.seed)
            predictor.load(self._learned)
        guesser = oracle.Guesser(self.constants)
        play = Play(
            script,
            stage,
            predictor,
            self._settings(),
            self.timing,
            tally,
            self._now_s,
            self.keeper,
            options.context,
            guesser,
            options.speculators,
        )
        self._now_s = play.run() + GAP_BETWEEN_SESSIONS_S
        tally.reachable += len(guesser.reachable)
        tally.oracle_hidden_s += guesser.hidden_s
        if options.online:
            self.constants.learn(script)

    def _settings(self) -> Settings:
        settings = self.options.settings
        return settings if self.keeper is None else self.keeper.apply(settings)


def learn(predictor: Predictor, script: Script, context: bool = False, server: str = SERVER) -> None:
    """Tell a predictor a session, without asking it for anything."""
    for turn in script.turns:
        if context:
            for role, text in turn.said:
                predictor.said(script.session, role, text)
        for call in turn.calls:
            predictor.began(CallBegan(script.session, call.number, server, call.tool, call.arguments, 0.0, call.writes))
        for call in turn.calls:
            predictor.ended(CallEnded(script.session, call.number, call.result, call.is_error, 0.0))
    predictor.closed(script.session)

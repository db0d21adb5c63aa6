"""The predictor that needs no model: it learns from this user's calls and guesses the next ones.

After each turn the candidates of a session are scored, and what becomes of them is learned: used before the next
conflicting write, or not. Learning does not depend on who asked for guesses, or when, so a session taken up from its
record teaches the same as it did when it was lived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.predict.mixer import sigmoid
from spec_mcp.predict.model import Model
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.predict.scoring import logit_next
from spec_mcp.predict.session import Session

MAX_SESSIONS = 64
"""Sessions with a history at once; the one silent longest is closed first."""

MAX_CHAINS = 8
"""Sessions that stand on supposed calls, kept until something happens: longer chains begin with them."""


class DefaultPredictor:
    """See `Predictor`, whose promises it keeps."""

    def __init__(self, policies: Mapping[str, ServerPolicy], seed: int) -> None:
        self._policies = policies
        self._seed = seed  # nothing here is random; kept so that all predictors are made alike
        self._model = Model()
        self._sessions: dict[str, Session] = {}
        self._chains: dict[tuple[object, ...], tuple[Session, Supposed, Session]] = {}
        """Of a session and a step (by identity: both are kept here) the session that stands on the step."""

    def began(self, call: CallBegan) -> None:
        self._chains.clear()
        self._session(call.session).began(call)

    def ended(self, call: CallEnded) -> None:
        self._chains.clear()
        session = self._sessions.get(call.session)
        if session is not None:
            session.ended(call)

    def said(self, session: str, role: str, text: str) -> None:
        self._chains.clear()
        self._session(session).said(role, text)

    def attached(self, session: str, read: Supposed) -> None:
        self._chains.clear()
        self._session(session).attached(read)

    def closed(self, session: str) -> None:
        self._chains.clear()
        closing = self._sessions.pop(session, None)
        if closing is not None:
            closing.close()

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        known = self._sessions.get(session)
        if known is None:
            known = self._session(session)
        for step in supposed:
            known = self._suppose(known, step)
        return [known.told(scored) for scored in known.likely()[:limit]]

    def next_calls(self, session: str, limit: int) -> list[Candidate]:
        """The calls likeliest to be the very next, writes among them; `q` is the probability of that. For scoring."""
        known = self._session(session)
        ranked = sorted(((logit_next(self._model, scored), scored) for scored in known.options()), key=lambda r: -r[0])
        return [known.candidate(scored, sigmoid(x)) for x, scored in ranked[:limit]]

    def dump(self) -> Json:
        return self._model.dump()

    def load(self, learned: Json) -> None:
        if not isinstance(learned, dict):
            raise ValueError(f"expected what a predictor dumped, found {str(learned)[:60]}")
        self._chains.clear()
        self._model.load(learned)

    def _suppose(self, session: Session, step: Supposed) -> Session:
        name = (id(session), step.server, step.tool, id(step.arguments), id(step.result), step.is_error)
        kept = self._chains.get(name)
        if kept is None:
            if len(self._chains) >= MAX_CHAINS:
                del self._chains[next(iter(self._chains))]
            kept = self._chains[name] = (session, step, session.suppose(step))
        return kept[2]

    def _session(self, name: str) -> Session:
        session = self._sessions.pop(name, None)
        if session is None:
            if len(self._sessions) >= MAX_SESSIONS:
                self.closed(next(iter(self._sessions)))
            session = Session.begin(self._model, self._policies)
        self._sessions[name] = session
        return session


def make_predictor(policies: Mapping[str, ServerPolicy], seed: int) -> DefaultPredictor:
    """The predictor for these servers; `policies` may gain servers later."""
    return DefaultPredictor(policies, seed)

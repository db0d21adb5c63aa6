"""A handshake server's questions, as a stateless client can be asked them: in the answers to its own requests.

Which request does a question belong to? The server does not say. It is asked in the answer to the only request that
may be answered so and whose client takes such questions; of several to a tool call before a prompt before a resource,
and to the newest: who asks mostly asks soon after it was called. A wrong guess does no harm: whoever asked gets the
answer, and each request gets its own result. Requests whose clients wait come before those that are held.

What a server asks before any request can carry it is in `early.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.asked import Asked, AskedTable, Prompt, allows
from spec_mcp.relay.gateway.eras.early import Early
from spec_mcp.relay.gateway.eras.outgoing import Ids, Out
from spec_mcp.relay.gateway.eras.text import answer, cancellation, error, failure, is_object, quoted, text_of
from spec_mcp.relay.gateway.splicing import written

_NOT_SUPPORTED = {
    words.ELICITATION: "the client does not support this elicitation",
    words.SAMPLING: "the client does not support this sampling",
    words.ROOTS: "the client does not support roots",
}

Send = Callable[[Asked], None]


class Rounds:
    """Of one client at one server."""

    def __init__(
        self, asked: AskedTable, ids: Ids, out: Out, now_s: Callable[[], float], capabilities: bytes, send: Send
    ) -> None:
        self._asked = asked
        self._ids = ids
        self._out = out
        self._now_s = now_s
        self._capabilities = capabilities
        """The client's as the server knows them."""
        self._send = send
        self._early = Early(now_s)

    # --- the server asks --------------------------------------------------------------------------------------------

    def came(self, prompt: Prompt) -> None:
        """The server asks the client something."""
        prompting = [asked for asked in self._asked if asked.may_prompt and asked.is_sent and not asked.kept]
        able = [asked for asked in prompting if allows(asked.capabilities, prompt)]
        if able:
            self._put_to(max(able, key=_likelihood), prompt)
        elif prompt.method == words.ROOTS and allows(self._capabilities, prompt) and not prompting:
            self._keep(prompt)
        elif prompting or not allows(self._capabilities, prompt):
            self._refuse(prompt, words.INVALID_REQUEST, _NOT_SUPPORTED[prompt.method])
        else:
            self._refuse(prompt, words.INVALID_REQUEST, "no request of the client's is open that this could belong to")

    def _put_to(self, asked: Asked, prompt: Prompt) -> None:
        if len(asked.told) + len(asked.queued) >= words.PROMPTS_MAX:
            self._refuse(prompt, words.INTERNAL_ERROR, "too many questions wait for the client")
            return
        asked.queued.append(prompt)
        if not asked.is_held:
            self._tell(asked)

    def _keep(self, prompt: Prompt) -> None:
        if (given_up := self._early.keep(prompt)) is not None:
            self._refuse(given_up, words.REQUEST_TIMEOUT, "no request of the client's came")
        for asked in self._early.take_paused(prompt):
            if self._asked.named(asked.ours) is asked:  # it may have been cancelled
                self.begin(asked)

    def greeted(self) -> None:
        """The server may be about to ask for what it needs to know first."""
        if allows(self._capabilities, Prompt(b"", words.ROOTS, b"")):
            self._early.greeted()

    def withdrawn(self, name: object) -> None:
        """The server does not wait for its question's answer any more."""
        for asked in self._asked:
            asked.queued = deque(prompt for prompt in asked.queued if wire.id_value(prompt.id_raw) != name)
            for key, prompt in list(asked.told.items()):
                if wire.id_value(prompt.id_raw) == name:
                    del asked.told[key]
        self._early.withdraw(name)

    # --- the client is asked ----------------------------------------------------------------------------------------

    def begin(self, asked: Asked) -> None:
        """A request has come: it goes to the server, unless it first has to carry what the server asked before."""
        if prompts := self._early.for_client(asked):
            asked.queued.extend(prompts)
            self._tell(asked)
        elif not self._early.pause(asked):
            self._send(asked)

    def ask_again(self, asked: Asked, prompts: list[Prompt]) -> None:
        """The server wants the request once more, after the client has done this."""
        asked.is_sent = False
        self._asked.renamed(asked, self._ids.next())
        asked.queued.extend(prompts)
        self._tell(asked)

    def _tell(self, asked: Asked) -> None:
        """Answer the present round with all that is to be asked."""
        for prompt in asked.queued:
            asked.told[self._ids.token()] = prompt
        asked.queued.clear()
        requests = {key: _as_input(prompt) for key, prompt in asked.told.items()}
        state, client_id = self._ids.token(), asked.client_id
        self._asked.hold(asked, state, self._now_s() + words.INPUT_WAIT_S)
        self._out.to_client(
            answer(
                client_id,
                b'{"resultType":"input_required","inputRequests":%s,"requestState":%s}'
                % (written(requests), quoted(state)),
            )
        )
        held = self._asked.held
        if len(held) > words.HELD_MAX:
            self._give_up(held[0])

    # --- the client comes back --------------------------------------------------------------------------------------

    def resumed(self, asked: Asked, responses: bytes) -> None:
        """The client has come back with what it was asked, and waits again."""
        given = wire.members(responses)
        for key in [key for key in asked.told if is_object(given.get(key, b""))]:
            prompt = asked.told.pop(key)
            if not prompt.id_raw:
                if text_of(wire.members(given[key]).get("action", b"")) != "accept":
                    declined = error(words.INVALID_REQUEST, "what the server needs was not agreed to")
                    asked.kept = b'"error":' + declined
            elif not prompt.is_early or self._early.take(prompt):
                self._out.to_server(answer(prompt.id_raw, given[key]))
        for key in [key for key, one in asked.told.items() if one.is_early and not self._early.waits_for(one)]:
            del asked.told[key]
        if asked.kept:
            self._end(asked)
        elif asked.told or asked.queued:
            self._tell(asked)
        elif not asked.is_sent and not self._early.pause(asked):
            self._send(asked)

    def _end(self, asked: Asked) -> None:
        """The server's answer came while the client was away."""
        self._out.to_client(b'{"jsonrpc":"2.0","id":%s,%s}\n' % (asked.client_id, asked.kept))
        left = [one for one in (*asked.told.values(), *asked.queued) if one.id_raw and not one.is_early]
        self._asked.forget(asked)
        for prompt in left:  # it was another's that asked this
            self.came(prompt)

    # --- nobody comes back ------------------------------------------------------------------------------------------

    @property
    def wakes_at_s(self) -> float | None:
        """When something has been waited for long enough."""
        held = [asked.until_s for asked in self._asked.held[:1]]
        return min(held + [time_s for time_s in (self._early.wakes_at_s,) if time_s is not None], default=None)

    def woken(self) -> None:
        """Send what has paused, give up what has been waited for long enough."""
        for asked in self._early.rested():
            if self._asked.named(asked.ours) is asked:
                self._send(asked)
        for prompt in self._early.expired():
            self._refuse(prompt, words.REQUEST_TIMEOUT, "no request of the client's came")
        now_s = self._now_s()
        for asked in self._asked.held:
            if asked.until_s > now_s:
                break
            self._give_up(asked)

    def _give_up(self, asked: Asked) -> None:
        self._asked.forget(asked)
        for prompt in asked.told.values():
            if prompt.is_early:  # another may still answer it
                continue
            if prompt.method == words.ELICITATION and prompt.id_raw:
                self._out.to_server(answer(prompt.id_raw, b'{"action":"cancel"}'))
            else:
                self._refuse(prompt, words.REQUEST_TIMEOUT, "the client did not come back with an answer")
        if asked.is_sent and not asked.kept:
            self._out.to_server(cancellation(quoted(asked.ours), quoted("the client did not come back")))
        for prompt in asked.queued:
            if not prompt.is_early:
                self.came(prompt)

    def lost(self, why: str) -> None:
        """The server is gone, and all that it asked with it."""
        self._early.clear()
        for asked in self._asked.held:
            asked.told.clear()
            asked.queued.clear()
            if asked.is_sent:  # what was not goes to the next connection
                asked.kept = asked.kept or b'"error":' + error(words.CONNECTION_CLOSED, why)

    def _refuse(self, prompt: Prompt, code: int, why: str) -> None:
        if prompt.id_raw:
            self._out.to_server(failure(prompt.id_raw, error(code, why)))


def _likelihood(asked: Asked) -> tuple[bool, int, int]:
    return not asked.is_held, words.INPUT_METHODS.index(asked.method), asked.number


def _as_input(prompt: Prompt) -> bytes:
    return written({"method": quoted(prompt.method), **({"params": prompt.params} if prompt.params else {})})

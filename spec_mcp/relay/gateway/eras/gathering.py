"""What a stateless server asks in its answers, put to a handshake client as requests: one request through its rounds.

The server answers that it needs input; the client is asked for each piece, and once all are there the request is made
again with them, under a new id. What the server wants to have back with it goes back as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.asked import Prompt, allows
from spec_mcp.relay.gateway.eras.outgoing import Ids, Out
from spec_mcp.relay.gateway.eras.text import (
    cancellation,
    changed,
    error,
    failure,
    is_object,
    quoted,
    request,
    text_of,
)
from spec_mcp.relay.gateway.splicing import written


@dataclass(slots=True, eq=False)
class Call:
    """A client's request, through all its rounds."""

    client_id: bytes
    method: str
    params: bytes
    """As the client gave them."""
    meta: dict[str, bytes]
    """Its `_meta`, without what belongs to the protocol of the other era."""
    ours: str = ""
    """Its id at the server in the present round; empty while input is gathered."""
    rounds: int = 0
    state: bytes = b""
    """What the server wants to have back, raw."""
    awaited: dict[str, str] = field(default_factory=dict[str, str])
    """Our ids of the questions that the client has not answered, and the server's keys of them."""
    responses: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """By the server's key."""
    until_s: float = 0.0
    """How long input is waited for, or when the request is made again without any."""

    @property
    def token(self) -> bytes:
        """Under which the client expects progress; empty where it does not."""
        return self.meta.get("progressToken", b"")

    def params_with(self, meta: bytes) -> bytes:
        """What the server gets in the present round; the `_meta` is what each request carries."""
        own = {
            "task": b"",
            "inputResponses": written(self.responses) if self.responses else b"",
            "requestState": self.state,
            "_meta": written({**wire.members(meta), **self.meta}),
        }
        return changed(self.params or b"{}", own)


Send = Callable[[Call], None]
Fail = Callable[[Call, bytes], None]


class Gathering:
    """Of one client: its answers to what the server asked."""

    def __init__(
        self, ids: Ids, out: Out, now_s: Callable[[], float], capabilities: Callable[[], bytes], send: Send, fail: Fail
    ) -> None:
        self._ids = ids
        self._out = out
        self._now_s = now_s
        self._capabilities = capabilities
        self._send = send
        self._fail = fail
        self._asking: dict[str, Call] = {}
        """By our id of a question."""
        self._waiting: dict[Call, None] = {}
        """Those that gather input or pause."""

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, call: Call, result: bytes) -> None:
        """The server needs input."""
        found = wire.members(result)
        call.ours = ""
        call.rounds += 1
        call.state = found.get("requestState", b"")
        call.responses = {}
        prompts = {key: _prompt(raw) for key, raw in wire.members(found.get("inputRequests", b"")).items()}
        if call.state in (b"", wire.NULL):
            call.state = b""
        if (wrong := self._why_not(call, prompts)) is not None:
            self._fail(call, wrong)
            return
        self._waiting[call] = None
        if not prompts:  # it wants to be asked again, no more
            pause_s = min(words.PAUSE_S * 2 ** (call.rounds - 1), words.PAUSE_MAX_S)
            call.until_s = self._now_s() + pause_s
            return
        call.until_s = self._now_s() + words.INPUT_WAIT_S
        for key, prompt in prompts.items():
            ours = self._ids.next()
            call.awaited[ours] = key
            self._asking[ours] = call
            self._out.to_client(request(quoted(ours), prompt.method, self._params(prompt)), call.client_id)

    def _why_not(self, call: Call, prompts: dict[str, Prompt]) -> bytes | None:
        if call.method not in words.INPUT_METHODS or not (prompts or call.state):
            return error(words.INTERNAL_ERROR, "the server asks for input in a way that the protocol does not know")
        if call.rounds > words.ROUNDS_MAX:
            return error(words.INTERNAL_ERROR, f"the server asked for input more than {words.ROUNDS_MAX} times")
        if len(prompts) > words.PROMPTS_MAX:
            return error(words.INTERNAL_ERROR, f"the server asked for more than {words.PROMPTS_MAX} things at once")
        for prompt in prompts.values():
            if prompt.method not in words.PROMPTS:
                return error(words.INTERNAL_ERROR, "the server asks for something that the protocol does not know")
            if not allows(self._capabilities(), prompt):
                return error(
                    words.INVALID_REQUEST, f"the server needs {prompt.method}, which the client does not support"
                )
        return None

    def _params(self, prompt: Prompt) -> bytes:
        params = wire.members(prompt.params)
        if text_of(params.get("mode", b"")) == "url" and "elicitationId" not in params:
            return changed(prompt.params, {"elicitationId": quoted(self._ids.token())})
        return prompt.params

    # --- the client answers -----------------------------------------------------------------------------------------

    def answered(self, message: wire.Envelope) -> None:
        """The client answered something; what nobody asked is dropped."""
        name = wire.id_value(message.id)
        call = self._asking.pop(name, None) if isinstance(name, str) else None
        if call is None:
            return
        key = call.awaited.pop(str(name))
        if not is_object(message.result):  # the stateless era cannot pass on a no of this kind
            self.drop(call, "another question of the same request was refused")
            raw = message.error or error(words.INVALID_REQUEST, "the client's answer is neither a result nor an error")
            self._fail(call, raw)
            return
        call.responses[key] = message.result
        if not call.awaited:
            self._waiting.pop(call, None)
            self._send(call)

    def drop(self, call: Call, why: str) -> None:
        """The client is not to be asked any more."""
        self._waiting.pop(call, None)
        for ours in call.awaited:
            del self._asking[ours]
            self._out.to_client(cancellation(quoted(ours), quoted(why)), call.client_id)
        call.awaited.clear()

    # --- time passes ------------------------------------------------------------------------------------------------

    @property
    def wakes_at_s(self) -> float | None:
        """When something has been waited for long enough."""
        return min((call.until_s for call in self._waiting), default=None)

    def woken(self) -> None:
        """Make again what has paused, give up what has been waited for long enough."""
        now_s = self._now_s()
        for call in [call for call in self._waiting if call.until_s <= now_s]:
            if call.awaited:
                self.drop(call, "there was no answer for too long")
                self._fail(call, error(words.REQUEST_TIMEOUT, "the client did not give what the server asked for"))
            else:
                del self._waiting[call]
                self._send(call)


def _prompt(raw: bytes) -> Prompt:
    found = wire.members(raw)
    return Prompt(b"", text_of(found.get("method", b"")), found.get("params", b""))


def refused(id_raw: bytes, method: str) -> bytes:
    """The answer to a request of a method that this side does not have."""
    return failure(id_raw, error(words.METHOD_NOT_FOUND, "method not found", quoted(method)))

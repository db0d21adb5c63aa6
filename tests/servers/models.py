"""A server of models that speaks OpenAI's Responses and Chat Completions and Anthropic's Messages over HTTP.

There is no model in it: a script says what it guesses and how it fails, so nothing it answers says anything of how
well models guess.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 60.0

STRUCTURED = {"/responses": "text", "/chat/completions": "response_format", "/messages": "output_config"}


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def api(self) -> str:
        return next(name for name in STRUCTURED if self.path.endswith(name))

    @property
    def is_structured(self) -> bool:
        return STRUCTURED[self.api] in self.body

    @property
    def prefix(self) -> str:
        """The part of the prompt that stays the same."""
        if self.api == "/responses":
            return self.body["instructions"]
        if self.api == "/messages":
            return self.body["system"][0]["text"]
        return self.body["messages"][0]["content"]

    @property
    def suffix(self) -> str:
        if self.api == "/responses":
            return self.body["input"]
        return self.body["messages"][-1]["content"]


@dataclass(frozen=True)
class Says:
    """It answers with this text."""

    text: str
    input_tokens: int = 1000
    cached_tokens: int = 400
    output_tokens: int = 50
    with_usage: bool = True

    @classmethod
    def guesses(cls, *guesses: tuple[str, dict[str, Any], float], **others: Any) -> Says:
        listed = [{"tool": tool, "arguments": json.dumps(given), "confidence": q} for tool, given, q in guesses]
        return cls(json.dumps({**others, "guesses": listed}))


@dataclass(frozen=True)
class Fails:
    """It answers with an error; `{key}` in the message is the key that it was shown."""

    status: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RefusesTheForm:
    """It takes no form for answers, and otherwise does as `then`."""

    then: Says


@dataclass(frozen=True)
class Raw:
    """It answers with these bytes."""

    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cuts:
    """It breaks the connection, after so many bytes of an answer."""

    after: int = 0


@dataclass(frozen=True)
class Drips:
    """It sends the beginning of an answer, and the rest when it is told to."""


@dataclass(frozen=True)
class Waits:
    """It answers nothing until whoever asked has left."""


Behaviour = Says | Fails | RefusesTheForm | Raw | Cuts | Drips | Waits
Script = Callable[[Asked], Behaviour]


class ModelServer:
    """Use it as a context manager. `then` says what it does next; without that, `script` does."""

    def __init__(self, script: Script = lambda asked: Says.guesses()) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.came = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        self.go_on = threading.Event()
        self._next: deque[Behaviour] = deque()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def then(self, *behaviours: Behaviour) -> ModelServer:
        self._next.extend(behaviours)
        return self

    def reset(self) -> None:
        """For another test: nothing was asked, and nothing waits."""
        self.go_on.set()
        self.go_on = threading.Event()
        self.came = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        self.asked = []
        self._next.clear()

    def wait_asked(self) -> None:
        """Until one more request has come."""
        assert self.came.acquire(timeout=WAIT_S), "no request came"

    def wait_left(self) -> None:
        """Until one more has left without an answer."""
        assert self.left.acquire(timeout=WAIT_S), "nobody left"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                server.asked.append(asked)
                behaviour = server._next.popleft() if server._next else server.script(asked)
                server.came.release()
                server._behave(self, asked, behaviour)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nobody reads it."""

        return Handler

    def _behave(self, http: BaseHTTPRequestHandler, asked: Asked, behaviour: Behaviour) -> None:
        if isinstance(behaviour, RefusesTheForm):
            refusal = Fails(400, f"'{STRUCTURED[asked.api]}' of type 'json_schema' is not supported with this model")
            behaviour = refusal if asked.is_structured else behaviour.then
        if isinstance(behaviour, Says):
            self._send(http, 200, json.dumps(answer_of(asked, behaviour)).encode(), {})
        elif isinstance(behaviour, Fails):
            error = {"type": "error", "message": behaviour.message.replace("{key}", key_of(asked))}
            self._send(
                http, behaviour.status, json.dumps({"type": "error", "error": error}).encode(), behaviour.headers
            )
        elif isinstance(behaviour, Raw):
            self._send(http, 200, behaviour.body, {"content-type": behaviour.content_type, **behaviour.headers})
        elif isinstance(behaviour, Waits):
            http.connection.settimeout(WAIT_S)
            try:
                has_left = not http.connection.recv(1)
            except ConnectionError:
                has_left = True
            except TimeoutError:
                has_left = False
            if has_left:
                self.left.release()
            http.close_connection = True
        else:
            text = json.dumps(answer_of(asked, Says.guesses())).encode()
            if isinstance(behaviour, Drips) or behaviour.after:
                http.send_response(200)
                http.send_header("content-type", "application/json")
                http.send_header("content-length", str(len(text)))
                http.end_headers()
                http.wfile.write(text[:10])
            if isinstance(behaviour, Drips) and self.go_on.wait(WAIT_S):
                try:
                    http.wfile.write(text[10:])
                except OSError:  # nobody waits for it any more
                    pass
            http.close_connection = True

    def _send(self, http: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        http.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
            http.send_header(name, value)
        http.end_headers()
        http.wfile.write(body)


def key_of(asked: Asked) -> str:
    return asked.headers.get("authorization", "").removeprefix("Bearer ")


def answer_of(asked: Asked, says: Says) -> dict[str, Any]:
    """What a server of this API would answer."""
    model = asked.body["model"]
    if asked.api == "/responses":
        usage = {
            "input_tokens": says.input_tokens,
            "input_tokens_details": {"cached_tokens": says.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": says.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": says.input_tokens + says.output_tokens,
        }
        content = [{"type": "output_text", "text": says.text, "annotations": []}]
        message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
        answer: dict[str, Any] = {
            "id": "r",
            "object": "response",
            "created_at": 0,
            "status": "completed",
            "model": model,
            "output": [{"id": "t", "type": "reasoning", "summary": []}, message],
        }
    elif asked.api == "/messages":
        usage = {
            "input_tokens": says.input_tokens - says.cached_tokens,
            "cache_read_input_tokens": says.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": says.output_tokens,
        }
        content = [{"type": "thinking", "thinking": "…", "signature": "s"}, {"type": "text", "text": says.text}]
        answer = {"id": "m", "type": "message", "role": "assistant", "model": model, "content": content}
        answer |= {"stop_reason": "end_turn", "stop_sequence": None}
    else:
        usage = {
            "prompt_tokens": says.input_tokens,
            "prompt_tokens_details": {"cached_tokens": says.cached_tokens},
            "completion_tokens": says.output_tokens,
            "total_tokens": says.input_tokens + says.output_tokens,
        }
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": says.text}}
        answer = {"id": "c", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}
    return {**answer, "usage": usage} if says.with_usage else answer

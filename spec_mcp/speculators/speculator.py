"""One model, held to its bounds: what comes of a question, whatever the model or its server does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from spec_mcp.config import ModelPredictor
from spec_mcp.predict.answers import NoAnswer, read_guesses
from spec_mcp.predict.guessing import NOTHING_SPENT, Answered, Ending, Guess, Question, Spent
from spec_mcp.predict.prompts import Prompt, Scene, build_prompt
from spec_mcp.speculators.api import NO_TOKENS, Api, ApiError, Refused, Reply, TimedOut, Tokens, Unreachable, Unrecorded
from spec_mcp.speculators.bodies import body_of
from spec_mcp.speculators.breaker import Breaker
from spec_mcp.speculators.budget import TokenBudget, estimated_tokens
from spec_mcp.speculators.pricing import price_of_tokens
from spec_mcp.speculators.schemas import Schemas

FOR_GOOD = frozenset({401, 403, 404})
"""A wrong key, no right to the model, or no such model: the next question fares no better."""


class Speculator:
    """A speculator; to be used on one event loop."""

    def __init__(
        self,
        name: str,
        settings: ModelPredictor,
        api: Api,
        schemas: Schemas,
        clock: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        """`say` tells a person what is wrong with it, each thing once."""
        self.name = name
        self.settings = settings
        self.api = api
        self._schemas = schemas
        self._clock = clock
        self._say = say
        self._said: set[str] = set()
        self._budget = TokenBudget(settings.tokens_per_minute)
        self._breaker = Breaker()
        self._at_once = 0
        self._structured = True
        """Its server holds answers to a form, as far as is known."""

    async def ask(self, question: Question, scene: Scene, within_s: float) -> Answered:
        """What comes of a question; never raises. An answer later than `within_s`, or than the time-out that is set,
        is none. Where the task is cancelled, it ends with a question that was taken back."""
        began_s = self._clock()
        within_s = min(within_s, self.settings.timeout_s)
        prompt = build_prompt(question.about, question.k, scene, self.settings.prompt_chars, question.call)
        sent = Tokens(estimated_tokens(prompt.chars), 0, 0, 0)  # is paid for as a rule, whatever comes of it
        reserved = self._admit(sent.input + self.settings.output_tokens, began_s)
        if reserved is None:
            return Answered(question, Ending.HELD_BACK, (), NOTHING_SPENT)
        self._at_once += 1
        try:
            ending, guesses, tokens = await self._outcome(question, prompt, scene, within_s, sent)
        finally:
            self._at_once -= 1
        self._budget.settle(reserved, tokens.input + tokens.output)
        return Answered(question, ending, guesses, self._spent(tokens, began_s))

    def _admit(self, tokens: int, now_s: float) -> list[float] | None:
        if self._at_once >= self.settings.concurrency or not self._breaker.may_pass(now_s):
            return None
        reserved = self._budget.reserve(tokens, now_s)
        if reserved is None:
            self._breaker.gave_up()
        return reserved

    async def _outcome(
        self, question: Question, prompt: Prompt, scene: Scene, within_s: float, sent: Tokens
    ) -> tuple[Ending, tuple[Guess, ...], Tokens]:
        try:
            async with asyncio.timeout(within_s):
                reply = await self._send(prompt, within_s)
        except asyncio.CancelledError:  # by whoever asked, who is told of it by this
            self._breaker.gave_up()
            return Ending.CANCELLED, (), sent
        except (TimedOut, TimeoutError):
            self._failed(TimedOut(f"no answer in {within_s:.3g} s"))
            return Ending.TIMED_OUT, (), sent
        except ApiError as error:
            self._failed(error)
            return Ending.FAILED, (), NO_TOKENS
        except Exception as error:  # noqa: BLE001  whatever a library raises costs a guess, and counts as a failure
            self._failed(Unreachable(f"its library failed: {type(error).__name__}"))
            return Ending.FAILED, (), NO_TOKENS
        self._breaker.succeeded()
        tokens = sent if reply.tokens == NO_TOKENS else reply.tokens
        try:
            return Ending.ANSWERED, read_guesses(reply.text, question.k, scene.labels, self._schemas.take), tokens
        except NoAnswer as error:
            self._say_once(f"an answer that cannot be used: {error}")
            return Ending.INVALID, (), tokens

    async def _send(self, prompt: Prompt, within_s: float) -> Reply:
        """Ask for an answer in a form; of a server that takes none, for JSON in words, from then on."""
        if self._structured:
            try:
                return await self.api.send(body_of(self.settings, prompt, structured=True), within_s)
            except Refused as error:
                if not error.is_of_the_form:
                    raise
        reply = await self.api.send(body_of(self.settings, prompt, structured=False), within_s)
        self._structured = False
        return reply

    def _failed(self, error: ApiError) -> None:
        now_s = self._clock()
        if isinstance(error, Unrecorded):
            self._breaker.gave_up()
        elif isinstance(error, Refused):
            self._breaker.failed(now_s, for_good=error.status in FOR_GOOD, retry_after_s=error.retry_after_s)
        else:
            self._breaker.failed(now_s)
        self._say_once(str(error))

    def _say_once(self, fault: str) -> None:
        if fault not in self._said and len(self._said) < 16:
            self._said.add(fault)
            self._say(f"[predictors.{self.name}]: {fault}")

    def _spent(self, tokens: Tokens, began_s: float) -> Spent:
        price = price_of_tokens(tokens, self.settings)
        return Spent(tokens.input, tokens.cached, tokens.output, price, self._clock() - began_s)

"""The request for a prompt in the form of each API. Nothing here needs a vendor's library, so that a recording can be
replayed without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

from spec_mcp.config import ModelPredictor
from spec_mcp.predict.prompts import Prompt
from spec_mcp.speculators.api import Body

if TYPE_CHECKING:
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
    from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

HOSTED = ("api.openai.com", "api.anthropic.com")
"""Where the vendors' own models are, which ask for a key and take money."""

ApiName = Literal["openai responses", "openai chat completions", "anthropic messages"]


def is_hosted(settings: ModelPredictor) -> bool:
    """Is it the vendor's own?"""
    return settings.base_url is None or urlsplit(settings.base_url).hostname in HOSTED


def api_name_of(settings: ModelPredictor) -> ApiName:
    """Which API these settings mean."""
    if settings.kind == "anthropic":
        return "anthropic messages"
    return "openai responses" if is_hosted(settings) else "openai chat completions"


def body_of(settings: ModelPredictor, prompt: Prompt, structured: bool) -> Body:
    """The request; `structured` asks the server to hold the answer to the prompt's schema."""
    prefix = prompt.prefix if structured else prompt.spelled_out
    make = {
        "openai responses": _responses,
        "openai chat completions": _chat,
        "anthropic messages": _messages,
    }[api_name_of(settings)]
    return make(settings, prompt, prefix, structured)


def _responses(settings: ModelPredictor, prompt: Prompt, prefix: str, structured: bool) -> Body:
    body: ResponseCreateParamsNonStreaming = {
        "model": settings.model,
        "instructions": prefix,
        "input": prompt.suffix,
        "max_output_tokens": settings.output_tokens,
        "store": False,
        "prompt_cache_key": prompt.cache_key,
    }
    if structured:
        schema = cast("dict[str, object]", prompt.schema)
        body["text"] = {"format": {"type": "json_schema", "name": prompt.name, "schema": schema, "strict": True}}
    if settings.effort:
        body["reasoning"] = {"effort": settings.effort}  # pyright: ignore[reportGeneralTypeIssues, reportAssignmentType]
    return cast("Body", body)


def _chat(settings: ModelPredictor, prompt: Prompt, prefix: str, structured: bool) -> Body:
    body: CompletionCreateParamsNonStreaming = {
        "model": settings.model,
        "messages": [{"role": "system", "content": prefix}, {"role": "user", "content": prompt.suffix}],
        "max_tokens": settings.output_tokens,  # few of these servers know its successor
        "temperature": 0,
    }
    if structured:
        schema = cast("dict[str, object]", prompt.schema)
        form = {"name": prompt.name, "schema": schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}  # pyright: ignore[reportGeneralTypeIssues, reportAssignmentType]
    if settings.effort:
        body["reasoning_effort"] = settings.effort  # pyright: ignore[reportGeneralTypeIssues, reportAssignmentType]
    return cast("Body", body)


def _messages(settings: ModelPredictor, prompt: Prompt, prefix: str, structured: bool) -> Body:
    body: MessageCreateParamsNonStreaming = {
        "model": settings.model,
        "max_tokens": settings.output_tokens,
        "system": [{"type": "text", "text": prefix, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": prompt.suffix}],
    }
    output: dict[str, object] = {}
    if structured:
        output["format"] = {"type": "json_schema", "schema": prompt.schema}
    if settings.effort:
        output["effort"] = settings.effort
    if output:
        body["output_config"] = output  # pyright: ignore[reportGeneralTypeIssues, reportAssignmentType]
    return cast("Body", body)

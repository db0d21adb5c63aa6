"""Tools of the conformance fixture that need something of the client: by a request of their own through 2025-11-25,
by an `input_required` result from 2026-07-28 on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from conformance_contents import DEFAULTS_SCHEMA, ENUMS_SCHEMA, text
from mcp.server.context import ServerRequestContext
from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata

Context = ServerRequestContext[Any, Any]
Params = types.CallToolRequestParams
Answers = Mapping[str, Any]

STATES = AESGCMRequestStateCodec(["a fixture has no secrets: this key is for tests only"])
"""One key for every process, since a retry may come to another one."""

USER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    "required": ["username", "email"],
}


def said(words: str, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[text(words)], is_error=is_error)


def form(message: str, **properties: str) -> types.ElicitRequest:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties),
    }
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(prompt: str, max_tokens: int = 100) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=text(prompt))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def ask_for(state: str | None = None, /, **requests: types.InputRequest) -> types.InputRequiredResult:
    sealed = None if state is None else STATES.seal(state.encode())
    return types.InputRequiredResult(input_requests=requests, request_state=sealed)


def state_of(params: Params) -> str:
    """What an echoed state said when it left.

    Raises:
        MCPError: it is not one of ours.
    """
    try:
        return STATES.unseal(params.request_state or "").decode()
    except InvalidRequestState:
        raise MCPError(types.INVALID_PARAMS, "the request state was tampered with") from None


def answer(params: Params | types.GetPromptRequestParams, key: str) -> Any:
    return (params.input_responses or {}).get(key)


# Through 2025-11-25


async def test_sampling(context: Context, params: Params) -> types.CallToolResult:
    request = sampling(str((params.arguments or {}).get("prompt", "")))
    result = await context.session.send_request(request, types.CreateMessageResult, metadata=_while(context))
    return said(f"LLM response: {getattr(result.content, 'text', result.content)}")


async def test_elicitation(context: Context, params: Params) -> types.CallToolResult:
    message = str((params.arguments or {}).get("message", ""))
    result = await context.session.elicit_form(message, USER_SCHEMA, context.request_id)
    return said(f"User response: action={result.action}, content={json.dumps(result.content)}")


async def test_elicitation_sep1034_defaults(context: Context, params: Params) -> types.CallToolResult:
    return await _elicit(context, "Please review these defaults", DEFAULTS_SCHEMA)


async def test_elicitation_sep1330_enums(context: Context, params: Params) -> types.CallToolResult:
    return await _elicit(context, "Please choose", ENUMS_SCHEMA)


async def _elicit(context: Context, message: str, schema: dict[str, Any]) -> types.CallToolResult:
    result = await context.session.elicit_form(message, schema, context.request_id)
    return said(f"Elicitation completed: action={result.action}, content={json.dumps(result.content)}")


def _while(context: Context) -> ServerMessageMetadata:
    return ServerMessageMetadata(related_request_id=context.request_id)


# From 2026-07-28 on

ToolAnswer = types.CallToolResult | types.InputRequiredResult


async def test_input_required_result_elicitation(context: Context, params: Params) -> ToolAnswer:
    given = answer(params, "user_name")
    if not isinstance(given, types.ElicitResult):
        return ask_for(user_name=form("What is your name?", name="string"))
    return said(f"Hello, {(given.content or {}).get('name')}!")


async def test_input_required_result_sampling(context: Context, params: Params) -> ToolAnswer:
    given = answer(params, "capital_question")
    if not given:
        return ask_for(capital_question=sampling("What is the capital of France?"))
    return said(str(getattr(given.content, "text", given.content)))


async def test_input_required_result_list_roots(context: Context, params: Params) -> ToolAnswer:
    given = answer(params, "client_roots")
    if not isinstance(given, types.ListRootsResult):
        return ask_for(client_roots=types.ListRootsRequest())
    return said(", ".join(str(root.uri) for root in given.roots))


async def test_input_required_result_request_state(context: Context, params: Params) -> ToolAnswer:
    if not params.input_responses:
        return ask_for("asked to confirm", confirm=form("Please confirm", ok="boolean"))
    return said("state-ok" if state_of(params) == "asked to confirm" else "state-wrong")


async def test_input_required_result_tampered_state(context: Context, params: Params) -> ToolAnswer:
    return await test_input_required_result_request_state(context, params)


async def test_input_required_result_multiple_inputs(context: Context, params: Params) -> ToolAnswer:
    if params.input_responses and {"user_name", "greeting", "client_roots"} <= params.input_responses.keys():
        state_of(params)
        return said("All three came.")
    return ask_for(
        "asked for three",
        user_name=form("What is your name?", name="string"),
        greeting=sampling("Generate a greeting", 50),
        client_roots=types.ListRootsRequest(),
    )


async def test_input_required_result_multi_round(context: Context, params: Params) -> ToolAnswer:
    name, colour = answer(params, "step1"), answer(params, "step2")
    if colour:
        return said(f"{state_of(params)} likes {(colour.content or {}).get('color')}.")
    if name:
        state_of(params)
        whom = str((name.content or {}).get("name"))
        return ask_for(whom, step2=form("Step 2: What is your favorite color?", color="string"))
    return ask_for("nobody yet", step1=form("Step 1: What is your name?", name="string"))


async def test_input_required_result_capabilities(context: Context, params: Params) -> ToolAnswer:
    can = context.session.client_capabilities or types.ClientCapabilities()
    wanted: dict[str, types.InputRequest] = {}
    if can.sampling is not None:
        wanted["greeting"] = sampling("Generate a greeting")
    if can.elicitation is not None:
        wanted["user_name"] = form("What is your name?", name="string")
    return ask_for(None, **wanted) if wanted and not params.input_responses else said("Nothing is needed.")


async def test_streaming_elicitation(context: Context, params: Params) -> ToolAnswer:
    await context.session.report_progress(1, 2, "about to ask")
    return ask_for(user_name=form("What is your name?", name="string"))


async def test_missing_capability(context: Context, params: Params) -> ToolAnswer:
    can = context.session.client_capabilities
    if can is None or can.sampling is None:
        needed = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "this tool needs sampling", needed)
    return said("Sampling is declared.")


async def prompt_that_asks(
    context: Context, params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    given = answer(params, "user_context")
    if not isinstance(given, types.ElicitResult):
        return ask_for(user_context=form("What context should the prompt use?", context="string"))
    words = f"Context: {(given.content or {}).get('context')}"
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=text(words))])
